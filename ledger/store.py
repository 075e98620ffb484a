"""The committer's side of the database: load what a batch needs, write what it decided.

`load` is one pipelined round trip and `write` is one statement, so a batch costs two round trips,
and only one when everything it needs is still known from the commit before. Where many earlier
transactions are named, their size is asked for first: a third round trip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import TupleRow

from ledger import columns
from ledger.accounts import Account, Lapsed, Side, limits_of
from ledger.book import Source
from ledger.commands import OPERATION_OF_KIND, Operation, Prior
from ledger.plan import Head, Plan
from ledger.posting import Kind
from ledger.sources import sources_of
from ledger.statements import statement
from ledger.times import datetime_of, micros_of
from runtime import arrays
from runtime.beside import beside
from runtime.connections import Connection

# Of holds that expire together; the last of them may have more.
MAX_EXPIRING_ENTRIES = 10_000
# Of the transactions that one commit settles or reverses.
MAX_SOURCE_ENTRIES = 100_000
# So few have no more than that, whichever they are: a transaction has at most 20,000 entries.
MAX_UNCOUNTED_SOURCES = 5


class TooManyEntriesError(Exception):
    """What is to be settled or reversed is more than one commit takes."""

    def __init__(self, entries: int) -> None:
        super().__init__(f"{entries} entries to settle or reverse")
        self.entries = entries


@dataclass(frozen=True, slots=True)
class Needs:
    """What a batch has to know that the committer does not."""

    names: Sequence[str]
    sequences: Sequence[int]
    source_ids: Sequence[str]
    request_ids: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.names or self.sequences or self.source_ids or self.request_ids)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the database said. If anything is newer than the head, the write will not go through."""

    head: Head
    accounts: Sequence[Account]
    sources: Sequence[Source]
    sequence_of: dict[str, int]
    priors: dict[str, Prior]


class LedgerGoneError(Exception):
    """There was such a ledger: the database was put back to before it was made."""


class LedgerFencedError(Exception):
    """The ledger takes no commit here: it is being moved to another shard, or has been."""


async def load(connection: Connection, ledger_id: int, needs: Needs, *, lock: bool) -> Loaded:
    """Reads the head first, then the rest. With `lock` the head stays locked until commit.

    Raises `TooManyEntriesError` before it reads more than a commit should hold in memory,
    `LedgerGoneError` and `LedgerFencedError`.
    """
    parameters = {
        "ledger_id": ledger_id,
        "names": arrays.texts(needs.names),
        "sequences": arrays.int8s(needs.sequences),
        "source_ids": arrays.texts(needs.source_ids),
        "request_ids": arrays.texts(needs.request_ids),
    }
    head_statement = statement("load_head") + ("FOR UPDATE" if lock else "")
    has_sources = bool(needs.sequences or needs.source_ids)
    if len(needs.sequences) + len(needs.source_ids) > MAX_UNCOUNTED_SOURCES:
        await _check_source_size(connection, parameters)
    async with connection.pipeline():
        head = await connection.execute(head_statement, parameters)
        expiry = await connection.execute(statement("load_next_expiry"), parameters)
        accounts = await connection.execute(statement("load_accounts"), parameters)
        sources = (
            await connection.execute(statement("load_sources"), parameters) if has_sources else None
        )
        priors = (
            await connection.execute(statement("load_priors"), parameters)
            if needs.request_ids
            else None
        )
    head_row, expiry_row = await head.fetchone(), await expiry.fetchone()
    if head_row is None:
        raise LedgerGoneError(ledger_id)
    *head_row, is_fenced = head_row
    if is_fenced:
        raise LedgerFencedError(ledger_id)
    assert expiry_row is not None, "min() gives a row"
    source_rows = await sources.fetchall() if sources is not None else []
    prior_rows = await priors.fetchall() if priors is not None else []
    return Loaded(
        head=_head(head_row, expiry_row[0]),
        accounts=[_account(row) for row in await accounts.fetchall()],
        sources=sources_of(source_rows),
        sequence_of={row[1]: row[0] for row in source_rows if row[1] is not None},
        priors={row[0]: _prior(row) for row in prior_rows},
    )


async def _check_source_size(connection: Connection, parameters: Mapping[str, Any]) -> None:
    cursor = await connection.execute(statement("load_source_size"), parameters)
    ((entries,),) = await cursor.fetchall()
    if entries > MAX_SOURCE_ENTRIES:
        raise TooManyEntriesError(entries)


async def due_holds(
    connection: Connection, ledger_id: int, now_us: int, *, limit: int
) -> list[int]:
    """So many pending transactions whose time has come, the earliest first.

    Always in this order: what was due at a transaction is found by the first expiry after it.
    """
    cursor = await connection.execute(
        statement("load_due"),
        {
            "ledger_id": ledger_id,
            "now": datetime_of(now_us),
            "limit": limit,
            "entry_limit": MAX_EXPIRING_ENTRIES,
        },
    )
    return [row[0] for row in await cursor.fetchall()]


async def lapsed(
    connection: Connection, ledger_id: int, numbers: Sequence[int], *, first_us: int, now_us: int
) -> dict[int, Lapsed]:
    """What accounts, by number, still hold of holds that fell due from one moment to another."""
    cursor = await connection.execute(
        statement("load_lapsed"),
        {
            "ledger_id": ledger_id,
            "account_numbers": arrays.int4s(numbers),
            "first": datetime_of(first_us),
            "now": datetime_of(now_us),
        },
    )
    return {row[0]: (row[1], row[2]) async for row in cursor}


async def write(connection: Connection, ledger_id: int, ledger: str, plan: Plan) -> bool:
    """Commits the plan; False, and nothing written, if the head moved, an id is taken or a read
    has closed the moment."""
    size = sum([len(record.body) for record in plan.records])
    name, parameters = await beside(columns.of, ledger, plan, size=size)
    cursor = await connection.execute(
        statement(name),
        {
            "ledger_id": ledger_id,
            "revision": plan.head.revision,
            "last_commit_id": plan.head.commit_id,
            "commit_id": plan.commit_id,
            "last_sequence": plan.last_sequence,
            "record_time": datetime_of(plan.record_us),
            "request_ids": arrays.texts(plan.request_ids),
            **parameters,
        },
        prepare=True,
    )
    row = await cursor.fetchone()
    assert row is not None, "count(*) gives a row"
    return bool(row[0])


def _head(row: Sequence[Any], next_expire_time: datetime | None) -> Head:
    revision, commit_id, last_sequence, last_record_time, last_account_number, closed_time = row
    return Head(
        revision,
        commit_id,
        last_sequence,
        micros_of(last_record_time) if last_record_time is not None else 0,
        last_account_number,
        micros_of(next_expire_time) if next_expire_time is not None else None,
        micros_of(closed_time) if closed_time is not None else None,
    )


def _account(row: TupleRow) -> Account:
    (number, name, currency, normal, *limits, metadata, create_time, close_time) = row[:11]
    return Account(
        number=number,
        name=name,
        currency=currency,
        normal=Side(normal),
        limits=limits_of(*limits),
        create_us=micros_of(create_time),
        metadata=metadata or {},
        totals=(row[11], row[12], row[13], row[14], row[15]),
        closed_us=micros_of(close_time) if close_time is not None else None,
    )


def _prior(row: tuple[Any, ...]) -> Prior:
    _, kind, operation, body, sequence, failed, answer, fingerprint = row
    return Prior(
        OPERATION_OF_KIND[Kind(kind)] if kind is not None else Operation(operation),
        body,
        sequence,
        failed,
        answer or b"",
        fingerprint,
    )
