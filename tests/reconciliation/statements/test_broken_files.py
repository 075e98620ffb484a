"""BAI2, OFX and CSV with each field in turn left out or spoiled."""

import re
from dataclasses import replace

import pytest

from reconciliation.statements.model import Balance, Format, Kind
from reconciliation.statements.refusal import Reason
from tests.reconciliation.statements.bai2_writer import write_bai2
from tests.reconciliation.statements.csv_writer import write_csv
from tests.reconciliation.statements.drawing import TODAY, Line
from tests.reconciliation.statements.ofx_writer import Writer
from tests.reconciliation.statements.refusing import (
    MAPPING,
    SAMPLE,
    SIMPLE,
    refusal,
    take,
    yesterday,
)

MISSING, INVALID = Reason.MISSING, Reason.INVALID
BAI2 = write_bai2(
    [
        replace(
            SIMPLE,
            lines=tuple(
                replace(line, code="165" if line.is_credit else "455") for line in SIMPLE.lines
            ),
        )
    ]
).decode()
OFX = Writer(is_xml=False, closed=False).write([SIMPLE]).decode()
OFX_XML = Writer(is_xml=True).write([SIMPLE]).decode()
CSV = write_csv(SIMPLE, MAPPING).decode()
CONTENTS = {Format.BAI2: BAI2, Format.OFX: OFX, Format.CSV: CSV}


def check(content: str, file_format: Format, reason: Reason | None) -> None:
    if reason is None:
        assert len(take(content.encode(), file_format)) == 1
        return
    assert refusal(content.encode(), file_format).reason is reason


@pytest.mark.parametrize("file_format", CONTENTS)
def test_the_samples_are_taken(file_format: Format) -> None:
    (statement,) = take(CONTENTS[file_format].encode(), file_format)
    assert [entry.amount_minor for entry in statement.booked()] == [1234, -1000]


@pytest.mark.parametrize("file_format", CONTENTS)
def test_empty_files_and_other_formats_are_refused(file_format: Format) -> None:
    for content in ("", "\n", *(each for other, each in CONTENTS.items() if other != file_format)):
        assert refusal(content.encode(), file_format)


@pytest.mark.parametrize("file_format", CONTENTS)
def test_files_that_are_cut_at_a_line(file_format: Format) -> None:
    lines = CONTENTS[file_format].splitlines(keepends=True)
    # A CSV without its last rows is another one: then it is the closing balance that is wrong.
    for count in range(len(lines) - (file_format is Format.CSV)):
        content = "".join(lines[:count]).encode()
        expected = SAMPLE.expected(with_opening=True, with_closing=True)
        if file_format is Format.CSV and count > 1:
            continue
        assert refusal(content, file_format, expected)


@pytest.mark.parametrize("file_format", CONTENTS)
def test_what_is_expected_is_of_another_day_account_or_currency(file_format: Format) -> None:
    content = CONTENTS[file_format].encode()
    expected = SAMPLE.expected(with_opening=True)
    account = expected.accounts[0]
    assert refusal(content, file_format, yesterday(expected)).reason is Reason.FUTURE_DATE
    for other, reason in (
        (replace(account, identification="1"), Reason.ACCOUNT),
        (replace(account, currency="USD"), Reason.CURRENCY),
    ):
        changed = replace(expected, accounts=(other,))
        assert refusal(content, file_format, changed).reason is reason


# BAI2


def without(record: str, at: int) -> str:
    """The record without what is behind a comma."""
    cells = record.split(",")
    return ",".join(cells[:at] + cells[at + 1 :])


@pytest.mark.parametrize("record", ["01", "02", "03", "16", "49", "98", "99"])
def test_a_record_is_left_out(record: str) -> None:
    content = re.sub(rf"^{record},.*\n", "", BAI2, count=1, flags=re.MULTILINE)
    reason = Reason.TOTALS if record == "16" else MISSING
    check(content, Format.BAI2, reason)


@pytest.mark.parametrize(
    ("record", "at", "spoiled", "reason"),
    [
        ("01", 3, "§", INVALID),
        ("01", 8, "3/", INVALID),
        ("02", 3, "2", INVALID),
        ("02", 3, "§", INVALID),
        ("02", 4, "261131", Reason.UNREADABLE),
        ("02", 4, "§", INVALID),
        ("02", 6, "§", INVALID),
        ("02", 7, "5/", INVALID),
        ("03", 1, "", INVALID),
        ("03", 1, "§", Reason.ACCOUNT),
        ("03", 2, "euro", INVALID),
        ("03", 2, "XAU", INVALID),
        ("03", 2, "USD", Reason.CURRENCY),
        ("03", 3, "§", Reason.UNSUPPORTED),
        ("03", 3, "011", Reason.PROOF_MISSING),
        ("03", 4, "§", Reason.UNREADABLE),
        ("03", 4, "10001", Reason.TOTALS),
        ("16", 1, "999", Reason.UNSUPPORTED),
        ("16", 1, "015", Reason.UNSUPPORTED),
        ("16", 1, "890", INVALID),
        ("16", 1, "455", Reason.BALANCE),
        ("16", 2, "-1234", INVALID),
        ("16", 2, "12.34", INVALID),
        ("16", 2, "1_234", INVALID),
        ("16", 2, "", INVALID),
        ("16", 2, "1235", Reason.TOTALS),
        ("16", 3, "Q", INVALID),
        ("49", 1, "1", Reason.TOTALS),
        ("49", 1, "§", INVALID),
        ("49", 2, "9/", Reason.TOTALS),
        ("98", 1, "1", Reason.TOTALS),
        ("98", 2, "2", Reason.TOTALS),
        ("98", 3, "9/", Reason.TOTALS),
        ("99", 1, "1", Reason.TOTALS),
        ("99", 2, "2", Reason.TOTALS),
        ("99", 3, "9/", Reason.TOTALS),
    ],
)
def test_a_field_of_a_record_is_spoiled(record: str, at: int, spoiled: str, reason: Reason) -> None:
    found = re.search(rf"^{record},.*$", BAI2, re.MULTILINE)
    assert found
    cells = found[0].split(",")
    cells[at] = spoiled
    check(BAI2.replace(found[0], ",".join(cells), 1), Format.BAI2, reason)


@pytest.mark.parametrize("record", ["02", "16", "49", "98", "99"])
def test_a_field_of_a_record_is_left_out(record: str) -> None:
    found = re.search(rf"^{record},.*$", BAI2, re.MULTILINE)
    assert found
    for at in range(1, 3):
        assert refusal(BAI2.replace(found[0], without(found[0], at), 1).encode(), Format.BAI2)


def test_records_in_another_order_and_of_other_kinds() -> None:
    lines = BAI2.splitlines()
    for content in (
        "\n".join(lines[1:]),
        "\n".join([*lines, "99,0,0,1/"]),
        "\n".join(["88,first/", *lines]),
        "\n".join([lines[0], "50,unknown/", *lines[1:]]),
        "\n".join([lines[0].replace(",", ";"), *lines[1:]]),
    ):
        assert refusal(content.encode(), Format.BAI2).reason in (MISSING, Reason.UNREADABLE)


def test_information_of_no_amount_is_no_booked_entry() -> None:
    line = "16,890,,,,,Something to know\n49,"
    content = BAI2.replace("49,", line, 1)
    content = re.sub(r"^(49,\d+,)5/", r"\g<1>6/", content, flags=re.MULTILINE)
    # The field of funds is left as it is, the numbers of records are not.
    for record in ("49", "98", "99"):
        content = re.sub(
            rf"^({record},.*,)(\d+)/$",
            lambda found: f"{found[1]}{int(found[2]) + 1}/",
            content,
            flags=re.MULTILINE,
        )
    content = content.replace("16,890,,", "16,890,0,", 1)
    (statement,) = take(content.encode(), Format.BAI2)
    assert [entry.amount_minor for entry in statement.booked()] == [1234, -1000]
    assert statement.entries[-1].remittance == "Something to know"


# OFX

OFX_FIELDS = {
    "CURDEF": (MISSING, INVALID),
    "BANKID": (MISSING, None),
    "ACCTID": (MISSING, Reason.ACCOUNT),
    "DTSTART": (None, INVALID),
    "DTEND": (None, INVALID),
    "TRNTYPE": (MISSING, None),
    "DTPOSTED": (MISSING, INVALID),
    "DTAVAIL": (None, INVALID),
    "TRNAMT": (MISSING, INVALID),
    "FITID": (MISSING, None),
    "NAME": (None, None),
    "MEMO": (None, None),
    "BALAMT": (MISSING, INVALID),
}


@pytest.mark.parametrize("content", [OFX, OFX_XML], ids=["sgml", "xml"])
@pytest.mark.parametrize("name", OFX_FIELDS)
def test_an_element_is_left_out_spoiled_or_repeated(name: str, content: str) -> None:
    element = re.compile(rf"<{name}>[^<\n]*(</{name}>)?\n")
    assert element.search(content)
    without_it, spoiled = OFX_FIELDS[name]
    check(element.sub("", content, count=1), Format.OFX, without_it)
    check(element.sub(rf"<{name}>Q\1\n", content, count=1), Format.OFX, spoiled)
    twice = element.sub(lambda found: found[0] * 2, content, count=1)
    check(twice, Format.OFX, Reason.REPEATED)


@pytest.mark.parametrize("content", [OFX, OFX_XML], ids=["sgml", "xml"])
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<TRNAMT>12.34", "<TRNAMT>12.341", Reason.DECIMALS),
        ("<TRNAMT>12.34", "<TRNAMT>1,234.00", INVALID),
        ("<TRNAMT>12.34", "<TRNAMT>--12.34", INVALID),
        ("<TRNAMT>12.34", "<TRNAMT>-12.34", Reason.BALANCE),
        ("<TRNAMT>12.34", "<TRNAMT>+12.34", None),
        ("<BALAMT>102.34", "<BALAMT>102.35", Reason.BALANCE),
        ("<CURDEF>EUR", "<CURDEF>USD", Reason.CURRENCY),
        ("<DTPOSTED>20261129", "<DTPOSTED>20261201", Reason.FUTURE_DATE),
        ("<DTPOSTED>20261129", "<DTPOSTED>20261131", INVALID),
        ("<STATUS>\n<CODE>0", "<STATUS>\n<CODE>15500", None),
        ("BANKMSGSRSV1>", "CREDITCARDMSGSRSV1>", Reason.UNSUPPORTED),
        ("STMTTRNRS>", "ACCTINFOTRNRS>", MISSING),
        ("STMTRS>", "OTHERRS>", MISSING),
        ("LEDGERBAL>", "AVAILBAL>", MISSING),
        ("BANKACCTFROM>", "BANKACCTTO>", MISSING),
    ],
)
def test_ofx_says_something_else(content: str, old: str, new: str, reason: Reason | None) -> None:
    assert old in content
    check(content.replace(old, new), Format.OFX, reason) if reason else check(
        content.replace(old, new, 1), Format.OFX, None
    )


def test_a_response_that_failed_and_changes_of_earlier_entries() -> None:
    check(OFX.replace("<CODE>0\n<SEVERITY>", "<CODE>2000\n<SEVERITY>"), Format.OFX, INVALID)
    corrected = OFX.replace("<FITID>", "<CORRECTFITID>F0\n<CORRECTACTION>DELETE\n<FITID>", 1)
    check(corrected, Format.OFX, Reason.UNSUPPORTED)
    other = OFX.replace("<FITID>", "<CURRENCY>\n<CURSYM>USD\n</CURRENCY>\n<FITID>", 1)
    check(other, Format.OFX, Reason.CURRENCY)
    same = OFX.replace("<FITID>", "<CURRENCY>\n<CURSYM>EUR\n</CURRENCY>\n<FITID>", 1)
    check(same, Format.OFX, None)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("OFXHEADER:100", "OFXHEADER:300", Reason.UNSUPPORTED),
        ("VERSION:102", "VERSION:302", Reason.UNSUPPORTED),
        ("COMPRESSION:NONE", "COMPRESSION:ZIP", Reason.UNSUPPORTED),
        ("CHARSET:1252", "CHARSET:437", Reason.ENCODING),
        ("ENCODING:USASCII", "ENCODING:EBCDIC", Reason.ENCODING),
        ("</STMTRS>", "", MISSING),
        ("</OFX>", "", Reason.UNREADABLE),
        ("</OFX>", "</OFX>\n<OFX>", Reason.UNREADABLE),
        ("</STMTRS>", "</STMTRS>text", Reason.UNREADABLE),
        ("<OFX>", "<OFX>\n<!DOCTYPE OFX>", Reason.UNREADABLE),
    ],
)
def test_ofx_that_is_not_well_formed(old: str, new: str, reason: Reason) -> None:
    assert old in OFX
    check(OFX.replace(old, new), Format.OFX, reason)


def test_elements_of_a_banks_own_are_passed_over() -> None:
    content = OFX.replace("<FITID>", "<BANK.NOTE>\n<BANK.WORD>one\n</BANK.NOTE>\n<BANK.X>\n<FITID>")
    check(content, Format.OFX, None)


def test_ofx_in_another_encoding() -> None:
    content = OFX.replace("CHARSET:1252", "CHARSET:NONE").replace("Jane", "Jäne")
    assert refusal(content.encode("cp1252"), Format.OFX).reason is Reason.ENCODING


def test_ofx_without_the_opening_balance_or_with_two_statements_of_an_account() -> None:
    error = refusal(OFX.encode(), Format.OFX, SAMPLE.expected())
    assert error.reason is Reason.PROOF_MISSING
    twice = Writer(is_xml=True).write([SIMPLE, SIMPLE])
    error = refusal(twice, Format.OFX, SAMPLE.expected(with_opening=True))
    assert (error.reason, error.place.statement) == (Reason.PROOF_MISSING, 2)


# CSV


def cell(row: int, heading: str, text: str) -> str:
    """The sample with one cell changed; row 1 is the first below the headings."""
    rows = [line.split(";") for line in CSV.splitlines()]
    at = rows[0].index(f'"{heading}"')
    rows[row][at] = f'"{text}"'
    return "\r\n".join(";".join(cells) for cells in rows)


@pytest.mark.parametrize(
    ("heading", "text", "reason"),
    [
        ("Date", "", INVALID),
        ("Date", "2026-11-29", INVALID),
        ("Date", "29.11.26", INVALID),
        ("Date", "9.11.2026", INVALID),
        ("Date", "31.11.2026", INVALID),
        ("Date", "01.12.2026", Reason.FUTURE_DATE),
        ("Value", "", None),
        ("Value", "§", INVALID),
        ("In", "", MISSING),
        ("Out", "1,00", Reason.REPEATED),
        ("In", "12.34", INVALID),
        ("In", "-12,34", INVALID),
        ("In", "12,345", Reason.DECIMALS),
        ("In", "1.2,34", INVALID),
        ("In", "12,35", Reason.BALANCE),
        ("Balance", "112,35", Reason.BALANCE),
        ("Balance", "§", INVALID),
        ("Balance", "", INVALID),
        ("Account", "", MISSING),
        ("Account", "1", Reason.ACCOUNT),
        ("Currency", "", MISSING),
        ("Currency", "USD", Reason.CURRENCY),
        ("Currency", "§", INVALID),
        ("Reference", "", None),
        ("Text", "", None),
        ("Name", "", None),
    ],
)
def test_a_cell_is_spoiled(heading: str, text: str, reason: Reason | None) -> None:
    content = cell(1, heading, text)
    check(content, Format.CSV, reason)
    if reason in (INVALID, MISSING, Reason.DECIMALS):
        error = refusal(content.encode(), Format.CSV)
        assert (error.place.entry, error.place.line) == (1, 2)


@pytest.mark.parametrize("heading", MAPPING.columns.declared().values())
def test_a_column_is_left_out_or_there_twice(heading: str) -> None:
    check(CSV.replace(f'"{heading}"', '"Else"'), Format.CSV, MISSING)
    check(CSV.replace('"Not read"', f'"{heading}"'), Format.CSV, Reason.REPEATED)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CSV.replace(";", ","), Reason.UNREADABLE),
        (CSV + '"one cell"\r\n', Reason.UNREADABLE),
        (CSV + '"open', Reason.UNREADABLE),
        (CSV.replace('"x"', '"x"y', 1), Reason.UNREADABLE),
    ],
)
def test_rows_that_are_none(content: str, reason: Reason) -> None:
    check(content, Format.CSV, reason)


def test_csv_in_another_encoding() -> None:
    content = CSV.replace("Jane", "Jäne")
    assert refusal(content.encode("cp1252"), Format.CSV).reason is Reason.ENCODING
    assert refusal(content.encode("utf-16"), Format.CSV).reason is Reason.ENCODING


def test_csv_without_balances_or_with_a_false_one() -> None:
    assert refusal(CSV.encode(), Format.CSV, SAMPLE.expected()).reason is Reason.PROOF_MISSING
    expected = SAMPLE.expected(with_opening=True)
    account = replace(expected.accounts[0], opening=Balance(SAMPLE.opening + 1, SAMPLE.opened))
    error = refusal(CSV.encode(), Format.CSV, replace(expected, accounts=(account,)))
    assert error.reason is Reason.BALANCE
    # Nothing was booked: nothing in the file says what is on the account.
    empty = CSV.splitlines()[0]
    assert refusal(empty.encode(), Format.CSV, expected).reason is MISSING


def test_a_csv_of_one_of_several_accounts_has_to_say_which() -> None:
    expected = SAMPLE.expected(with_opening=True)
    other = replace(expected.accounts[0], identification="1")
    several = replace(expected, accounts=(other, *expected.accounts))
    assert take(CSV.encode(), Format.CSV, several)


def test_reports_of_bai2_are_marked() -> None:
    line = Line(amount=100, booked=TODAY, code="165")
    content = write_bai2([replace(SAMPLE, lines=(line,), kind=Kind.INTERIM)])
    (statement,) = take(content, Format.BAI2)
    assert statement.kind is Kind.INTERIM


def test_an_opening_balance_may_follow_from_the_closing_one() -> None:
    expected = SAMPLE.expected()
    account = replace(expected.accounts[0], opening_follows=True)
    follows = replace(expected, accounts=(account,))
    for content, file_format in ((OFX, Format.OFX), (CSV, Format.CSV)):
        (read,) = take(content.encode(), file_format, follows)
        assert read.opening is not None
        assert read.opening.amount_minor == SIMPLE.opening
    # Two statements of an account each have their own.
    twice = Writer(is_xml=True).write([SIMPLE, SIMPLE])
    assert len(take(twice, Format.OFX, follows)) == 2
    # What is said comes first, and is proved.
    given = replace(account, opening=Balance(SIMPLE.opening + 1, SIMPLE.opened))
    false = replace(expected, accounts=(given,))
    assert refusal(OFX.encode(), Format.OFX, false).reason is Reason.BALANCE
