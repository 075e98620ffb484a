"""Which days are wanted, and how a report's file is read: exactly, or refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reports.report import (
    MAX_LINE_CHARACTERS,
    MAX_MINOR_UNITS,
    Day,
    ReportKind,
    ReportRow,
    UnreadableReportError,
    Wanted,
    days_to_want,
    minor_units,
    read_rows,
)
from money.currencies import EXPONENTS

DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)
HEAD = (
    "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,"
    "automatic_payout_id"
)
ROW = "txn_1,2026-11-30 12:00:00,usd,100.00,3.20,96.80,charge,ch_1,"


def test_the_first_days_are_the_newest_and_none_is_left_out_after_them() -> None:
    start = MIDNIGHT - 9 * DAY + timedelta(hours=5)
    assert days_to_want(start, MIDNIGHT, None, 2) == utc_days(-2, -1)
    assert days_to_want(start, MIDNIGHT, MIDNIGHT - 3 * DAY, 2) == utc_days(-3, -2)
    assert days_to_want(start, MIDNIGHT, MIDNIGHT, 2) == []
    # A day that is not whole is not wanted, at either end.
    assert days_to_want(MIDNIGHT - DAY + timedelta(1 / 24), MIDNIGHT + DAY / 2, None, 9) == []
    assert days_to_want(MIDNIGHT - DAY, MIDNIGHT + DAY / 2, None, 9) == utc_days(-1)


def utc_days(*numbers: int) -> list[Day]:
    return [Day(MIDNIGHT + number * DAY, MIDNIGHT + (number + 1) * DAY) for number in numbers]


def at(zone: str, text: str) -> datetime:
    """A moment, by what clocks show there."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "last_end", "data_end", "ends", "hours"),
    [
        # Clocks go forward at two, and back at three.
        ("Australia/Sydney", "2026-10-03", "2026-10-05", ("2026-10-04", "2026-10-05"), (24, 23)),
        ("Australia/Sydney", "2026-04-04", "2026-04-06", ("2026-04-05", "2026-04-06"), (24, 25)),
        # There is no midnight on 6 September, and one o'clock is the first moment.
        ("America/Santiago", "2026-09-05", "2026-09-07", ("2026-09-06", "2026-09-07"), (24, 23)),
        # Midnight comes twice on 1 November: the day has both hours.
        ("America/Havana", "2026-11-01", "2026-11-02", ("2026-11-02",), (25,)),
        ("Pacific/Auckland", "2026-09-26", "2026-09-28", ("2026-09-27", "2026-09-28"), (24, 23)),
        ("Asia/Kolkata", "2026-11-28", "2026-11-30", ("2026-11-29", "2026-11-30"), (24, 24)),
    ],
)
def test_days_are_those_of_the_time_zone_also_where_clocks_change(
    zone: str, last_end: str, data_end: str, ends: tuple[str, ...], hours: tuple[int, ...]
) -> None:
    last, until = at(zone, last_end), at(zone, data_end)
    found = days_to_want(last - 9 * DAY, until, last, 9, ZoneInfo(zone))
    assert found[0].start == last
    assert [day.end for day in found] == [at(zone, end) for end in ends]
    assert [(day.end - day.start) / timedelta(hours=1) for day in found] == list(hours)
    # A moment before its end the last one is not whole.
    less = days_to_want(last - 9 * DAY, until - timedelta(seconds=1), last, 9, ZoneInfo(zone))
    assert less == found[:-1]
    # The first ones are the newest, as those that go on are.
    assert days_to_want(last, until, None, len(found), ZoneInfo(zone)) == found
    assert days_to_want(last - DAY, until, None, 1, ZoneInfo(zone)) == found[-1:]


def test_another_time_zone_begins_at_its_next_midnight() -> None:
    found = days_to_want(
        MIDNIGHT - 9 * DAY, MIDNIGHT + 2 * DAY, MIDNIGHT, 9, ZoneInfo("Australia/Sydney")
    )
    assert found == [
        Day(at("Australia/Sydney", "2026-12-01"), at("Australia/Sydney", "2026-12-02"))
    ]


@given(
    st.sampled_from(sorted(available_timezones())),
    st.integers(0, 2 * 365 * 24 * 60).map(lambda n: MIDNIGHT + timedelta(minutes=n)),
    st.integers(1, 40),
)
def test_days_follow_each_other_and_begin_with_a_new_date(
    name: str, start: datetime, count: int
) -> None:
    """Against the dates that clocks show there just before and at the first moment."""
    zone = ZoneInfo(name)
    found = days_to_want(start, start + 60 * DAY, None, count, zone)
    assert len(found) == count
    for one, other in pairwise(found):
        assert one.end == other.start
    for day in found:
        shown = day.start.astimezone(zone).date()
        assert (day.start - timedelta(seconds=1)).astimezone(zone).date() < shown
        assert (day.end - timedelta(seconds=1)).astimezone(zone).date() == shown


def test_a_wanted_report_has_one_id_and_its_columns() -> None:
    day = MIDNIGHT, MIDNIGHT + DAY
    wanted = Wanted("eu", ReportKind.ACTIVITY, "balance_change_from_activity.itemized.3", *day)
    assert wanted.id == Wanted("eu", ReportKind.ACTIVITY, "another.4", *day).id
    assert wanted.id != Wanted("us", ReportKind.ACTIVITY, wanted.stripe_type, *day).id
    parameters = wanted.params()["parameters"]
    assert isinstance(parameters, dict)
    assert parameters["interval_end"] - parameters["interval_start"] == 86_400
    assert "columns" in parameters
    summary = Wanted("eu", ReportKind.SUMMARY, "balance.summary.1", *day).params()
    assert "columns" not in str(summary)


@given(
    st.sampled_from(["USD", "JPY", "KWD", "ISK", "CLF"]),
    st.integers(-(10**13), 10**13),
    st.integers(0, 3),
)
def test_amounts_are_exact(currency: str, amount: int, zeros: int) -> None:
    exponent = EXPONENTS[currency]
    text = f"{Decimal(amount).scaleb(-exponent):.{exponent}f}"
    if zeros:
        text += ("" if exponent else ".") + "0" * zeros
    assert minor_units(text, currency, "net") == amount


def test_the_largest_amounts() -> None:
    assert minor_units("-9223372036854775807", "JPY", "net") == -MAX_MINOR_UNITS
    assert minor_units("92233720368547758.0700", "USD", "net") == MAX_MINOR_UNITS // 100 * 100 + 7
    assert minor_units("0" * 23 + "1", "JPY", "net") == 1


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.005", "USD"),
        ("1.5", "JPY"),
        ("", "USD"),
        ("1,00", "USD"),
        ("+1.00", "USD"),
        ("1e3", "USD"),
        ("1.", "USD"),
        ("٣.00", "USD"),
        ("0" * 24 + "1", "JPY"),
        ("9223372036854775808", "JPY"),
    ],
)
def test_amounts_that_are_refused(text: str, currency: str) -> None:
    with pytest.raises(UnreadableReportError, match="net: "):
        minor_units(text, currency, "net")


def test_columns_are_found_by_their_headings() -> None:
    mixed = "net,extra,gross,fee,balance_transaction_id,currency,created_utc,reporting_category,"
    mixed += "source_id,automatic_payout_id"
    line = '96.80,"a, b",100.00,3.20,txn_1,usd,2026-11-30 12:00:00,charge,ch_1,po_1'
    (row,) = read_rows([mixed, line], ReportKind.ACTIVITY)
    assert row == ReportRow(
        "USD",
        "charge",
        9_680,
        "txn_1",
        10_000,
        320,
        datetime(2026, 11, 30, 12, tzinfo=UTC),
        "ch_1",
        "po_1",
    )
    summary = ["category,description,net_amount,currency", "ending_balance,x,-5,jpy"]
    assert list(read_rows(summary, ReportKind.SUMMARY)) == [ReportRow("JPY", "ending_balance", -5)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "one column balance_transaction_id"),
        ([HEAD.replace("net", "gross")], "one column gross"),
        ([HEAD, ROW + ",more"], "line 2: as many cells"),
        ([HEAD, ROW.replace("usd", "zzz")], "line 2: currency"),
        ([HEAD, ROW.replace("96.80", "96.801")], "line 2: net"),
        ([HEAD, ROW.replace("txn_1", "")], "line 2: balance_transaction_id"),
        ([HEAD, ROW.replace("2026-11-30 12", "2026-11-31 12")], "line 2: created_utc"),
        ([HEAD, ROW, ROW.replace("12:00:00", "noon")], "line 3: created_utc"),
        ([HEAD, '"txn_1'], "line 2: a row of CSV"),
        ([HEAD, "x" * (MAX_LINE_CHARACTERS + 1)], "a line of at most"),
    ],
)
def test_files_that_are_refused(lines: list[str], expected: str) -> None:
    with pytest.raises(UnreadableReportError, match=expected):
        list(read_rows(lines, ReportKind.ACTIVITY))
