"""Schema migrations at start, by the owner, one process at a time.

A service keeps them in `<service>/migrations`: pure SQL files that Alembic puts in order.
"""

import asyncio
import importlib.util
import zlib
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, create_engine, pool, text

from runtime.logs import get_logger
from runtime.postgres import sqlalchemy_url

LOCK_TIMEOUT_SECONDS = 60

log = get_logger(__name__)


async def migrate(owner_url: str, service: str) -> None:
    """Brings the database of `service` to its newest schema. Idempotent; replicas may race."""
    await asyncio.to_thread(_migrate, owner_url, service)


def _migrate(owner_url: str, service: str) -> None:
    engine = create_engine(sqlalchemy_url(owner_url), poolclass=pool.NullPool)
    config = Config()
    config.set_main_option("script_location", str(_folder_of(service) / "migrations"))
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
        connection.execute(
            text("SELECT pg_advisory_lock(:key)"), {"key": zlib.crc32(service.encode())}
        )
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()
    log.info("migrated", database_of=service)


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"there is no package {package}")
    return Path(next(iter(spec.submodule_search_locations)))


def run_environment() -> None:
    """What each `migrations/env.py` calls: runs the migrations on the given connection."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def sql_beside(path: Path) -> str:
    """The text of a migration's SQL file, which stands beside it with the same stem."""
    return path.with_suffix(".sql").read_text(encoding="utf-8")
