"""A warehouse in a DuckDB file: embedded, for one writer at a time and readers in between."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb

from runtime.clock import Clock
from runtime.command_failures import CommandError
from runtime.sql_files import read_sql
from warehouse.sink import AnotherLoadError, LoadRefusedError, Position, Span, check_staged
from warehouse.totals import Key, Totals

# How a parameter is written in the statements that both warehouses share.
NAMES = {
    name: f"${name}" for name in ("ledger", "through_sequence", "leaf_hash", "moment", "load_time")
}


class DuckDbSink:
    """A file that is open only while something is read or written, so that others can read it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        # Of one process one thread at a time, as of all processes one.
        self._alone = threading.Lock()

    def prepare(self) -> None:
        """Makes what is not there yet. Raises `AnotherLoadError` while others have the file."""
        with self.connected() as connection:
            connection.execute(read_sql(__file__, "duckdb/tables"))
            connection.execute(read_sql(__file__, "views"))

    def position(self, ledger: str) -> Position:
        """How far the ledger has been loaded."""
        with self.connected() as connection:
            return _position(connection, ledger)

    @contextmanager
    def load(self, span: Span) -> Iterator["DuckDbLoad"]:
        """Writes rows; they are gone again unless they are kept."""
        with self.connected() as connection:
            connection.begin()
            try:
                if _position(connection, span.ledger) != span.after:
                    raise AnotherLoadError("another load has come first")
                _write(connection, span)
                yield DuckDbLoad(connection, span, self._clock)
            except (duckdb.ConstraintException, duckdb.ConversionException) as error:
                raise LoadRefusedError(f"a leaf is not as expected: {_first_line(error)}") from None
            except duckdb.InvalidInputException as error:
                raise LoadRefusedError(f"a leaf is not JSON: {_first_line(error)}") from None

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file, for one at a time. Raises `AnotherLoadError` while another process has it, and
        `CommandError` where there is no database and can be none."""
        with self._alone:
            try:
                connection = duckdb.connect(self.path)
            except duckdb.IOException as error:
                if "lock" in str(error):
                    raise AnotherLoadError(f"{self.path} is open elsewhere") from None
                why = str(error).splitlines()[0]
                raise CommandError(f"{self.path} cannot be opened: {why}") from None
            try:
                yield connection
            except duckdb.TransactionException as error:
                # Two connections of one process do not exclude each other by the file's lock.
                raise AnotherLoadError(f"{self.path} was changed meanwhile") from error
            finally:
                # What was not committed is gone.
                connection.close()


class DuckDbLoad:
    """Rows that only this connection sees."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, span: Span, clock: Clock) -> None:
        self._connection = connection
        self._span = span
        self._clock = clock

    def totals(self) -> Mapping[Key, Totals]:
        """What all rows of the ledger add up to with these."""
        rows = self._connection.execute(
            read_sql(__file__, "totals").format(**NAMES),
            {"ledger": self._span.ledger, "moment": self._span.moment},
        ).fetchall()
        return {Key(row[0], row[1]): Totals(*map(int, row[2:])) for row in rows}

    def keep(self) -> None:
        """Commits rows and position."""
        self._connection.execute(
            read_sql(__file__, "record_load").format(**NAMES),
            {
                "ledger": self._span.ledger,
                "through_sequence": self._span.through.sequence,
                "leaf_hash": self._span.through.leaf_hash,
                "moment": self._span.moment,
                "load_time": self._clock.now().astimezone(UTC),
            },
        )
        self._connection.commit()


def _position(connection: duckdb.DuckDBPyConnection, ledger: str) -> Position:
    row = connection.execute(
        read_sql(__file__, "position").format(**NAMES), {"ledger": ledger}
    ).fetchone()
    return Position() if row is None else Position(row[0], row[1])


def _write(connection: duckdb.DuckDBPyConnection, span: Span) -> None:
    with written_lines(span.leaves) as (path, longest):
        connection.execute(read_sql(__file__, "duckdb/stage"), [str(path), longest])
    check_staged(span, _one(connection, read_sql(__file__, "staged")))
    connection.execute(read_sql(__file__, "duckdb/load_transactions"))
    connection.execute(read_sql(__file__, "duckdb/load_entries"))
    connection.execute("DROP TABLE staged_leaf")


def _one(connection: duckdb.DuckDBPyConnection, statement: str) -> Sequence[Any]:
    row = connection.execute(statement).fetchone()
    assert row is not None, "an aggregate has one row"
    return row


@contextmanager
def written_lines(leaves: Sequence[bytes]) -> Iterator[tuple[Path, int]]:
    """A file with a line for each leaf, and how long a line may be."""
    handle, name = tempfile.mkstemp(prefix="leaves-", suffix=".jsonl")
    try:
        with os.fdopen(handle, "wb") as file:
            for leaf in leaves:
                file.write(leaf + b"\n")
        # The reader wants room for more than a line.
        yield Path(name), 2 * max(map(len, leaves), default=0) + 1_024
    finally:
        Path(name).unlink()


def _first_line(error: Exception) -> str:
    """Without what follows: DuckDB quotes the statement, and sometimes a value."""
    return type(error).__name__
