"""What the gateway's benchmarks share: the whole engine, a shop in it, and the bare Stripe SDK.

Engine and SDK charge the same Stripe twin over HTTP. The SDK uses an account of the twin that sends
no webhooks; the engine is told by webhooks of its own charges.
"""

import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg
import stripe

from bench.cpu import Meter, meter_of
from bench.rounds import Round, send
from gateway.v1 import payment_pb2 as payment
from gateway.v1.payment_service_pb2 import CreatePaymentRequest
from sandbox.addresses import Ports
from sandbox.clients import open_clients
from sandbox.databases import PAYING, databases_beside
from sandbox.demo.shop import FINAL_STATES, Shop
from sandbox.embedded_postgres import temporary_server
from sandbox.engine import Engine, wait_until_answering
from sandbox.guardian import temporary_folder
from sandbox.polling import poll
from sandbox.stripe_twin.accounts import BACKUP_ACCOUNT, DEFAULT_ACCOUNT
from sandbox.twin_admin import TwinAdmin

# Nothing may be left over from a round when the other side's begins.
SETTLE_SECONDS = 120.0
# The product's default; the sandbox sweeps every second, so that its books are soon whole.
_SETTINGS = {"LOG_LEVEL": "WARNING", "GATEWAY_BALANCE_SWEEP_SECONDS": "60"}
# A payment that the engine sheds is sent again so often.
MAX_REPEATS = 20

# Payments without their fee, and facts that the ledger does not have.
_OPEN = """
    SELECT
        (SELECT count(*) FROM payment WHERE id = ANY(%s) AND fee_minor IS NULL)
        + (SELECT count(*) FROM booking WHERE payment_id = ANY(%s) AND state <> 'BOOKED')
"""

Pay = Callable[[int], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """The engine's processes, a merchant and a customer of it, and the SDK beside it."""

    engine: Engine
    shop: Shop
    merchant_id: str
    customer_id: str
    gateway_url: str
    postgres_pid: int
    through_the_sdk: Pay

    @property
    def meter(self) -> Meter:
        """Processor time of every process that a payment passes through."""
        return meter_of(
            gateway=self.engine.gateway.pid,
            compliance=self.engine.compliance.pid,
            ledger=self.engine.ledger.pid,
            twin=self.engine.stripe_twin.pid,
            postgres=self.postgres_pid,
        )

    async def through_the_engine(self, number: int) -> str:
        """One payment by card; gives its id. Raises `RuntimeError` if it does not succeed."""
        request = self.shop.payment_request(
            self.merchant_id, self.customer_id, 1_000 + number, "visa"
        )
        paid = await self._sent(request)
        if paid.state not in FINAL_STATES:
            # While Stripe seems slow the engine answers early; what is left belongs to the payment.
            paid = await self.shop.until(paid.id, lambda read: read.state in FINAL_STATES)
        if paid.state != payment.PAYMENT_STATE_SUCCEEDED:
            raise RuntimeError(f"a payment ended as {payment.PaymentState.Name(paid.state)}")
        return paid.id

    async def _sent(self, request: CreatePaymentRequest) -> payment.Payment:
        """Repeats what was not charged, as the answer says: a limit may have been reached."""
        for _ in range(MAX_REPEATS):
            try:
                return await self.shop.send(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
        return await self.shop.send(request)

    async def settled(self, payment_ids: list[str]) -> None:
        """Waits until the ledger has all of the payments, fees included. It asks the database:
        through the gateway, asking would be a good part of the work that is measured."""
        async with await psycopg.AsyncConnection.connect(self.gateway_url) as connection:

            async def open_count() -> int:
                row = await (await connection.execute(_OPEN, [payment_ids] * 2)).fetchone()
                assert row is not None
                await connection.rollback()
                return int(row[0])

            await poll(open_count, lambda left: left == 0, SETTLE_SECONDS)


@asynccontextmanager
async def running_engine(**settings: str) -> AsyncIterator[RunningEngine]:
    """The engine on a durable PostgreSQL of its own, told some settings beyond the usual."""
    ports = Ports.free()
    with (
        temporary_folder() as logs,
        temporary_server(durable=True) as postgres,
        databases_beside(dict.fromkeys(PAYING, postgres.server_url)) as databases,
    ):
        async with (
            _started(ports, logs.path, databases, settings) as engine,
            open_clients(ports) as clients,
            TwinAdmin.open(engine.twin_url) as twin,
            _bare_sdk(engine.twin_url) as through_the_sdk,
        ):
            shop = Shop(clients, twin)
            yield RunningEngine(
                engine,
                shop,
                await shop.add_merchant("Quiet Harbour Books"),
                await shop.add_customer("Ada Example"),
                databases["GATEWAY_DATABASE_URL"],
                int((postgres.data / "postmaster.pid").read_text().splitlines()[0]),
                through_the_sdk,
            )


async def closed_loop(
    pay: Pay, payments: int, *, callers: int, meter: Meter
) -> tuple[Round, list[float], list[str]]:
    """So many payments by callers that each take the next when one is answered: the round, the
    seconds that each took, their ids."""
    seconds: list[float] = []

    async def timed(number: int) -> str:
        started = time.perf_counter()
        paid = await pay(number)
        seconds.append(time.perf_counter() - started)
        return paid

    taken, ids = await send(timed, range(payments), callers=callers, meter=meter)
    return taken, seconds, ids


@asynccontextmanager
async def _started(
    ports: Ports, logs: Path, databases: Mapping[str, str], settings: Mapping[str, str]
) -> AsyncIterator[Engine]:
    """The engine, told by webhooks of its own charges only, not of the SDK's."""
    engine = Engine(ports, logs, databases, {**_SETTINGS, **settings})
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
    keys = itertools.count()

    async def pay(number: int) -> str:
        intent = await client.v1.payment_intents.create_async(
            {
                "amount": 1_000 + number,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_visa",
                "allowed_payment_method_types": ["card"],
            },
            {"idempotency_key": f"bench-{run}-{next(keys)}"},
        )
        if intent.status != "succeeded":
            raise RuntimeError(f"a payment ended as {intent.status}")
        return intent.id

    try:
        yield pay
    finally:
        await http_client.close_async()  # type: ignore[no-untyped-call]
