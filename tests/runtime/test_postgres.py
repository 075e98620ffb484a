"""Connections and migrations on a real server."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime.config import Environment, ServiceSettings
from runtime.database import Database
from runtime.migrations import migrate
from runtime.postgres import (
    NoDatabaseError,
    close_engine,
    create_engine,
    database_urls,
    ping,
)

SAMPLE = "tests.runtime.sample"


async def test_connections_act_in_the_role_they_are_given(
    new_database: Callable[[str], str],
) -> None:
    url = new_database("sample")
    await migrate(url, SAMPLE)
    engine = create_engine(url, role="runtime_sample", pool_size=1, application_name="test")
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO thing VALUES ('a')"))
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM thing"))
    await engine.dispose()
    own = await Database(url).connect(role="runtime_sample", application_name="test")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await own.execute("DROP TABLE thing")
    await own.close()


async def test_ping_raises_when_the_database_is_gone(postgres_url: str) -> None:
    engine = create_engine(postgres_url, role=None, pool_size=1, application_name="test")
    await ping(engine)
    await engine.dispose()
    gone = create_engine(
        "postgresql://nobody@127.0.0.1:1/none", role=None, pool_size=1, application_name="test"
    )
    with pytest.raises(Exception, match="refused"):
        await ping(gone)
    await gone.dispose()


async def test_a_connection_in_use_comes_back_before_the_engine_is_closed(
    postgres_url: str,
) -> None:
    engine = create_engine(postgres_url, role=None, pool_size=1, application_name="test")
    came_back = told_of_returns(engine)
    begun = asyncio.Event()

    async def last_call() -> None:
        async with engine.connect() as connection:
            begun.set()
            await connection.execute(text("SELECT pg_sleep(0.2)"))

    last = asyncio.create_task(last_call())
    await begun.wait()
    await close_engine(engine)
    assert len(came_back) == 1
    await last


async def test_who_keeps_a_connection_does_not_keep_the_engine_open(
    postgres_url: str,
) -> None:
    engine = create_engine(postgres_url, role=None, pool_size=1, application_name="test")
    came_back = told_of_returns(engine)
    async with engine.connect() as connection:
        await close_engine(engine, timeout_seconds=0.05)
        assert came_back == []
        await connection.invalidate()


def told_of_returns(engine: AsyncEngine) -> list[object]:
    """Grows by each connection that comes back to the pool."""
    returned: list[object] = []
    event.listen(engine.sync_engine, "checkin", lambda connection, _: returned.append(connection))
    return returned


class SampleSettings(ServiceSettings):
    """A service that speaks mutual TLS, as every one does outside the sandbox."""

    service_name = "sample"
    listen_address: str = "127.0.0.1:0"
    http_address: str = "127.0.0.1:0"
    tls_certificate_file: Path | None = Path("sample.crt")
    tls_key_file: Path | None = Path("sample.key")
    tls_ca_file: Path | None = Path("ca.crt")


@pytest.mark.parametrize("env", [Environment.STAGING, Environment.PRODUCTION])
async def test_outside_the_sandbox_a_database_url_is_required(env: Environment) -> None:
    with pytest.raises(NoDatabaseError, match=f"ENV={env} needs SAMPLE_DATABASE_URL"):
        await database_urls(SampleSettings(env=env))
    url = "postgresql://a@b/c?sslmode=verify-full"
    given = SampleSettings(env=env, database_url=SecretStr(url))
    assert await database_urls(given) == (url,) * 2
