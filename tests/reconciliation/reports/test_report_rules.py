"""What a report is compared with, and what is told of it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.v1.report_pb2 import REPORT_KIND_SUMMARY, Report
from gateway.v1.report_service_pb2 import ListReportsRequest, ListReportsResponse
from reconciliation.conditions.condition import MAX_SAYS_CHARACTERS
from reconciliation.matching.book_days import read_book_days
from reconciliation.reports.comparing import (
    FIRST_PAUSE,
    LAST_PAUSE,
    LOOKED_AT_FOR,
    DifferenceKind,
    Kind,
    Movement,
    ReportDifference,
    ReportName,
    Sums,
    compare_rows,
    compare_summary,
    condition_of,
    looked_at_again,
)
from reconciliation.reports.fetching import GatewayReports

DAY = datetime(2026, 11, 30, tzinfo=UTC)
REPORT = ReportName("rep_1", "eu", Kind.ACTIVITY, DAY, DAY + timedelta(days=1), DAY.date())

KEYS = st.sampled_from(["txn_a", "txn_b", "txn_c"])
MOVEMENTS = st.builds(
    Movement,
    key=KEYS,
    currency=st.sampled_from(["EUR", "USD"]),
    net=st.integers(-2, 2),
    gross=st.integers(0, 1),
    fee=st.just(0),
    category=st.sampled_from(["charge", "refund"]),
)
SIDES = st.lists(MOVEMENTS, max_size=4)


@given(SIDES.map(lambda side: list({each.key: each for each in side}.values())), SIDES)
def test_every_row_that_is_not_the_same_on_both_sides_is_told_once(
    listed: list[Movement], reported: list[Movement]
) -> None:
    found = compare_rows(listed, reported)
    assert compare_rows(listed[::-1], reported) == found
    # By a model that looks at each id alone.
    here = {movement.key: movement for movement in listed}
    wrong = Counter[str]()
    for key in {*here, *(row.key for row in reported)}:
        rows = [row for row in reported if row.key == key]
        wrong[key] += max(len(rows) - 1, 0)
        wrong[key] += (rows[0] if rows else None) != here.get(key)
    assert Counter(difference.key for difference in found) == +wrong
    sums = Counter[str]()
    for difference in found:
        sums.update(difference.amounts)
    expected = Counter[str]()
    for movement in listed:
        expected[movement.currency] += movement.net
    for row in reported:
        expected[row.currency] -= row.net
    assert {code: n for code, n in sums.items() if n} == {c: n for c, n in expected.items() if n}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (Movement("t", "EUR", 9, 10, 1, "charge"), None),
        (Movement("t", "EUR", 8, 10, 2, "charge"), DifferenceKind.OTHER_AMOUNT),
        (Movement("t", "EUR", 9, 11, 2, "charge"), DifferenceKind.OTHER_AMOUNT),
        (Movement("t", "USD", 9, 10, 1, "charge"), DifferenceKind.OTHER_AMOUNT),
        (Movement("t", "EUR", 9, 10, 1, "refund"), DifferenceKind.OTHER_CATEGORY),
    ],
)
def test_each_part_of_a_row_counts(row: Movement, kind: DifferenceKind | None) -> None:
    known = Movement("t", "EUR", 9, 10, 1, "charge")
    assert [each.kind for each in compare_rows([known], [row])] == ([kind] if kind else [])
    # Of what an old release has read only the net is known.
    old = Movement("t", "EUR", 9)
    by_net = kind is DifferenceKind.OTHER_AMOUNT and (row.net, row.currency) != (9, "EUR")
    assert bool(compare_rows([old], [row])) == by_net


def test_a_summary_has_to_be_what_rows_and_balance_come_to() -> None:
    sums = Sums({"EUR": 100, "JPY": 0}, {"EUR": -30}, {"EUR": 570})
    right = [
        Movement("starting_balance", "EUR", 500),
        Movement("activity", "EUR", 100),
        Movement("payouts", "EUR", -30),
        Movement("ending_balance", "EUR", 570),
    ]
    assert compare_summary(sums, right) == []
    wrong = [*right[:3], Movement("ending_balance", "EUR", 571), Movement("activity", "GBP", 5)]
    found = compare_summary(sums, wrong)
    assert [(each.key, each.amounts) for each in found] == [
        ("ending_balance EUR", {"EUR": -1}),
        ("activity GBP", {"GBP": -5}),
    ]
    condition = condition_of(REPORT, found)
    assert condition.amounts == ()
    assert condition.says == (
        "Stripe's report ACTIVITY differs from its API: 2 not what the rows come to "
        "(ending_balance EUR, activity GBP), the first 5.70 EUR by the API and 5.71 EUR in it"
    )


def test_a_condition_names_the_first_and_adds_up_all() -> None:
    missing = [
        ReportDifference(DifferenceKind.NOT_IN_REPORT, f"txn_{n}", Movement(f"txn_{n}", "EUR", n))
        for n in range(1, 6)
    ]
    twice = ReportDifference(DifferenceKind.TWICE, "txn_9", None, Movement("txn_9", "USD", 4))
    condition = condition_of(REPORT, [*missing, twice])
    assert condition.subject == "report ACTIVITY 2026-11-30"
    assert condition.amounts == (("EUR", 15), ("USD", -4))
    assert condition.says == (
        "Stripe's report ACTIVITY differs from its API: 5 missing in it (txn_1, txn_2, txn_3 and "
        "2 more); 1 there more than once (txn_9)"
    )
    long = [
        ReportDifference(kind, f"{'x' * 100}{n}", None, Movement("x", "EUR", 1))
        for kind in DifferenceKind
        for n in range(3)
        if kind is not DifferenceKind.FIGURE
    ]
    assert len(condition_of(REPORT, long).says) == MAX_SAYS_CHARACTERS


def test_what_differs_is_looked_at_again_less_and_less_often() -> None:
    assert looked_at_again(DAY, DAY) == DAY + FIRST_PAUSE
    assert looked_at_again(DAY, DAY + 5 * FIRST_PAUSE) == DAY + 10 * FIRST_PAUSE
    assert looked_at_again(DAY, DAY + 9 * LAST_PAUSE) == DAY + 10 * LAST_PAUSE
    assert looked_at_again(DAY, DAY + LOOKED_AT_FOR) is not None
    assert looked_at_again(DAY, DAY + LOOKED_AT_FOR + timedelta(seconds=1)) is None


class Reports:
    """A gateway that wants one report."""

    def __init__(self, report: Report) -> None:
        self.report = report

    async def ListReports(self, request: ListReportsRequest) -> ListReportsResponse:
        return ListReportsResponse(reports=[self.report])


@pytest.mark.parametrize(
    ("zone", "start", "day"),
    [
        # The first moments of a day, and the last before it.
        ("Pacific/Auckland", "2026-11-29T11:00:00+00:00", "2026-11-30"),
        ("Pacific/Auckland", "2026-11-29T10:59:59+00:00", "2026-11-29"),
        # Clocks went forward on that day.
        ("Australia/Sydney", "2026-10-03T14:00:00+00:00", "2026-10-04"),
        ("Australia/Sydney", "2026-10-04T13:00:00+00:00", "2026-10-05"),
        ("UTC", "2026-11-30T00:00:00+00:00", "2026-11-30"),
    ],
)
async def test_a_report_is_of_the_corridors_day(zone: str, start: str, day: str) -> None:
    report = Report(id="rep_1", corridor="au", kind=REPORT_KIND_SUMMARY)
    begins = datetime.fromisoformat(start)
    report.start_time.FromDatetime(begins)
    report.end_time.FromDatetime(begins + timedelta(hours=23))
    stub: Any = Reports(report)
    (wanted,) = await GatewayReports(stub, stub, read_book_days({"au": zone})).wanted(begins)
    assert wanted.name.subject == f"report SUMMARY {day}"
    assert (wanted.name.start, wanted.is_ready) == (begins, False)


def test_a_row_of_another_payout_differs_where_the_payout_is_compared() -> None:
    row = Movement("txn_1", "EUR", 90, 100, 10, "charge", "po_2")
    listed = Movement("txn_1", "EUR", 90, 100, 10, "charge", "po_1")
    (found,) = compare_rows([listed], [row])
    assert (found.kind, found.key) == (DifferenceKind.OTHER_PAYOUT, "txn_1")
    said = condition_of(REPORT, [found]).says
    assert said.endswith("1 of another payout (txn_1)")
    whichever = Movement("txn_1", "EUR", 90, 100, 10, "charge")
    assert compare_rows([whichever], [row]) == []
    assert compare_rows([listed], [listed]) == []
