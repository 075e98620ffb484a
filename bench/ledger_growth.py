"""`ledger.growth`: what a transaction costs after a long history, and what on a new ledger.

The same load goes in turn to a ledger of a thousand transactions, which grows by the load itself,
and to the history of this run (`BENCH_HISTORY`), both durable, both with every feature on: one
transaction per call from 64 callers, and batches of 1,000. The ratio is of the times per
transaction committed.
"""

import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

from bench.benchmark import Target, with_target
from bench.ledger_history import history_size, ledger_with_history
from bench.ledger_parts import LEDGER, Line, RunningLedger, running_ledger
from bench.ledger_requests import Pairs, check_batches, check_creates, transfers, uniform_pairs
from bench.rounds import Round, alternate, send
from ledger.v1 import transaction_mutations_pb2 as mutations

START = 1_000
ROUNDS = 7
UNARY_CALLERS = 64
UNARY_CALLS = 1_500
BATCH = 1_000
BATCH_CALLERS = 2
BATCHES = 6
MICROSECONDS = 1_000_000
Load = Callable[[RunningLedger, Pairs, "RequestIds"], Awaitable[Round]]


class RequestIds:
    """Ids that no earlier run has left in a history that is kept."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def next(self) -> str:
        """The next one, as long as all others."""
        return f"{self._run}-{next(self._numbers):08}"


async def one_by_one(ledger: RunningLedger, pairs: Pairs, ids: RequestIds) -> Round:
    """One transaction per call."""
    requests = [
        mutations.CreateTransactionRequest(
            request_id=ids.next(), ledger=LEDGER, transaction=transfer
        ).SerializeToString()
        for transfer in transfers(pairs, UNARY_CALLS)
    ]
    taken, answers = await send(
        ledger.call("CreateTransaction"), requests, callers=UNARY_CALLERS, meter=ledger.meter
    )
    check_creates(answers, UNARY_CALLS)
    return taken


async def in_batches(
    ledger: RunningLedger, pairs: Pairs, ids: RequestIds, count: int = BATCHES
) -> Round:
    """A thousand transactions per call."""
    taken, answers = await send(
        ledger.call("BatchCreateTransactions"),
        _batches(pairs, ids, count),
        callers=BATCH_CALLERS,
        meter=ledger.meter,
        items_per_request=BATCH,
    )
    check_batches(answers, count * BATCH)
    return taken


def _batches(pairs: Pairs, ids: RequestIds, count: int) -> Sequence[bytes]:
    return [
        mutations.BatchCreateTransactionsRequest(
            request_id=ids.next(),
            ledger=LEDGER,
            mode=mutations.BATCH_MODE_INDEPENDENT,
            items=[
                mutations.BatchItem(request_id=ids.next(), create=transfer)
                for transfer in transfers(pairs, BATCH)
            ],
        ).SerializeToString()
        for _ in range(count)
    ]


async def grow(name: str, load: Load) -> Line:
    """The benchmark's line: microseconds per transaction on the history, and on a new ledger."""
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(running_ledger())
        large = await stack.enter_async_context(ledger_with_history())
        ids, pairs = RequestIds(), uniform_pairs()
        await in_batches(small, pairs, ids, START // BATCH)
        on_large, on_small = await alternate(
            ROUNDS, partial(load, large, pairs, ids), partial(load, small, pairs, ids)
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


BENCHMARKS = [
    ("ledger.growth.unary", partial(grow, "ledger.growth.unary", one_by_one)),
    ("ledger.growth.batch", partial(grow, "ledger.growth.batch", in_batches)),
]
