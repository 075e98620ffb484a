"""The reading side of the database. Every read speaks of one point of the log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql

from ledger import arrays
from ledger.accounts import NO_LIMITS, Account, Effect, Limits, Side, Totals
from ledger.commands import Record
from ledger.connections import Connections
from ledger.posting import Kind, Movement, Posted
from ledger.statements import statement
from ledger.times import micros_of

_HAS_ENTRY_ON_ACCOUNT = sql.SQL(
    """t.sequence IN (
        SELECT e.sequence
        FROM accounts AS a
        INNER JOIN entries AS e
            ON a.ledger_id = e.ledger_id AND a.account_number = e.account_number
        WHERE a.ledger_id = %(ledger_id)s AND a.name = %(account)s
    )"""
)


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
    """A point of the log. `moment` adds exact expiry, `effective` back-dated entries."""

    sequence: int
    moment: datetime | None = None
    effective: datetime | None = None


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
    side: Side
    remaining: int
    expire_time: datetime | None


class Reader:
    """Reads of one database; every query is bounded by its caller's limit or by a key."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def ledgers(self, *, name: str = "", after: str = "", limit: int = 1) -> list[LedgerRow]:
        """Ledgers in order of their names, or the one of that name."""
        parameters = {"name": name, "after_name": after, "limit": limit}
        rows = await self._connections.fetch(statement("read_ledgers"), parameters)
        return [LedgerRow(*row) for row in rows]

    async def heads(self, ledger_ids: Sequence[int]) -> dict[int, int]:
        """The last sequence of each ledger."""
        rows = await self._connections.fetch(
            statement("read_heads"), {"ledger_ids": arrays.int8s(ledger_ids)}
        )
        return dict(rows)

    async def point(self, ledger_id: int, moment: datetime | None) -> tuple[int, int]:
        """The last sequence at or before a moment (the ledger's last for None), and the last."""
        rows = await self._connections.fetch(
            statement("read_point"), {"ledger_id": ledger_id, "moment": moment}
        )
        last_sequence, sequence = rows[0]
        return sequence, last_sequence

    async def accounts(
        self, ledger_id: int, path: str, *, exact: bool = False, after: str = "", limit: int = 1
    ) -> list[Account]:
        """Accounts in order of their names, without their totals."""
        rows = await self._connections.fetch(
            statement("read_accounts"),
            {
                "ledger_id": ledger_id,
                "path": path,
                "exact": exact,
                "after_name": after,
                "limit": limit,
            },
        )
        return [_account(row) for row in rows]

    async def balances(
        self,
        ledger_id: int,
        path: str,
        point: Point,
        *,
        exact: bool = False,
        after: str = "",
        limit: int = 1,
    ) -> list[BalanceRow]:
        """Balances of accounts at or below a path, or of exactly that name, as of a point."""
        rows = await self._connections.fetch(
            statement("read_balances"),
            {
                "ledger_id": ledger_id,
                "path": path,
                "exact": exact,
                "after_name": after,
                "limit": limit,
                **point._asdict(),
            },
        )
        return [BalanceRow(row[0], row[1], Side(row[2]), _totals(row[3:])) for row in rows]

    async def balance_totals(self, ledger_id: int, path: str, point: Point) -> list[BalanceRow]:
        """Totals per currency over the accounts at or below a path, as of a point."""
        rows = await self._connections.fetch(
            statement("read_balance_totals"),
            {"ledger_id": ledger_id, "path": path, **point._asdict()},
        )
        return [BalanceRow(path, row[0], Side(row[1]), _totals(row[2:])) for row in rows]

    async def account_and_holds(
        self, ledger_id: int, account: str, now: datetime, limit: int
    ) -> tuple[int, list[BalanceRow], list[HoldRow]]:
        """The last sequence, the balance and the open holds of one account, from one snapshot."""
        parameters = {"ledger_id": ledger_id, "account": account, "now": now, "limit": limit}
        async with self._connections.borrow() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor = await connection.execute(
                statement("read_point"), {"ledger_id": ledger_id, "moment": None}
            )
            ((_, sequence),) = await cursor.fetchall()
            cursor = await connection.execute(
                statement("read_balances"),
                {
                    "ledger_id": ledger_id,
                    "path": account,
                    "exact": True,
                    "after_name": "",
                    "limit": 1,
                    **Point(sequence, now)._asdict(),
                },
            )
            balances = await cursor.fetchall()
            cursor = await connection.execute(statement("read_holds"), parameters)
            holds = await cursor.fetchall()
        return (
            sequence,
            [BalanceRow(row[0], row[1], Side(row[2]), _totals(row[3:])) for row in balances],
            [HoldRow(row[0], row[1], Side(row[2]), row[3], row[4]) for row in holds],
        )

    async def records(self, ledger_id: int, sequences: Sequence[int]) -> list[Record]:
        """Transactions with their entries, in order of their sequences."""
        rows = await self._connections.fetch(
            statement("read_transactions"),
            {"ledger_id": ledger_id, "sequences": arrays.int8s(sequences)},
        )
        return _records(rows)

    async def sequences(
        self, ledger_id: int, filters: "Filters", *, after: int, descending: bool, limit: int
    ) -> list[int]:
        """Sequences of the transactions that pass the filters, beyond `after` in the order."""
        conditions = [sql.SQL("t.ledger_id = %(ledger_id)s")]
        if descending and after:
            conditions.append(sql.SQL("t.sequence < %(after)s"))
        elif not descending:
            conditions.append(sql.SQL("t.sequence > %(after)s"))
        conditions.append(sql.SQL("t.sequence > %(floor)s"))
        if filters.reference:
            conditions.append(sql.SQL("t.reference = %(reference)s"))
        if filters.kinds:
            conditions.append(sql.SQL("t.kind = ANY(%(kinds)b)"))
        if filters.account:
            conditions.append(_HAS_ENTRY_ON_ACCOUNT)
        query = sql.SQL(
            "SELECT t.sequence FROM transactions AS t WHERE {} ORDER BY t.sequence {} "
            "LIMIT %(limit)s"
        ).format(sql.SQL(" AND ").join(conditions), sql.SQL("DESC" if descending else "ASC"))
        rows = await self._connections.fetch(
            query.as_string(),
            {
                "ledger_id": ledger_id,
                "after": after,
                "floor": filters.after_sequence,
                "reference": filters.reference,
                "kinds": arrays.int2s(filters.kinds),
                "account": filters.account,
                "limit": limit,
            },
        )
        return [row[0] for row in rows]

    async def followers(
        self, ledger_id: int, sequence: int, limit: int
    ) -> tuple[list[int], list[int]]:
        """The transactions that settle one, and those that reverse it."""
        rows = await self._connections.fetch(
            statement("read_followers"),
            {"ledger_id": ledger_id, "sequence": sequence, "limit": limit},
        )
        return (
            [follower for follower, settles in rows if settles],
            [follower for follower, settles in rows if not settles],
        )

    async def account_entries(
        self,
        ledger_id: int,
        account: str,
        *,
        after: tuple[int, int],
        through_sequence: int,
        limit: int,
    ) -> list[tuple[int, int]]:
        """Sequence and index of an account's entries within a span, after a position."""
        rows = await self._connections.fetch(
            statement("read_account_entries"),
            {
                "ledger_id": ledger_id,
                "account": account,
                "after_sequence": after[0],
                "after_index": after[1],
                "through_sequence": through_sequence,
                "limit": limit,
            },
        )
        return [(sequence, index) for sequence, index in rows]


class Filters(NamedTuple):
    """Which transactions a list is about; empty means all."""

    account: str
    reference: str
    kinds: Sequence[int]
    after_sequence: int


def _totals(row: Sequence[int]) -> Totals:
    return (row[0], row[1], row[2], row[3], row[4])


def _account(row: Sequence[Any]) -> Account:
    (number, name, currency, normal, *limits, metadata, create_time, close_time) = row
    return Account(
        number=number,
        name=name,
        currency=currency,
        normal=Side(normal),
        limits=Limits(*limits),
        create_us=micros_of(create_time),
        metadata=metadata or {},
        closed_us=None if close_time is None else micros_of(close_time),
    )


def _records(rows: Sequence[Sequence[Any]]) -> list[Record]:
    records: list[Record] = []
    posted: list[Posted] = []
    for row in rows:
        if not records or records[-1].sequence != row[0]:
            posted = []
            records.append(_record(row, posted))
        name, currency, normal, side, effect, amount, source_index = row[10:17]
        account = Account(0, name, currency, Side(normal), NO_LIMITS, 0)
        movement = Movement(account, Side(side), Effect(effect), amount, source_index)
        posted.append(Posted(movement, _totals(row[17:])))
    return records


def _record(row: Sequence[Any], posted: list[Posted]) -> Record:
    sequence, kind, request_id, body, reference, record_time, effective_time, expire_time = row[:8]
    return Record(
        sequence=sequence,
        kind=Kind(kind),
        request_id=request_id or "",
        body=body,
        reference=reference or "",
        posted=posted,
        record_us=micros_of(record_time),
        effective_us=None if effective_time is None else micros_of(effective_time),
        expire_us=None if expire_time is None else micros_of(expire_time),
        settles=row[8],
        reverses=row[9],
    )
