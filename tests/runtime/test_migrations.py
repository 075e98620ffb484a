"""Migrations: applied once, recorded with what code runs on them, and only by who may."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import psycopg
import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from runtime import migrations
from runtime.config import DatabaseSettings, Environment
from runtime.migrations import (
    Collation,
    Revision,
    SchemaError,
    Standing,
    migrate,
    prepare_database,
    standing,
)
from runtime.startup import StartupError

SAMPLE = "tests.runtime.sample"
NewDatabase = Callable[[str], str]


class SampleSettings(DatabaseSettings):
    model_config = SettingsConfigDict(env_prefix="SAMPLE_")
    service_name: ClassVar[str] = SAMPLE


def serving(url: str) -> SampleSettings:
    """As outside the sandbox, without the owner's login."""
    return SampleSettings(env=Environment.STAGING, database_url=SecretStr(url))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        yield connection


async def applied_later(url: str, oldest_code: str) -> None:
    """What a later release's migration leaves behind."""
    async with connected(url) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '0002'")
        await connection.execute(
            "INSERT INTO schema_revision (revision, oldest_code) VALUES ('0002', %s)", [oldest_code]
        )


async def test_replicas_that_start_at_once_migrate_once(new_database: NewDatabase) -> None:
    url = new_database("sample")
    await asyncio.gather(*(migrate(url, SAMPLE) for _ in range(3)))
    before = await migrate(url, SAMPLE)
    assert before.pending == ()
    async with connected(url) as connection:
        versions = await connection.execute("SELECT version_num FROM alembic_version")
        assert await versions.fetchall() == [("0001",)]
        recorded = await connection.execute("SELECT revision, oldest_code FROM schema_revision")
        assert await recorded.fetchall() == [("0001", "0001")]


async def test_a_database_from_before_the_record_gets_one(new_database: NewDatabase) -> None:
    url = new_database("sample")
    await migrate(url, SAMPLE)
    async with connected(url) as connection:
        await connection.execute("DROP TABLE schema_revision")
        await connection.execute("INSERT INTO thing VALUES ('kept')")
    with pytest.raises(SchemaError, match=f"run python -m {SAMPLE} migrate"):
        await prepare_database(serving(url))
    await migrate(url, SAMPLE)
    assert await prepare_database(serving(url)) == url
    async with connected(url) as connection:
        kept = await connection.execute("SELECT count(*) FROM thing")
        assert await kept.fetchone() == (1,)


async def test_who_only_serves_changes_nothing(new_database: NewDatabase) -> None:
    url = new_database("sample")
    with pytest.raises(SchemaError, match="has revision none, and this code needs 0001"):
        await prepare_database(serving(url))
    async with connected(url) as connection:
        found = await connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname='public'")
        assert await found.fetchone() == (0,)


@pytest.mark.parametrize(
    ("fields", "migrates"),
    [
        ({"env": "sandbox"}, True),
        ({"env": "staging"}, False),
        ({"env": "production"}, False),
        ({"env": "production", "owner_database_url": "postgresql://o@/d"}, True),
    ],
)
def test_the_owners_login_lets_a_service_migrate(fields: dict[str, Any], migrates: bool) -> None:
    settings = SampleSettings(database_url=SecretStr("postgresql://s@/d"), **fields)
    assert settings.migrates_at_start is migrates


async def test_with_the_owners_login_a_start_migrates(new_database: NewDatabase) -> None:
    url = new_database("sample")
    settings = SampleSettings(
        env=Environment.PRODUCTION, database_url=SecretStr(url), owner_database_url=SecretStr(url)
    )
    assert await prepare_database(settings) == url
    assert (await standing(url, SAMPLE)).newest == "0001"


async def test_code_starts_on_a_newer_schema_that_allows_it(new_database: NewDatabase) -> None:
    url = new_database("sample")
    await migrate(url, SAMPLE)
    await applied_later(url, oldest_code="0001")
    assert await prepare_database(serving(url)) == url
    sandbox = SampleSettings(env=Environment.SANDBOX, database_url=SecretStr(url))
    assert await prepare_database(sandbox) == url
    assert (await migrate(url, SAMPLE)).pending == ()


async def test_code_does_not_start_on_a_schema_that_needs_later_code(
    new_database: NewDatabase,
) -> None:
    url = new_database("sample")
    await migrate(url, SAMPLE)
    await applied_later(url, oldest_code="0002")
    told = "has revision 0002, which needs the code of 0002 or later; this is the code of 0001"
    with pytest.raises(SchemaError, match=told):
        await prepare_database(serving(url))
    with pytest.raises(SchemaError, match=told):
        await migrate(url, SAMPLE)


@pytest.mark.parametrize(
    ("later", "starts"),
    [
        ([], True),
        (["0002"], True),
        # One that adds, and one that adds again for the release after.
        (["0002", "0002"], True),
        (["0002", "0003"], False),
        # What one of them needs stays needed.
        (["0003", "0002"], False),
    ],
)
def test_each_later_revision_has_its_say(later: list[str], starts: bool) -> None:
    known = (Revision("0001", "0001"), Revision("0002", "0001"))
    unknown = [Revision(f"{3 + place:04}", oldest) for place, oldest in enumerate(later)]
    found = Standing(SAMPLE, known, (*known, *unknown))
    if starts:
        found.check_served()
    else:
        with pytest.raises(SchemaError, match="start a newer version"):
            found.check_served()


@pytest.mark.parametrize("table", ["alembic_version", "schema_revision"])
async def test_a_lock_that_cannot_be_had_is_given_up(
    table: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody who comes to the table queues behind a migration that waits for it."""
    monkeypatch.setattr(migrations, "TABLE_LOCK_TIMEOUT_SECONDS", 0.05)
    url = new_database("sample")
    await migrate(url, SAMPLE)
    settings = SampleSettings(database_url=SecretStr(url))
    async with connected(url) as holder:
        await holder.execute("DELETE FROM schema_revision")
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            with pytest.raises(StartupError, match="canceling statement due to lock timeout"):
                await prepare_database(settings)
    assert await prepare_database(settings) == url


@pytest.mark.parametrize(
    ("recorded", "actual", "serves"),
    [
        (None, None, True),  # C, or another that nothing changes
        ("2.36", "2.36", True),
        ("2.36", "2.41", False),
        ("2.36", None, False),
        (None, "2.36", True),  # Not recorded before PostgreSQL 15; the server says nothing either.
    ],
)
def test_indexes_in_another_order_than_the_locales_are_not_served(
    recorded: str | None, actual: str | None, *, serves: bool
) -> None:
    known = (Revision("0001", "0001"),)
    found = Standing(SAMPLE, known, known, Collation("shop", recorded, actual))
    if serves:
        found.check_served()
    else:
        with pytest.raises(SchemaError, match="REINDEX DATABASE"):
            found.check_served()


async def test_a_locale_that_sorts_otherwise_keeps_everybody_from_starting(
    new_database: NewDatabase,
) -> None:
    """After an upgrade of the operating system: a row may be there and not be found by its key."""
    url = new_database("sample")
    await migrate(url, SAMPLE)
    async with connected(url) as connection:
        # As the server records it; only a superuser may. C has no version of its own.
        await connection.execute(
            "UPDATE pg_database SET datcollversion = '2.36' WHERE datname = current_database()"
        )
    owner = SampleSettings(
        env=Environment.STAGING, database_url=SecretStr(url), owner_database_url=SecretStr(url)
    )
    for settings in (serving(url), owner):
        with pytest.raises(StartupError, match=r"2\.36.* REFRESH COLLATION VERSION"):
            await prepare_database(settings)
    # Which is what the operator has to run; the server does it for a version it has.
    async with connected(url) as connection:
        await connection.execute(
            "UPDATE pg_database SET datcollversion = NULL WHERE datname = current_database()"
        )
    assert await prepare_database(serving(url)) == url
