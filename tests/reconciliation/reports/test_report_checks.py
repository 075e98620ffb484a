"""Reports of the twin's, which the gateway had made, against what it has read by the API and what
reconciliation was fed of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.v1 import balance_transaction_service_pb2 as listing
from gateway.v1 import report_service_pb2 as reporting
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.report_service_pb2_grpc import ReportServiceStub
from reconciliation.conditions.telling import Conditions
from reconciliation.matching.item import Item
from reconciliation.reports.checking import LOOK_BACK, ReportChecks
from reconciliation.reports.comparing import FIRST_PAUSE, Kind
from reconciliation.reports.fetching import GatewayReports
from reconciliation.sources.stripe_items import balance_transaction_item
from reconciliation.v1 import reconciliation_pb2 as messages
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.report_faults import ReportFault
from sandbox.stripe_twin.twin import Twin
from tests.gateway.running import running_gateway
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.people import breaks

DAY = 86_400
EVENTS = ["reporting.report_type.updated", "payout.reconciliation_completed"]
KINDS = (Kind.ACTIVITY, Kind.PAYOUTS, Kind.SUMMARY)
OF_PAYOUTS = (Kind.PAYOUT_CONTENTS, Kind.ENDING_BALANCE)


@dataclass
class Bench:
    """A gateway whose reports are ready, and reconciliation that has not compared them yet."""

    twin: Twin
    books: Books
    checks: ReportChecks
    items: list[Item]
    reports: Any
    listed: Any


@pytest.fixture
async def bench(
    twin: Twin, database_url: str, books: Books, request: pytest.FixtureRequest
) -> AsyncIterator[Any]:
    """Opens a bench after faults were switched on; a parameter is which kinds there are."""
    kinds: tuple[Kind, ...] = getattr(request, "param", KINDS)
    books.clock.advance(datetime.now(UTC) + timedelta(days=5) - books.clock.now())
    for number in range(1, 6):
        twin.record_transaction(
            "default", BalanceEntry(type="charge", amount=1_000 * number, fee=number)
        )
    twin.record_transaction("default", BalanceEntry(type="charge", amount=70, currency="jpy"))
    twin.pay_out()
    twin.record_transaction("default", BalanceEntry(type="refund", amount=-250))
    count = len(list(twin.account().books.transactions))
    async with running_gateway(
        database_url, twin, report_days=3, report_kinds=kinds, balance_sweep_seconds=0.2
    ) as gateway:
        listed: Any = BalanceTransactionServiceStub(gateway.channel)
        reports: Any = ReportServiceStub(gateway.channel)

        async def opened(*faults: ReportFault) -> Bench:
            for fault in faults:
                twin.account().report_faults.add(fault)
            url = f"http://127.0.0.1:{gateway.http_port}/webhooks/stripe/default"
            twin.register_webhook(url, enabled_events=EVENTS)
            twin.advance(seconds=2 * DAY)
            day = twin.account().started // DAY * DAY

            async def ready() -> list[Any]:
                request = reporting.ListReportsRequest(only_ready=True)
                return list((await reports.ListReports(request)).reports)

            await poll(
                ready,
                lambda found: sum(each.start_time.seconds == day for each in found) == len(kinds),
            )

            async def fed() -> list[Any]:
                request = listing.ListBalanceTransactionsRequest(page_size=1_000)
                return list((await listed.ListBalanceTransactions(request)).balance_transactions)

            moved = await poll(fed, lambda found: len(found) == count)
            checks = ReportChecks(
                books.engine,
                GatewayReports(reports, listed),
                Conditions(POLICY, books.clock),
                books.clock,
            )
            return Bench(
                twin,
                books,
                checks,
                [balance_transaction_item(each, 0) for each in moved],
                reports,
                listed,
            )

        yield opened


async def compared(bench: Bench) -> None:
    while await bench.checks.round():
        pass
    await bench.books.run()


async def evidence(bench: Bench) -> list[tuple[Any, ...]]:
    """What was kept of all comparisons: the report's kind, what differs, and both sides' net."""
    async with bench.books.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT c.kind, d.kind, d.listed ->> 'net', d.reported ->> 'net'"
            " FROM report_difference AS d INNER JOIN report_check AS c USING (check_number)"
            " ORDER BY c.check_number, d.position"
        )
        return [tuple(row) for row in rows]


async def test_three_words_for_the_same_money_agree(bench: Any, ann: Any) -> None:
    opened = await bench()
    await opened.books.give(*opened.items)
    await compared(opened)
    assert await evidence(opened) == []
    assert [
        each for each in await breaks(ann) if each.kind == messages.BREAK_KIND_REPORT_DIFFERS
    ] == []
    async with opened.books.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT kind, max(reported), max(listed) FROM report_check GROUP BY kind ORDER BY kind"
        )
        counted = [tuple(row) for row in rows]
    # Two currencies of four figures; the list behind a summary is that of the day.
    assert counted == [("ACTIVITY", 7, 7), ("PAYOUTS", 1, 1), ("SUMMARY", 8, 8)]


async def differing(ann: Any) -> list[Any]:
    return [each for each in await breaks(ann) if each.kind == messages.BREAK_KIND_REPORT_DIFFERS]


async def test_rows_that_went_wrong_are_kept_and_told(bench: Any, ann: Any) -> None:
    kinds = ("row_missing", "row_doubled", "row_late", "row_other_amount")
    opened = await bench(
        *(
            ReportFault.model_validate(
                {"kind": kind, "report_type": "balance*", "by": 7 if kind == kinds[3] else 0}
            )
            for kind in kinds
        )
    )
    await opened.books.give(*opened.items)
    await compared(opened)
    found = await evidence(opened)
    assert sorted(found) == sorted(
        [
            ("ACTIVITY", "NOT_IN_REPORT", "999", None),
            ("ACTIVITY", "TWICE", None, "1998"),
            ("ACTIVITY", "NOT_IN_REPORT", "2997", None),
            ("ACTIVITY", "OTHER_AMOUNT", "3996", "4003"),
        ]
    )
    (told,) = await differing(ann)
    assert told.corridor == "default"
    assert told.subject.startswith("report ACTIVITY ")
    done = opened.twin.account().report_faults.injected
    assert [(each.currency_code, each.minor_units) for each in told.amounts] == [
        ("USD", -sum(injected.amount for injected in done))
    ]
    assert "2 missing in it" in told.sentence
    # It is told of once, and stays until it is looked at again.
    await compared(opened)
    assert len(await evidence(opened)) == len(found)
    opened.books.clock.advance(FIRST_PAUSE)
    await compared(opened)
    assert len(await evidence(opened)) == 2 * len(found)
    assert [each.break_id for each in await differing(ann)] == [told.break_id]


async def test_a_balance_that_lacks_a_row_is_told_until_it_has_come(bench: Any, ann: Any) -> None:
    opened = await bench()
    late = next(item for item in opened.items if item.amount_minor == 999)
    await opened.books.give(*(item for item in opened.items if item is not late))
    await compared(opened)
    summaries = [row for row in await evidence(opened) if row[0] == "SUMMARY"]
    assert {row[1] for row in summaries} == {"FIGURE"}
    assert {int(row[3]) - int(row[2]) for row in summaries} == {999}
    assert {each.subject.split()[1] for each in await differing(ann)} == {"SUMMARY"}
    await opened.books.give(late)
    await compared(opened)
    assert await differing(ann) != []
    opened.books.clock.advance(FIRST_PAUSE)
    await compared(opened)
    assert await differing(ann) == []


async def test_a_file_that_is_gone_is_told_and_others_are_compared(bench: Any, ann: Any) -> None:
    opened = await bench()
    await opened.books.give(*opened.items)
    contents = opened.twin.account().file_contents
    broken = next(file for file, content in contents.items() if b'"payout_id"' in content)
    del contents[broken]
    await compared(opened)
    assert [(row[0], row[1]) for row in await evidence(opened)] == [("PAYOUTS", "UNREADABLE")]
    (told,) = await differing(ann)
    assert "not readable (STRIPE_REJECTED)" in told.sentence
    assert list(told.amounts) == []


async def test_days_of_long_ago_are_not_looked_for(bench: Any) -> None:
    opened = await bench()
    opened.books.clock.advance(LOOK_BACK + timedelta(days=1))
    await compared(opened)
    async with opened.books.engine.connect() as connection:
        checks = await connection.exec_driver_sql("SELECT count(*) FROM report_check")
        assert checks.scalar_one() == 0


async def test_days_without_a_report_are_told_of_until_they_have_one(bench: Any, ann: Any) -> None:
    async def silent() -> list[str]:
        found = await breaks(ann, kind=messages.BREAK_KIND_FEED_STALE)
        return sorted({each.subject.split()[1] for each in found})

    opened = await bench()
    await opened.books.give(*opened.items)
    last = datetime.fromtimestamp(opened.twin.account().now(), UTC)
    clock = opened.books.clock
    clock.advance(last - clock.now() + timedelta(days=4))
    await compared(opened)
    assert await silent() == sorted(KINDS)
    opened.twin.advance(seconds=4 * DAY)

    async def told() -> list[str]:
        await compared(opened)
        return await silent()

    await poll(told, lambda found: found == [])


async def told_contents(bench: Bench) -> list[Item]:
    """The items once the gateway has read what the payout contains."""

    async def fed() -> list[Any]:
        request = listing.ListBalanceTransactionsRequest(page_size=1_000)
        answer = await bench.listed.ListBalanceTransactions(request)
        return list(answer.balance_transactions)

    found = await poll(
        fed,
        lambda told: any(each.stripe_payout_id not in ("", each.source_id) for each in told),
    )
    return [balance_transaction_item(each, 1) for each in found]


@pytest.mark.parametrize("bench", [OF_PAYOUTS], indirect=True)
async def test_what_payouts_contain_and_what_is_left_is_that_of_the_reports(
    bench: Any, ann: Any
) -> None:
    opened = await bench()
    await opened.books.give(*await told_contents(opened))
    await compared(opened)
    assert await evidence(opened) == []
    assert await differing(ann) == []
    rows = await opened.books.rows(
        "SELECT kind, max(reported), max(listed) FROM report_check GROUP BY kind ORDER BY kind"
    )
    # Five charges in dollars are paid out; the one in yen and the refund are left.
    assert rows == [("ENDING_BALANCE", 2, 2), ("PAYOUT_CONTENTS", 5, 5)]


@pytest.mark.parametrize("bench", [OF_PAYOUTS], indirect=True)
async def test_contents_that_went_wrong_are_told(bench: Any, ann: Any) -> None:
    opened = await bench(
        ReportFault.model_validate({"kind": "row_missing", "report_type": "payout_rec*"}),
        ReportFault.model_validate(
            {"kind": "row_other_amount", "report_type": "ending_balance*", "by": 7}
        ),
    )
    await opened.books.give(*await told_contents(opened))
    await compared(opened)
    # What is left is so in the report of each day.
    assert {row[:2] for row in await evidence(opened)} == {
        ("ENDING_BALANCE", "OTHER_AMOUNT"),
        ("PAYOUT_CONTENTS", "NOT_IN_REPORT"),
    }
    kinds = {each.subject.split()[1] for each in await differing(ann)}
    assert kinds == {"ENDING_BALANCE", "PAYOUT_CONTENTS"}
