"""Transactions of a warehouse in a DuckDB file, as facts are written in them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb

from warehouse.duckdb_sink import DuckDbSink, written_lines
from warehouse.facts.columns import Column
from warehouse.facts.rows import Row, text_of
from warehouse.facts.sink import Parameters, Session
from warehouse.facts.statements import definition, insert_lines
from warehouse.sink import LoadRefusedError


class DuckDbWarehouse:
    """The file of a sink. Who writes has it alone, whatever the lock is called."""

    def __init__(self, sink: DuckDbSink) -> None:
        self._sink = sink

    @contextmanager
    def session(self, _lock: str) -> Iterator[Session]:
        """A transaction."""
        with self._sink.connected() as connection:
            connection.begin()
            try:
                yield DuckDbSession(connection)
            except (duckdb.ConstraintException, duckdb.ConversionException) as error:
                raise LoadRefusedError(
                    f"a row is not as expected: {type(error).__name__}"
                ) from None


class DuckDbSession:
    """One transaction."""

    dialect = "duckdb"

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, statement: str, parameters: Parameters) -> Sequence[tuple[Any, ...]]:
        """Runs a statement in which values are named in braces."""
        used = {
            name: _value(each) for name, each in parameters.items() if f"{{{name}}}" in statement
        }
        if not used:
            return self._connection.execute(statement).fetchall()
        written = statement.format(**{name: f"${name}" for name in used})
        return self._connection.execute(written, used).fetchall()

    def stage(self, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Makes a temporary table of these rows."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} ({definition(columns)})", {})
        if not rows:
            return
        lines = [
            json.dumps({column.name: text_of(row.get(column.name)) for column in columns}).encode()
            for row in rows
        ]
        with written_lines(lines) as (path, longest):
            self._connection.execute(
                insert_lines(name, columns), {"path": str(path), "longest": longest}
            )

    def commit(self) -> None:
        """Commits."""
        self._connection.commit()


def _value(value: Any) -> Any:
    """A time in UTC: DuckDB takes one in any other zone as if it were in its own."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value
