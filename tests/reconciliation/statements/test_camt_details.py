"""What camt says in several ways: balances, statuses, parties, amounts of batches, summaries."""

from dataclasses import replace
from xml.etree.ElementTree import fromstring, indent, tostring

import pytest

from reconciliation.statements.model import EntryStatus, Format, Statement
from reconciliation.statements.refusal import Reason
from tests.reconciliation.statements.camt_writer import write_camt
from tests.reconciliation.statements.drawing import IBANS, Line
from tests.reconciliation.statements.refusing import NAME, SAMPLE, refusal, take

CONTENT = write_camt([SAMPLE]).decode()


def changed(*changes: tuple[str, str], content: str = CONTENT) -> bytes:
    """The sample with texts replaced, each of which is there."""
    for old, new in changes:
        assert old in content, old
        content = content.replace(old, new)
    return content.encode()


def only(content: bytes) -> Statement:
    (statement,) = take(content, Format.CAMT)
    return statement


def test_the_balance_of_the_day_before_is_an_opening_balance() -> None:
    statement = only(changed(("OPBD", "PRCD")))
    assert statement.opening
    assert statement.opening.amount_minor == SAMPLE.opening


def test_interim_balances_count_on_pages_only() -> None:
    interim = (("OPBD", "ITBD"), ("CLBD", "ITBD"))
    assert refusal(changed(*interim), Format.CAMT).reason is Reason.PROOF_MISSING
    page = "<Id>S1</Id><StmtPgntn><PgNb>2</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"
    statement = only(changed(*interim, ("<Id>S1</Id>", page)))
    assert statement.page == 2
    assert statement.opening
    assert statement.closing
    assert statement.opening.amount_minor == SAMPLE.opening
    assert statement.closing.amount_minor == SAMPLE.closing


def test_a_page_of_the_whole_message() -> None:
    header = "<GrpHdr><MsgPgntn><PgNb>3</PgNb><LastPgInd>true</LastPgInd></MsgPgntn>"
    assert only(changed(("<GrpHdr>", header))).page == 3


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PDNG", EntryStatus.PENDING),
        ("FUTR", EntryStatus.PENDING),
        ("INFO", EntryStatus.INFORMATION),
    ],
)
def test_what_is_not_booked_does_not_count(code: str, status: EntryStatus) -> None:
    line = replace(SAMPLE.lines[0], amount=5, status=EntryStatus.PENDING)
    content = write_camt([replace(SAMPLE, lines=(*SAMPLE.lines, line))]).decode()
    statement = only(changed(("PDNG", code), content=content))
    assert [entry.amount_minor for entry in statement.booked()] == [1234, -1000]
    assert statement.entries[2].status is status
    assert (statement.entries[2] in statement.pending()) == (status is EntryStatus.PENDING)


def test_a_summary_may_be_of_booked_entries_alone() -> None:
    line = Line(amount=5, status=EntryStatus.PENDING)
    content = write_camt([replace(SAMPLE, lines=(*SAMPLE.lines, line))]).decode()
    booked = (
        (
            "<TtlNtries><NbOfNtries>3</NbOfNtries><Sum>22.39",
            "<TtlNtries><NbOfNtries>2</NbOfNtries><Sum>22.34",
        ),
        (
            "<TtlCdtNtries><NbOfNtries>2</NbOfNtries><Sum>12.39",
            "<TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>12.34",
        ),
    )
    assert only(changed(*booked, content=content))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ("<TtlNetNtry><Amt>2.34</Amt><CdtDbtInd>CRDT</CdtDbtInd></TtlNetNtry>", None),
        ("<TtlNetNtry><Amt>2.34</Amt><CdtDbtInd>DBIT</CdtDbtInd></TtlNetNtry>", Reason.TOTALS),
        ("<TtlNetNtry><Amt>2.35</Amt><CdtDbtInd>CRDT</CdtDbtInd></TtlNetNtry>", Reason.TOTALS),
        ("<TtlNetNtry><Amt>2.34</Amt></TtlNetNtry>", Reason.MISSING),
        ("<TtlNetNtryAmt>2.34</TtlNetNtryAmt><CdtDbtInd>CRDT</CdtDbtInd>", None),
        ("<TtlNetNtryAmt>2.34</TtlNetNtryAmt><CdtDbtInd>DBIT</CdtDbtInd>", Reason.TOTALS),
    ],
)
def test_the_net_of_a_summary(net: str, reason: Reason | None) -> None:
    content = changed(("</TtlNtries>", f"{net}</TtlNtries>"))
    if reason is None:
        assert only(content)
    else:
        assert refusal(content, Format.CAMT).reason is reason


def test_a_batch_without_amounts_is_taken_and_with_some_it_is_not() -> None:
    six = '<Amt Ccy="EUR">6.00</Amt><CdtDbtInd>DBIT</CdtDbtInd>'
    four = '<Amt Ccy="EUR">4.00</Amt><CdtDbtInd>DBIT</CdtDbtInd>'
    statement = only(changed((six, ""), (four, "")))
    assert [detail.amount_minor for detail in statement.entries[1].details] == [None, None]
    assert refusal(changed((six, "")), Format.CAMT).reason is Reason.BATCH


def test_an_amount_in_the_currency_of_the_transaction_is_passed_over() -> None:
    four = '<Amt Ccy="EUR">4.00</Amt><CdtDbtInd>DBIT</CdtDbtInd>'
    inner = '<AmtDtls><TxAmt><Amt Ccy="EUR">4.00</Amt></TxAmt></AmtDtls>'
    content = changed((four, f'<Amt Ccy="USD">4.64</Amt><CdtDbtInd>DBIT</CdtDbtInd>{inner}'))
    assert only(content).entries[1].details[1].amount_minor == -400


def test_the_holder_of_the_account_is_never_his_own_counterparty() -> None:
    credit = only(CONTENT.encode()).entries[0]
    assert credit.counterparty == NAME
    # The bank has turned the parties of the credit around.
    holder = f"<CdtrAcct><Id><IBAN>{IBANS[0]}</IBAN></Id></CdtrAcct>"
    turned = changed(
        (f"<Dbtr><Pty><Nm>{NAME}</Nm></Pty></Dbtr>", "<Cdtr><Pty><Nm>x</Nm></Pty></Cdtr>"),
        ("<Cdtr><Pty><Nm>The Holder</Nm></Pty></Cdtr>", f"<Dbtr><Pty><Nm>{NAME}</Nm></Pty></Dbtr>"),
        (holder, holder.replace("Cdtr", "Dbtr")),
    )
    assert only(turned).entries[0].counterparty == "x"


def test_structured_remittance_and_what_the_bank_adds() -> None:
    ustrd = "<RmtInf><Ustrd>for her own eyes</Ustrd></RmtInf>"
    structured = "<Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd>"
    content = changed((ustrd, f"<RmtInf><Ustrd>a</Ustrd><Ustrd>b</Ustrd>{structured}</RmtInf>"))
    assert only(content).entries[0].remittance == "a\nb\nRF18539007547034"
    content = changed((ustrd, "<AddtlTxInf>told otherwise</AddtlTxInf>"))
    assert only(content).entries[0].remittance == "told otherwise"


def test_an_entry_of_one_transaction_takes_over_its_references() -> None:
    entry = "<AcctSvcrRef>4711</AcctSvcrRef>"
    content = changed(
        (f"{entry}<BkTxCd>", "<BkTxCd>"),
        ("<NtryRef>47110</NtryRef>", ""),
        ("<EndToEndId>E2E1", f"{entry}<InstrId>I1</InstrId><EndToEndId>E2E1"),
    )
    first = only(content).entries[0]
    assert (first.bank_reference, first.customer_reference) == ("4711", "I1")
    assert first.end_to_end_id == "E2E1"
    assert first.details == ()


def test_hashes_of_entries_are_of_what_is_said_and_not_how_it_is_printed() -> None:
    root = fromstring(CONTENT)
    indent(root)
    plain, printed = only(CONTENT.encode()), only(tostring(root))
    hashes = [entry.source_sha256 for entry in plain.entries]
    assert [entry.source_sha256 for entry in printed.entries] == hashes
    assert plain.file_sha256 != printed.file_sha256
    other = only(changed(("E2E1", "E2E9"))).entries
    assert other[0].source_sha256 != hashes[0]
    assert other[1].source_sha256 == hashes[1]


def test_accounts_that_are_no_ibans() -> None:
    drawn = replace(SAMPLE, account="12-3456", is_iban=False)
    (statement,) = take(write_camt([drawn]), Format.CAMT, drawn.expected())
    assert statement.account.identification == "12-3456"
    assert not statement.account.is_iban
