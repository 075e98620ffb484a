"""What writers of every format write, which share no code with the readers, is read as it was
drawn; with any amount changed it is refused."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciliation.statements.csv_mapping import Columns, CsvMapping, Order, Sign
from reconciliation.statements.model import EntryStatus, Format, Kind, NotBookedError, Statement
from reconciliation.statements.reading import Declared, read_statements
from reconciliation.statements.refusal import Reason, StatementRefusedError
from tests.reconciliation.statements.bai2_writer import write_bai2
from tests.reconciliation.statements.camt_writer import version_of, write_camt
from tests.reconciliation.statements.csv_writer import write_csv
from tests.reconciliation.statements.drawing import (
    ALPHABET,
    WIDE,
    Drawn,
    Line,
    Part,
    amounts,
    days,
    proved,
    references,
    statement_of,
    statements,
    without_hashes,
    words,
)
from tests.reconciliation.statements.ofx_writer import Writer
from tests.reconciliation.statements.swift_writer import fold, write_swift

FEW = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
KINDS = st.sampled_from(list(Kind))
# Enough for any difference that a changed amount may make.
DIFFERENCES = st.sampled_from([-1, 1, 100, -(10**6)])


def read(
    content: bytes,
    file_format: Format,
    drawn: Drawn,
    mapping: CsvMapping | None = None,
    *,
    with_opening: bool = False,
    with_closing: bool = False,
) -> list[Statement]:
    """The statements of a file as far as they can be compared with what was drawn."""
    expected = drawn.expected(with_opening=with_opening, with_closing=with_closing)
    found = read_statements(io.BytesIO(content), Declared(file_format, "", mapping), expected)
    return [without_hashes(statement) for statement in found]


def refused(
    content: bytes, file_format: Format, drawn: Drawn, mapping: CsvMapping | None = None
) -> Reason:
    with pytest.raises(StatementRefusedError) as caught:
        read(content, file_format, drawn, mapping, with_opening=True, with_closing=True)
    return caught.value.reason


def changed(drawn: Drawn, data: st.DataObject) -> Drawn:
    """The same with the amount of one booked line changed by a little, its sign kept or not."""
    at = data.draw(st.integers(0, len(drawn.lines) - 1))
    difference = data.draw(DIFFERENCES)
    assume(drawn.lines[at].status is EntryStatus.BOOKED)
    return drawn.with_amount(at, difference)


# camt


@st.composite
def camt_lines(draw: st.DrawFn) -> Line:
    wide = words(WIDE)
    line = Line(
        amount=draw(amounts),
        booked=draw(days()),
        value=draw(st.none() | days()),
        status=draw(st.sampled_from([EntryStatus.BOOKED] * 3 + [EntryStatus.PENDING])),
        is_reversal=draw(st.booleans()),
        bank_reference=draw(wide),
        customer_reference=draw(wide),
        end_to_end_id=draw(wide),
        remittance="\n".join(filter(None, draw(st.lists(wide, max_size=3)))),
        name=draw(wide),
        code=draw(st.sampled_from(["", "PMNT/RCDT/ESCT", "NTRF+166"])),
        information=draw(wide),
    )
    shares = draw(st.lists(st.integers(-1000, 1000), max_size=3))
    if not shares:
        return line
    # A batch has its references in the transactions; the last one brings the sum to the entry's.
    parts = [
        Part(share, draw(references), draw(references), draw(wide), draw(wide)) for share in shares
    ]
    parts.append(Part(line.amount - sum(shares)))
    return replace(line, end_to_end_id="", remittance="", name="", parts=tuple(parts))


@st.composite
def camt_statements(draw: st.DrawFn, kinds: st.SearchStrategy[Kind] = KINDS) -> Drawn:
    drawn = draw(statements(camt_lines()))
    other = drawn.account.removeprefix("DE")
    return replace(
        drawn,
        kind=draw(kinds),
        statement_id=draw(words(WIDE)) or "S",
        number=draw(st.none() | st.integers(0, 10**6)),
        page=draw(st.none() | st.integers(1, 9)),
        period=draw(st.none() | st.just((drawn.opened, drawn.closed))),
        note=draw(words(WIDE)),
        account=draw(st.sampled_from([drawn.account, other])),
        is_iban=True,
    )


def settle(drawn: Drawn) -> Drawn:
    """An account that is no IBAN is written as another identification."""
    return replace(drawn, is_iban=drawn.account[:2].isalpha())


@FEW
@given(camt_statements().map(settle), st.sampled_from(range(8, 14)), st.sampled_from(["", "ns2"]))
def test_camt_with_parts_of_either_direction(drawn: Drawn, version: int, prefix: str) -> None:
    content = write_camt([drawn], version, prefix)
    expected = statement_of(drawn, content, Format.CAMT, version_of(drawn.kind, version))
    assert read(content, Format.CAMT, drawn) == [expected]


@FEW
@given(camt_statements().map(settle), st.sampled_from(range(2, 8)))
def test_camt_of_older_versions(drawn: Drawn, version: int) -> None:
    # Before 001.03 a transaction has no direction of its own.
    lines = tuple(
        replace(line, parts=())
        if version < 3 and any((part.amount >= 0) != line.is_credit for part in line.parts)
        else line
        for line in drawn.lines
    )
    drawn = replace(drawn, lines=lines)
    content = write_camt([drawn], version)
    expected = statement_of(drawn, content, Format.CAMT, version_of(drawn.kind, version))
    assert read(content, Format.CAMT, drawn) == [expected]


@FEW
@given(camt_statements(st.just(Kind.BOOKED)).map(settle), st.data())
def test_a_changed_amount_of_camt_is_refused(drawn: Drawn, data: st.DataObject) -> None:
    assume(drawn.lines)
    content = write_camt([changed(drawn, data)])
    assert refused(content, Format.CAMT, drawn) in (Reason.BALANCE, Reason.BATCH)


# SWIFT

SWIFT_WORD = ALPHABET + "()',."


@st.composite
def swift_lines(draw: st.DrawFn, form: str, *, with_expected: bool) -> Line:
    statuses = [EntryStatus.BOOKED] * 3 + [EntryStatus.PENDING] * with_expected
    status = draw(st.sampled_from(statuses))
    booked = draw(days())
    text = words(SWIFT_WORD, 12, 20)
    numbered = form == "numbered"
    return Line(
        amount=draw(amounts),
        booked=booked,
        # Entry dates have no year: it is that which is nearest to the value date.
        value=booked + timedelta(draw(st.integers(-100, 100))),
        status=status,
        is_reversal=draw(st.booleans()) and status is EntryStatus.BOOKED,
        bank_reference=draw(references),
        customer_reference=draw(st.sampled_from(["NONREF", "4711", "A/B"])),
        end_to_end_id=draw(references) if numbered else "",
        remittance=draw(text) if numbered else fold(draw(text)),
        name=draw(words(SWIFT_WORD, 3)) if numbered else "",
        code="NTRF/166" if numbered else "NTRF",
        information=draw(words(SWIFT_WORD, 2)),
    )


@st.composite
def swift_statements(draw: st.DrawFn, form: str, kind: Kind) -> Drawn:
    lines = swift_lines(form, with_expected=kind is Kind.INTERIM)
    drawn = draw(statements(lines, currencies=("EUR", "USD", "JPY", "KWD")))
    # A page is there or not; SWIFT's statements have no period.
    return replace(
        drawn,
        kind=kind,
        statement_id=draw(st.text("ABC123", min_size=1, max_size=16)),
        number=draw(st.integers(0, 99_999)),
        page=draw(st.none() | st.integers(1, 99_999)),
        note=fold(draw(words(SWIFT_WORD, 12))),
    )


@pytest.mark.parametrize("form", ["plain", "numbered"])
@FEW
@given(data=st.data(), in_blocks=st.booleans(), ending=st.sampled_from(["\n", "\r\n"]))
def test_mt940(form: str, data: st.DataObject, *, in_blocks: bool, ending: str) -> None:
    drawn = data.draw(swift_statements(form, Kind.BOOKED))
    content = write_swift([drawn], form, in_blocks=in_blocks, ending=ending)
    assert read(content, Format.MT940, drawn) == [
        statement_of(drawn, content, Format.MT940, "MT940")
    ]


@FEW
@given(swift_statements("plain", Kind.INTERIM))
def test_mt942(drawn: Drawn) -> None:
    content = write_swift([drawn])
    (found,) = read(content, Format.MT942, drawn)
    assert found == statement_of(drawn, content, Format.MT942, "MT942")
    with pytest.raises(NotBookedError):
        found.booked()


@FEW
@given(swift_statements("numbered", Kind.BOOKED), st.data())
def test_a_changed_amount_of_mt940_is_refused(drawn: Drawn, data: st.DataObject) -> None:
    assume(drawn.lines)
    content = write_swift([changed(drawn, data)], "numbered")
    assert refused(content, Format.MT940, drawn) is Reason.BALANCE


# BAI2

# Of the type codes in BAI's table: what they say of the direction is all that there is.
CREDIT_CODES = {"165": "Preauthorized ACH Credit", "195": "Incoming Money Transfer"}
DEBIT_CODES = {"455": "Preauthorized ACH Debit", "495": "Outgoing Money Transfer"}


@st.composite
def bai2_lines(draw: st.DrawFn) -> Line:
    amount = draw(amounts)
    codes = CREDIT_CODES if amount >= 0 else DEBIT_CODES
    code = draw(st.sampled_from(sorted(codes)))
    return Line(
        amount=amount,
        value=draw(st.none() | days()),
        bank_reference=draw(references),
        customer_reference=draw(references),
        remittance=draw(words(ALPHABET + ",", 5)).strip(", "),
        code=code,
        information=codes[code],
    )


@st.composite
def bai2_statements(draw: st.DrawFn) -> Drawn:
    drawn = draw(statements(bai2_lines()))
    return replace(
        drawn,
        opened=drawn.closed,
        kind=draw(st.sampled_from([Kind.BOOKED, Kind.INTERIM])),
        statement_id=str(draw(st.integers(1, 999))),
        is_iban=False,
        lines=tuple(replace(line, booked=drawn.closed) for line in drawn.lines),
    )


@FEW
@given(bai2_statements(), st.booleans())
def test_bai2(drawn: Drawn, cut: bool) -> None:
    content = write_bai2([drawn], cut=cut)
    assert read(content, Format.BAI2, drawn) == [
        statement_of(drawn, content, Format.BAI2, "BAI2 version 2")
    ]


@FEW
@given(bai2_statements(), st.data(), st.booleans())
def test_a_changed_amount_of_bai2_is_refused(
    drawn: Drawn, data: st.DataObject, with_totals: bool
) -> None:
    drawn = replace(drawn, kind=Kind.BOOKED)
    assume(drawn.lines)
    other = changed(drawn, data)
    # The totals are those of what was drawn, or changed with it by who knows how to.
    content = write_bai2([other], counted=None if with_totals else [drawn])
    reasons = (Reason.BALANCE,) if with_totals else (Reason.TOTALS, Reason.BALANCE)
    assert refused(content, Format.BAI2, drawn) in reasons


# OFX


@st.composite
def ofx_lines(draw: st.DrawFn) -> Line:
    amount = draw(amounts)
    return Line(
        amount=amount,
        booked=draw(days()),
        value=draw(st.none() | days()),
        bank_reference=draw(words(ALPHABET)) or "F1",
        customer_reference=draw(words(ALPHABET)),
        remittance=draw(words(WIDE)),
        name=draw(words(WIDE)),
        code="CREDIT" if amount >= 0 else "DEBIT",
    )


@st.composite
def ofx_statements(draw: st.DrawFn) -> Drawn:
    drawn = draw(statements(ofx_lines()))
    return replace(drawn, period=(drawn.opened, drawn.closed))


@FEW
@given(ofx_statements(), st.sampled_from(["xml", "closed", "open"]), st.sampled_from(".,"))
def test_ofx(drawn: Drawn, form: str, mark: str) -> None:
    content = Writer(is_xml=form == "xml", closed=form == "closed", mark=mark).write([drawn])
    version = "OFX 211" if form == "xml" else "OFX 102"
    assert read(content, Format.OFX, drawn, with_opening=True) == [
        statement_of(drawn, content, Format.OFX, version)
    ]


@FEW
@given(ofx_statements(), st.data())
def test_a_changed_amount_of_ofx_is_refused(drawn: Drawn, data: st.DataObject) -> None:
    assume(drawn.lines)
    content = Writer(is_xml=False, closed=False).write([changed(drawn, data)])
    assert refused(content, Format.OFX, drawn) is Reason.BALANCE


# CSV

MAPPINGS = [
    CsvMapping(
        name="plain",
        encoding="utf-8",
        columns=Columns(booking_date="Date", amount="Amount", remittance="Text"),
        date_format="%Y-%m-%d",
        decimal_mark=".",
        sign=Sign.SIGNED,
        order=Order.OLDEST_FIRST,
    ),
    CsvMapping(
        name="german",
        encoding="cp1252",
        columns=Columns(
            booking_date="Buchungstag",
            value_date="Wertstellung",
            amount="Umsatz",
            indicator="S/H",
            balance="Saldo",
            account="Konto",
            currency="Währung",
            remittance="Zweck",
            counterparty="Name",
            transaction_code="Art",
        ),
        date_format="%d.%m.%y",
        decimal_mark=",",
        thousands_mark=".",
        sign=Sign.INDICATOR,
        credit_words=("H",),
        debit_words=("S",),
        order=Order.NEWEST_FIRST,
        delimiter=";",
        heading_row=3,
        footer_rows=2,
    ),
    CsvMapping(
        name="two",
        encoding="utf-16",
        columns=Columns(
            booking_date="Date",
            credit="In",
            debit="Out",
            balance="Balance",
            bank_reference="Ref",
            customer_reference="Yours",
            end_to_end_id="E2E",
            remittance="Details",
        ),
        date_format="%m/%d/%Y",
        decimal_mark=".",
        thousands_mark=" ",
        sign=Sign.TWO_COLUMNS,
        order=Order.OLDEST_FIRST,
        delimiter="\t",
        quote="'",
    ),
]
TEXTS: tuple[tuple[str, str], ...] = (
    ("value_date", "value"),
    ("bank_reference", "bank_reference"),
    ("customer_reference", "customer_reference"),
    ("end_to_end_id", "end_to_end_id"),
    ("remittance", "remittance"),
    ("counterparty", "name"),
    ("transaction_code", "code"),
)


@st.composite
def csv_statements(draw: st.DrawFn, mapping: CsvMapping) -> Drawn:
    """What the mapping has no column for is not drawn."""
    wide = words(WIDE.replace("Ž", "Z") if mapping.encoding == "cp1252" else WIDE)
    drawn = draw(statements(st.builds(Line, amount=amounts, booked=days())))
    declared = mapping.columns.declared()
    lines = []
    for line in drawn.lines:
        texts: dict[str, Any] = {
            name: draw(st.none() | days() if name == "value" else wide)
            for column, name in TEXTS
            if column in declared
        }
        lines.append(replace(line, **texts))
    closed = drawn.closed
    if "balance" in declared and lines:
        closed = lines[-1].booked
    opened = min(drawn.opened, closed)
    return replace(drawn, lines=tuple(lines), opened=opened, closed=closed)


def mapped(
    build: Callable[[CsvMapping], st.SearchStrategy[Drawn]],
) -> st.SearchStrategy[tuple[CsvMapping, Drawn]]:
    return st.sampled_from(MAPPINGS).flatmap(
        lambda mapping: st.tuples(st.just(mapping), build(mapping))
    )


@FEW
@given(mapped(csv_statements))
def test_csv(mapping_and_drawn: tuple[CsvMapping, Drawn]) -> None:
    mapping, drawn = mapping_and_drawn
    assume(drawn.lines or not mapping.columns.account)
    content = write_csv(drawn, mapping)
    expected = statement_of(drawn, content, Format.CSV, f"CSV {mapping.name}")
    assert read(content, Format.CSV, drawn, mapping, with_opening=True, with_closing=True) == [
        expected
    ]


@FEW
@given(mapped(csv_statements), st.data())
def test_a_changed_amount_of_csv_is_refused(
    mapping_and_drawn: tuple[CsvMapping, Drawn], data: st.DataObject
) -> None:
    mapping, drawn = mapping_and_drawn
    assume(drawn.lines)
    other = changed(drawn, data)
    content = write_csv(other, mapping)
    if mapping.columns.balance:
        # Balances that were changed with it still end elsewhere than the opening says.
        first = write_csv(replace(other, opening=other.opening + 1), mapping)
        assert refused(first, Format.CSV, drawn, mapping) is Reason.BALANCE
    else:
        assert refused(content, Format.CSV, drawn, mapping) is Reason.BALANCE


# All


@settings(FEW, max_examples=5)
@given(st.lists(camt_statements(st.just(Kind.BOOKED)).map(settle), min_size=2, max_size=3))
def test_several_statements_of_one_file(several: list[Drawn]) -> None:
    several = [
        replace(each, account=several[0].account, is_iban=several[0].is_iban) for each in several
    ]
    several = [
        replace(each, currency="EUR", closing=proved(each.lines, each.opening)) for each in several
    ]
    content = write_camt(several)
    found = read(content, Format.CAMT, several[0])
    assert found == [
        statement_of(each, content, Format.CAMT, "camt.053.001.08", position)
        for position, each in enumerate(several, 1)
    ]
