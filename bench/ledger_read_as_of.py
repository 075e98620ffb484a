"""`ledger.read.as_of_…`: GetBalance as of a sequence, of recorded and of effective time.

The points are spread over the whole history, the accounts as they are in use: the most used ones
have tens of thousands of dated entries.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from google.protobuf.timestamp_pb2 import Timestamp

from bench.ledger_history import DATABASE, history_server, history_size
from bench.ledger_parts import LEDGER, Line, RunningLedger, account_name
from bench.ledger_read_balance import HOLDS_LIMIT_MS, LIMIT_MS
from bench.ledger_reads import any_sequence, measured, zipf_account
from ledger.v1.balance_pb2 import AsOf, GetBalanceRequest, GetBalanceResponse

Point = Callable[[random.Random, datetime], AsOf]


def of_sequence(numbers: random.Random, _last: datetime) -> AsOf:
    """After any transaction."""
    return AsOf(sequence=any_sequence(numbers))


def of_record_time(numbers: random.Random, last: datetime) -> AsOf:
    """Any moment of the history, which has a transaction each millisecond."""
    return AsOf(record_time=_stamp(last - timedelta(milliseconds=any_sequence(numbers))))


def of_effective_time(numbers: random.Random, last: datetime) -> AsOf:
    """Any moment of the history, or of the 30 days before it, which entries are dated back to."""
    span = timedelta(days=30) + timedelta(milliseconds=history_size())
    return AsOf(effective_time=_stamp(last - span * numbers.random()))


async def read(name: str, point: Point, *, include_holds: bool) -> Line:
    """Balances as of points of one kind."""
    with (
        history_server(history_size()) as postgres,
        psycopg.connect(postgres.database_url(DATABASE)) as connection,
    ):
        row = connection.execute(
            "SELECT record_time FROM transactions WHERE ledger_id = 1 AND sequence = %s",
            [history_size()],
        ).fetchone()
    assert row is not None
    last: datetime = row[0]

    def ask(ledger: RunningLedger, numbers: random.Random) -> Any:
        account = account_name(zipf_account(numbers))
        return ledger.stub.GetBalance(
            GetBalanceRequest(
                ledger=LEDGER,
                account=account,
                as_of=point(numbers, last),
                include_holds=include_holds,
            )
        )

    def check(answer: GetBalanceResponse) -> bool:
        held = sum(hold.remaining_minor for hold in answer.holds)
        (balance,) = answer.balances
        pending = balance.pending_debits_minor + balance.pending_credits_minor
        return not include_holds or answer.more_holds or held == pending

    limit_ms = HOLDS_LIMIT_MS if include_holds else LIMIT_MS
    return await measured(name, ask, check, limit_ms=limit_ms)


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


BENCHMARKS = [
    (name, partial(read, name, point, include_holds=include_holds))
    for name, point, include_holds in (
        ("ledger.read.as_of_sequence", of_sequence, False),
        ("ledger.read.as_of_sequence_and_holds", of_sequence, True),
        ("ledger.read.as_of_record_time", of_record_time, False),
        ("ledger.read.as_of_effective_time", of_effective_time, False),
    )
]
