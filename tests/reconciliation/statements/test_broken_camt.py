"""camt with each field in turn left out, spoiled or repeated."""

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest

from reconciliation.statements.model import Format, Kind
from reconciliation.statements.refusal import Reason
from tests.reconciliation.statements.camt_writer import write_camt
from tests.reconciliation.statements.drawing import TODAY, proved
from tests.reconciliation.statements.refusing import SAMPLE, refusal, take, yesterday

NAMESPACE = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"
CONTENT = write_camt([replace(SAMPLE, page=1)])
SPOILED = "§"
FIRST, SECOND = "Ntry[1]", "Ntry[2]"

# Each element that is read: why it is refused without it, and with its text spoiled; None if not.
MISSING, INVALID = Reason.MISSING, Reason.INVALID
FIELDS: dict[str, tuple[Reason | None, Reason | None]] = {
    "Id": (MISSING, None),
    "StmtPgntn/PgNb": (None, INVALID),
    "ElctrncSeqNb": (None, INVALID),
    "FrToDt/FrDtTm": (None, INVALID),
    "FrToDt/ToDtTm": (None, INVALID),
    "Acct": (MISSING, MISSING),
    "Acct/Id": (MISSING, MISSING),
    "Acct/Id/IBAN": (MISSING, Reason.ACCOUNT),
    "Acct/Ccy": (None, INVALID),
    **{
        f"Bal[{number}]{field}": reasons
        for number in (1, 2)
        for field, reasons in {
            "": (Reason.PROOF_MISSING, MISSING),
            "/Tp": (MISSING, Reason.PROOF_MISSING),
            "/Tp/CdOrPrtry/Cd": (Reason.PROOF_MISSING, Reason.PROOF_MISSING),
            "/Amt": (MISSING, INVALID),
            "/CdtDbtInd": (MISSING, INVALID),
            "/Dt": (MISSING, MISSING),
            "/Dt/Dt": (MISSING, INVALID),
        }.items()
    },
    **{
        f"TxsSummry/{total}/{field}": (None, INVALID)
        for total in ("TtlNtries", "TtlCdtNtries", "TtlDbtNtries")
        for field in ("NbOfNtries", "Sum")
    },
    FIRST: (Reason.TOTALS, MISSING),
    f"{FIRST}/Amt": (MISSING, INVALID),
    f"{FIRST}/CdtDbtInd": (MISSING, INVALID),
    f"{FIRST}/Sts": (MISSING, INVALID),
    f"{FIRST}/Sts/Cd": (INVALID, INVALID),
    f"{FIRST}/BookgDt": (MISSING, MISSING),
    f"{FIRST}/BookgDt/Dt": (MISSING, INVALID),
    f"{FIRST}/ValDt": (None, MISSING),
    f"{FIRST}/ValDt/Dt": (MISSING, INVALID),
    f"{FIRST}/NtryRef": (None, None),
    f"{FIRST}/AcctSvcrRef": (None, None),
    f"{FIRST}/BkTxCd": (None, None),
    f"{FIRST}/NtryDtls": (None, None),
    f"{FIRST}/NtryDtls/TxDtls/Amt": (None, INVALID),
    f"{FIRST}/NtryDtls/TxDtls/CdtDbtInd": (None, INVALID),
    f"{FIRST}/NtryDtls/TxDtls/Refs/EndToEndId": (None, None),
    f"{FIRST}/NtryDtls/TxDtls/RltdPties": (None, None),
    f"{FIRST}/NtryDtls/TxDtls/RmtInf/Ustrd": (None, None),
    f"{SECOND}/NtryDtls/Btch/NbOfTxs": (None, INVALID),
    f"{SECOND}/NtryDtls/TxDtls[1]": (Reason.BATCH, Reason.BATCH),
    f"{SECOND}/NtryDtls/TxDtls[1]/Amt": (Reason.BATCH, INVALID),
}
ONCE = [
    "Id",
    "Acct",
    "Acct/Id/IBAN",
    "TxsSummry",
    "Bal[1]/Amt",
    "Bal[1]/CdtDbtInd",
    "Bal[2]/Dt",
    *(f"{FIRST}/{name}" for name in ("Amt", "CdtDbtInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef")),
    f"{FIRST}/NtryDtls/TxDtls/Amt",
    f"{FIRST}/NtryDtls/TxDtls/CdtDbtInd",
]


def edited(path: str, edit: Callable[[Element, Element], None]) -> bytes:
    """The sample after an edit of the element at a path and the one around it."""
    root = fromstring(CONTENT)
    steps = re.sub(r"(^|/)(?=\w)", rf"\g<1>{NAMESPACE}", f"BkToCstmrStmt/Stmt/{path}").split("/")
    # Names hold slashes of their own nowhere but in the namespace, which has none.
    around = root.find("/".join(steps[:-1]))
    assert around is not None
    element = around.find(steps[-1])
    assert element is not None, path
    edit(around, element)
    return tostring(root)


def remove(around: Element, element: Element) -> None:
    around.remove(element)


def spoil(_around: Element, element: Element) -> None:
    for child in list(element):
        element.remove(child)
    element.text = SPOILED


def repeat(around: Element, element: Element) -> None:
    around.insert(list(around).index(element), copy.deepcopy(element))


def said(text: str) -> Callable[[Element, Element], None]:
    def say(_around: Element, element: Element) -> None:
        element.text = text

    return say


def test_the_sample_is_taken() -> None:
    (statement,) = take(CONTENT, Format.CAMT)
    assert [entry.amount_minor for entry in statement.booked()] == [1234, -1000]


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_is_left_out(path: str) -> None:
    content = edited(path, remove)
    reason = FIELDS[path][0]
    if reason is None:
        assert len(take(content, Format.CAMT)) == 1
        return
    error = refusal(content, Format.CAMT)
    assert error.reason is reason
    check_place(error.place.statement, error.place.entry, path, reason)


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_is_spoiled(path: str) -> None:
    content = edited(path, spoil)
    reason = FIELDS[path][1]
    if reason is None:
        assert len(take(content, Format.CAMT)) == 1
        return
    error = refusal(content, Format.CAMT)
    assert error.reason is reason
    assert SPOILED not in str(error)
    check_place(error.place.statement, error.place.entry, path, reason)


def check_place(statement: int, entry: int, path: str, reason: Reason) -> None:
    assert statement == 1
    if path.startswith("Ntry") and reason is not Reason.TOTALS:
        assert entry == int(path[5])


@pytest.mark.parametrize("path", ONCE)
def test_a_field_is_there_twice(path: str) -> None:
    assert refusal(edited(path, repeat), Format.CAMT).reason is Reason.REPEATED


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        (f"{FIRST}/Amt", "12.341", Reason.DECIMALS),
        (f"{FIRST}/Amt", "-12.34", INVALID),
        (f"{FIRST}/Amt", "+12.34", INVALID),
        (f"{FIRST}/Amt", "12,34", INVALID),
        (f"{FIRST}/Amt", "1234e-2", INVALID),
        (f"{FIRST}/Amt", "1_2.34", INVALID),
        (f"{FIRST}/Amt", "12.3.4", INVALID),
        (f"{FIRST}/Amt", ".34", INVALID),
        (f"{FIRST}/Amt", "١٢.٣٤", INVALID),
        (f"{FIRST}/Amt", "9" * 31, INVALID),
        (f"{FIRST}/Amt", "92233720368547758.08", Reason.TOO_LARGE),
        (f"{FIRST}/Amt", "12.35", Reason.BATCH),
        (f"{FIRST}/CdtDbtInd", "CREDIT", INVALID),
        (f"{FIRST}/BookgDt/Dt", "2026-11-31", INVALID),
        (f"{FIRST}/BookgDt/Dt", "2026-12-01", Reason.FUTURE_DATE),
        (f"{FIRST}/BookgDt/Dt", "29.11.2026", INVALID),
        (f"{SECOND}/NtryDtls/Btch/NbOfTxs", "3", Reason.BATCH),
        (f"{SECOND}/NtryDtls/TxDtls[2]/Amt", "4.01", Reason.BATCH),
        ("Bal[1]/Amt", "100.01", Reason.BALANCE),
        ("Bal[2]/Amt", "102.35", Reason.BALANCE),
        ("Bal[2]/CdtDbtInd", "DBIT", Reason.BALANCE),
        ("Bal[2]/Dt/Dt", "2026-12-01", Reason.FUTURE_DATE),
        ("Bal[1]/Dt/Dt", "2026-12-01", Reason.FUTURE_DATE),
        ("Bal[2]/Dt/Dt", "2026-11-01", INVALID),
        ("Bal[2]/Tp/CdOrPrtry/Cd", "OPBD", Reason.REPEATED),
        ("TxsSummry/TtlNtries/NbOfNtries", "3", Reason.TOTALS),
        ("TxsSummry/TtlCdtNtries/Sum", "12.35", Reason.TOTALS),
        ("Acct/Ccy", "USD", Reason.CURRENCY),
    ],
)
def test_a_field_says_something_else(path: str, text: str, reason: Reason) -> None:
    assert refusal(edited(path, said(text)), Format.CAMT).reason is reason


def test_zeros_beyond_the_decimals_change_nothing() -> None:
    (statement,) = take(edited(f"{FIRST}/Amt", said("12.34000")), Format.CAMT)
    assert statement.entries[0].amount_minor == 1234


def test_entries_whose_amounts_say_another_currency_or_none() -> None:
    def other(_around: Element, element: Element) -> None:
        element.set("Ccy", "USD")

    def none(_around: Element, element: Element) -> None:
        del element.attrib["Ccy"]

    def gold(_around: Element, element: Element) -> None:
        element.set("Ccy", "XAU")

    for path in (f"{FIRST}/Amt", "Bal[2]/Amt"):
        assert refusal(edited(path, other), Format.CAMT).reason is Reason.CURRENCY
        assert refusal(edited(path, none), Format.CAMT).reason is MISSING
        assert refusal(edited(path, gold), Format.CAMT).reason is INVALID


def test_a_day_and_a_time_at_once() -> None:
    def both(_around: Element, element: Element) -> None:
        SubElement(element, f"{NAMESPACE}DtTm").text = "2026-11-29T10:00:00"

    assert refusal(edited(f"{FIRST}/BookgDt", both), Format.CAMT).reason is Reason.REPEATED


def test_an_account_with_two_identifications() -> None:
    def both(_around: Element, element: Element) -> None:
        other = SubElement(element, f"{NAMESPACE}Othr")
        SubElement(other, f"{NAMESPACE}Id").text = "1"

    assert refusal(edited("Acct/Id", both), Format.CAMT).reason is Reason.REPEATED


def test_times_have_the_banks_day() -> None:
    def late(_around: Element, element: Element) -> None:
        for child in list(element):
            element.remove(child)
        SubElement(element, f"{NAMESPACE}DtTm").text = "2026-11-29T23:59:59.5-05:00"

    (statement,) = take(edited(f"{FIRST}/BookgDt", late), Format.CAMT)
    assert str(statement.entries[0].booking_date) == "2026-11-29"


def test_what_is_expected_is_of_another_day_account_or_currency() -> None:
    expected = SAMPLE.expected()
    account = expected.accounts[0]
    assert refusal(CONTENT, Format.CAMT, yesterday(expected)).reason is Reason.FUTURE_DATE
    for other, reason in (
        (replace(account, identification="DE1"), Reason.ACCOUNT),
        (replace(account, currency="USD"), Reason.CURRENCY),
    ):
        assert refusal(CONTENT, Format.CAMT, replace(expected, accounts=(other,))).reason is reason
        # One of several expected accounts is enough.
        assert take(CONTENT, Format.CAMT, replace(expected, accounts=(other, account)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("camt.053.001.08", "camt.053.001.01"),
        ("camt.053.001.08", "camt.053.001.14"),
        ("camt.053.001.08", "camt.053.002.08"),
        ("camt.053.001.08", "pain.001.001.09"),
        (' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"', ""),
        ("Document", "Envelope"),
    ],
)
def test_another_message_or_version(old: str, new: str) -> None:
    content = CONTENT.replace(old.encode(), new.encode())
    assert refusal(content, Format.CAMT).reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("camt.053", "camt.052", MISSING),
        ("</BkToCstmrStmt>", "</BkToCstmrStmt><BkToCstmrStmt/>", Reason.UNREADABLE),
        ("</Document>", "", Reason.UNREADABLE),
        ("</Document>", "</Document><Document/>", Reason.UNREADABLE),
        ("Jane", "J\udcffne", Reason.UNREADABLE),
        ('encoding="UTF-8"', 'encoding="UTF-16"', Reason.UNREADABLE),
        ('encoding="UTF-8"', 'encoding="nothing"', Reason.ENCODING),
    ],
)
def test_a_file_that_is_no_message(old: str, new: str, reason: Reason) -> None:
    content = CONTENT.replace(old.encode(), new.encode("utf-8", "surrogateescape"))
    assert refusal(content, Format.CAMT).reason is reason


def test_a_message_without_a_statement() -> None:
    content = re.sub(rb"<Stmt>.*</Stmt>", b"", CONTENT)
    assert refusal(content, Format.CAMT).reason is MISSING
    content = re.sub(rb"<BkToCstmrStmt>.*</BkToCstmrStmt>", b"", CONTENT)
    assert refusal(content, Format.CAMT).reason is MISSING


@pytest.mark.parametrize("share", range(0, 100, 4))
def test_a_file_that_is_cut(share: int) -> None:
    cut = CONTENT[: len(CONTENT) * share // 100]
    assert refusal(cut, Format.CAMT).reason is Reason.UNREADABLE


def test_of_two_statements_one_is_wrong_and_none_is_taken() -> None:
    wrong = replace(SAMPLE, closing=SAMPLE.closing + 1)
    error = refusal(write_camt([SAMPLE, wrong]), Format.CAMT)
    assert (error.reason, error.place.statement) == (Reason.BALANCE, 2)
    assert "differs by 1 minor units" in str(error)


@pytest.mark.parametrize("kind", [Kind.INTERIM, Kind.NOTIFICATION])
def test_reports_are_marked_and_refused_where_they_are_wrong(kind: Kind) -> None:
    content = write_camt([replace(SAMPLE, kind=kind)])
    (statement,) = take(content, Format.CAMT)
    assert statement.kind is kind
    assert statement.pending() == ()
    assert proved(SAMPLE.lines, SAMPLE.opening) == SAMPLE.closing
    for old, new, reason in (
        ("<CdtDbtInd>CRDT", "<CdtDbtInd>BOTH", INVALID),
        (f"<Dt>{TODAY}", "<Dt>2027-01-01", Reason.FUTURE_DATE),
    ):
        spoiled = content.replace(old.encode(), new.encode())
        assert refusal(spoiled, Format.CAMT).reason is reason


def test_elements_that_may_be_there_several_times_are_no_errors() -> None:
    content = CONTENT.decode()
    for place, element in (
        ("<TxsSummry>", "<Intrst/>"),
        ("<BookgDt>", "<Chrgs/>"),
        ("<RltdPties>", "<Chrgs/>"),
    ):
        assert place in content
        content = content.replace(place, element * 2 + place)
    assert take(content.encode(), Format.CAMT)
