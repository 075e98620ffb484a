"""Schema migrations by the database's owner, and whether code and schema go together.

A service keeps its migrations in `<service>/migrations`: pure SQL files that Alembic puts in order.
A migration on which the code of earlier revisions still runs says so by `oldest_code`, the oldest
such revision; one that says nothing needs code that has it. What was applied, with what it said,
is in the table `schema_revision`, so that code that has never heard of a revision knows whether it
may start on it. Revisions are four digits in one line, so that they compare as text.
See docs/upgrades.md.
"""

import asyncio
import importlib.util
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import psycopg
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, create_engine, pool, text

from runtime.config import DatabaseSettings
from runtime.database import TCP_OPTIONS
from runtime.database_limits import MIN_CONNECT_SECONDS
from runtime.database_url import parse
from runtime.logs import get_logger
from runtime.postgres import DRIVER, database_urls
from runtime.startup import StartupError, database_needed

# How long another process that migrates is waited for, and how long a table's lock: while a
# migration waits for that, everybody who comes to the table waits behind it.
LOCK_TIMEOUT_SECONDS = 60
TABLE_LOCK_TIMEOUT_SECONDS = 5
# Everybody may read it: a service's login has to, and its rights are what migrations grant.
_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_revision (
        revision text PRIMARY KEY,
        oldest_code text NOT NULL,
        apply_time timestamptz NOT NULL DEFAULT now()
    );
    GRANT SELECT ON schema_revision TO PUBLIC
"""
_COLLATION = """
    SELECT datname, datcollversion, pg_database_collation_actual_version(oid)
    FROM pg_database WHERE datname = current_database()
"""
_RECORD = """
    INSERT INTO schema_revision (revision, oldest_code) VALUES (:revision, :oldest_code)
    ON CONFLICT (revision) DO NOTHING
"""

log = get_logger(__name__)


class SchemaError(StartupError):
    """The database's schema and this code do not go together; the message says what to do."""


@dataclass(frozen=True)
class Revision:
    """One migration, as the code or a database knows it."""

    revision: str
    oldest_code: str
    """The oldest revision whose code runs on a schema that has this one."""
    title: str = ""


@dataclass(frozen=True)
class Collation:
    """By which version of its locale's library a database's indexes were sorted, and by which one
    they are searched now; None where the locale has no versions, as C has none."""

    database: str
    recorded: str | None
    actual: str | None

    def check(self) -> None:
        """Raises `SchemaError` when they differ. The server only warns: see
        https://www.postgresql.org/docs/current/sql-altercollation.html#SQL-ALTERCOLLATION-NOTES.
        A request whose row is not found by its id would be taken for a new one."""
        if self.recorded is not None and self.recorded != self.actual:
            raise SchemaError(
                f"the indexes of {self.database} were sorted by version {self.recorded} of its"
                f" locale, and this server has {self.actual or 'none'}: rows may not be found by"
                f' their keys. Run REINDEX DATABASE "{self.database}", then ALTER DATABASE'
                f' "{self.database}" REFRESH COLLATION VERSION, before anything is written'
            )


NO_LOCALE = Collation("", None, None)


@dataclass(frozen=True)
class Standing:
    """How a database's schema and this code stand to each other."""

    service: str
    known: tuple[Revision, ...]
    """The migrations of this code."""
    applied: tuple[Revision, ...]
    """Those of the database."""
    collation: Collation = NO_LOCALE

    @property
    def newest(self) -> str:
        """The database's revision; empty before the first."""
        return self.applied[-1].revision if self.applied else ""

    @property
    def pending(self) -> tuple[Revision, ...]:
        """What this code has and the database lacks."""
        return tuple(migration for migration in self.known if migration.revision > self.newest)

    def check_not_too_new(self) -> None:
        """Raises `SchemaError` if the schema has a revision that this code cannot work with."""
        code = self.known[-1].revision
        later = [migration for migration in self.applied if migration.revision > code]
        needed = max((migration.oldest_code for migration in later), default="")
        if needed > code:
            raise SchemaError(
                f"the schema has revision {self.newest}, which needs the code of {needed} or"
                f" later; this is the code of {code}: start a newer version"
            )

    def check_served(self) -> None:
        """Raises `SchemaError` unless this code can serve on the schema as it is."""
        self.collation.check()
        self.check_not_too_new()
        if self.pending:
            raise SchemaError(
                f"the schema has revision {self.newest or 'none'}, and this code needs"
                f" {self.known[-1].revision}: run python -m {self.service} migrate"
            )


async def prepare_database(settings: DatabaseSettings) -> str:
    """The URL to serve on, once the schema there is one that this code works with.

    With the owner's login, and in the sandbox, it is migrated first. Raises `StartupError`.
    """
    service = settings.service_name
    url, owner_url = await database_urls(settings)
    if settings.migrates_at_start:
        variable = settings.variable(
            "owner_database_url" if settings.owner_database_url else "database_url"
        )
        with database_needed(variable, owner_url):
            await migrate(owner_url, service)
    else:
        with database_needed(settings.variable("database_url"), url):
            found = await standing(url, service)
        found.check_served()
    return url


async def migrate(owner_url: str, service: str) -> Standing:
    """Brings the database of `service` to its newest schema. Idempotent; replicas may race.

    Who has nothing to do needs no owner's rights. Gives how things stood before.
    """
    found = await standing(owner_url, service)
    found.collation.check()
    found.check_not_too_new()
    if found.pending:
        await asyncio.to_thread(migrate_to, owner_url, service)
        log.info("migrated", database_of=service, revision=found.known[-1].revision)
    elif found.newest > found.known[-1].revision:
        log.info("schema_newer", database_of=service, revision=found.newest)
    return found


async def make_schema(owner_url: str, schema: str) -> None:
    """Makes a schema in the database if it is not there, for what is migrated into it."""
    await asyncio.to_thread(_make_schema, owner_url, schema)


def _make_schema(owner_url: str, schema: str) -> None:
    with _connected(owner_url, "schema", autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])
        if not found.fetchall():
            connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            )


async def standing(url: str, service: str) -> Standing:
    """Looks the database's schema up, by any login that may connect."""
    return await asyncio.to_thread(_standing, url, service)


def _standing(url: str, service: str) -> Standing:
    with _connected(url, f"{service} schema", autocommit=True) as connection:
        connection.execute(f"SET lock_timeout = '{TABLE_LOCK_TIMEOUT_SECONDS}s'".encode())
        collation = connection.execute(_COLLATION).fetchone()
        assert collation is not None, "one is connected to a database"
        row = connection.execute("SELECT to_regclass('schema_revision') IS NOT NULL").fetchone()
        applied: list[Any] = []
        if row is not None and row[0]:
            applied = connection.execute(
                "SELECT revision, oldest_code FROM schema_revision ORDER BY revision"
            ).fetchall()
    return Standing(
        service,
        known=_migrations_of(service),
        applied=tuple(Revision(revision, oldest_code) for revision, oldest_code in applied),
        collation=Collation(*collation),
    )


def _connected(
    url: str, application_name: str, *, autocommit: bool = False
) -> psycopg.Connection[Any]:
    return psycopg.connect(
        parse(url).conninfo(
            application_name=application_name, connect_timeout=MIN_CONNECT_SECONDS, **TCP_OPTIONS
        ),
        autocommit=autocommit,
    )


def migrate_to(owner_url: str, service: str, revision: str = "head") -> None:
    """Brings the schema up to a revision; others that migrate are waited for."""
    engine = create_engine(
        f"{DRIVER}://",
        creator=lambda: _connected(owner_url, f"{service} migration"),
        poolclass=pool.NullPool,
    )
    config = _config(service)
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
        connection.execute(
            text("SELECT pg_advisory_lock(:key)"), {"key": zlib.crc32(service.encode())}
        )
        connection.execute(text(f"SET lock_timeout = '{TABLE_LOCK_TIMEOUT_SECONDS}s'"))
        _begin_record(connection, _known(config))
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


def _begin_record(connection: Connection, known: Sequence[Revision]) -> None:
    """Makes the table of what was applied; a database from before it gets what Alembic knows."""
    connection.execute(text(_TABLE))
    reached = MigrationContext.configure(connection).get_current_revision() or ""
    for migration in known:
        if migration.revision <= reached:
            _record(connection, migration)


def _record(connection: Connection, migration: Revision) -> None:
    connection.execute(
        text(_RECORD),
        {"revision": migration.revision, "oldest_code": migration.oldest_code},
    )


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder_of(service) / "migrations"))
    return config


@cache
def _migrations_of(service: str) -> tuple[Revision, ...]:
    """Those of this code, which stay the same while it runs."""
    return tuple(_known(_config(service)))


def _known(config: Config) -> list[Revision]:
    """The migrations of a folder, the oldest first."""
    walked = ScriptDirectory.from_config(config).walk_revisions()
    return sorted((_revision_of(script) for script in walked), key=lambda known: known.revision)


def _revision_of(script: Script) -> Revision:
    return Revision(
        script.revision, getattr(script.module, "oldest_code", script.revision), script.doc
    )


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"there is no package {package}")
    return Path(next(iter(spec.submodule_search_locations)))


def run_environment() -> None:
    """What each `migrations/env.py` calls: runs the migrations on the given connection."""
    connection: Connection = context.config.attributes["connection"]

    def record(ctx: Any, step: MigrationInfo, heads: Any, run_args: Any) -> None:  # noqa: ARG001
        """Called by Alembic in the migration's own transaction."""
        _record(connection, _revision_of(cast("Script", step.up_revision)))

    context.configure(
        connection=connection, transaction_per_migration=True, on_version_apply=record
    )
    with context.begin_transaction():
        context.run_migrations()


def sql_beside(path: Path) -> str:
    """The text of a migration's SQL file, which stands beside it with the same stem."""
    return path.with_suffix(".sql").read_text(encoding="utf-8")
