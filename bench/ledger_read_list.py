"""`ledger.read.list_…`: pages of 50 and of 1,000, from any place of the history.

A page of 50 is measured against 10 ms, one of 1,000 against 20 times that.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.ledger_parts import LEDGER, Line, RunningLedger, account_name
from bench.ledger_reads import any_sequence, measured, zipf_account
from ledger.v1.entry_pb2 import ListEntriesRequest, StatementPeriod
from ledger.v1.transaction_pb2 import TRANSACTION_KIND_VOID
from ledger.v1.transaction_reads_pb2 import ListTransactionsRequest

LIMIT_MS = 10.0
PAGE = 50
LARGE_PAGE = 1_000
LARGE_CALLS = 200
CALLS = 2_000
HOT_ACCOUNT = account_name(0)
Ask = Callable[[RunningLedger, random.Random, int], Any]


def transactions(ledger: RunningLedger, numbers: random.Random, size: int) -> Any:
    """What follows any transaction."""
    return ledger.stub.ListTransactions(
        ListTransactionsRequest(
            ledger=LEDGER, after_sequence=any_sequence(numbers) * 9 // 10, page_size=size
        )
    )


def of_account(ledger: RunningLedger, numbers: random.Random, size: int) -> Any:
    """The newest of an account."""
    account = account_name(zipf_account(numbers))
    return ledger.stub.ListTransactions(
        ListTransactionsRequest(ledger=LEDGER, account=account, descending=True, page_size=size)
    )


def of_kind(ledger: RunningLedger, numbers: random.Random, size: int) -> Any:
    """Voids, which are one in a hundred."""
    return ledger.stub.ListTransactions(
        ListTransactionsRequest(
            ledger=LEDGER,
            kinds=[TRANSACTION_KIND_VOID],
            after_sequence=any_sequence(numbers) * 4 // 5,
            page_size=size,
        )
    )


def of_reference(ledger: RunningLedger, numbers: random.Random, _size: int) -> Any:
    """The one that has a reference."""
    reference = f"order-{any_sequence(numbers) // 10 * 10 + 3}"
    return ledger.stub.ListTransactions(
        ListTransactionsRequest(ledger=LEDGER, reference=reference, page_size=PAGE)
    )


def entries(ledger: RunningLedger, numbers: random.Random, size: int) -> Any:
    """The statement of the most used account from any place on, with its two balances."""
    period = StatementPeriod(after_sequence=any_sequence(numbers) * 4 // 5)
    return ledger.stub.ListEntries(
        ListEntriesRequest(ledger=LEDGER, account=HOT_ACCOUNT, period=period, page_size=size)
    )


async def read(name: str, ask: Ask, size: int) -> Line:
    """Pages of one kind."""

    def check(answer: Any) -> bool:
        rows = answer.entries if hasattr(answer, "entries") else answer.transactions
        return 0 < len(rows) <= size

    large = size == LARGE_PAGE
    return await measured(
        name,
        lambda ledger, numbers: ask(ledger, numbers, size),
        check,
        limit_ms=LIMIT_MS * size / PAGE,
        calls=LARGE_CALLS if large else CALLS,
    )


BENCHMARKS = [
    (name, partial(read, name, ask, size))
    for name, ask, size in (
        ("ledger.read.list_50", transactions, PAGE),
        ("ledger.read.list_1000", transactions, LARGE_PAGE),
        ("ledger.read.list_of_account_50", of_account, PAGE),
        ("ledger.read.list_of_kind_50", of_kind, PAGE),
        ("ledger.read.list_of_reference", of_reference, PAGE),
        ("ledger.read.statement_50", entries, PAGE),
        ("ledger.read.statement_1000", entries, LARGE_PAGE),
    )
]
