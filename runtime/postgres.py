"""Connections to PostgreSQL, each in the role with the least rights that does the work."""

import asyncio
import importlib
from typing import Any, cast

import psycopg
import psycopg.conninfo
from sqlalchemy import exc, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from runtime.config import DatabaseSettings, Environment, SettingsError
from runtime.engine import ShieldedEngine
from runtime.pool_check import check_when_in_doubt
from runtime.session import NOTICE_MS, Session
from runtime.statement_tracing import trace_statements

# How a database is away, or does not get to answering. Errors of SQL or data are not among these.
DATABASE_IS_GONE: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    exc.OperationalError,
    exc.InterfaceError,
    # No connection of the pool got free.
    exc.TimeoutError,
)
CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 5.0
# What a call that was cut off may still do: one that a client gave up, or that a stop cancelled.
CLOSE_TIMEOUT_SECONDS = 5.0
_CLOSE_LOOKS = 500
# By name, and only when it is needed: no service imports the sandbox, and an image of services
# alone does without it. The module has `database_url(name)`, which starts what is not running.
EMBEDDED_SERVER_MODULE = "sandbox.embedded_postgres"
# A dead peer is noticed in about 15 s: TCP's own default is two hours.
TCP_OPTIONS = {
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",
}


class NoDatabaseError(SettingsError):
    """No database is set, and there is none to fall back on; the message says what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem])


def create_engine(
    url: str, *, role: str | None, pool_size: int, application_name: str
) -> AsyncEngine:
    """A bounded pool whose connections act as `role`; every statement is traced."""
    engine = ShieldedEngine(
        create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            hide_parameters=True,
            connect_args={
                **connection_arguments(role, application_name),
                "async_creator_fn": Session.connect,
            },
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


async def connect(
    url: str, *, role: str | None, application_name: str, autocommit: bool = True
) -> Session:
    """A connection of one's own: to listen on, or to commit on."""
    return await Session.connect(
        psycopg.conninfo.make_conninfo(url, **connection_arguments(role, application_name)),
        autocommit=autocommit,
    )


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


_INCARNATION = text(
    "SELECT pg_postmaster_start_time() || ' ' || oid FROM pg_database"
    " WHERE datname = current_database()"
)


async def database_incarnation(connection: AsyncConnection) -> str:
    """Another text after a failover, a restore or a restart of the server: commits may be gone."""
    return str((await connection.execute(_INCARNATION)).scalar_one())


def sqlalchemy_url(url: str) -> URL:
    """A `postgresql://` URL with the driver that we use."""
    return make_url(url).set(drivername="postgresql+psycopg")


def connection_arguments(role: str | None, application_name: str) -> dict[str, Any]:
    options = f"-c timezone=UTC -c client_connection_check_interval={NOTICE_MS}"
    if role is not None:
        options += f" -c role={role}"
    return {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "options": options,
        **TCP_OPTIONS,
    }
