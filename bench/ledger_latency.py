"""`ledger.latency_half_load`: how long single calls take at half of what the ledger can do.

The capacity is what 64 callers reach in a closed loop; transfers then arrive at half that rate, at
random, each timed from when it was due. Rounds alternate; the value is p99 as a multiple of p50.
"""

import gc
import statistics
from typing import Any

from bench.arrivals import Arrivals, arrive, median_percentile_ms, percentile
from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_parts import RunningLedger, on_ledger
from bench.ledger_requests import check_creates, creates, uniform_pairs
from bench.ledger_rounds import one_by_one

NAME = "ledger.latency_half_load"
ROUNDS = 3
CALLERS = 64
CALLS_PER_ROUND = 4_000
SECONDS_PER_ROUND = 8.0
LOAD = 0.5
LIMIT = 3.0
TARGET = Target("value", "<=", LIMIT)


async def measure(
    ledger: RunningLedger,
    calls: int = CALLS_PER_ROUND,
    seconds: float = SECONDS_PER_ROUND,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """The benchmark's line; `limit` is the multiple that p99 may be, `ratio` the share of it."""
    capacities: list[float] = []
    passes: list[Arrivals] = []
    pairs = uniform_pairs()
    await one_by_one(ledger, pairs, calls, CALLERS)  # It warms up.
    for number in range(rounds):
        capacities.append((await one_by_one(ledger, pairs, calls, CALLERS)).rate)
        per_second = statistics.median(capacities) * LOAD
        requests = creates(pairs, round(per_second * seconds))
        # What is there by now is not looked through again while calls are timed.
        gc.collect()
        gc.freeze()
        taken = await arrive(
            ledger.call("CreateTransaction"), requests, per_second=per_second, seed=number
        )
        check_creates(taken.answers, len(requests))
        ledger.made += len(requests)
        passes.append(taken)
    return with_target(_line(statistics.median(capacities), passes), TARGET)


def _line(capacity: float, passes: list[Arrivals]) -> dict[str, Any]:
    multiple = statistics.median(
        taken.percentile_ms(99) / taken.percentile_ms(50) for taken in passes
    )
    lateness = [late for taken in passes for late in taken.lateness]
    return {
        "name": NAME,
        "value": round(multiple, 2),
        "unit": "p99 / p50",
        "limit": LIMIT,
        "limit_name": "what p99 may be as a multiple of p50",
        "ratio": round(multiple / LIMIT, 3),
        "capacity_per_second": round(capacity, 1),
        "arrivals_per_second": round(capacity * LOAD, 1),
        "p50_ms": median_percentile_ms(passes, 50),
        "p90_ms": median_percentile_ms(passes, 90),
        "p99_ms": median_percentile_ms(passes, 99),
        "p999_ms": median_percentile_ms(passes, 99.9),
        # How late the load generator itself was: a part of the latencies that is not the ledger's.
        "sent_late_p99_ms": round(percentile(lateness, 99) * 1_000, 2),
        "rounds": len(passes),
        "items": sum(len(taken.latencies) for taken in passes),
    }


BENCHMARKS = [Benchmark(NAME, on_ledger(measure))]
