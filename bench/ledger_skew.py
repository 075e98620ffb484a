"""`ledger.hot_account` and `ledger.zipf`: transfers that favour some accounts, against others.

Hot: one account is in every transaction. Zipf: the k-th account with a likelihood of 1 / k. The
line's value is of batches of 1,000, where an account that all wait for would cost the most; the
`unary_` keys are of single calls from 64 callers. Both kinds of transfers go to the same ledger.
"""

from functools import partial
from typing import Any

from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_parts import RunningLedger, on_ledger
from bench.ledger_requests import Pairs, hot_pairs, uniform_pairs, zipf_pairs
from bench.ledger_rounds import in_batches, one_by_one
from bench.rounds import alternate, compared

ROUNDS = 5
BATCH = 1_000
BATCHES_PER_ROUND = 10
BATCH_CALLERS = 2
CALLS_PER_ROUND = 2_000
UNARY_CALLERS = 64
TARGET = Target("ratio", ">=", 0.9)
SKEWED = {"ledger.hot_account": hot_pairs, "ledger.zipf": zipf_pairs}


async def measure(
    ledger: RunningLedger,
    name: str,
    skewed: Pairs,
    size: int = BATCH,
    calls: int = CALLS_PER_ROUND,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """The benchmark's line; `limit` is the rate of uniform transfers in the same run."""
    uniform = uniform_pairs()
    value, limit, unary, unary_limit = await alternate(
        rounds,
        partial(in_batches, ledger, skewed, BATCHES_PER_ROUND, size, BATCH_CALLERS),
        partial(in_batches, ledger, uniform, BATCHES_PER_ROUND, size, BATCH_CALLERS),
        partial(one_by_one, ledger, skewed, calls, UNARY_CALLERS),
        partial(one_by_one, ledger, uniform, calls, UNARY_CALLERS),
    )
    line = compared(
        name,
        "transfers/s",
        value,
        limit,
        "uniform transfers over all accounts",
        callers=BATCH_CALLERS,
        batch=size,
        unary_callers=UNARY_CALLERS,
        unary_value=round(unary.rate, 1),
        unary_limit=round(unary_limit.rate, 1),
        unary_ratio=round(unary.rate / unary_limit.rate, 3),
    )
    return with_target(line, TARGET)


BENCHMARKS = [Benchmark(name, on_ledger(measure, name, pairs())) for name, pairs in SKEWED.items()]
