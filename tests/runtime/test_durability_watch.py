"""What a process knows of two real servers, and what it refuses because of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import grpc
import psycopg
import pytest
from prometheus_client import REGISTRY

from runtime.config import Environment
from runtime.database import Database
from runtime.durability import Cause, Durability, History, Standbys, Statement
from runtime.durability_watch import DurabilityWatch, NotConfirmedError, NotSynchronousError
from runtime.errors import ReceivedError, from_rpc_error
from sandbox.polling import poll
from tests.freezing import freeze, thaw
from tests.runtime.echo import ECHO_RIGHTS, Echo, EchoSettings, pb, running_echo, services
from tests.runtime.test_durability import WHOLE
from tests.standbys import Pair, pair

SYNCHRONOUS = Statement(Durability.SYNCHRONOUS)
NO_NAMES = replace(WHOLE, standby_names="")
LOGIN = "CREATE ROLE watcher LOGIN NOINHERIT"
GRANT = "GRANT pg_read_all_stats TO watcher"


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair(durable=True) as both:
        yield both


@asynccontextmanager
async def watching(url: str, *, required: bool = False) -> AsyncIterator[Database]:
    database = Database(url, durability=DurabilityWatch(required=required))
    watch = asyncio.create_task(database.loop().run())
    try:
        await database.check()
        yield database
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def until(database: Database, durability: Durability, cause: Cause | None = None) -> None:
    wanted = Statement(durability, cause)

    async def now() -> Statement:
        database.durability.wanted.notify()
        return database.durability.statement

    await poll(now, lambda found: found == wanted)


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def position(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
        ).fetchone()
    assert row is not None
    return int(row[0])


def walsender_of(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_replication").fetchone()
    assert row is not None
    return int(row[0])


async def test_what_is_seen_of_a_primary_from_its_first_standby_to_its_end(servers: Pair) -> None:
    first = servers.first.server_url
    run(first, LOGIN)
    login = servers.url("postgres").replace("postgres@", "watcher@")
    async with watching(servers.url("postgres")) as all_seen, watching(login) as little_seen:
        await until(all_seen, Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED)
        # Settings may be read by everybody; how standbys stand may not.
        await until(little_seen, Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED)
        servers.wait_for_second()
        await until(all_seen, Durability.SYNCHRONOUS)
        await until(little_seen, Durability.UNKNOWN, Cause.STANDBYS_HIDDEN)
    run(first, GRANT)
    async with watching(login, required=True) as database:
        watch = database.durability
        await until(database, Durability.SYNCHRONOUS)
        assert REGISTRY.get_sample_value("database_durability", {"durability": "SYNCHRONOUS"}) == 1
        assert REGISTRY.get_sample_value("database_timeline") == 1
        await watch.confirm(watch.incarnation, position(first))
        with pytest.raises(NotConfirmedError):
            await watch.confirm("another server", position(first), seconds=0.05)

        # Commits of the login itself wait for nobody: its next connections say so at once.
        run(first, "ALTER ROLE watcher SET synchronous_commit = 'local'")
        session = await database.connect(role=None, application_name="pool")
        session.drop()
        assert watch.statement == Statement(Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_AWAITED)
        run(first, "ALTER ROLE watcher RESET synchronous_commit")
        await until(database, Durability.SYNCHRONOUS)

        # The standby stands: nothing beyond what it has is confirmed, and commits wait.
        stopped = freeze(walsender_of(first))
        try:
            with pytest.raises(NotConfirmedError):
                await watch.confirm(watch.incarnation, position(first) + 1_000, seconds=0.05)
        finally:
            thaw(stopped)
        await until(database, Durability.SYNCHRONOUS)

        servers.freeze_first()
        await asyncio.to_thread(servers.promote_second)
        await poll(_history_of(database), lambda found: found.timeline == 2)
        assert watch.before == SYNCHRONOUS
        # It was copied before a standby was named.
        assert not watch.statement.is_synchronous
        assert watch.refuses


def _history_of(database: Database) -> Callable[[], Awaitable[History]]:
    async def now() -> History:
        history = database.durability.history
        assert history is not None
        return history

    return now


def test_a_connection_to_another_server_unsays_what_was_seen_until_the_watch_has_looked() -> None:
    watch = DurabilityWatch(required=True)
    watch.connected("a", WHOLE)
    assert str(watch.statement) == "UNKNOWN: NOT_LOOKED_AT"
    watch.looked("a", WHOLE)
    assert not watch.refuses
    wanted = watch.wanted.token()
    watch.connected("b", replace(WHOLE, standbys=None, timeline=2))
    assert str(watch.statement) == "UNKNOWN: OTHER_SERVER"
    assert watch.refuses
    assert wanted.is_set()
    watch.looked("b", replace(WHOLE, timeline=2))
    assert not watch.refuses
    assert (watch.history, watch.before) == (History(7, 2), SYNCHRONOUS)


def test_a_connection_that_sees_no_standbys_tells_of_its_settings() -> None:
    watch = DurabilityWatch(required=True)
    watch.looked("a", WHOLE)
    watch.connected("a", replace(WHOLE, standbys=None, committed=None))
    assert not watch.refuses
    watch.connected("a", replace(WHOLE, standbys=None, synchronous_commit="off"))
    assert watch.statement.cause is Cause.COMMIT_NOT_AWAITED
    # What was said last of a history is what counts when there is another one.
    watch.looked("b", replace(WHOLE, timeline=2))
    assert watch.before == Statement(Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_AWAITED)


def test_a_server_in_recovery_writes_no_history() -> None:
    watch = DurabilityWatch()
    watch.looked("a", replace(WHOLE, in_recovery=True, timeline=0))
    assert watch.history is None
    assert not watch.refuses  # Nobody requires anything.


async def test_a_position_is_confirmed_by_a_look_that_comes_later() -> None:
    watch = DurabilityWatch(required=True)
    watch.looked("a", WHOLE)
    wanted = watch.wanted.token()
    waiting = asyncio.create_task(watch.confirm("a", 1_001))
    await wanted.wait()
    assert not waiting.done()
    watch.looked("a", replace(WHOLE, standbys=Standbys(1, 1_001)))
    await waiting


async def failure_of(call: object) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call  # type: ignore[misc]
    return from_rpc_error(refused.value)


async def test_writes_are_refused_and_reads_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoSettings, "rights", ECHO_RIGHTS)
    watch, servicer = DurabilityWatch(required=True), Echo()
    async with (
        running_echo(servicer=servicer, durability=watch) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = services.EchoServiceStub(channel)

        async def counted() -> list[int]:
            request = pb.CountRequest(up_to=1)
            return [answer.number async for answer in stub.Count(request)]

        # Nothing is served before it was seen once.
        assert await health(server.http_port) == (
            503,
            {
                "serving": False,
                "down": {"durability": "UNKNOWN: NOT_LOOKED_AT"},
                "durability": "UNKNOWN: NOT_LOOKED_AT",
            },
        )
        early = await failure_of(stub.Echo(pb.EchoRequest(request_id="a")))
        assert early.metadata == {"durability": "UNKNOWN", "cause": "NOT_LOOKED_AT"}
        watch.looked("a", WHOLE)
        await server.health.check_once()
        assert await health(server.http_port) == (
            200,
            {"serving": True, "down": {}, "durability": "SYNCHRONOUS"},
        )
        assert (await stub.Echo(pb.EchoRequest(request_id="a", text="a"))).text == "a"

        # What was begun before a look that speaks against it is not acknowledged, nor a failure.
        begun = asyncio.ensure_future(stub.Echo(pb.EchoRequest(request_id="b", text="wait")))
        await servicer.started.wait()
        watch.looked("a", NO_NAMES)
        servicer.release.set()
        for refused in (
            await failure_of(begun),
            await failure_of(stub.Echo(pb.EchoRequest(request_id="c", text="refuse"))),
            await failure_of(stub.Join(iter([pb.JoinRequest(text="c")]))),
        ):
            assert refused.code is grpc.StatusCode.UNAVAILABLE
            assert refused.reason == "PRIMARY_NOT_SYNCHRONOUS"
            assert refused.metadata == {"durability": "ASYNCHRONOUS", "cause": "NO_STANDBY_NAMED"}
            assert refused.retry_delay is not None
        assert await counted() == [0]
        await server.health.check_once()
        assert await health(server.http_port) == (
            200,
            {"serving": True, "down": {}, "durability": "ASYNCHRONOUS: NO_STANDBY_NAMED"},
        )
        watch.looked("a", WHOLE)
        kept = await failure_of(stub.Echo(pb.EchoRequest(request_id="c", text="refuse")))
        assert kept.reason == "OVERLOADED"


async def test_a_failure_that_a_look_has_overtaken_is_not_acknowledged() -> None:
    watch = DurabilityWatch(required=True)
    with pytest.raises(NotSynchronousError, match="UNKNOWN: NOT_LOOKED_AT"):
        watch.check()
    with pytest.raises(NotSynchronousError):
        await watch.check_begun()
    watch.looked("a", WHOLE)
    watch.check()
    watch.looked("a", NO_NAMES)
    with pytest.raises(NotSynchronousError, match="ASYNCHRONOUS: NO_STANDBY_NAMED"):
        watch.check()
    # Once begun, it is writes that are refused.
    await watch.check_begun()


async def health(port: int) -> tuple[int, object]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        return answer.status, json.loads(await answer.text())


class _Careful(EchoSettings):
    synchronous_in_production = True


@pytest.mark.parametrize("env", Environment)
@pytest.mark.parametrize("settings", [EchoSettings, _Careful])
@pytest.mark.parametrize("given", [None, False, True])
def test_production_of_what_keeps_money_requires_it_unless_told_by_name(
    settings: type[EchoSettings], env: Environment, given: bool | None
) -> None:
    tls = {f"tls_{name}_file": name for name in ("certificate", "key", "ca")}
    said = {} if given is None else {"require_synchronous": given}
    opened = settings(env=env, **tls, **said)  # type: ignore[arg-type]
    expected = settings is _Careful and env is Environment.PRODUCTION if given is None else given
    assert opened.require_synchronous is expected
    assert settings.variable("require_synchronous") == "ECHO_REQUIRE_SYNCHRONOUS"
