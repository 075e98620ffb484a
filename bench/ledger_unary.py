"""`ledger.unary_*`: transfers one per call from so many callers, against an empty echo.

Service and echo are processes of their own on loopback, the commits durable, every feature on. Both
are called by the same client with bytes made beforehand.
"""

from functools import partial
from typing import Any

from bench import echo
from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_parts import RunningLedger, on_ledger, raw_call, running_echo
from bench.ledger_requests import uniform_pairs
from bench.ledger_rounds import one_by_one
from bench.rounds import Round, alternate, compared, send

ROUNDS = 5
# Calls of a round by the number of callers: some seconds each.
CALLS_PER_ROUND = {1: 600, 16: 3_000, 64: 4_000, 256: 5_000}
TARGETS = {64: Target("ratio", ">=", 0.6)}


async def measure(
    ledger: RunningLedger, callers: int, calls: int, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The benchmark's line; `limit` is the echo's rate and `ratio` the ledger's share of it."""
    async with running_echo() as (channel, echo_meter):
        empty = raw_call(channel, echo.METHOD)

        async def echoes() -> Round:
            taken, _ = await send(empty, [b""] * calls, callers=callers, meter=echo_meter)
            return taken

        transfers = partial(one_by_one, ledger, uniform_pairs(), calls, callers)
        value, limit = await alternate(rounds, transfers, echoes)
    line = compared(
        f"ledger.unary_{callers}",
        "transfers/s",
        value,
        limit,
        "empty grpc.aio echo with the same callers",
        callers=callers,
    )
    return with_target(line, TARGETS.get(callers))


BENCHMARKS = [
    Benchmark(f"ledger.unary_{callers}", on_ledger(measure, callers, calls))
    for callers, calls in CALLS_PER_ROUND.items()
]
