"""`gateway.latency`: what the engine adds to a payment's time at 20 payments a second.

Payments arrive at random moments, whether or not the last one is answered, first through the
engine, then through the bare SDK; each is timed from the moment it was due. The value is the
engine's p99 less the SDK's, the median over the passes.
"""

import statistics
from typing import Any

from bench.arrivals import Arrivals, arrive, median_percentile_ms
from bench.benchmark import Target, with_target
from bench.gateway_engine import RunningEngine, running_engine

NAME = "gateway.latency"
PASSES = 3
PER_SECOND = 20.0
PAYMENTS_PER_PASS = 300
WARM_UP_PAYMENTS = 60
# Of a checkout that takes a second or two, nobody notices as much.
LIMIT_MS = 100.0
TARGET = Target("ratio", "<=", 1)


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is what may be added at p99, `ratio` the share of it."""
    async with running_engine() as engine:
        return await compare(engine, PASSES, PAYMENTS_PER_PASS)


async def compare(engine: RunningEngine, passes: int, payments: int) -> dict[str, Any]:
    """Passes of both sides in turn."""
    through: list[Arrivals] = []
    bare: list[Arrivals] = []
    for pay in (engine.through_the_engine, engine.through_the_sdk):
        await arrive(pay, range(WARM_UP_PAYMENTS), per_second=PER_SECOND, seed=0)
    for number in range(passes):
        seed = number + 1
        taken = await arrive(
            engine.through_the_engine, range(payments), per_second=PER_SECOND, seed=seed
        )
        through.append(taken)
        # The books are a part of the load, but not of the other side's.
        await engine.settled(taken.answers)
        bare.append(
            await arrive(engine.through_the_sdk, range(payments), per_second=PER_SECOND, seed=seed)
        )
    added = _added_ms(through, bare, 99)
    line = {
        "name": NAME,
        "value": added,
        "unit": "ms",
        "limit": LIMIT_MS,
        "limit_name": "added at p99",
        "ratio": round(added / LIMIT_MS, 3),
        "per_second": PER_SECOND,
        "added_p50_ms": _added_ms(through, bare, 50),
        "p50_ms": median_percentile_ms(through, 50),
        "p99_ms": median_percentile_ms(through, 99),
        "sdk_p50_ms": median_percentile_ms(bare, 50),
        "sdk_p99_ms": median_percentile_ms(bare, 99),
        "passes": passes,
        "items": passes * payments,
    }
    return with_target(line, TARGET)


def _added_ms(through: list[Arrivals], bare: list[Arrivals], percent: float) -> float:
    differences = [
        engine.percentile_ms(percent) - sdk.percentile_ms(percent)
        for engine, sdk in zip(through, bare, strict=True)
    ]
    return round(statistics.median(differences), 2)
