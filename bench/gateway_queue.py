"""`gateway.queue`: memory of the gateway while a queue of 100,000 payments drains.

The corridor is closed, one payment is queued by its request and copied in the database, then the
corridor is opened. The value is how much the gateway's memory grows from the full queue to the
most that it has while the queue drains; how long asking for the last place takes, and queueing one
more, is told besides. All are drained if `BENCH_QUEUE_SECONDS` allows for it.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from google.protobuf.duration_pb2 import Duration

from bench.benchmark import Target, with_target
from bench.gateway_engine import RunningEngine, running_engine
from gateway.v1 import payment_pb2 as payment
from gateway.v1.corridor_pb2 import CorridorMode
from gateway.v1.corridor_service_pb2 import SetCorridorModeRequest
from sandbox.addresses import at

NAME = "gateway.queue"
PAYMENTS = 100_000
SECONDS_VARIABLE = "BENCH_QUEUE_SECONDS"
SECONDS = 120.0
SAMPLE_SECONDS = 1.0
TIMED_CALLS = 20
LIMIT_MB = 64.0
TARGET = Target("value", "<=", LIMIT_MB)
KILOBYTES_PER_MB = 1024
# As long as a payment may wait: nothing expires while this runs.
QUEUE_TIMEOUT = Duration(seconds=23 * 3600)

# The first payment again and again, behind one another: of one moment, by their ids.
_COPY_PAYMENT = """
    INSERT INTO payment
    SELECT copy.*
    FROM payment
    CROSS JOIN generate_series(1, %(copies)s) AS number
    CROSS JOIN LATERAL jsonb_populate_record(payment, jsonb_build_object(
        'id', left(payment.id, -7) || lpad(number::text, 7, 'Z'),
        'request_id', 'bench-queue-' || number
    )) AS copy
    WHERE payment.id = %(id)s
"""
_COPY_OPERATION = """
    INSERT INTO operation OVERRIDING USER VALUE
    SELECT copy.*
    FROM operation
    CROSS JOIN generate_series(1, %(copies)s) AS number
    CROSS JOIN LATERAL jsonb_populate_record(operation, jsonb_build_object(
        'id', left(operation.id, -7) || lpad(number::text, 7, 'Z'),
        'subject_id', left(operation.subject_id, -7) || lpad(number::text, 7, 'Z')
    )) AS copy
    WHERE operation.subject_id = %(id)s
    ORDER BY number
"""


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is what the memory may grow by, in MB."""
    async with running_engine(GATEWAY_MAX_QUEUE_LENGTH=str(2 * PAYMENTS)) as engine:
        return await drain(engine, PAYMENTS, float(os.environ.get(SECONDS_VARIABLE, SECONDS)))


async def drain(engine: RunningEngine, payments: int, seconds: float) -> dict[str, Any]:
    """Fills the line, opens the corridor, and watches for so long or until all are through."""
    at_start = _memory_mb(engine)
    await _set_mode(engine, CorridorMode.CORRIDOR_MODE_CLOSED)
    first = await _queue_one(engine)
    await asyncio.to_thread(_fill, engine.gateway_url, first.id, payments - 1)
    place_ms, queue_ms = await _times(engine)
    full = _memory_mb(engine)
    await _set_mode(engine, CorridorMode.CORRIDOR_MODE_OPEN)
    started, most, drained = time.perf_counter(), full, 0
    while drained < payments and time.perf_counter() - started < seconds:
        await asyncio.sleep(SAMPLE_SECONDS)
        most = max(most, _memory_mb(engine))
        drained = await _drained(engine)
    took = time.perf_counter() - started
    line = {
        "name": NAME,
        "value": round(most - full, 1),
        "unit": "MB",
        "limit": LIMIT_MB,
        "limit_name": "growth while a full queue drains",
        "ratio": round((most - full) / LIMIT_MB, 3),
        "queued": payments,
        "drained": drained,
        "drained_per_second": round(drained / took, 1),
        "at_start_mb": round(at_start, 1),
        "queue_full_mb": round(full, 1),
        "most_while_draining_mb": round(most, 1),
        "at_end_mb": round(_memory_mb(engine), 1),
        "last_place_ms": place_ms,
        "queue_one_more_ms": queue_ms,
    }
    return with_target(line, TARGET)


async def _queue_one(engine: RunningEngine) -> payment.Payment:
    request = engine.shop.payment_request(
        engine.merchant_id,
        engine.customer_id,
        1_000,
        "visa",
        unavailable_policy=payment.UNAVAILABLE_POLICY_QUEUE,
        queue_timeout=QUEUE_TIMEOUT,
    )
    queued = await engine.shop.send(request)
    if queued.state != payment.PAYMENT_STATE_QUEUED:
        raise RuntimeError(f"a payment is {payment.PaymentState.Name(queued.state)}, not queued")
    return queued


def _fill(url: str, payment_id: str, copies: int) -> None:
    parameters = {"id": payment_id, "copies": copies}
    with psycopg.connect(url) as connection:
        connection.execute(_COPY_PAYMENT, parameters)
        connection.execute(_COPY_OPERATION, parameters)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE payment, operation")


async def _times(engine: RunningEngine) -> tuple[float, float]:
    """Milliseconds to queue one more behind all others, and to ask for the last one's place."""
    queueing, asking = [], []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        last = await _queue_one(engine)
        queueing.append(time.perf_counter() - started)
        started = time.perf_counter()
        await engine.shop.read(last.id)
        asking.append(time.perf_counter() - started)
    return tuple(round(1_000 * statistics.median(times), 1) for times in (asking, queueing))  # type: ignore[return-value]


async def _set_mode(engine: RunningEngine, mode: "CorridorMode.ValueType") -> None:
    await engine.shop.clients.corridors.SetCorridorMode(
        SetCorridorModeRequest(
            request_id=engine.shop.new_id("mode"), corridor="default", mode=mode, reason="bench"
        )
    )


async def _drained(engine: RunningEngine) -> int:
    """How many were let through, as the gateway's metrics say."""
    url = f"http://{at(engine.engine.ports.gateway_http)}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        lines = (await response.text()).splitlines()
    counted = [line for line in lines if line.startswith("gateway_payment_queue_drained_total{")]
    return sum(int(float(line.rpartition(" ")[2])) for line in counted)


def _memory_mb(engine: RunningEngine) -> float:
    """What the gateway has in memory now."""
    status = Path(f"/proc/{engine.engine.gateway.pid}/status").read_text(encoding="utf-8")
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(kilobytes) / KILOBYTES_PER_MB
