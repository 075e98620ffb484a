"""The reading side of the database. Every read speaks of one point of the log."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from ledger import arrays
from ledger.accounts import Account, Side
from ledger.commands import Record
from ledger.rows import (
    BalanceRow,
    Filters,
    HoldRow,
    LedgerRow,
    Point,
    Verified,
    account_of,
    records_of,
    totals_of,
)
from ledger.statements import statement
from runtime.connections import Connections

_ALL_TRANSACTIONS = sql.SQL(
    """
    SELECT t.sequence
    FROM transactions AS t
    WHERE t.ledger_id = %(ledger_id)s
    """
)
_ENTRIES_OF_ACCOUNT = sql.SQL(
    """
    SELECT DISTINCT t.sequence
    FROM entries AS x
    INNER JOIN transactions AS t ON x.ledger_id = t.ledger_id AND x.sequence = t.sequence
    WHERE x.ledger_id = %(ledger_id)s
        AND x.account_number = (
            SELECT a.account_number
            FROM accounts AS a
            WHERE a.ledger_id = %(ledger_id)s AND a.name = %(account)s
        )
    """
)


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
        return [account_of(row) for row in rows]

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
        return [BalanceRow(row[0], row[1], Side(row[2]), totals_of(row[3:])) for row in rows]

    async def balance_totals(self, ledger_id: int, path: str, point: Point) -> list[BalanceRow]:
        """Totals per currency over the accounts at or below a path, as of a point."""
        rows = await self._connections.fetch(
            statement("read_balance_totals"),
            {"ledger_id": ledger_id, "path": path, **point._asdict()},
        )
        return [BalanceRow(path, row[0], Side(row[1]), totals_of(row[2:])) for row in rows]

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
            [BalanceRow(row[0], row[1], Side(row[2]), totals_of(row[3:])) for row in balances],
            [HoldRow(row[0], row[1], Side(row[2]), row[3], row[4]) for row in holds],
        )

    async def records(self, ledger_id: int, sequences: Sequence[int]) -> list[Record]:
        """Transactions with their entries, in order of their sequences."""
        rows = await self._connections.fetch(
            statement("read_transactions"),
            {"ledger_id": ledger_id, "sequences": arrays.int8s(sequences)},
        )
        return records_of(rows)

    async def sequences(
        self, ledger_id: int, filters: Filters, *, after: int, descending: bool, limit: int
    ) -> list[int]:
        """Sequences of the transactions that pass the filters, beyond `after` in the order."""
        # By account its entries are walked in order, else the transactions: either way by an index.
        source = _ENTRIES_OF_ACCOUNT if filters.account else _ALL_TRANSACTIONS
        conditions = [sql.SQL("t.sequence > %(floor)s")]
        if after:
            conditions.append(sql.SQL(f"t.sequence {'<' if descending else '>'} %(after)s"))
        if filters.reference:
            conditions.append(sql.SQL("t.reference = %(reference)s"))
        if filters.kinds:
            conditions.append(sql.SQL("t.kind = ANY(%(kinds)b)"))
        query = sql.SQL("{} AND {} ORDER BY t.sequence {} LIMIT %(limit)s").format(
            source, sql.SQL(" AND ").join(conditions), sql.SQL("DESC" if descending else "ASC")
        )
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

    async def verify(self, ledger_id: int) -> Verified:
        """Recomputes every projection from the entries, in one snapshot; commits go on."""
        parameters = {"ledger_id": ledger_id}
        async with self._connections.borrow() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor = await connection.execute(statement("verify_counts"), parameters)
            ((sequence, accounts, entries),) = await cursor.fetchall()
            cursor = await connection.execute(statement("verify"), parameters)
            return Verified(sequence, accounts, entries, await cursor.fetchall())
