"""`ledger.two_phase`: transfers held and then posted, against twice as many direct ones.

A pair is two calls, each a transaction of its own: one that holds, and, when it is answered, one
that posts it in full, naming it by its request_id. Two direct transfers count as one for the limit.
"""

from functools import partial
from typing import Any

from bench.benchmark import Benchmark
from bench.ledger_parts import RunningLedger, on_ledger
from bench.ledger_requests import uniform_pairs
from bench.ledger_rounds import held_and_posted, one_by_one
from bench.rounds import Round, alternate, compared

NAME = "ledger.two_phase"
ROUNDS = 5
CALLERS = 64
PAIRS_PER_ROUND = 1_500


async def measure(
    ledger: RunningLedger, count: int = PAIRS_PER_ROUND, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The benchmark's line; `limit` is half the rate of direct transfers in the same run."""
    accounts = uniform_pairs()

    async def direct() -> Round:
        taken = await one_by_one(ledger, accounts, 2 * count, CALLERS)
        return taken._replace(items=count)

    pairs = partial(held_and_posted, ledger, accounts, count, CALLERS)
    value, limit = await alternate(rounds, pairs, direct)
    return compared(
        NAME, "pairs/s", value, limit, "twice as many direct transfers", callers=CALLERS
    )


BENCHMARKS = [Benchmark(NAME, on_ledger(measure))]
