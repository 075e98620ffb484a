"""Files that have to be refused: how, and that the message says nothing of what is in them."""

import io
from dataclasses import replace
from datetime import date, timedelta

import pytest

from reconciliation.statements.csv_mapping import Columns, CsvMapping, Order, Sign
from reconciliation.statements.model import Expected, Format, Limits, Statement
from reconciliation.statements.reading import Declared, read_statements
from reconciliation.statements.refusal import StatementRefusedError
from tests.reconciliation.statements.drawing import IBANS, TODAY, Drawn, Line, Part, proved

NAME, TEXT, ACCOUNT = "Jane Personal", "for her own eyes", IBANS[0]
PERSONAL = (*NAME.split(), "eyes", ACCOUNT, ACCOUNT[4:], "4711", "E2E")

LINES = (
    Line(
        amount=1234,
        booked=TODAY - timedelta(1),
        value=TODAY - timedelta(2),
        is_reversal=False,
        bank_reference="4711",
        customer_reference="47110",
        end_to_end_id="E2E1",
        remittance=TEXT,
        name=NAME,
        code="PMNT/RCDT/ESCT",
    ),
    Line(
        amount=-1000,
        booked=TODAY,
        value=TODAY,
        code="PMNT/ICDT/ESCT",
        parts=(Part(-600, "4711", "E2E2", TEXT, NAME), Part(-400, "4711", "E2E3", TEXT, NAME)),
    ),
)
SAMPLE = Drawn(
    account=ACCOUNT,
    currency="EUR",
    opening=10_000,
    opened=TODAY - timedelta(2),
    closing=proved(LINES, 10_000),
    closed=TODAY,
    lines=LINES,
    statement_id="S1",
    number=17,
    period=(TODAY - timedelta(2), TODAY),
)
SIMPLE = replace(
    SAMPLE,
    lines=tuple(
        replace(line, code="NTRF", parts=(), bank_reference="4711") for line in SAMPLE.lines
    ),
)
MAPPING = CsvMapping(
    name="bank",
    encoding="utf-8",
    columns=Columns(
        booking_date="Date",
        value_date="Value",
        credit="In",
        debit="Out",
        balance="Balance",
        account="Account",
        currency="Currency",
        bank_reference="Reference",
        remittance="Text",
        counterparty="Name",
    ),
    date_format="%d.%m.%Y",
    decimal_mark=",",
    thousands_mark=".",
    sign=Sign.TWO_COLUMNS,
    order=Order.OLDEST_FIRST,
    delimiter=";",
)


def declared(file_format: Format) -> Declared:
    return Declared(file_format, mapping=MAPPING if file_format is Format.CSV else None)


def take(
    content: bytes,
    file_format: Format,
    expected: Expected | None = None,
    limits: Limits | None = None,
) -> tuple[Statement, ...]:
    """Reads a file as the sample is to be read."""
    needs_opening = file_format in (Format.OFX, Format.CSV)
    expected = expected or SAMPLE.expected(with_opening=needs_opening)
    return read_statements(io.BytesIO(content), declared(file_format), expected, limits)


def refusal(
    content: bytes,
    file_format: Format,
    expected: Expected | None = None,
    limits: Limits | None = None,
) -> StatementRefusedError:
    """Why a file is refused; the message says the format, and nothing of a person."""
    with pytest.raises(StatementRefusedError) as caught:
        take(content, file_format, expected, limits)
    error = caught.value
    text = f"{error} {error.args} {error.place}"
    assert [each for each in PERSONAL if each in text] == []
    assert file_format.value in error.place.source
    assert error.expected
    # What was raised first may hold what the file says: it is not carried along.
    assert error.__cause__ is None
    assert error.__suppress_context__
    return error


def yesterday(expected: Expected, day: date = TODAY - timedelta(1)) -> Expected:
    """The same, told on an earlier day."""
    return replace(expected, today=day)
