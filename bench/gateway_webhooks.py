"""`gateway.webhooks`: how long intake takes while processing lags far behind.

Signed events arrive at random moments, 500 a second on average, at a gateway with all its roles in
one process. Stripe (the twin) takes a second for each answer, so that the workers, who ask it about
each event, get through a few a second and the rest piles up. Each webhook is timed from the moment
it was due; every one has to be answered 200, and to be in the inbox at the end, once.
"""

import asyncio
import gc
import hashlib
import hmac
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from bench.arrivals import Arrivals, arrive, median_percentile_ms, percentile
from bench.benchmark import Benchmark, Target, with_target
from bench.cpu import Meter, meter_of, spent_between
from sandbox.addresses import Ports, free_port
from sandbox.child import child_command
from sandbox.databases import databases_beside
from sandbox.embedded_postgres import temporary_server
from sandbox.engine import Engine, wait_until_answering
from sandbox.guardian import temporary_folder
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from sandbox.twin_admin import TwinAdmin

PER_SECOND = 500.0
SECONDS_PER_ROUND = 8.0
ROUNDS = 3
WARM_UP_EVENTS = 500
CAPACITY_EVENTS = 3_000
CAPACITY_CALLERS = 64
# As many as fit into the server's queue of connections that it has not accepted yet.
CONNECTIONS = 128
STRIPE_SECONDS = 1.0
INTENTS = 256
ARRIVE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1
LIMIT_MS = 50.0
TARGET = Target("value", "<=", LIMIT_MS)
# Each webhook is synced to disk before it is acknowledged, as PostgreSQL does.
NATS_CONFIG = """
host: 127.0.0.1
port: {port}
jetstream {{ store_dir: "{folder}", sync_interval: always }}
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Intake:
    """A running gateway's webhook port."""

    url: str
    http: aiohttp.ClientSession
    database_url: str
    meter: Meter
    intents: Sequence[str]
    """PaymentIntents at Stripe that the events are about; no payments of the engine."""

    async def post(self, body: bytes) -> int:
        """Signs and sends one event; the answer's status."""
        timestamp = str(int(time.time()))
        secret = DEFAULT_ACCOUNT.webhook_secret.encode()
        mac = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={timestamp},v1={mac}"}
        async with self.http.post(self.url, data=body, headers=headers) as response:
            await response.read()
            return response.status

    def counts(self) -> tuple[int, int]:
        """Events in the inbox, and those of them that were not dealt with."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE state = 'PENDING') FROM webhook_event"
            ).fetchone()
        assert row is not None, "an aggregate has a row"
        return int(row[0]), int(row[1])


def events(intake: Intake, count: int) -> list[bytes]:
    """Bodies of so many events, about each PaymentIntent in turn."""
    created = int(time.time())
    bodies = []
    for number in itertools.islice(_numbers, count):
        intent = {
            "id": intake.intents[number % len(intake.intents)],
            "object": "payment_intent",
            "amount": 1_000 + number,
            "currency": "usd",
            "status": "succeeded",
            # An event of Stripe's has about so many bytes.
            "description": "x" * 2_000,
        }
        event = {
            "id": f"evt_bench{number}",
            "object": "event",
            "type": "payment_intent.succeeded",
            "created": created,
            "livemode": False,
            "data": {"object": intent},
        }
        bodies.append(json.dumps(event, indent=2).encode())
    return bodies


async def measure(intake: Intake, name: str) -> dict[str, Any]:
    """The benchmark's line; `limit` is the p99 in ms that is promised at 500 a second."""
    await _closed_loop(intake, events(intake, WARM_UP_EVENTS))
    sent = WARM_UP_EVENTS
    capacity = await _closed_loop(intake, events(intake, CAPACITY_EVENTS))
    sent += CAPACITY_EVENTS
    passes: list[Arrivals] = []
    before = intake.meter()
    for number in range(ROUNDS):
        bodies = events(intake, round(PER_SECOND * SECONDS_PER_ROUND))
        gc.collect()
        gc.freeze()
        taken = await arrive(intake.post, bodies, per_second=PER_SECOND, seed=number)
        refused = [status for status in taken.answers if status != 200]
        if refused:
            raise RuntimeError(f"{len(refused)} webhooks were answered {refused[0]}")
        sent += len(bodies)
        passes.append(taken)
    spent = spent_between(before, intake.meter())
    items = sum(len(taken.latencies) for taken in passes)
    stored, pending = await _all_stored(intake, sent)
    p99 = median_percentile_ms(passes, 99)
    lateness = [late for taken in passes for late in taken.lateness]
    return {
        "name": name,
        "value": p99,
        "unit": "ms p99",
        "limit": LIMIT_MS,
        "limit_name": "the p99 that is promised at 500 webhooks/s",
        "ratio": round(p99 / LIMIT_MS, 3),
        "arrivals_per_second": PER_SECOND,
        "p50_ms": median_percentile_ms(passes, 50),
        "p90_ms": median_percentile_ms(passes, 90),
        "p99_ms": p99,
        "p999_ms": median_percentile_ms(passes, 99.9),
        # How late the load generator itself was: a part of the latencies that is not ours.
        "sent_late_p99_ms": round(percentile(lateness, 99) * 1_000, 2),
        "capacity_per_second": round(capacity, 1),
        "rounds": ROUNDS,
        "items": items,
        "left_to_process": pending,
        "stored": stored,
        **{f"cpu_us_{part}": round(seconds * 1e6 / items) for part, seconds in spent.items()},
    }


async def _closed_loop(intake: Intake, bodies: Sequence[bytes]) -> float:
    """So many a second by callers that send the next when one is answered."""
    waiting = iter(bodies)

    async def caller() -> None:
        for body in waiting:
            status = await intake.post(body)
            if status != 200:
                raise RuntimeError(f"a webhook was answered {status}")

    started = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CAPACITY_CALLERS):
            callers.create_task(caller())
    return len(bodies) / (time.perf_counter() - started)


async def _all_stored(intake: Intake, sent: int) -> tuple[int, int]:
    """What is in the inbox once all that was sent is; from a broker it comes a moment later."""
    async with asyncio.timeout(ARRIVE_SECONDS):
        while True:
            stored, pending = await asyncio.to_thread(intake.counts)
            if stored >= sent:
                break
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    if stored != sent:
        raise RuntimeError(f"{sent} webhooks were sent, {stored} are in the inbox")
    if pending < sent / 2:
        raise RuntimeError("processing does not lag: this measures something else")
    return stored, pending


@asynccontextmanager
async def running_intake(environment: Mapping[str, str]) -> AsyncIterator[Intake]:
    """A gateway on a durable PostgreSQL; neither ledger nor compliance is needed."""
    ports = Ports.free()
    with (
        temporary_folder() as logs,
        temporary_server(durable=True) as postgres,
        databases_beside({"gateway": postgres.server_url}) as databases,
    ):
        engine = Engine(ports, logs.path, databases, {"LOG_LEVEL": "WARNING", **environment})
        try:
            await engine.stripe_twin.start()
            await engine.stripe_twin.wait_until(wait_until_answering(engine.twin_url))
            intents = await _payment_intents(engine.twin_url)
            async with TwinAdmin.open(engine.twin_url) as twin:
                await twin.set_latency(DEFAULT_ACCOUNT.name, STRIPE_SECONDS)
            await engine.start_service(engine.gateway, ports.gateway)
            postmaster = int((postgres.data / "postmaster.pid").read_text().split()[0])
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS)
            ) as http:
                yield Intake(
                    engine.webhook_url(DEFAULT_ACCOUNT.name),
                    http,
                    databases["GATEWAY_DATABASE_URL"],
                    meter_of(gateway=engine.gateway.pid, postgres=postmaster),
                    intents,
                )
            await engine.gateway.terminate()
        finally:
            await engine.kill()


async def _payment_intents(twin_url: str) -> list[str]:
    """Makes some at the twin, past the engine; their ids."""
    login = {"Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}"}
    ids: list[str] = []
    async with aiohttp.ClientSession(twin_url, headers=login) as stripe:
        for number in range(INTENTS):
            async with stripe.post(
                "/v1/payment_intents",
                data={"amount": "1000", "currency": "usd"},
                headers={"Idempotency-Key": f"bench-{number}"},
            ) as response:
                response.raise_for_status()
                ids.append(str((await response.json())["id"]))
    return ids


@contextmanager
def nats_server() -> Iterator[str]:
    """A nats-server that syncs every message to disk; its URL."""
    with temporary_folder() as made:
        folder = made.path
        port = free_port()
        config = folder / "nats.conf"
        config.write_text(NATS_CONFIG.format(port=port, folder=folder))
        program = Path(sys.executable).with_name("nats-server")
        with subprocess.Popen(
            child_command("--", program, "--config", config, "--log", folder / "nats.log"),
            stdin=subprocess.DEVNULL,
        ) as process:
            try:
                yield f"nats://127.0.0.1:{port}"
            finally:
                process.kill()


async def on_postgres() -> dict[str, Any]:
    """The default buffer, which has to keep what is promised."""
    async with running_intake({}) as intake:
        return with_target(await measure(intake, "gateway.webhooks"), TARGET)


async def on_nats() -> dict[str, Any]:
    """The same with NATS in front; for comparison."""
    with nats_server() as url:
        async with running_intake(
            {"GATEWAY_WEBHOOK_BUFFER": "nats", "GATEWAY_WEBHOOK_NATS_URLS": url}
        ) as intake:
            return await measure(intake, "gateway.webhooks_nats")


BENCHMARKS = [
    Benchmark("gateway.webhooks", on_postgres),
    Benchmark("gateway.webhooks_nats", on_nats),
]
