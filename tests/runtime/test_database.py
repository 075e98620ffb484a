"""What becomes of sessions when a server freezes, another takes over, or commits stand."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from runtime.connections import Connections
from runtime.database import Database, DatabaseStallsError
from runtime.database_errors import DATABASE_IS_GONE, DatabaseDownError, SessionLeftError
from runtime.database_limits import DatabaseLimits
from runtime.notifications import Listener
from runtime.notifier import Notifier
from runtime.postgres import close_engine, create_engine, ping
from runtime.tasks import cancel
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.polling import poll
from tests.standbys import Pair, no_standby, pair, waiting_commits

CHANNEL = "news"
ALLOW = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair() as both:
        yield both


@asynccontextmanager
async def watched(url: str, limits: DatabaseLimits | None = None) -> AsyncIterator[Database]:
    database = Database(url, limits)
    watch = asyncio.create_task(database.loop().run())
    try:
        await database.check()
        yield database
    finally:
        await cancel(watch)


async def state(database: Database) -> str:
    try:
        await database.check()
    except DatabaseStallsError as error:
        return str(error)
    return "well"


async def test_a_frozen_primary_is_left_for_the_new_one(servers: Pair) -> None:
    url = servers.url("postgres")
    servers.wait_for_second()
    with psycopg.connect(servers.first.server_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE thing (number int)")
    heard = Notifier()
    async with watched(url) as database:
        listener = Listener(database, role=None, notifiers={CHANNEL: heard}, name="listener")
        listening = asyncio.create_task(listener.run())
        engine = create_engine(database, role=None, pool_size=2, application_name="engine")
        plain = Connections(database, role="postgres", size=2, application_name="plain")
        await listener.listening.wait()

        async def write() -> None:
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO thing VALUES (1)"))

        async def write_plain() -> None:
            async with plain.borrow() as connection:
                await connection.execute("INSERT INTO thing VALUES (2)")

        await write()
        await write_plain()

        servers.freeze_first()
        frozen = time.monotonic()
        under_way = [asyncio.create_task(one()) for one in (write, write_plain)]
        await poll(lambda: state(database), lambda found: found != "well")
        assert time.monotonic() - frozen < 5
        # What was under way fails as when a connection is lost, and what comes next at once.
        for result in await asyncio.gather(*under_way, return_exceptions=True):
            assert isinstance(result, DATABASE_IS_GONE)
        with pytest.raises(DatabaseDownError):
            await write_plain()
        assert await state(database) == "cannot be reached"

        token = heard.token()
        await asyncio.to_thread(servers.promote_second)
        promoted = time.monotonic()
        await poll(lambda: state(database), lambda found: found == "well")
        await asyncio.gather(write(), write_plain())
        assert time.monotonic() - promoted < 5
        await asyncio.wait_for(token.wait(), 5)
        await cancel(listening)
        await close_engine(engine)
        await plain.close()


async def test_while_commits_stand_it_is_not_well_and_nothing_is_left(
    own_server: EmbeddedPostgres, own_database: str
) -> None:
    async with watched(own_database) as database:
        plain = Connections(database, role="postgres", size=1, application_name="plain")

        async def write() -> None:
            async with plain.borrow() as connection:
                await connection.execute("CREATE TABLE thing (number int)")

        with no_standby(own_server.server_url):
            caller = asyncio.create_task(write())
            await poll(lambda: state(database), lambda found: found == "commits stand")
            assert not caller.done()
            # The caller's and one of the watch, however often it looks for another server.
            assert waiting_commits(own_server.server_url) == 2
        await caller
        await poll(lambda: state(database), lambda found: found == "well")
        await plain.close()


async def test_a_session_that_gets_no_answer_is_left_while_others_do(postgres_url: str) -> None:
    """As when a network forgets one connection of many."""
    async with watched(postgres_url, DatabaseLimits(answer_seconds=0.5)) as database:
        plain = Connections(database, role="postgres", size=2, application_name="plain")
        listener = Listener(database, role=None, notifiers={CHANNEL: Notifier()}, name="listener")
        listening = asyncio.create_task(listener.run())
        await listener.listening.wait()
        async with plain.borrow() as connection:
            backend = connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            try:
                with pytest.raises(SessionLeftError):
                    await connection.execute("SELECT 1")
            finally:
                os.kill(backend, signal.SIGCONT)
        assert await state(database) == "well"
        await plain.fetch("SELECT 1")
        # It waits for notifications, not for an answer.
        assert listener.listening.is_set()
        await cancel(listening)
        await plain.close()


async def test_the_watch_leaves_a_session_of_its_own_that_gets_no_answer(
    postgres_url: str, new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.database.PATIENCE_SECONDS", 1.5)
    url = new_database("sample")
    async with watched(url, DatabaseLimits(stall_seconds=0.5)) as database:
        with psycopg.connect(postgres_url) as other:
            row = other.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE application_name = 'watch' AND datname = %s",
                [database.name],
            ).fetchone()
        assert row is not None
        os.kill(row[0], signal.SIGSTOP)
        try:
            await poll(lambda: state(database), lambda found: found == "commits stand")
            await poll(lambda: state(database), lambda found: found == "well")
        finally:
            os.kill(row[0], signal.SIGCONT)


async def test_pools_are_back_as_soon_as_the_database_is(
    postgres_url: str, new_database: Callable[[str], str]
) -> None:
    """Not after as long again as it was away, as pools that back off by themselves."""
    url = new_database("sample")
    name = str(conninfo_to_dict(url)["dbname"])
    async with watched(url) as database:
        engine = create_engine(database, role=None, pool_size=2, application_name="engine")
        plain = Connections(database, role="postgres", size=2, application_name="plain")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            for _ in range(2):
                await asyncio.gather(plain.fetch("SELECT 1"), ping(engine))
                other.execute(sql.SQL(ALLOW).format(sql.Identifier(name), sql.SQL("FALSE")))
                other.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = %s",
                    [name],
                )
                await poll(lambda: state(database), lambda found: found == "cannot be reached")
                await asyncio.gather(
                    *(
                        refused_at_once(call)
                        for _ in range(20)
                        for call in (plain.fetch("SELECT 1"), ping(engine))
                    )
                )
                other.execute(sql.SQL(ALLOW).format(sql.Identifier(name), sql.SQL("TRUE")))
                allowed = time.monotonic()
                await poll(lambda: state(database), lambda found: found == "well")
                assert time.monotonic() - allowed < 2
        await close_engine(engine)
        await plain.close()


async def test_who_is_not_watched_finds_out_by_trying() -> None:
    """A command has no watch: nobody would tell it that its database is back."""
    database = Database("postgresql://u@127.0.0.1:1/d")
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError, match="refused"):
            await database.connect(role=None, application_name="test")


async def test_a_database_that_refuses_commits_is_not_well(
    new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose disk is full."""
    refused = "DO $$ BEGIN RAISE 'No space left on device' USING ERRCODE = 'disk_full'; END $$"
    async with watched(new_database("sample")) as database:
        with monkeypatch.context() as full:
            full.setattr("runtime.database.SMALL_COMMIT", refused)
            await poll(lambda: state(database), lambda found: found == "commits fail: DiskFull")
        await poll(lambda: state(database), lambda found: found == "well")


async def refused_at_once(call: Awaitable[object]) -> None:
    started = time.monotonic()
    with pytest.raises(DATABASE_IS_GONE):
        await call
    assert time.monotonic() - started < 1
