"""MT940 and MT942 with each field in turn left out, spoiled or moved."""

import re
from dataclasses import replace

import pytest

from reconciliation.statements.model import Format, Kind
from reconciliation.statements.refusal import Reason
from tests.reconciliation.statements.drawing import TODAY
from tests.reconciliation.statements.refusing import SIMPLE, refusal, take
from tests.reconciliation.statements.swift_writer import write_swift

STATEMENT = write_swift([replace(SIMPLE, note="The bank's note")], ending="\n").decode()
REPORT = write_swift([replace(SIMPLE, kind=Kind.INTERIM)], ending="\n").decode()
MISSING, INVALID = Reason.MISSING, Reason.INVALID

# Each field: why the statement is refused without its lines, and with another text; None if not.
FIELDS = {
    "20": (MISSING, None),
    "25": (MISSING, Reason.ACCOUNT),
    "28C": (MISSING, INVALID),
    "60F": (MISSING, INVALID),
    "61": (MISSING, INVALID),
    "62F": (MISSING, INVALID),
    "64": (None, INVALID),
}
REPORT_FIELDS = {
    "20": (MISSING, None),
    "25": (MISSING, Reason.ACCOUNT),
    "28C": (MISSING, INVALID),
    "34F": (MISSING, INVALID),
    "13D": (MISSING, None),
    # Without the entry its :86: stands where only a note may be, and something follows.
    "61": (Reason.UNSUPPORTED, INVALID),
    "90D": (None, INVALID),
    "90C": (None, INVALID),
}
CASES = [
    *((Format.MT940, STATEMENT, tag, *reasons) for tag, reasons in FIELDS.items()),
    *((Format.MT942, REPORT, tag, *reasons) for tag, reasons in REPORT_FIELDS.items()),
]


def check(content: str, file_format: Format, reason: Reason | None) -> None:
    if reason is None:
        assert len(take(content.encode(), file_format)) == 1
        return
    assert refusal(content.encode(), file_format).reason is reason


@pytest.mark.parametrize(("file_format", "content", "tag", "without", "spoiled"), CASES)
def test_a_field_is_left_out_or_spoiled(
    file_format: Format, content: str, tag: str, without: Reason | None, spoiled: Reason | None
) -> None:
    field = re.compile(rf"^:{tag}:.*\n", re.MULTILINE)
    assert field.search(content)
    check(field.sub("", content, count=1), file_format, without)
    check(field.sub(f":{tag}:§§§\n", content, count=1), file_format, spoiled)


def line_61(**changes: str) -> str:
    """The statement with parts of its first entry changed."""
    parts = {
        "value": f"{SIMPLE.lines[0].value:%y%m%d}",
        "entry": f"{SIMPLE.lines[0].booked:%m%d}",
        "mark": "C",
        "funds": "R",
        "amount": "12,34",
        "code": "NTRF",
        "owner": "47110",
        "bank": "//4711",
    }
    old = f":61:{''.join(parts.values())}"
    assert old in STATEMENT
    return STATEMENT.replace(old, f":61:{''.join((parts | changes).values())}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"value": "261131"}, INVALID),
        ({"value": ""}, INVALID),
        ({"entry": "1331"}, INVALID),
        ({"entry": ""}, None),
        ({"entry": "1201"}, Reason.FUTURE_DATE),
        ({"mark": "X"}, INVALID),
        ({"mark": ""}, INVALID),
        ({"mark": "CD"}, INVALID),
        ({"mark": "D"}, Reason.BALANCE),
        ({"mark": "RC"}, Reason.BALANCE),
        ({"mark": "RD"}, None),
        ({"mark": "EC"}, INVALID),
        ({"funds": "D"}, Reason.CURRENCY),
        ({"funds": ""}, None),
        ({"amount": "12,340"}, None),
        ({"amount": "12,341"}, Reason.DECIMALS),
        ({"amount": "12.34"}, INVALID),
        ({"amount": "1234"}, INVALID),
        ({"amount": ""}, INVALID),
        ({"amount": "12,3,4"}, INVALID),
        ({"amount": "12,35"}, Reason.BALANCE),
        ({"code": "XTRF"}, INVALID),
        ({"code": ""}, INVALID),
        ({"owner": "1" * 17}, INVALID),
        ({"bank": "//" + "1" * 17}, INVALID),
        ({"bank": ""}, None),
    ],
)
def test_a_part_of_an_entry_is_changed(changes: dict[str, str], reason: Reason | None) -> None:
    check(line_61(**changes), Format.MT940, reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (":60F:C", ":60F:X", INVALID),
        (":60F:C", ":60F:D", Reason.BALANCE),
        ("EUR100,00", "USD100,00", Reason.CURRENCY),
        ("EUR100,00", "XAU100,00", INVALID),
        ("EUR100,00", "EUR100,001", Reason.DECIMALS),
        ("EUR100,00", "EUR10000", INVALID),
        ("EUR102,34", "EUR102,35", Reason.BALANCE),
        ("EUR102,34", "USD102,34", Reason.CURRENCY),
        (f":62F:C{TODAY:%y%m%d}", ":62F:C261201", Reason.FUTURE_DATE),
        (f":62F:C{TODAY:%y%m%d}", ":62F:C261101", INVALID),
        (":62F:", ":61:", INVALID),
        (":28C:17", ":28C:1/2/3", INVALID),
        (":28C:17", ":28C:", INVALID),
        (":25:", ":25:/", Reason.ACCOUNT),
        (":20:S1", "Hello\n:20:S1", Reason.UNREADABLE),
        (":20:S1", "{1:F01}{2:O950}{4:\n:20:S1", Reason.UNSUPPORTED),
        (":20:S1", ":20:S1\n{1:F01}{2:O940}{4:", Reason.UNREADABLE),
        (":64:", ":13:\n:64:", Reason.UNSUPPORTED),
        (":86:The bank's note", ":86:The\n:86:note", Reason.UNSUPPORTED),
        (":86:The bank's note", ":86:The\n:note", Reason.UNREADABLE),
        (":62F:", ":86:More\n:86:More\n:62F:", MISSING),
    ],
)
def test_a_field_says_something_else(old: str, new: str, reason: Reason) -> None:
    assert old in STATEMENT
    check(STATEMENT.replace(old, new, 1), Format.MT940, reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (":90C:1EUR12,34", ":90C:2EUR12,34", Reason.TOTALS),
        (":90C:1EUR12,34", ":90C:1EUR12,35", Reason.TOTALS),
        (":90C:1EUR12,34", ":90C:1USD12,34", Reason.CURRENCY),
        (":34F:EUR0,00", ":34F:EURD0,00\n:34F:USDC0,00", Reason.CURRENCY),
        (":34F:EUR0,00", ":34F:EURD0,00\n:34F:EURC0,00", None),
        (":34F:EUR", ":34F:XXX", INVALID),
    ],
)
def test_a_report_says_something_else(old: str, new: str, reason: Reason | None) -> None:
    assert old in REPORT
    check(REPORT.replace(old, new, 1), Format.MT942, reason)


def test_a_statement_is_no_report_and_a_report_no_statement() -> None:
    check(STATEMENT, Format.MT942, MISSING)
    check(REPORT, Format.MT940, MISSING)


def test_a_note_is_not_that_of_the_last_entry() -> None:
    (statement,) = take(STATEMENT.encode(), Format.MT940)
    assert statement.note == "The bank's note"
    assert statement.entries[-1].remittance == ""


def test_pages_have_balances_of_their_own() -> None:
    pages = STATEMENT.replace(":28C:17", ":28C:17/2").replace(":62F:", ":62M:")
    (statement,) = take(pages.encode(), Format.MT940)
    assert (statement.number, statement.page) == (17, 2)


def test_accounts_with_the_currency_behind_the_number_and_with_a_bank() -> None:
    for line in (f":25:{SIMPLE.account}EUR", f":25P:{SIMPLE.account}\nBANKDEFF"):
        content = STATEMENT.replace(f":25:{SIMPLE.account}", line)
        assert take(content.encode(), Format.MT940)
    check(STATEMENT.replace(SIMPLE.account, SIMPLE.account + "USD"), Format.MT940, Reason.ACCOUNT)


def test_an_entry_date_is_in_the_year_that_is_nearest() -> None:
    content = line_61(value="260102", entry="1231")
    (statement,) = take(content.encode(), Format.MT940)
    assert str(statement.entries[0].booking_date) == "2025-12-31"


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_a_file_that_is_cut_has_no_closing_balance(share: int) -> None:
    end = STATEMENT.index(":62F:") * share // 100
    error = refusal(STATEMENT[:end].encode(), Format.MT940)
    assert error.reason in (MISSING, INVALID, Reason.UNREADABLE)


def test_the_line_is_told() -> None:
    content = line_61(amount="12.34")
    error = refusal(content.encode(), Format.MT940)
    line = content[: content.index(":61:")].count("\n") + 1
    assert (error.place.statement, error.place.entry, error.place.line) == (1, 1, line)
    assert str(error).startswith(f"MT940, statement 1, entry 1, line {line}, :61:: ")


def test_bytes_in_another_encoding() -> None:
    error = refusal(
        STATEMENT.replace("Jane", "Jäne").replace("own", "öwn").encode("latin-1"), Format.MT940
    )
    assert error.reason is Reason.ENCODING
    assert refusal(STATEMENT.encode("utf-16"), Format.MT940).reason is Reason.ENCODING
