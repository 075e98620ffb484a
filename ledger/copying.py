"""Copying one ledger from a shard to another, and proving that both are equal.

Rows go as PostgreSQL writes and reads its own rows, so that nothing is converted on the way. The
log goes in spans with all of their entries, past the same triggers as when it was recorded; what
is there already is passed over, so that a copy that was cut off goes on. Tables of what is kept
besides, whose rows change, are copied as they are now.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from ledger.statements import statement
from runtime.connections import Connection

ROWS_PER_COPY = 1_000
BYTES_PER_COPY = 4 * 1024 * 1024
TRANSACTIONS_PER_COPY = 500
ENTRIES_PER_COPY = 10_000
ROWS_PER_DIGEST = 5_000


@dataclass(frozen=True)
class Table:
    """A table of the ledger, by its key after `ledger_id`; `changes` if its rows do."""

    name: str
    key: tuple[str, ...]
    changes: bool = False


ACCOUNTS = Table("accounts", ("account_number",))
CLOSURES = Table("account_closures", ("account_number",))
TRANSACTIONS = Table("transactions", ("sequence",))
ENTRIES = Table("entries", ("sequence", "entry_index"))
# In an order in which each finds what it refers to; the head comes last, and with it the ledger.
REST = (
    Table("balances", ("account_number",), changes=True),
    Table("holds", ("sequence", "entry_index"), changes=True),
    Table("decisions", ("request_id",)),
    Table("checkpoints", ("tree_size",)),
    Table("sealed_nodes", ("level", "position")),
    Table("dated_marks", ("account_number", "sequence", "entry_index")),
    Table("dated_runs", ("account_number", "level", "position", "effective_time")),
    Table("hold_spans", ("account_number", "node", "closed_sequence", "sequence", "entry_index")),
    Table("snapshot_heads", (), changes=True),
)
HEAD = Table("ledger_heads", (), changes=True)
TABLES = (ACCOUNTS, CLOSURES, TRANSACTIONS, ENTRIES, *REST, HEAD)


class UnequalError(Exception):
    """What was copied is not what it was copied from; the message says where."""


@dataclass(frozen=True)
class Copied:
    """One ledger on one shard."""

    connection: Connection
    ledger_id: int


@dataclass
class Digest:
    """The rows of a ledger in the order of their keys: how many of each table, and their hash."""

    rows: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


class Copier:
    """Copies a ledger to another shard."""

    def __init__(self, source: Copied, target: Copied) -> None:
        self._source = source
        self._target = target
        self._columns: dict[str, Sequence[str]] = {}

    async def copy_log(self) -> int:
        """Copies accounts and the log as far as it goes now; how far that is."""
        await self._copy(ACCOUNTS)
        await self._copy(CLOSURES)
        ((after,),) = await _fetch(self._target, LAST_SEQUENCE)
        ((through,),) = await _fetch(self._source, LAST_SEQUENCE)
        while after < through:
            bounds = {
                "after": after,
                "through": through,
                "transactions": TRANSACTIONS_PER_COPY,
                "entries": ENTRIES_PER_COPY,
                "body_bytes": BYTES_PER_COPY,
            }
            ((last,),) = await _fetch(self._source, statement("export_span"), bounds)
            await self._copy_span(after, last)
            after = last
        return int(through)

    async def copy_rest(self) -> None:
        """Copies everything else, the head last: nothing must be written at the source."""
        for table in REST:
            await self._copy(table)
        # A fenced head takes no later commit: that of a ledger that comes back is opened for it.
        async with self._target.connection.transaction():
            await self._target.connection.execute(_UNFENCE, {"ledger_id": self._target.ledger_id})
            await self._copy(HEAD)

    async def prove_equal(self) -> Digest:
        """Compares all rows of both; raises `UnequalError`."""
        proven = Digest()
        for table in TABLES:
            columns = await self._columns_of(table)
            count = 0
            whole = hashlib.sha256()
            key: Sequence[Any] | None = None
            while True:
                page = await _digest_page(self._source, table, columns, key)
                found = await _digest_page(self._target, table, columns, key)
                if page != found:
                    place = (
                        "" if key is None else f" after {dict(zip(table.key, key, strict=True))}"
                    )
                    raise UnequalError(f"the copy of {table.name} differs{place}")
                rows, digest, key = page
                if not rows:
                    break
                count += rows
                whole.update(digest)
                if not table.key:
                    break
            proven.rows[table.name] = count
            proven.hashes[table.name] = whole.hexdigest()
        return proven

    async def _copy(self, table: Table) -> None:
        columns = await self._columns_of(table)
        query = _insert(table, columns)
        async for rows in _pages(self._source, table):
            await self._target.connection.execute(
                query, {"ledger_id": self._target.ledger_id, "rows": rows}
            )

    async def _copy_span(self, after: int, last: int) -> None:
        """Transactions with all of their entries, in one statement."""
        span = {"after": after, "last": last}
        rows = {
            table.name: [row for (row,) in await _fetch(self._source, _span(table), span)]
            for table in (TRANSACTIONS, ENTRIES)
        }
        query = sql.SQL("WITH added AS ({}) {}").format(
            _insert(TRANSACTIONS, await self._columns_of(TRANSACTIONS), "transactions"),
            _insert(ENTRIES, await self._columns_of(ENTRIES), "entries"),
        )
        await self._target.connection.execute(
            query,
            {
                "ledger_id": self._target.ledger_id,
                **rows,
            },
        )

    async def _columns_of(self, table: Table) -> Sequence[str]:
        """Its columns besides `ledger_id`; raises `UnequalError` where the two schemas differ."""
        if table.name not in self._columns:
            here = await _columns(self._source, table)
            there = await _columns(self._target, table)
            if here != there:
                raise UnequalError(f"{table.name} has other columns there: migrate both shards")
            self._columns[table.name] = [name for name in here if name != "ledger_id"]
        return self._columns[table.name]


LAST_SEQUENCE = (
    "SELECT coalesce(max(t.sequence), 0) FROM transactions AS t WHERE t.ledger_id = %(ledger_id)s"
)
_UNFENCE = "UPDATE ledger_heads SET fenced = FALSE WHERE ledger_id = %(ledger_id)s"
_COLUMNS = (
    "SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = %(name)s::regclass"
    " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)


async def _fetch(
    ledger: Copied, query: str | sql.Composed, parameters: dict[str, Any] | None = None
) -> list[Any]:
    cursor = await ledger.connection.execute(
        query, {"ledger_id": ledger.ledger_id, **(parameters or {})}
    )
    return await cursor.fetchall()


async def _columns(ledger: Copied, table: Table) -> list[str]:
    return [name for (name,) in await _fetch(ledger, _COLUMNS, {"name": table.name})]


def _span(table: Table) -> sql.Composed:
    """The rows of some transactions, as text."""
    return sql.SQL(
        "SELECT t::text FROM {} AS t WHERE t.ledger_id = %(ledger_id)s"
        " AND t.sequence > %(after)s AND t.sequence <= %(last)s ORDER BY {}"
    ).format(sql.Identifier(table.name), _names(table.key))


async def _pages(ledger: Copied, table: Table) -> AsyncIterator[list[str]]:
    """All rows as text, in the order of their keys, a bounded number and size at a time."""
    key: Sequence[Any] | None = None
    while True:
        rows = await _fetch(ledger, _page(table, key), _key_parameters(key))
        if not rows:
            return
        yield [row[0] for row in rows]
        if not table.key:
            return
        key = rows[-1][1:]


def _page(table: Table, key: Sequence[Any] | None) -> sql.Composed:
    order = _names(table.key) if table.key else sql.SQL("1")
    return sql.SQL(
        """
        SELECT {columns}
        FROM (
            SELECT
                t::text AS line, t.*,
                row_number() OVER (ORDER BY {order}) AS place_in_page,
                sum(pg_column_size(t.*)) OVER (ORDER BY {order}) AS bytes_of_page
            FROM (
                SELECT * FROM {table} WHERE ledger_id = %(ledger_id)s {after}
                ORDER BY {order} LIMIT {limit}
            ) AS t
        ) AS s
        WHERE place_in_page = 1 OR bytes_of_page <= {most}
        ORDER BY {order}
        """
    ).format(
        columns=_names(("line", *table.key)),
        table=sql.Identifier(table.name),
        order=order,
        after=_after(table, key),
        limit=sql.Literal(ROWS_PER_COPY),
        most=sql.Literal(BYTES_PER_COPY),
    )


def _insert(table: Table, columns: Sequence[str], rows: str = "rows") -> sql.Composed:
    """Adds rows that are there as text, under the ledger's own number here."""
    conflict: sql.Composable = sql.SQL("DO NOTHING")
    if table.changes:
        changed = [name for name in columns if name not in table.key]
        conflict = sql.SQL("({}) DO UPDATE SET {}").format(
            _names(("ledger_id", *table.key)),
            sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changed
            ),
        )
    return sql.SQL(
        "INSERT INTO {table} (ledger_id, {columns})"
        " SELECT %(ledger_id)s, {values} FROM ("
        " SELECT x.line::{table} AS r FROM unnest({rows}::text[]) AS x (line) OFFSET 0) AS s"
        " ON CONFLICT {conflict}"
    ).format(
        table=sql.Identifier(table.name),
        columns=_names(columns),
        values=sql.SQL(", ").join(sql.SQL("(s.r).{}").format(sql.Identifier(c)) for c in columns),
        rows=sql.Placeholder(rows),
        conflict=conflict,
    )


async def _digest_page(
    ledger: Copied, table: Table, columns: Sequence[str], key: Sequence[Any] | None
) -> tuple[int, bytes, Sequence[Any]]:
    """So many rows after a key: their number, the hash of their hashes, and the last key."""
    order = _names(table.key) if table.key else sql.SQL("1")
    query = sql.SQL(
        """
        SELECT
            count(*),
            sha256(convert_to(coalesce(string_agg(s.hash, '' ORDER BY {order}), ''), 'UTF8'))
            {last}
        FROM (
            SELECT
                {keys}
                encode(sha256(convert_to(ROW({columns})::text, 'UTF8')), 'hex') AS hash
            FROM {table} WHERE ledger_id = %(ledger_id)s {after}
            ORDER BY {order} LIMIT {limit}
        ) AS s
        """
    ).format(
        order=order,
        keys=sql.SQL("").join(sql.SQL("{}, ").format(sql.Identifier(k)) for k in table.key),
        last=sql.SQL("").join(
            sql.SQL(", (array_agg({} ORDER BY {}))[count(*)]").format(sql.Identifier(k), order)
            for k in table.key
        ),
        columns=_names(columns),
        table=sql.Identifier(table.name),
        after=_after(table, key),
        limit=sql.Literal(ROWS_PER_DIGEST),
    )
    ((count, digest, *last),) = await _fetch(ledger, query, _key_parameters(key))
    return count, bytes(digest), last


def _after(table: Table, key: Sequence[Any] | None) -> sql.Composable:
    if key is None:
        return sql.SQL("")
    values = sql.SQL(", ").join(sql.Placeholder(f"k{place}") for place in range(len(key)))
    return sql.SQL("AND ({}) > ({})").format(_names(table.key), values)


def _key_parameters(key: Sequence[Any] | None) -> dict[str, Any]:
    return {f"k{place}": value for place, value in enumerate(key or ())}


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
