"""`ledger.growth`: what a transaction costs after a long history, and what on a new ledger.

The same load goes in turn to a ledger of a thousand transactions, which grows by the load itself,
and to the history of this run (`BENCH_HISTORY`), both durable, both with every feature on: one
transaction per call from 64 callers, and batches of 1,000. The ratio is of the times per
transaction committed.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from bench.benchmark import Target, with_target
from bench.ledger_history import history_size, ledger_with_history
from bench.ledger_parts import Line, RunningLedger, running_ledger
from bench.ledger_requests import Pairs, uniform_pairs
from bench.ledger_rounds import in_batches, one_by_one
from bench.rounds import Round, alternate

START = 1_000
ROUNDS = 7
UNARY_CALLERS = 64
UNARY_CALLS = 1_500
BATCH = 1_000
BATCH_CALLERS = 2
BATCHES = 6
MICROSECONDS = 1_000_000
Load = Callable[[RunningLedger, Pairs], Awaitable[Round]]


async def grow(name: str, load: Load) -> Line:
    """The benchmark's line: microseconds per transaction on the history, and on a new ledger."""
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(running_ledger())
        large = await stack.enter_async_context(ledger_with_history())
        pairs = uniform_pairs()
        await in_batches(small, pairs, START // BATCH, BATCH, BATCH_CALLERS)
        on_large, on_small = await alternate(
            ROUNDS, partial(load, large, pairs), partial(load, small, pairs)
        )
    line = {
        "name": name,
        "value": round(MICROSECONDS / on_large.rate, 1),
        "unit": "µs/transaction",
        "limit": round(MICROSECONDS / on_small.rate, 1),
        "limit_name": "the same load on a new ledger",
        "ratio": round(on_small.rate / on_large.rate, 3),
        "history": history_size(),
        "new_ledger_to": START + (ROUNDS + 1) * on_small.rounds[0].items,
        **on_large.cpu_us,
        **{f"limit_{key}": figure for key, figure in on_small.cpu_us.items()},
    }
    return with_target(line, Target("ratio", "<=", 1.2))


_UNARY = partial(one_by_one, count=UNARY_CALLS, callers=UNARY_CALLERS)
_BATCH = partial(in_batches, count=BATCHES, size=BATCH, callers=BATCH_CALLERS)
BENCHMARKS = [
    ("ledger.growth.unary", partial(grow, "ledger.growth.unary", _UNARY)),
    ("ledger.growth.batch", partial(grow, "ledger.growth.batch", _BATCH)),
]
