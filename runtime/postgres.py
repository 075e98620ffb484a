"""Connections to PostgreSQL, each in the role with the least rights that does the work."""

import asyncio
import importlib
from typing import Any, cast

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from runtime.config import DatabaseSettings, Environment
from runtime.database import INCARNATION, Database
from runtime.engine import ShieldedEngine
from runtime.pool_check import check_when_in_doubt
from runtime.read_settings import SettingsError
from runtime.session import Session
from runtime.statement_tracing import trace_statements

DRIVER = "postgresql+psycopg"
POOL_TIMEOUT_SECONDS = 5.0
# What a call that was cut off may still do: one that a client gave up, or that a stop cancelled.
CLOSE_TIMEOUT_SECONDS = 5.0
_CLOSE_LOOKS = 500
# By name, and only when it is needed: no service imports the sandbox, and an image of services
# alone does without it. The module has `database_url(name)`, which starts what is not running.
EMBEDDED_SERVER_MODULE = "sandbox.embedded_postgres"


class NoDatabaseError(SettingsError):
    """No database is set, and there is none to fall back on; the message says what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem])


def create_engine(
    database: Database | str, *, role: str | None, pool_size: int, application_name: str
) -> ShieldedEngine:
    """A bounded pool whose connections act as `role`; every statement is traced."""
    opened = Database.of(database)

    async def connect(*_of_the_dialect: Any, **_of_the_url: Any) -> Session:
        return await opened.connect(role=role, application_name=application_name, autocommit=False)

    engine = ShieldedEngine(
        create_async_engine(
            URL.create(DRIVER, database=opened.name),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            hide_parameters=True,
            connect_args={"async_creator_fn": connect},
        ).sync_engine
    )
    check_when_in_doubt(engine.sync_engine)
    trace_statements(engine.sync_engine)
    return engine


async def close_engine(engine: AsyncEngine, timeout_seconds: float = CLOSE_TIMEOUT_SECONDS) -> None:
    """Closes the pool once nobody has a connection of it, or after a while.

    One that came back later would go to a pool that is gone, and stay open.
    """
    pool = cast("QueuePool", engine.pool)
    for _ in range(_CLOSE_LOOKS):
        if not pool.checkedout():
            break
        await asyncio.sleep(timeout_seconds / _CLOSE_LOOKS)
    await engine.dispose()


async def database_urls(settings: DatabaseSettings) -> tuple[str, str]:
    """The service's login and the owner's; in the sandbox, where none may be set, the embedded one.

    Raises `NoDatabaseError`.
    """
    if settings.database_url is None:
        url = await asyncio.to_thread(_embedded_url, settings)
        return url, url
    owner_url = settings.owner_url
    assert owner_url is not None, "it falls back to the service's login"
    return settings.database_url.get_secret_value(), owner_url.get_secret_value()


def _embedded_url(settings: DatabaseSettings) -> str:
    variable = f"{settings.service_name.upper()}_DATABASE_URL"
    if settings.env is not Environment.SANDBOX:
        raise NoDatabaseError(f"ENV={settings.env} needs {variable} or {variable}_FILE")
    try:
        embedded = importlib.import_module(EMBEDDED_SERVER_MODULE)
    except ModuleNotFoundError as error:
        raise NoDatabaseError(
            f"no database: set {variable}, or run where the package `sandbox` is, which brings one"
        ) from error
    url: str = embedded.database_url(settings.service_name)
    return url


async def ping(engine: AsyncEngine) -> None:
    """Raises unless the database answers."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def database_incarnation(connection: AsyncConnection) -> str:
    """Another text after a failover, a restore or a restart of the server: commits may be gone."""
    return str((await connection.execute(text(INCARNATION))).scalar_one())
