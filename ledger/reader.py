"""The reading side of the database. Every read is of one point of the log."""

from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg.errors import NumericValueOutOfRange

from ledger.accounts import MAX_TOTAL_MINOR, Account, Side, Totals
from ledger.commands import Record
from ledger.errors import sequence_not_reached, total_overflow
from ledger.listing import Listed, page_statement
from ledger.rows import (
    BalanceRow,
    EntryRow,
    Filters,
    HoldRow,
    LedgerRow,
    Point,
    account_of,
    records_of,
    summaries_of,
    totals_of,
)
from ledger.statements import statement
from runtime import arrays
from runtime.connections import Connections

# No name of an account or ledger begins with, or has, a character behind this one.
_LAST_CHARACTER = "\x7f"
# Before everything that is recorded.
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class Reader:
    """Reads of one database; every query is bounded by its caller's limit or by a key."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def ledgers(self, *, name: str = "", after: str = "", limit: int = 1) -> list[LedgerRow]:
        """Ledgers in order of their names, or the one of that name."""
        parameters = {
            "low": name,
            "high": name or _LAST_CHARACTER,
            "after_name": after,
            "limit": limit,
        }
        rows = await self._connections.fetch(statement("read_ledgers"), parameters)
        return [LedgerRow(*row) for row in rows]

    async def heads(self, ledger_ids: Sequence[int]) -> dict[int, int]:
        """The last sequence of each ledger."""
        rows = await self._connections.fetch(
            statement("read_heads"), {"ledger_ids": arrays.int8s(ledger_ids)}
        )
        return dict(rows)

    async def last(self, ledger_id: int) -> tuple[int, datetime | None]:
        """The ledger's last sequence and its record time; None while there is none."""
        rows = await self._connections.fetch(
            statement("read_point"), {"ledger_id": ledger_id, "sequence": None}
        )
        last_sequence, _, record_time = rows[0]
        return last_sequence, record_time

    async def recorded(self, ledger_id: int, sequence: int) -> datetime:
        """When a sequence was recorded: at the beginning of time for 0.

        Raises SEQUENCE_NOT_REACHED for one behind the ledger's last.
        """
        rows = await self._connections.fetch(
            statement("read_point"), {"ledger_id": ledger_id, "sequence": sequence}
        )
        last_sequence, found, record_time = rows[0]
        if sequence > last_sequence:
            raise sequence_not_reached(sequence, last_sequence)
        return BEGINNING if found is None else record_time

    async def closed(
        self, ledger_id: int, moment: datetime, through: datetime | None = None
    ) -> int:
        """The last sequence recorded at or before a moment, which must not be in the future.

        Nothing is recorded of that moment afterwards, so that the answer is final. `through` asks
        for what is there of a later moment: record times may be ahead of a clock.
        """
        rows = await self._connections.fetch(
            statement("read_moment"),
            {"ledger_id": ledger_id, "moment": moment, "through": through or moment},
        )
        sequence: int = rows[0][0]
        return sequence

    async def accounts(
        self, ledger_id: int, path: str, *, exact: bool = False, after: str = "", limit: int = 1
    ) -> list[Account]:
        """Accounts in order of their names, without their totals."""
        rows = await self._connections.fetch(
            statement("read_accounts"),
            {
                "ledger_id": ledger_id,
                **_names(path, exact=exact),
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
                **_names(path, exact=exact),
                "after_name": after,
                "limit": limit,
                **point._asdict(),
            },
        )
        return [_balance(row[0], row[1], Side(row[2]), totals_of(row[3:])) for row in rows]

    async def balance_totals(self, ledger_id: int, path: str, point: Point) -> list[BalanceRow]:
        """Totals per currency over the accounts at or below a path, as of a point.

        Raises BALANCE_OVERFLOW where one does not fit 64 bits.
        """
        try:
            rows = await self._connections.fetch(
                statement("read_balance_totals"),
                {"ledger_id": ledger_id, **_names(path, exact=False), **point._asdict()},
            )
        except NumericValueOutOfRange as error:
            raise total_overflow(path) from error
        return [_balance(path, row[0], Side(row[1]), totals_of(row[2:])) for row in rows]

    async def holds(
        self,
        ledger_id: int,
        path: str,
        point: Point,
        *,
        exact: bool,
        after: tuple[int, int],
        limit: int,
    ) -> list[HoldRow]:
        """What accounts at or below a path, or of exactly that name, hold as of a point, after a
        position (sequence and index); the oldest first."""
        rows = await self._connections.fetch(
            statement("read_holds"),
            {
                "ledger_id": ledger_id,
                **_names(path, exact=exact),
                "sequence": point.sequence,
                "moment": point.moment,
                "after_sequence": after[0],
                "after_index": after[1],
                "limit": limit,
            },
        )
        return [HoldRow(row[0], row[1], row[2], Side(row[3]), row[4], row[5]) for row in rows]

    async def records(self, ledger_id: int, sequences: Sequence[int]) -> list[Record]:
        """Transactions with their entries, in order of their sequences."""
        rows = await self._connections.fetch(
            statement("read_transactions"),
            {"ledger_id": ledger_id, "sequences": arrays.int8s(sequences)},
        )
        return records_of(rows)

    async def summaries(self, ledger_id: int, sequences: Sequence[int]) -> list[Record]:
        """Transactions without their entries, in order of their sequences."""
        rows = await self._connections.fetch(
            statement("read_summaries"),
            {"ledger_id": ledger_id, "sequences": arrays.int8s(sequences)},
        )
        return summaries_of(rows)

    async def bodies(self, ledger_id: int, sequences: Sequence[int]) -> dict[int, bytes]:
        """The encoded requests of transactions, by sequence."""
        if not sequences:
            return {}
        rows = await self._connections.fetch(
            statement("read_bodies"),
            {"ledger_id": ledger_id, "sequences": arrays.int8s(sequences)},
        )
        return dict(rows)

    async def fitting(
        self, ledger_id: int, sequences: Sequence[int], *, max_entries: int, max_body_bytes: int
    ) -> list[int]:
        """The first of these transactions, in their order, that have no more entries and bytes of
        requests together: at least one, and all of them unless they are large."""
        if not sequences:
            return []
        rows = await self._connections.fetch(
            statement("read_fitting"),
            {
                "ledger_id": ledger_id,
                "sequences": arrays.int8s(sequences),
                "max_entries": max_entries,
                "max_body_bytes": max_body_bytes,
            },
        )
        return [row[0] for row in rows]

    async def sequences(
        self, ledger_id: int, filters: Filters, *, after: int, descending: bool, limit: int
    ) -> Listed:
        """Sequences of the transactions that pass the filters, beyond `after` in the order."""
        rows = await self._connections.fetch(
            page_statement(filters, descending=descending),
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
        return Listed(
            [sequence for sequence, fits in rows if fits],
            next((sequence for sequence, fits in rows if not fits), None),
        )

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
    ) -> list[EntryRow]:
        """An account's entries within a span, after a position (sequence and index)."""
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
        return [EntryRow(*row) for row in rows]


def _balance(name: str, currency: str, normal: Side, totals: Totals) -> BalanceRow:
    """Totals of which every balance fits 64 bits; raises BALANCE_OVERFLOW for others."""
    if max(totals[0] + totals[2], totals[1] + totals[3]) > MAX_TOTAL_MINOR:
        raise total_overflow(name)
    return BalanceRow(name, currency, normal, totals)


def _names(path: str, *, exact: bool) -> dict[str, str]:
    """The span of names that a path stands for: one range of the index, of which some names that
    only begin like the path have to be left out."""
    if exact:
        return {"path": path, "low": path, "high": path}
    return {
        "path": path,
        "low": path,
        "high": f"{path}/{_LAST_CHARACTER}" if path else _LAST_CHARACTER,
    }
