"""camt.053 and camt.052, version 001.08, in the order of ISO 20022's schemas."""

from xml.etree.ElementTree import Element, SubElement, tostring

from sandbox.twin_bank.books import Entry, EntryKind
from sandbox.twin_bank.statement import Statement, major

_HOLDER = "THE COMPANY"
# Domain, family, sub-family of ISO 20022's bank transaction codes, of credits and of debits.
_CODES = {
    EntryKind.PAYOUT: ("PMNT", "RCDT", "ESCT"),
    EntryKind.DEBIT: ("PMNT", "RDDT", "ESDD"),
    EntryKind.RETURN: ("PMNT", "RCDT", "RRTN"),
    EntryKind.CHARGE: ("ACMT", "MDOP", "CHRG"),
}
_OWN_CREDIT, _OWN_DEBIT = ("PMNT", "RCDT", "ESCT"), ("PMNT", "ICDT", "ESCT")


def write_camt(statement: Statement) -> bytes:
    """A message with one statement, or report if the day is not over."""
    number, message, name = (
        ("053", "BkToCstmrStmt", "Stmt")
        if statement.is_final
        else ("052", "BkToCstmrAcctRpt", "Rpt")
    )
    # Written as an attribute, the namespace is the default one of all elements.
    namespace = f"urn:iso:std:iso:20022:tech:xsd:camt.{number}.001.08"
    document = Element("Document", {"xmlns": namespace})
    root = SubElement(document, message)
    made = f"{statement.day}T23:59:59Z"
    header = SubElement(root, "GrpHdr")
    _leaf(header, "MsgId", f"M{statement.statement_id}")
    _leaf(header, "CreDtTm", made)
    _statement(SubElement(root, name), statement, made)
    content: bytes = tostring(document, encoding="utf-8", xml_declaration=True)
    return content


def _leaf(parent: Element, name: str, text: str) -> None:
    if text:
        SubElement(parent, name).text = text


def _path(parent: Element, *names: str) -> Element:
    for name in names:
        parent = SubElement(parent, name)
    return parent


def _amount(parent: Element, minor: int, currency: str) -> None:
    SubElement(parent, "Amt", {"Ccy": currency}).text = major(minor, currency)


def _side(parent: Element, minor: int) -> None:
    _leaf(parent, "CdtDbtInd", "CRDT" if minor >= 0 else "DBIT")


def _identification(parent: Element, statement: Statement) -> None:
    if statement.is_iban:
        _leaf(_path(parent, "Id"), "IBAN", statement.account)
    else:
        _leaf(_path(parent, "Id", "Othr"), "Id", statement.account)


def _statement(element: Element, statement: Statement, made: str) -> None:
    _leaf(element, "Id", statement.statement_id)
    _leaf(element, "ElctrncSeqNb", str(statement.number))
    _leaf(element, "CreDtTm", made)
    period = SubElement(element, "FrToDt")
    _leaf(period, "FrDtTm", f"{statement.first_day}T00:00:00Z")
    _leaf(period, "ToDtTm", f"{statement.day}T23:59:59Z")
    account = SubElement(element, "Acct")
    _identification(account, statement)
    _leaf(account, "Ccy", statement.currency)
    if statement.is_final:
        # The opening balance is the day's, that is, of its beginning.
        _balance(element, "OPBD", statement.opening, statement, str(statement.first_day))
        _balance(element, "CLBD", statement.closing, statement, str(statement.day))
    else:
        _balance(element, "ITBD", statement.closing, statement, str(statement.day))
    _summary(element, statement)
    for entry in statement.entries:
        _entry(SubElement(element, "Ntry"), entry, statement)


def _balance(parent: Element, code: str, minor: int, statement: Statement, day: str) -> None:
    balance = SubElement(parent, "Bal")
    _leaf(_path(balance, "Tp", "CdOrPrtry"), "Cd", code)
    _amount(balance, minor, statement.currency)
    _side(balance, minor)
    _leaf(SubElement(balance, "Dt"), "Dt", day)


def _summary(parent: Element, statement: Statement) -> None:
    amounts = [entry.amount for entry in statement.entries]
    summary = SubElement(parent, "TxsSummry")
    for name, chosen in (
        ("TtlNtries", amounts),
        ("TtlCdtNtries", [amount for amount in amounts if amount >= 0]),
        ("TtlDbtNtries", [amount for amount in amounts if amount < 0]),
    ):
        total = SubElement(summary, name)
        _leaf(total, "NbOfNtries", str(len(chosen)))
        _leaf(total, "Sum", major(sum(map(abs, chosen)), statement.currency))


def _entry(element: Element, entry: Entry, statement: Statement) -> None:
    _amount(element, entry.amount, statement.currency)
    _side(element, entry.amount)
    if entry.is_reversal:
        _leaf(element, "RvslInd", "true")
    _leaf(SubElement(element, "Sts"), "Cd", "BOOK")
    _leaf(SubElement(element, "BookgDt"), "Dt", str(entry.booked))
    _leaf(SubElement(element, "ValDt"), "Dt", str(entry.booked))
    _leaf(element, "AcctSvcrRef", entry.reference)
    domain, family, sub_family = _CODES.get(
        entry.kind, _OWN_CREDIT if entry.amount >= 0 else _OWN_DEBIT
    )
    code = _path(element, "BkTxCd", "Domn")
    _leaf(code, "Cd", domain)
    inner = SubElement(code, "Fmly")
    _leaf(inner, "Cd", family)
    _leaf(inner, "SubFmlyCd", sub_family)
    details = SubElement(element, "NtryDtls")
    if entry.is_itemized:
        _leaf(SubElement(details, "Btch"), "NbOfTxs", str(len(entry.shares)))
        for share in entry.shares:
            transaction = _transaction(details, share.amount, share.trace, statement)
            _parties(transaction, entry, statement)
            _remittance(transaction, share.descriptor)
    else:
        transaction = _transaction(details, entry.amount, entry.end_to_end_id, statement)
        _parties(transaction, entry, statement)
        _remittance(transaction, entry.remittance)


def _transaction(parent: Element, amount: int, end_to_end_id: str, statement: Statement) -> Element:
    transaction = SubElement(parent, "TxDtls")
    # ISO 20022's word for what its sender has given no id.
    _leaf(SubElement(transaction, "Refs"), "EndToEndId", end_to_end_id or "NOTPROVIDED")
    _amount(transaction, amount, statement.currency)
    _side(transaction, amount)
    return transaction


def _parties(transaction: Element, entry: Entry, statement: Statement) -> None:
    """Who paid whom; what goes back keeps the roles that it came with."""
    is_credit = (entry.amount >= 0) != entry.is_reversal
    parties = SubElement(transaction, "RltdPties")
    for role in ("Dbtr", "Cdtr"):
        is_other = (role == "Dbtr") == is_credit
        name = entry.counterparty if is_other else _HOLDER
        if name:
            _leaf(_path(parties, role, "Pty"), "Nm", name)
        if not is_other:
            _identification(SubElement(parties, f"{role}Acct"), statement)


def _remittance(transaction: Element, text: str) -> None:
    if text:
        _leaf(SubElement(transaction, "RmtInf"), "Ustrd", text)
