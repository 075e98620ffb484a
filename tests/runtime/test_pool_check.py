"""The engine's pool on a real server: what has died is not lent, and the living are not asked."""

import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime import session as session_module
from runtime.pool_check import check_when_in_doubt
from runtime.postgres import create_engine


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(postgres_url, role=None, pool_size=2, application_name="pool-check")
    yield engine
    await engine.dispose()


@pytest.fixture
def pings(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a connection was asked whether it lives."""
    asked: list[float] = []
    ping = engine.sync_engine.dialect.do_ping

    def count(connection: Any) -> bool:
        asked.append(time.monotonic())
        return ping(connection)

    monkeypatch.setattr(engine.sync_engine.dialect, "do_ping", count)
    return asked


async def backend(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


def kill_all(postgres_url: str) -> None:
    """Ends the engine's backends, and waits until they have gone."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE application_name = 'pool-check'"
        )


async def test_a_connection_in_use_is_lent_without_asking(
    engine: AsyncEngine, pings: list[float]
) -> None:
    assert len({await backend(engine) for _ in range(5)}) == 1
    assert pings == []


async def test_connections_that_the_server_ended_are_replaced(
    engine: AsyncEngine, postgres_url: str, pings: list[float]
) -> None:
    async with engine.connect(), engine.connect():
        pass
    before = await backend(engine)
    kill_all(postgres_url)
    assert await backend(engine) != before
    assert len(pings) == 1, "one dead connection is enough to drop the others"


async def test_what_was_idle_for_long_is_asked(engine: AsyncEngine, pings: list[float]) -> None:
    check_when_in_doubt(engine.sync_engine, ping_after_idle_seconds=0.0)
    before = await backend(engine)
    assert not pings, "it was only just made"
    assert await backend(engine) == before
    assert len(pings) == 1


async def test_a_connection_that_was_closed_on_our_side_is_replaced(engine: AsyncEngine) -> None:
    closed: list[Any] = []
    event.listen(engine.sync_engine, "checkin", lambda connection, _: closed.append(connection))
    before = await backend(engine)
    await closed[0].driver_connection.close()
    assert await backend(engine) != before


async def test_plans_are_made_anew_when_tables_may_have_grown(
    engine: AsyncEngine, pings: list[float]
) -> None:
    before = await backend(engine)
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        session: Any = raw.driver_connection
        session.opened -= session_module.FIRST_PLANS_SECONDS
        assert session.plans_are_old()
    assert await backend(engine) == before
    assert not session.plans_are_old()
    assert not pings, "the server has been heard"


@pytest.mark.parametrize(
    ("opened_ago", "made_ago", "old"),
    [
        (0.5, None, False),
        (1.5, None, True),
        # Then after twice as long each time.
        (3.0, 1.4, False),
        (3.0, 1.6, True),
        (40.0, 19.0, False),
        (40.0, 21.0, True),
        # And never later than this.
        (9_000.0, 59.0, False),
        (9_000.0, 61.0, True),
    ],
)
async def test_how_old_plans_get(
    engine: AsyncEngine, opened_ago: float, made_ago: float | None, old: bool
) -> None:
    async with engine.connect() as connection:
        session: Any = (await connection.get_raw_connection()).driver_connection
        now = time.monotonic()
        session.opened = now - opened_ago
        if made_ago is not None:
            session._plans_made = now - made_ago
        assert session.plans_are_old() == old
