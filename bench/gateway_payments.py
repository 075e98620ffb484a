"""`gateway.payments`: payments through the whole engine, against the bare Stripe SDK.

Both sides charge the same Stripe twin over HTTP and have the same number of callers; the SDK uses
an account of the twin that sends no webhooks. The engine's payments are checked by compliance,
held, charged, confirmed by webhook and booked with their fee. Rounds alternate, because the
machine drifts; what is compared are medians over the rounds.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stripe

from gateway.v1 import payment_pb2 as payment
from runtime.embedded_postgres import temporary_server
from sandbox.addresses import Ports
from sandbox.clients import open_clients
from sandbox.databases import SERVICES, databases_beside
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, wait_until_answering
from sandbox.stripe_twin.accounts import BACKUP_ACCOUNT, DEFAULT_ACCOUNT
from sandbox.twin_admin import TwinAdmin

NAME = "gateway.payments"
CALLERS = 16
ROUNDS = 5
PAYMENTS_PER_ROUND = 96
WARM_UP_PAYMENTS = 48

Pay = Callable[[int], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Round:
    """One round: payments per second and the seconds that each took."""

    rate: float
    latencies: list[float]
    ids: list[str]


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is the SDK's rate and `ratio` the engine's share of it."""
    ports = Ports.free()
    with (
        tempfile.TemporaryDirectory() as logs,
        temporary_server(durable=True) as postgres,
        databases_beside(dict.fromkeys(SERVICES, postgres.server_url)) as databases,
    ):
        async with (
            _engine(ports, Path(logs), databases) as engine,
            open_clients(ports) as clients,
            TwinAdmin.open(engine.twin_url) as twin,
            _bare_sdk(engine.twin_url) as through_the_sdk,
        ):
            return await _compare(Shop(clients, twin), through_the_sdk)


@asynccontextmanager
async def _engine(ports: Ports, logs: Path, databases: Mapping[str, str]) -> AsyncIterator[Engine]:
    """The engine, told by webhooks of its own charges only, not of the SDK's."""
    engine = Engine(ports, logs, databases, {"LOG_LEVEL": "WARNING"})
    try:
        await engine.stripe_twin.start()
        await engine.stripe_twin.wait_until(wait_until_answering(engine.twin_url))
        async with TwinAdmin.open(engine.twin_url) as twin:
            await twin.send_webhooks_to(engine.webhook_url(DEFAULT_ACCOUNT.name))
        await engine.start_service(engine.ledger, ports.ledger)
        await engine.start_service(engine.compliance, ports.compliance)
        await engine.start_service(engine.gateway, ports.gateway)
        yield engine
        await engine.stop()
    finally:
        await engine.kill()


async def _compare(shop: Shop, through_the_sdk: Pay) -> dict[str, Any]:
    merchant = await shop.add_merchant("Quiet Harbour Books")
    customer = await shop.add_customer("Ada Example")

    async def through_the_engine(number: int) -> str:
        paid = await shop.pay(merchant, customer, 1_000 + number, "visa")
        if paid.state != payment.PAYMENT_STATE_SUCCEEDED:
            raise RuntimeError(f"a payment ended as {payment.PaymentState.Name(paid.state)}")
        return paid.id

    engine_rounds: list[Round] = []
    sdk_rounds: list[Round] = []
    booked_rates: list[float] = []
    for pay in (through_the_engine, through_the_sdk):
        await _round(pay, WARM_UP_PAYMENTS)
    for _ in range(ROUNDS):
        started = time.perf_counter()
        taken = await _round(through_the_engine, PAYMENTS_PER_ROUND)
        # The books are a part of the work, and would else be done during the other's round.
        for payment_id in taken.ids:
            await shop.settled(payment_id)
        booked_rates.append(PAYMENTS_PER_ROUND / (time.perf_counter() - started))
        engine_rounds.append(taken)
        sdk_rounds.append(await _round(through_the_sdk, PAYMENTS_PER_ROUND))
    rate = statistics.median(taken.rate for taken in engine_rounds)
    limit = statistics.median(taken.rate for taken in sdk_rounds)
    return {
        "name": NAME,
        "value": round(rate, 1),
        "unit": "payments/s",
        "limit": round(limit, 1),
        "limit_name": "bare async Stripe SDK on the same twin",
        "ratio": round(rate / limit, 3),
        "callers": CALLERS,
        "payments": ROUNDS * PAYMENTS_PER_ROUND,
        "p50_ms": _percentile(engine_rounds, 50),
        "p99_ms": _percentile(engine_rounds, 99),
        "sdk_p50_ms": _percentile(sdk_rounds, 50),
        "sdk_p99_ms": _percentile(sdk_rounds, 99),
        "booked_per_second": round(statistics.median(booked_rates), 1),
    }


async def _round(pay: Pay, payments: int) -> Round:
    """So many payments by `CALLERS` callers, each with its next as soon as one is answered."""
    numbers = iter(range(payments))
    latencies: list[float] = []
    ids: list[str] = []

    async def caller() -> None:
        for number in numbers:
            started = time.perf_counter()
            ids.append(await pay(number))
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    return Round(payments / (time.perf_counter() - started), latencies, ids)


@asynccontextmanager
async def _bare_sdk(twin_url: str) -> AsyncIterator[Pay]:
    """The SDK as its documentation has it, with its own aiohttp client."""
    http_client = stripe.AIOHTTPClient()
    client = stripe.StripeClient(
        BACKUP_ACCOUNT.secret_key,
        base_addresses={"api": twin_url},
        http_client=http_client,
        max_network_retries=0,
    )
    run = time.time_ns()

    async def pay(number: int) -> str:
        intent = await client.v1.payment_intents.create_async(
            {
                "amount": 1_000 + number,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_visa",
                "allowed_payment_method_types": ["card"],
            },
            {"idempotency_key": f"bench-{run}-{number}-{time.perf_counter_ns()}"},
        )
        if intent.status != "succeeded":
            raise RuntimeError(f"a payment ended as {intent.status}")
        return intent.id

    yield pay
    await http_client.close_async()  # type: ignore[no-untyped-call]


def _percentile(rounds: list[Round], percent: int) -> float:
    seconds = sorted(latency for taken in rounds for latency in taken.latencies)
    return round(1_000 * seconds[min(len(seconds) - 1, len(seconds) * percent // 100)], 1)
