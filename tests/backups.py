"""A database put back to an older moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from sandbox.database_copies import create_database

# How long a session may take to end on a busy machine.
END_MILLISECONDS = 30_000


class Backup:
    """A database as it was, kept beside it. Taking and restoring end its connections."""

    def __init__(self, postgres_url: str, database_url: str) -> None:
        self._postgres_url = postgres_url
        self._name = str(conninfo_to_dict(database_url)["dbname"])
        self._kept = f"{self._name}_backup"

    def take(self) -> None:
        """Keeps the database as it is now."""
        self._copy(self._name, self._kept)

    def restore(self) -> None:
        """Puts the database back to what was kept."""
        self._copy(self._kept, self._name)

    def drop(self) -> None:
        """Forgets what was kept."""
        self._run("DROP DATABASE IF EXISTS {source} WITH (FORCE)", self._kept, self._kept)

    def _copy(self, source: str, target: str) -> None:
        self._run("DROP DATABASE IF EXISTS {target} WITH (FORCE)", source, target)
        # Each is waited for: one that is told to end has not ended yet.
        end = "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE datname = %s"
        # Those who are connected come back at once, and a database in use cannot be copied.
        self._run("ALTER DATABASE {source} ALLOW_CONNECTIONS false", source, target)
        try:
            with psycopg.connect(self._postgres_url, autocommit=True) as connection:
                connection.execute(end, [END_MILLISECONDS, source])
                connection.execute(create_database(target, source))
        finally:
            self._run("ALTER DATABASE {source} ALLOW_CONNECTIONS true", source, target)

    def _run(self, statement: str, source: str, target: str) -> None:
        names = {"source": sql.Identifier(source), "target": sql.Identifier(target)}
        with psycopg.connect(self._postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(**names))


@contextmanager
def backup_of(postgres_url: str, database_url: str) -> Iterator[Backup]:
    """A backup that is dropped afterwards."""
    backup = Backup(postgres_url, database_url)
    try:
        yield backup
    finally:
        backup.drop()
