"""Which days are wanted, and how a report's file is read: exactly, or refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reports.report import (
    MAX_LINE_CHARACTERS,
    MAX_MINOR_UNITS,
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
    assert days_to_want(start, MIDNIGHT, None, 2) == [MIDNIGHT - 2 * DAY, MIDNIGHT - DAY]
    assert days_to_want(start, MIDNIGHT, MIDNIGHT - 4 * DAY, 2) == [
        MIDNIGHT - 3 * DAY,
        MIDNIGHT - 2 * DAY,
    ]
    assert days_to_want(start, MIDNIGHT, MIDNIGHT - DAY, 2) == []
    # A day that is not whole is not wanted, at either end.
    assert days_to_want(MIDNIGHT - DAY + timedelta(1 / 24), MIDNIGHT + DAY / 2, None, 9) == []
    assert days_to_want(MIDNIGHT - DAY, MIDNIGHT + DAY / 2, None, 9) == [MIDNIGHT - DAY]


def test_a_wanted_report_has_one_id_and_its_columns() -> None:
    wanted = Wanted("eu", ReportKind.ACTIVITY, "balance_change_from_activity.itemized.3", MIDNIGHT)
    assert wanted.id == Wanted("eu", ReportKind.ACTIVITY, "another.4", MIDNIGHT).id
    assert wanted.id != Wanted("us", ReportKind.ACTIVITY, wanted.stripe_type, MIDNIGHT).id
    parameters = wanted.params()["parameters"]
    assert isinstance(parameters, dict)
    assert parameters["interval_end"] - parameters["interval_start"] == 86_400
    assert "columns" in parameters
    summary = Wanted("eu", ReportKind.SUMMARY, "balance.summary.1", MIDNIGHT).params()
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
