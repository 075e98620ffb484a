"""A COMMIT that waits for a standby: whoever leaves, the server goes on waiting for it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime.connections import Connections
from runtime.postgres import close_engine, create_engine
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.polling import poll
from tests.standbys import no_standby, waiting_commits

INSERT = "INSERT INTO thing VALUES (1)"
Write = Callable[[AsyncEngine, Connections], Coroutine[Any, Any, None]]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url, role=None, pool_size=1, application_name="commits")
    try:
        yield engine
    finally:
        await close_engine(engine)


async def by_the_engine(engine: AsyncEngine, _plain: Connections) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(INSERT))


async def by_a_transaction(engine: AsyncEngine, _plain: Connections) -> None:
    async with engine.connect() as connection, connection.begin():
        await connection.execute(text(INSERT))


async def by_a_commit(engine: AsyncEngine, _plain: Connections) -> None:
    async with engine.connect() as connection:
        await connection.execute(text(INSERT))
        await connection.commit()


async def by_a_statement(_engine: AsyncEngine, plain: Connections) -> None:
    async with plain.borrow() as connection:
        await connection.execute(INSERT)


async def by_a_plain_transaction(_engine: AsyncEngine, plain: Connections) -> None:
    async with plain.borrow() as connection, connection.transaction():
        await connection.execute(INSERT)


@pytest.mark.parametrize(
    "write",
    [by_the_engine, by_a_transaction, by_a_commit, by_a_statement, by_a_plain_transaction],
)
async def test_a_caller_that_leaves_does_not_end_the_wait_of_its_commit(
    write: Write, own_server: EmbeddedPostgres, own_database: str
) -> None:
    url = own_database
    plain = Connections(url, role="postgres", size=1, application_name="commits")
    async with opened(url) as engine:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("CREATE TABLE thing (number int)")
            with no_standby(own_server.server_url):
                caller = asyncio.create_task(write(engine, plain))
                await poll(lambda: waiting(own_server.server_url), lambda count: count == 1)
                caller.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await caller
                assert waiting_commits(own_server.server_url) == 1
                assert rows(other) == 0
            await poll(lambda: asyncio.to_thread(rows, other), lambda count: count == 1)
    await plain.close()


async def test_a_connection_goes_back_to_its_pool_when_its_commit_is_done(
    own_server: EmbeddedPostgres, own_database: str
) -> None:
    """Else callers that leave would open ever more connections to a server that stands."""
    url = own_database
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE thing (number int)")
    async with opened(url) as engine:

        async def write() -> None:
            async with engine.begin() as connection:
                await connection.execute(text(INSERT))

        with no_standby(own_server.server_url):
            callers = [asyncio.create_task(write()) for _ in range(3)]
            await poll(lambda: waiting(own_server.server_url), lambda count: count == 1)
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)
            last = asyncio.create_task(write())
            await asyncio.sleep(0)
            assert waiting_commits(own_server.server_url) == 1
        await last
        async with engine.connect() as connection:
            count = (await connection.execute(text("SELECT count(*) FROM thing"))).scalar_one()
        assert count == 2


async def test_a_statement_whose_caller_has_left_ends_soon(postgres_url: str) -> None:
    """Nothing is cancelled at the server, which finds out by itself that nobody listens."""
    async with opened(postgres_url) as engine:

        async def read() -> None:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(600)"))

        caller = asyncio.create_task(read())
        await poll(lambda: sleeping(postgres_url), lambda count: count == 1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await poll(lambda: sleeping(postgres_url), lambda count: count == 0)


async def waiting(server_url: str) -> int:
    return await asyncio.to_thread(waiting_commits, server_url)


async def sleeping(server_url: str) -> int:
    def count() -> int:
        with psycopg.connect(server_url) as connection:
            found = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            row = connection.execute(found).fetchone()
        assert row is not None
        return int(row[0])

    return await asyncio.to_thread(count)


def rows(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM thing").fetchone()
    assert row is not None
    return int(row[0])


def test_no_service_connects_in_another_way() -> None:
    """What `runtime` opens is dropped when its caller is cancelled; the drivers' own is not."""
    root = Path(__file__).parents[2]
    others = re.compile(r"\b(create_async_engine|(psycopg|AsyncConnection)\.connect)\(")
    found = {
        str(path.relative_to(root))
        for package in ("compliance", "gateway", "ledger", "runtime")
        for path in (root / package).rglob("*.py")
        if others.search(path.read_text(encoding="utf-8"))
    }
    # Migrations have no callers, who could leave.
    assert found == {"runtime/migrations.py", "runtime/postgres.py"}
