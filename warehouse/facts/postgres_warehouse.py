"""Transactions of a warehouse in PostgreSQL, as facts are written in them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from warehouse.facts.columns import Column
from warehouse.facts.rows import Row
from warehouse.facts.sink import Parameters, Session
from warehouse.facts.statements import definition, names
from warehouse.sink import AnotherLoadError, LoadRefusedError

LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('warehouse load ' || %(name)s, 0))"
# Two that prepare at once wait for each other.
PREPARE = "prepare"
PREPARING = "SELECT pg_advisory_xact_lock(hashtextextended('warehouse prepare', 0))"


class PostgresWarehouse:
    """Tables in the schema that comes first on the login's search path."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def session(self, lock: str) -> Iterator[Session]:
        """A transaction that is alone with the lock of that name."""
        connection = psycopg.connect(self._url)
        try:
            if lock == PREPARE:
                connection.execute(PREPARING)
            elif lock:
                (locked,) = connection.execute(LOCK, {"name": lock}).fetchone() or (False,)
                if not locked:
                    raise AnotherLoadError(f"another load of {lock} is under way")
            yield PostgresSession(connection)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise LoadRefusedError(f"a row is not as expected: {type(error).__name__}") from None
        finally:
            # What was not committed is gone, and so are its locks, before anybody asks for them.
            if not connection.closed:
                connection.rollback()
            connection.close()


class PostgresSession:
    """One transaction."""

    dialect = "postgres"

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def run(self, statement: str, parameters: Parameters) -> Sequence[tuple[Any, ...]]:
        """Runs a statement in which values are named in braces."""
        written: Any = statement
        if parameters:
            written = statement.format(**{name: f"%({name})s" for name in parameters})
        cursor = self._connection.execute(written, dict(parameters) or None)
        return cursor.fetchall() if cursor.description else []

    def stage(self, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Makes a temporary table of these rows."""
        self.run(f"DROP TABLE IF EXISTS {name}", {})
        self.run(f"CREATE TEMP TABLE {name} ({definition(columns)}) ON COMMIT DROP", {})
        written: Any = f"COPY {name} ({names(columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(written) as copy:
            for row in rows:
                copy.write_row([row.get(column.name) for column in columns])

    def commit(self) -> None:
        """Commits."""
        self._connection.commit()
