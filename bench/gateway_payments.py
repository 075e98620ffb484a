"""`gateway.payments`: payments through the whole engine, against the bare Stripe SDK.

Both sides charge the same Stripe twin over HTTP and have the same number of callers. The engine's
payments are checked by compliance, held, charged, confirmed by webhook and booked with their fee.
A round ends when its payments are answered; its books are waited for before the other side's
begins, and their processor time is counted as the round's.
"""

import os
import statistics
import time
from typing import Any

from bench.arrivals import percentile
from bench.benchmark import Target, with_target
from bench.cpu import spent_between
from bench.gateway_engine import RunningEngine, closed_loop, running_engine
from bench.rounds import Round, alternate, compared

NAME = "gateway.payments"
CALLERS = 64
ROUNDS = 5
PAYMENTS_PER_ROUND = 512
TARGET = Target("ratio", ">=", 0.5)


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is the SDK's rate and `ratio` the engine's share of it."""
    async with running_engine() as engine:
        return await compare(engine, ROUNDS, PAYMENTS_PER_ROUND)


async def compare(engine: RunningEngine, rounds: int, payments: int) -> dict[str, Any]:
    """Rounds of both sides in turn."""
    latencies: list[float] = []
    sdk_latencies: list[float] = []
    booked_rates: list[float] = []

    async def engine_round() -> Round:
        before, started = engine.meter(), time.perf_counter()
        taken, seconds, ids = await closed_loop(
            engine.through_the_engine, payments, callers=CALLERS, meter=engine.meter
        )
        # The books are a part of the work, and would else be done during the other's round.
        await engine.settled(ids)
        booked_rates.append(payments / (time.perf_counter() - started))
        latencies.extend(seconds)
        return taken._replace(cpu=spent_between(before, engine.meter()))

    async def sdk_round() -> Round:
        taken, seconds, _ = await closed_loop(
            engine.through_the_sdk, payments, callers=CALLERS, meter=engine.meter
        )
        sdk_latencies.extend(seconds)
        return taken

    value, limit = await alternate(rounds, engine_round, sdk_round)
    line = compared(
        NAME,
        "payments/s",
        value,
        limit,
        "bare async Stripe SDK on the same twin",
        callers=CALLERS,
        cores=os.cpu_count(),
        p50_ms=_milliseconds(latencies, 50),
        p99_ms=_milliseconds(latencies, 99),
        sdk_p50_ms=_milliseconds(sdk_latencies, 50),
        sdk_p99_ms=_milliseconds(sdk_latencies, 99),
        booked_per_second=round(statistics.median(booked_rates[1:]), 1),
    )
    return with_target(line, TARGET)


def _milliseconds(seconds: list[float], percent: float) -> float:
    return round(1_000 * percentile(seconds, percent), 1)
