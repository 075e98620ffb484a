"""A warehouse in PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from runtime.clock import Clock
from runtime.sql_files import read_sql
from warehouse.sink import AnotherLoadError, LoadRefusedError, Position, Span, check_staged
from warehouse.totals import Key, Totals

NAMES = {
    name: f"%({name})s"
    for name in ("ledger", "through_sequence", "leaf_hash", "moment", "load_time")
}
# Held for a load: the hash of what it is about.
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('warehouse load ' || %(ledger)s, 0))"
PREPARING = "SELECT pg_advisory_xact_lock(hashtextextended('warehouse prepare', 0))"


class PostgresSink:
    """Tables in the schema that comes first on the login's search path."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock

    def prepare(self) -> None:
        """Makes what is not there yet."""
        with psycopg.connect(self._url) as connection:
            connection.execute(PREPARING)
            connection.execute(_sql("postgres/tables"))
            connection.execute(_sql("views"))

    def position(self, ledger: str) -> Position:
        """How far the ledger has been loaded."""
        with psycopg.connect(self._url) as connection:
            return _position(connection, ledger)

    @contextmanager
    def load(self, span: Span) -> Iterator["PostgresLoad"]:
        """Writes rows; they are gone again unless they are kept."""
        connection = psycopg.connect(self._url)
        try:
            (locked,) = _one(connection.execute(LOCK, {"ledger": span.ledger}))
            if not locked or _position(connection, span.ledger) != span.after:
                raise AnotherLoadError("another load is under way, or has come first")
            _write(connection, span)
            yield PostgresLoad(connection, span, self._clock)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise LoadRefusedError(f"a leaf is not as expected: {type(error).__name__}") from None
        finally:
            # What was not committed is gone.
            connection.close()


class PostgresLoad:
    """Rows that only this connection sees."""

    def __init__(
        self, connection: "psycopg.Connection[tuple[Any, ...]]", span: Span, clock: Clock
    ) -> None:
        self._connection = connection
        self._span = span
        self._clock = clock

    def totals(self) -> Mapping[Key, Totals]:
        """What all rows of the ledger add up to with these."""
        rows = self._connection.execute(
            _sql("totals", **NAMES), {"ledger": self._span.ledger, "moment": self._span.moment}
        )
        return {Key(row[0], row[1]): Totals(*map(int, row[2:])) for row in rows}

    def keep(self) -> None:
        """Commits rows and position."""
        through = self._span.through
        self._connection.execute(
            _sql("record_load", **NAMES),
            {
                "ledger": self._span.ledger,
                "through_sequence": through.sequence,
                "leaf_hash": through.leaf_hash,
                "moment": self._span.moment,
                "load_time": self._clock.now(),
            },
        )
        self._connection.commit()


def _sql(name: str, **parts: str) -> LiteralString:
    """A statement of a file, of which no part comes from outside."""
    written: Any = read_sql(__file__, name)
    return written.format(**parts) if parts else written  # type: ignore[no-any-return]


def _position(connection: "psycopg.Connection[tuple[Any, ...]]", ledger: str) -> Position:
    row = connection.execute(_sql("position", **NAMES), {"ledger": ledger}).fetchone()
    return Position() if row is None else Position(row[0], bytes(row[1]))


def _write(connection: "psycopg.Connection[tuple[Any, ...]]", span: Span) -> None:
    connection.execute(_sql("postgres/stage"))
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY staged_text (leaf) FROM STDIN") as copy,
    ):
        for leaf in span.leaves:
            copy.write_row((leaf.decode(),))
    connection.execute(_sql("postgres/read_staged"))
    check_staged(span, _one(connection.execute(_sql("staged"))))
    connection.execute(_sql("postgres/load_transactions"))
    connection.execute(_sql("postgres/load_entries"))


def _one(cursor: "psycopg.Cursor[tuple[Any, ...]]") -> Sequence[Any]:
    row = cursor.fetchone()
    assert row is not None, "the statement has one row"
    return row
