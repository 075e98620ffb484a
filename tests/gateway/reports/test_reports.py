"""Reports against the Stripe twin: made once for each day, whatever fails, and read row by row."""

import hashlib
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import pytest
from pydantic import SecretStr
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.reports.report import ReportKind, ReportState
from gateway.reports.running import (
    AWAY,
    DEFAULT_KINDS,
    FAILED,
    RUN_LOOK,
    STRIPE_TYPES,
    TYPE_LOOK,
    ReportRuns,
)
from gateway.reports.service import ROWS_OF_A_MESSAGE, ReportServicer
from gateway.reports.store import REPORT, ReportStore
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1 import report_service_pb2 as pb
from gateway.v1.report_pb2 import (
    REPORT_KIND_ACTIVITY,
    REPORT_KIND_PAYOUTS,
    REPORT_KIND_SUMMARY,
    REPORT_STATE_READY,
    Report,
    ReportRow,
)
from gateway.v1.report_service_pb2_grpc import ReportServiceStub
from runtime.clock import ManualClock
from runtime.errors import ReceivedError, ServiceError, from_rpc_error
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.report_faults import ReportFault, ReportFaultKind
from sandbox.stripe_twin.reports import RUN
from sandbox.stripe_twin.twin import Twin
from tests.gateway.running import running_gateway

DAY = 86_400


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
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def runs(engine: AsyncEngine, stripe_client: StripeClient, clock: ManualClock) -> ReportRuns:
    return ReportRuns(engine, stripe_client, 2, clock)


async def reports(engine: AsyncEngine) -> list[Row[Any]]:
    async with engine.connect() as connection:
        return list(
            (await connection.execute(select(REPORT).order_by(REPORT.c.report_number))).all()
        )


def made(twin: Twin) -> int:
    """How many runs Stripe has begun."""
    return len(list(twin.account().objects(RUN)))


async def finished(runs: ReportRuns, twin: Twin, clock: ManualClock) -> None:
    """Has all that is wanted made, without any event."""
    await runs.round()
    twin.clock.run_due()
    clock.advance(RUN_LOOK)
    await runs.round()


async def test_each_day_has_its_reports_once(
    runs: ReportRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    await runs.round()
    assert await reports(engine) == []
    twin.advance(seconds=4 * DAY)
    clock.advance(TYPE_LOOK)
    await finished(runs, twin, clock)
    found = await reports(engine)
    assert [row.state for row in found] == [ReportState.READY.value] * 2 * len(DEFAULT_KINDS)
    assert len({(row.kind, row.start_time) for row in found}) == len(found)
    twin.advance(seconds=3 * DAY)
    clock.advance(TYPE_LOOK)
    await finished(runs, twin, clock)
    clock.advance(TYPE_LOOK)
    await finished(runs, twin, clock)
    days = sorted({row.start_time for row in await reports(engine)})
    assert [after - before for before, after in itertools.pairwise(days)] == [timedelta(days=1)] * 4
    assert made(twin) == 5 * len(DEFAULT_KINDS)


async def test_days_are_those_of_the_corridors_time_zone(
    stripe_client: StripeClient, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    zone = ZoneInfo("Australia/Sydney")
    runs = ReportRuns(engine, stripe_client, 2, clock, {"default": zone, "other": ZoneInfo("UTC")})
    twin.advance(seconds=4 * DAY)
    await finished(runs, twin, clock)
    found = await reports(engine)
    assert [row.state for row in found] == [ReportState.READY.value] * 2 * len(DEFAULT_KINDS)
    for row in found:
        start, end = row.start_time.astimezone(zone), row.end_time.astimezone(zone)
        assert start.time() == end.time() == time()
        assert end.date() - start.date() == timedelta(days=1)
    asked = [run["parameters"] for run in twin.account().objects(RUN)]
    assert {(each["interval_start"], each["interval_end"]) for each in asked} == {
        (int(row.start_time.timestamp()), int(row.end_time.timestamp())) for row in found
    }


async def test_the_kinds_that_are_wanted_are_made(
    stripe_client: StripeClient, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    kinds = [ReportKind.ENDING_BALANCE, ReportKind.PAYOUT_CONTENTS]
    runs = ReportRuns(engine, stripe_client, 1, clock, kinds=kinds)
    twin.advance(seconds=3 * DAY)
    await finished(runs, twin, clock)
    found = await reports(engine)
    assert sorted((row.kind, row.state) for row in found) == [
        (kind.value, ReportState.READY.value) for kind in kinds
    ]
    asked = {run["report_type"]: run["parameters"] for run in twin.account().objects(RUN)}
    end = int(found[0].end_time.timestamp())
    assert {each["interval_end"] for each in asked.values()} == {end}
    assert "interval_start" not in asked[STRIPE_TYPES[ReportKind.ENDING_BALANCE]]
    assert "interval_start" in asked[STRIPE_TYPES[ReportKind.PAYOUT_CONTENTS]]


async def test_a_lost_answer_makes_no_second_run(
    runs: ReportRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    twin.advance(seconds=2 * DAY)
    twin.add_fault(
        kind="reset", when="after", method="POST", path="/v1/reporting/report_runs", count=4
    )
    await runs.round()
    clock.advance(AWAY)
    await finished(runs, twin, clock)
    found = await reports(engine)
    assert {row.state for row in found} == {ReportState.READY.value}
    assert made(twin) == len(found)
    assert {row.attempt for row in found} == {1}


async def test_a_run_that_failed_is_followed_by_another(
    runs: ReportRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    twin.advance(seconds=2 * DAY)
    faults = twin.account().report_faults
    for name in STRIPE_TYPES.values():
        faults.add(ReportFault(kind=ReportFaultKind.RUN_FAILED, report_type=name, count=9))
    await finished(runs, twin, clock)
    failed = await reports(engine)
    assert {(row.state, row.attempt, row.failure) for row in failed} == {
        (ReportState.WANTED.value, 2, "RUN_FAILED")
    }
    faults.clear()
    clock.advance(FAILED - timedelta(seconds=1))
    await runs.round()
    assert made(twin) == len(failed)
    clock.advance(timedelta(seconds=1))
    await finished(runs, twin, clock)
    assert {row.state for row in await reports(engine)} == {ReportState.READY.value}


@pytest.mark.parametrize(
    ("fault", "attempt", "failure"),
    [
        ({"kind": "error", "when": "before", "stored": True, "count": 3}, 2, "KEPT_FAILURE"),
        ({"kind": "rate_limit", "count": 4}, 1, ""),
        ({"kind": "error", "when": "before", "count": 4}, 1, ""),
    ],
)
async def test_another_run_is_asked_for_only_where_the_same_key_brings_nothing_else(
    runs: ReportRuns,
    twin: Twin,
    engine: AsyncEngine,
    clock: ManualClock,
    fault: dict[str, Any],
    attempt: int,
    failure: str,
) -> None:
    twin.advance(seconds=2 * DAY)
    twin.add_fault(method="POST", path="/v1/reporting/report_runs", **fault)
    await runs.round()
    waiting = await reports(engine)
    assert {(row.state, row.attempt, row.failure) for row in waiting} >= {
        (ReportState.WANTED.value, attempt, failure)
    }
    twin.faults.clear()
    clock.advance(FAILED)
    await finished(runs, twin, clock)
    found = await reports(engine)
    assert {row.state for row in found} == {ReportState.READY.value}
    assert max(row.attempt for row in found) == attempt


async def test_a_run_that_stripe_has_no_longer_is_asked_for_again(
    runs: ReportRuns, twin: Twin, engine: AsyncEngine, clock: ManualClock
) -> None:
    twin.settings.report_seconds = 60.0
    twin.advance(seconds=2 * DAY)
    await runs.round()
    (lost, *others) = await reports(engine)
    assert lost.state == ReportState.RUNNING.value
    twin.account().objects(RUN).remove(lost.stripe_run_id)
    twin.advance(seconds=60.0)
    clock.advance(RUN_LOOK)
    await runs.round()
    after = (await reports(engine))[0]
    assert (after.state, after.attempt) == (ReportState.WANTED.value, 2)
    assert after.failure == "resource_missing"
    clock.advance(FAILED)
    await runs.round()
    twin.advance(seconds=60.0)
    clock.advance(RUN_LOOK)
    await runs.round()
    assert {row.state for row in await reports(engine)} == {ReportState.READY.value}
    assert made(twin) == len(others) + 1


async def rows_of(stub: Any, report: Report) -> list[ReportRow]:
    request = pb.ReadReportRequest(report_id=report.id)
    return [row async for answer in stub.ReadReport(request) for row in answer.rows]


async def read_file(stub: Any, report: Report) -> list[pb.ReadReportFileResponse]:
    request = pb.ReadReportFileRequest(report_id=report.id)
    return [answer async for answer in stub.ReadReportFile(request)]


async def test_events_bring_reports_whose_rows_are_those_of_the_api(
    twin: Twin, database_url: str
) -> None:
    entries = [
        BalanceEntry(type="charge", amount=100 + number, fee=number % 7)
        for number in range(ROWS_OF_A_MESSAGE + 1)
    ]
    for entry in entries:
        twin.record_transaction("default", entry)
    twin.record_transaction("default", BalanceEntry(type="charge", amount=55, currency="jpy"))
    payout = twin.pay_out()
    async with running_gateway(database_url, twin, report_days=3) as gateway:
        url = f"http://127.0.0.1:{gateway.http_port}/webhooks/stripe/default"
        twin.register_webhook(url, enabled_events=["reporting.report_type.updated"])
        stub = ReportServiceStub(gateway.channel)
        # The loop has looked at the types; only the event tells it so soon that there is more.
        twin.advance(seconds=2 * DAY)

        async def ready() -> list[Report]:
            request = pb.ListReportsRequest(only_ready=True, page_size=2)
            found: list[Report] = []
            while True:
                answer = await stub.ListReports(request)
                found += answer.reports
                if not answer.next_page_token:
                    return found
                request.page_token = answer.next_page_token

        def of_first_day(found: list[Report]) -> list[Report]:
            day = twin.account().started // DAY * DAY
            return [report for report in found if report.start_time.seconds == day]

        found = await poll(ready, lambda found: len(of_first_day(found)) == len(DEFAULT_KINDS))
        listed = of_first_day(found)
        assert {report.state for report in listed} == {REPORT_STATE_READY}
        later = pb.ListReportsRequest(start_from=listed[0].end_time, only_ready=True)
        first_days = {each.start_time.seconds for each in (await stub.ListReports(later)).reports}
        assert all(day >= listed[0].end_time.seconds for day in first_days)
        one = pb.ListReportsRequest(kind=REPORT_KIND_SUMMARY, corridor="default")
        assert {each.kind for each in (await stub.ListReports(one)).reports} == {
            REPORT_KIND_SUMMARY
        }
        for report in listed:
            (file,) = [
                run["result"]["id"]
                for run in twin.account().objects(RUN)
                if run["id"] == report.stripe_run_id
            ]
            content = twin.account().file_contents[file]
            *pieces, last = await read_file(stub, report)
            assert b"".join(piece.content for piece in pieces) == content
            assert (last.content, last.sha256) == (b"", hashlib.sha256(content).hexdigest())
        rows: dict[int, list[ReportRow]] = {}
        for report in listed:
            rows.setdefault(report.kind, []).extend(await rows_of(stub, report))
        told = {row.balance_transaction_id: row for kind in (1, 2) for row in rows[kind]}
        transactions = {item["id"]: item for item in twin.account().books.transactions}
        assert told.keys() == transactions.keys()
        for key, row in told.items():
            moved = transactions[key]
            assert row.net.currency_code == moved["currency"].upper()
            assert [row.gross.minor_units, row.fee.minor_units, row.net.minor_units] == [
                moved["amount"],
                moved["fee"],
                moved["net"],
            ]
        (paid,) = rows[REPORT_KIND_PAYOUTS]
        assert (paid.stripe_payout_id, paid.net.minor_units) == (payout["id"], -payout["amount"])
        contained = {row.stripe_payout_id for row in rows[REPORT_KIND_ACTIVITY]}
        assert contained == {payout["id"], ""}
        ends = {
            row.net.currency_code: row.net.minor_units
            for row in rows[REPORT_KIND_SUMMARY]
            if row.category == "ending_balance"
        }
        assert ends == {"USD": 0, "JPY": 55}


async def refused(call: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await anext(call)
    return error.value


async def test_what_cannot_be_read(
    runs: ReportRuns,
    twin: Twin,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    clock: ManualClock,
) -> None:
    twin.advance(seconds=2 * DAY)
    await runs.round()
    report = (await reports(engine))[0]
    request = pb.ReadReportRequest(report_id=report.report_id)
    servicer = ReportServicer(ReportStore(engine), stripe_client)
    early = await refused(servicer.ReadReport(request, None))
    assert "REPORT_NOT_READY" in str(early.reason)
    whole = pb.ReadReportFileRequest(report_id=report.report_id)
    assert "REPORT_NOT_READY" in str((await refused(servicer.ReadReportFile(whole, None))).reason)
    nobody = await refused(servicer.ReadReport(pb.ReadReportRequest(report_id="rep_0"), None))
    assert "REPORT_NOT_FOUND" in str(nobody.reason)
    await finished(runs, twin, clock)
    small = ReportServicer(ReportStore(engine), stripe_client, max_bytes=10)
    large = await refused(small.ReadReport(request, None))
    assert "REPORT_UNREADABLE" in str(large.reason)
    assert "REPORT_UNREADABLE" in str((await refused(small.ReadReportFile(whole, None))).reason)
    report = (await reports(engine))[0]
    twin.account().file_contents[report.stripe_file_id] = b"\xff,\xfe\n"
    broken = await refused(servicer.ReadReport(request, None))
    assert "REPORT_UNREADABLE" in str(broken.reason)
    del twin.account().file_contents[report.stripe_file_id]
    gone = await refused(servicer.ReadReport(request, None))
    assert "STRIPE_REJECTED" in str(gone.reason)
    twin.outage("reset")
    away = await refused(servicer.ReadReport(request, None))
    assert away.code is grpc.StatusCode.UNAVAILABLE


async def test_a_wrong_id_is_told_over_the_wire(twin: Twin, database_url: str) -> None:
    async with running_gateway(database_url, twin) as gateway:
        stub: Any = ReportServiceStub(gateway.channel)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.ReadReport(pb.ReadReportRequest(report_id="7")).read()
        told: ReceivedError = from_rpc_error(error.value)
        assert told.reason == "INVALID_REQUEST"
        assert (await stub.ListReports(pb.ListReportsRequest())).reports == []
