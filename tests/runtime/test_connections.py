"""The pool of plain connections: what it lends lives, and nothing is lost by who leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import psycopg
import pytest

from runtime import connections as pool
from runtime.connections import Connections
from runtime.database_errors import NoConnectionError

SIZE = 2
NAME = "plain-pool"


@pytest.fixture
async def connections(postgres_url: str) -> AsyncIterator[Connections]:
    opened = Connections(postgres_url, role="postgres", size=SIZE, application_name=NAME)
    yield opened
    await opened.close()


async def backend(connections: Connections) -> int:
    [(pid,)] = await connections.fetch("SELECT pg_backend_pid()")
    return int(pid)


def kill_all(postgres_url: str) -> None:
    """Ends the pool's backends, and waits until they have gone."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE application_name = %s",
            [NAME],
        )


async def borrow_all(connections: Connections) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(SIZE):
            await stack.enter_async_context(connections.borrow())


async def test_a_connection_is_lent_again(connections: Connections) -> None:
    assert await backend(connections) == await backend(connections)


async def test_what_has_died_while_idle_is_not_lent(
    connections: Connections, postgres_url: str
) -> None:
    await borrow_all(connections)
    kill_all(postgres_url)
    for _ in range(SIZE):
        async with connections.borrow() as connection:
            await connection.execute("SELECT 1")


async def test_what_broke_in_use_is_replaced(connections: Connections, postgres_url: str) -> None:
    before = await backend(connections)
    async with connections.borrow() as connection:
        kill_all(postgres_url)
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
    assert await backend(connections) != before


async def test_a_caller_that_is_cancelled_loses_no_connection(connections: Connections) -> None:
    for _ in range(SIZE + 1):
        caller = asyncio.create_task(connections.fetch("SELECT pg_sleep(600)"))
        await asyncio.sleep(0.01)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await borrow_all(connections)


async def test_what_comes_back_within_a_transaction_is_not_lent(connections: Connections) -> None:
    async with connections.borrow() as connection:
        await connection.execute("BEGIN")
        before = connection.info.backend_pid
    assert await backend(connections) != before


async def test_what_is_old_is_replaced(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await backend(connections)
    monkeypatch.setattr(pool, "MAX_AGE_SECONDS", 0.0)
    # It is looked at when it comes back.
    assert await backend(connections) == before
    assert await backend(connections) != before


async def test_who_finds_none_free_is_told_so_in_time(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "POOL_TIMEOUT_SECONDS", 0.01)
    async with connections.borrow(), connections.borrow():
        with pytest.raises(NoConnectionError, match=NAME):
            await backend(connections)
    assert await backend(connections)


async def test_settings_and_adapters_are_of_each_connection(postgres_url: str) -> None:
    prepared: list[int] = []
    given = Connections(
        postgres_url,
        role="postgres",
        size=SIZE,
        application_name=NAME,
        session_settings={"lock_timeout": "7s"},
        prepare=lambda connection: prepared.append(connection.info.backend_pid),
    )
    async with given.borrow() as one, given.borrow() as other:
        for connection in (one, other):
            cursor = await connection.execute("SHOW lock_timeout")
            assert await cursor.fetchone() == ("7s",)
        assert prepared == [one.info.backend_pid, other.info.backend_pid]
    await given.close()


async def test_closing_waits_for_what_is_lent(connections: Connections) -> None:
    lent, may_end = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with connections.borrow() as connection:
            lent.set()
            await may_end.wait()
            await connection.execute("SELECT 1")

    user = asyncio.create_task(use())
    await lent.wait()
    closing = asyncio.create_task(connections.close())
    await asyncio.sleep(0)
    assert not closing.done()
    may_end.set()
    await asyncio.gather(user, closing)


async def test_who_keeps_one_does_not_keep_the_pool_open(
    connections: Connections, new_database: Callable[[str], str]
) -> None:
    url = new_database("sample")
    own = Connections(url, role="postgres", size=1, application_name=NAME)
    async with own.borrow() as connection:
        await own.close(timeout_seconds=0.01)
        await connection.execute("SELECT 1")
    assert connection.closed
