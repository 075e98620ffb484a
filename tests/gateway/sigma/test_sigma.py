"""Runs of scheduled queries against the Stripe twin: each told once, its file kept byte by byte,
and what went wrong told of."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import Row, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import FIRST, begin_epoch
from gateway.numbering import number_changes
from gateway.sigma import store
from gateway.sigma.fetching import AWAY, OVERLAP, PAGE_SIZE, SigmaRuns, SigmaTimes
from gateway.sigma.run import FIRST_PAUSE, FileState, file_of
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1 import sigma_service_pb2 as pb
from gateway.v1.sigma_pb2 import (
    SIGMA_FILE_STATE_KEPT,
    SIGMA_FILE_STATE_NONE,
    SIGMA_STATE_FAILED,
    SigmaRun,
)
from gateway.v1.sigma_service_pb2_grpc import SigmaServiceStub
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from sandbox.stripe_twin.sigma import RESULT_SECONDS, RUN, ScheduledQuery, run_query
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.twin import Twin
from tests.gateway.running import running_gateway
from tests.waiting import WAIT_SECONDS

SECRET = "ada@example.com"
NETS = f"SELECT 1 AS a, 'x' AS b WHERE '{SECRET}' <> '' UNION ALL SELECT 2, 'y'"
CONTENT = b"a,b\r\n1,x\r\n2,y\r\n"
TIMES = SigmaTimes(walk=timedelta(hours=1), keep=timedelta(days=30))


def query(twin: Twin, title: str = "nets", **more: Any) -> JsonObject:
    """A query runs, and Stripe tells of it."""
    return run_query(twin.account(), ScheduledQuery(title=title, **{"sql": NETS, **more}))


@pytest.fixture
async def stripe_client(twin: Twin, engine: AsyncEngine) -> AsyncIterator[StripeClient]:
    corridor = Corridor(
        name="default",
        api_key=SecretStr(twin.account().secret_key),
        api_base=twin.url,
        webhook_secrets=(SecretStr("whsec_bench"),),
    )
    async with open_stripe_client([corridor], engine) as opened:
        yield opened.client


@pytest.fixture
def clock(twin: Twin) -> ManualClock:
    return ManualClock(datetime.fromtimestamp(twin.account().now(), UTC))


@pytest.fixture
def runs(engine: AsyncEngine, stripe_client: StripeClient, clock: ManualClock) -> SigmaRuns:
    return SigmaRuns(engine, stripe_client, TIMES, clock)


async def rounds(runs: SigmaRuns) -> None:
    """Does all that is due."""
    while await runs.round():
        pass


async def rows(engine: AsyncEngine) -> dict[str, Row[Any]]:
    async with engine.connect() as connection:
        return {row.id: row for row in await connection.execute(select(store.RUN))}


async def row_of(engine: AsyncEngine, run: JsonObject) -> Row[Any]:
    return (await rows(engine))[run["id"]]


async def state_of(engine: AsyncEngine, run: JsonObject) -> tuple[str, str]:
    row = await row_of(engine, run)
    file = file_of(row.content)
    assert row.file_state == file.state
    return file.state.value, file.problem


async def kept_bytes(engine: AsyncEngine) -> int:
    statement = select(func.coalesce(func.sum(func.octet_length(store.PART.c.content)), 0))
    async with engine.connect() as connection:
        return int((await connection.execute(statement)).scalar_one())


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"corridor": "default", **labels}) or 0.0


async def watched(channel: grpc.aio.Channel, is_all: Callable[[dict[str, Any]], bool]) -> Any:
    """The changes up to where the last of each run are all that is wanted."""
    seen: list[pb.WatchSigmaRunsResponse] = []
    last: dict[str, SigmaRun] = {}
    stream = SigmaServiceStub(channel).WatchSigmaRuns(pb.WatchSigmaRunsRequest())
    async with asyncio.timeout(WAIT_SECONDS):
        async for change in stream:
            seen.append(change)
            last[change.run.id] = change.run
            if is_all(last):
                break
    stream.cancel()
    assert [change.sequence for change in seen] == list(range(1, len(seen) + 1))
    assert {change.epoch for change in seen} == {FIRST}
    return last


async def read(stub: Any, run_id: str) -> bytes:
    request = pb.ReadSigmaFileRequest(corridor="default", run_id=run_id)
    return b"".join([answer.content async for answer in stub.ReadSigmaFile(request)])


async def test_events_bring_runs_and_their_files(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    async with running_gateway(database_url, twin, sigma=True) as gateway:
        done = query(twin)
        failed = query(twin, "broken", outcome="failed")

        def is_all(last: dict[str, SigmaRun]) -> bool:
            return {run.id: run.file.state for run in last.values()} == {
                done["id"]: SIGMA_FILE_STATE_KEPT,
                failed["id"]: SIGMA_FILE_STATE_NONE,
            }

        last = await watched(gateway.channel, is_all)
        stub: Any = SigmaServiceStub(gateway.channel)
        assert await read(stub, done["id"]) == CONTENT
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(stub, failed["id"])
        without = from_rpc_error(caught.value)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(stub, "sqr_none")
        nothing = from_rpc_error(caught.value)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetSigmaRun(pb.GetSigmaRunRequest(corridor="default", run_id="7"))
        wrong = from_rpc_error(caught.value)
        got = await stub.GetSigmaRun(pb.GetSigmaRunRequest(corridor="default", run_id=failed["id"]))
        request = pb.ListSigmaRunsRequest(page_size=1)
        listed: list[SigmaRun] = []
        while True:
            page = await stub.ListSigmaRuns(request)
            listed += page.runs
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        of_title = await stub.ListSigmaRuns(
            pb.ListSigmaRunsRequest(title="broken", state=SIGMA_STATE_FAILED, corridor="default")
        )
    run = last[done["id"]]
    assert (run.title, run.corridor, run.file.stripe_file_id) == (
        "nets",
        "default",
        done["file"]["id"],
    )
    assert run.sql_sha256 == hashlib.sha256(NETS.encode()).hexdigest()
    assert run.file.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (run.file.size_bytes, run.file.row_count, run.file.column_count) == (len(CONTENT), 2, 2)
    assert run.data_load_time.seconds == done["data_load_time"]
    assert last[failed["id"]].failure_message == failed["error"]["message"]
    assert got.run == last[failed["id"]]
    assert {each.id for each in listed} == set(last)
    assert list(of_title.runs) == [last[failed["id"]]]
    assert (without.reason, without.metadata["file_state"]) == ("SIGMA_FILE_NOT_KEPT", "NONE")
    assert nothing.reason == "SIGMA_RUN_NOT_FOUND"
    assert wrong.reason == "INVALID_REQUEST"
    written = text(
        "SELECT count(*) FROM (SELECT content::text AS t FROM sigma_run UNION ALL"
        " SELECT content::text FROM sigma_change UNION ALL SELECT body FROM webhook_event) AS kept"
        f" WHERE t LIKE '%{SECRET}%'"
    )
    async with engine.connect() as connection:
        assert (await connection.execute(written)).scalar_one() == 0


async def test_a_walk_finds_what_no_event_has_told(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    before = counted("gateway_sigma_runs_total", state="FAILED")
    old = query(twin, outcome="failed")
    first = query(twin)
    for number in range(PAGE_SIZE):
        twin.account().objects(RUN).add({**old, "id": f"sqr_more{number}"})
    await rounds(runs)
    assert set(await rows(engine)) == {item["id"] for item in twin.account().objects(RUN)}
    assert await state_of(engine, first) == ("KEPT", "")
    assert await kept_bytes(engine) == len(CONTENT)
    # What was there before is no news, and what comes later is.
    assert counted("gateway_sigma_runs_total", state="FAILED") == before
    twin.advance(seconds=3_600)
    clock.advance(TIMES.walk)
    later = [query(twin, outcome=end) for end in ("failed", "canceled", "timed_out")]
    await rounds(runs)
    assert [(await row_of(engine, run)).state for run in later] == [
        *("FAILED", "CANCELED", "TIMED_OUT")
    ]
    assert counted("gateway_sigma_runs_total", state="FAILED") == before + 1
    async with engine.begin() as connection:
        told = len(await rows(engine))
        assert await number_changes(connection, store.FEED, clock.now()) == told
        assert await number_changes(connection, store.FEED, clock.now()) == 0


async def test_later_walks_go_no_further_back_than_they_have_to(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    old = query(twin, outcome="failed")
    for number in range(PAGE_SIZE):
        twin.account().objects(RUN).add({**old, "id": f"sqr_more{number}"})
    await rounds(runs)
    twin.advance(seconds=OVERLAP.total_seconds() + 3_600)
    clock.advance(OVERLAP + TIMES.walk)
    await rounds(runs)
    twin.advance(seconds=3_600)
    clock.advance(TIMES.walk)
    twin.account().objects(RUN).remove(old["id"])
    new = query(twin)
    pages = 0
    while await runs.round():
        pages += 1
    assert pages == 1
    assert await state_of(engine, new) == ("KEPT", "")


async def test_a_walk_that_stripe_does_not_answer_is_taken_up_again(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    run = query(twin)
    path = "/v1/sigma/scheduled_query_runs"
    twin.add_fault(kind="reset", when="before", method="GET", path=path, count=20)
    await rounds(runs)
    assert await rows(engine) == {}
    twin.faults.clear()
    clock.advance(AWAY)
    await rounds(runs)
    assert await state_of(engine, run) == ("KEPT", "")


async def test_a_run_that_cannot_be_read_holds_up_no_other(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine
) -> None:
    before = counted("gateway_sigma_runs_unreadable_total")
    run = query(twin)
    twin.account().objects(RUN).add({**run, "id": "sqr_odd", "status": "running"})
    await rounds(runs)
    assert set(await rows(engine)) == {run["id"]}
    assert counted("gateway_sigma_runs_unreadable_total") == before + 1


async def test_a_file_of_another_size_is_fetched_again_as_long_as_stripe_has_it(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    cut, lost = query(twin), query(twin, "lost")
    contents = twin.account().file_contents
    for run in (cut, lost):
        contents[run["file"]["id"]] = CONTENT[:-5]
    await rounds(runs)
    assert await state_of(engine, cut) == ("WANTED", "SIZE_DIFFERS")
    assert await kept_bytes(engine) == 0
    contents[cut["file"]["id"]] = CONTENT
    clock.advance(FIRST_PAUSE - timedelta(seconds=1))
    await rounds(runs)
    assert (await state_of(engine, cut))[0] == "WANTED"
    clock.advance(timedelta(seconds=1))
    await rounds(runs)
    assert await state_of(engine, cut) == ("KEPT", "")
    assert await state_of(engine, lost) == ("WANTED", "SIZE_DIFFERS")
    before = counted("gateway_sigma_files_total", result="LOST")
    clock.advance(timedelta(seconds=RESULT_SECONDS))
    twin.advance(seconds=RESULT_SECONDS)
    await rounds(runs)
    assert await state_of(engine, lost) == ("LOST", "resource_missing")
    assert counted("gateway_sigma_files_total", result="LOST") == before + 1


async def test_what_is_no_table_or_too_large_is_refused_and_told(
    engine: AsyncEngine, stripe_client: StripeClient, twin: Twin, clock: ManualClock
) -> None:
    small = SigmaRuns(engine, stripe_client, TIMES, clock, max_bytes=len(CONTENT))
    broken, fits, large = (
        query(twin),
        query(twin),
        query(twin, sql="SELECT 'x' AS a, 'long enough'"),
    )
    content = b'a,b\r\n"' + b"x" * (len(CONTENT) - 6)
    twin.account().file_contents[broken["file"]["id"]] = content
    before = counted("gateway_sigma_files_total", result="REFUSED")
    await rounds(small)
    assert await state_of(engine, broken) == ("REFUSED", "NOT_A_TABLE")
    assert await state_of(engine, fits) == ("KEPT", "")
    assert await state_of(engine, large) == ("REFUSED", "TOO_LARGE")
    assert counted("gateway_sigma_files_total", result="REFUSED") == before + 2
    assert await kept_bytes(engine) == len(CONTENT)


async def test_a_stripe_that_is_away_is_no_attempt(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    run = query(twin)
    twin.add_fault(kind="reset", when="before", method="GET", path="/v1/files/.*", count=20)
    await rounds(runs)
    assert await state_of(engine, run) == ("WANTED", "")
    assert (await row_of(engine, run)).attempt == 1
    assert REGISTRY.get_sample_value("gateway_sigma_file_oldest_wanted_seconds") == 0.0
    twin.faults.clear()
    clock.advance(AWAY * 10)
    await rounds(runs)
    assert await state_of(engine, run) == ("KEPT", "")


async def test_files_are_kept_for_so_long_and_no_longer(
    runs: SigmaRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    run = query(twin)
    await rounds(runs)
    clock.advance(TIMES.keep)
    await rounds(runs)
    assert await state_of(engine, run) == ("KEPT", "")
    clock.advance(timedelta(microseconds=1))
    await rounds(runs)
    assert await state_of(engine, run) == ("DISCARDED", "")
    assert await kept_bytes(engine) == 0
    assert file_of((await row_of(engine, run)).content).sha256


async def test_bytes_that_were_changed_are_not_passed_off_as_those_of_stripe(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    async with running_gateway(database_url, twin, sigma=True) as gateway:
        run = query(twin)
        await watched(
            gateway.channel,
            lambda last: {each.file.state for each in last.values()} == {SIGMA_FILE_STATE_KEPT},
        )
        async with engine.begin() as connection:
            (part,) = await connection.execute(select(store.PART))
            await connection.execute(delete(store.PART))
            changed = {**part._mapping, "content": CONTENT.replace(b"x", b"z")}
            await connection.execute(insert(store.PART).values(changed))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(SigmaServiceStub(gateway.channel), run["id"])
    assert from_rpc_error(caught.value).reason == "SIGMA_FILE_DAMAGED"
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS


async def test_a_restore_outdates_cursors(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    row = "INSERT INTO sigma_change VALUES (3, 'default', 'sqr_1', '{\"id\": \"sqr_1\"}', now())"
    async with engine.begin() as connection:
        await connection.execute(text(row))
    async with engine.begin() as connection:
        await begin_epoch(connection)
    async with running_gateway(database_url, twin) as gateway:
        stub: Any = SigmaServiceStub(gateway.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.WatchSigmaRuns(pb.WatchSigmaRunsRequest(after_sequence=4)).read()
        refused = from_rpc_error(caught.value)
        told = await stub.WatchSigmaRuns(pb.WatchSigmaRunsRequest()).read()
        none = await stub.ListSigmaRuns(pb.ListSigmaRunsRequest())
    assert (refused.reason, refused.metadata["after_sequence"]) == ("CURSOR_OUTDATED", "3")
    assert (told.sequence, told.epoch, told.run.id) == (3, FIRST, "sqr_1")
    assert not none.runs


def test_every_end_of_a_file_is_counted_from_the_start(runs: SigmaRuns) -> None:
    for result in (FileState.KEPT, FileState.REFUSED, FileState.LOST, "TRIED_AGAIN"):
        labels = {"corridor": "default", "result": str(result)}
        assert REGISTRY.get_sample_value("gateway_sigma_files_total", labels) is not None
