"""What reads answer: rows of the database as plain data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ledger.accounts import NO_LIMITS, Account, Effect, Side, Totals, limits_of
from ledger.commands import Record
from ledger.decoding import notes_of
from ledger.posting import Kind, Posted
from ledger.times import micros_of


class LedgerRow(NamedTuple):
    """A ledger; `last_record_time` is None while it has no transactions."""

    ledger_id: int
    name: str
    display_name: str
    metadata: dict[str, str]
    request_id: str
    create_time: datetime
    last_sequence: int = 0
    last_record_time: datetime | None = None


class Point(NamedTuple):
    """A point of the log.

    `moment` adds exact expiry: what is due by then counts no more, recorded or not. `effective`
    adds the back-dated entries, of those recorded up to `known`. `born` leaves out of a list the
    accounts that were made later.
    """

    sequence: int
    moment: datetime | None = None
    effective: datetime | None = None
    known: int = 0
    born: datetime | None = None


class BalanceRow(NamedTuple):
    """The totals of one account, or of several of one currency."""

    name: str
    currency: str
    normal: Side
    totals: Totals


class HoldRow(NamedTuple):
    """What is still held of one entry."""

    sequence: int
    entry_index: int
    account: str
    side: Side
    remaining: int
    expire_time: datetime | None


class EntryRow(NamedTuple):
    """One entry of the account that is asked about. `described_bytes` is the length of the request
    that may describe it, 0 if none does."""

    sequence: int
    entry_index: int
    direction: int
    effect: int
    amount: int
    source_entry_index: int | None
    posted_debits: int
    posted_credits: int
    pending_debits: int
    pending_credits: int
    version: int
    record_time: datetime
    effective_time: datetime | None
    described_bytes: int


class Filters(NamedTuple):
    """Which transactions a list is about; empty means all."""

    account: str
    reference: str
    kinds: Sequence[int]
    after_sequence: int


def totals_of(row: Sequence[int]) -> Totals:
    """Five columns as totals."""
    return (row[0], row[1], row[2], row[3], row[4])


def account_of(row: Sequence[Any]) -> Account:
    """A row of `read_accounts`: an account without its totals."""
    (number, name, currency, normal, *limits, metadata, create_time, close_time) = row
    return Account(
        number=number,
        name=name,
        currency=currency,
        normal=Side(normal),
        limits=limits_of(*limits),
        create_us=micros_of(create_time),
        metadata=metadata or {},
        closed_us=None if close_time is None else micros_of(close_time),
    )


def records_of(rows: Sequence[Sequence[Any]]) -> list[Record]:
    """Rows of `read_transactions`: one per entry, transaction by transaction."""
    records: list[Record] = []
    posted: list[Posted] = []
    for row in rows:
        if not records or records[-1].sequence != row[0]:
            posted = []
            records.append(_record(row, posted))
        name, currency, normal, side, effect, amount, source_index, *totals = row[10:]
        account = Account(0, name, currency, Side(normal), NO_LIMITS, 0)
        posted.append(
            (account, Side(side), Effect(effect), amount, source_index, *totals_of(totals))
        )
    return records


def summaries_of(rows: Sequence[Sequence[Any]]) -> list[Record]:
    """Rows of `read_summaries`: transactions without their entries."""
    return [_record(row, []) for row in rows]


def _record(row: Sequence[Any], posted: list[Posted]) -> Record:
    sequence, kind, request_id, body, reference, record_time, effective_time, expire_time = row[:8]
    return Record(
        sequence=sequence,
        kind=Kind(kind),
        request_id=request_id or "",
        body=body,
        reference=reference or "",
        entries=posted,
        record_us=micros_of(record_time),
        effective_us=None if effective_time is None else micros_of(effective_time),
        expire_us=None if expire_time is None else micros_of(expire_time),
        settles=row[8],
        reverses=row[9],
        notes=notes_of(Kind(kind), body),
    )
