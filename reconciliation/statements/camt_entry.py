"""Entries of camt messages and the transactions within them.

One level of a batch counts: the entry. The amounts of its transactions have to come to it.
"""

from collections.abc import Mapping
from datetime import date
from xml.etree.ElementTree import Element

from reconciliation.statements.camt_elements import Tags, texts_sha256, whole_number
from reconciliation.statements.model import Detail, Direction, Entry, EntryStatus, Limits
from reconciliation.statements.refusal import FieldError, Reason
from reconciliation.statements.xml_guard import check_depth

STATUSES: Mapping[str, EntryStatus] = {
    "BOOK": EntryStatus.BOOKED,
    "PDNG": EntryStatus.PENDING,
    # Entries of a future day, since version 001.08.
    "FUTR": EntryStatus.PENDING,
    "INFO": EntryStatus.INFORMATION,
}
# Levels down to an entry: Document, the message, the statement, the entry.
ENTRY_DEPTH = 4
_TRANSACTION = "NtryDtls/TxDtls"
_OF_ENTRY = (
    *("NtryRef", "Amt", "CdtDbtInd", "RvslInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef"),
    *("BkTxCd", "AddtlNtryInf"),
)
_OF_TRANSACTION = (
    *("Refs", "Amt", "AmtDtls", "CdtDbtInd", "RltdPties", "RmtInf", "BkTxCd", "AddtlTxInf"),
)
# In place of an element that is not there.
_NOTHING = Element("nothing")
_NO_DETAIL = Detail(None, "", "", "", "")
# Members of an enumeration are slow to look up, and this is done for each entry.
_DEBIT = Direction.DEBIT
_BOOKED = EntryStatus.BOOKED


class EntryReader:
    """Reads the entries of one statement: of one account, in one currency."""

    def __init__(self, tags: Tags, currency: str, account: str, limits: Limits) -> None:
        self._tags = tags
        self._currency = currency
        self._account = account
        self._limits = limits

    def read(self, element: Element, position: int) -> Entry:
        """An entry. Raises FieldError for the first field that is not as it has to be."""
        tags = self._tags
        check_depth(element, ENTRY_DEPTH, self._limits)
        tags.check_once(element, _OF_ENTRY)
        unsigned = tags.amount(element, self._currency)
        direction = tags.direction(element)
        amount = -unsigned if direction is _DEBIT else unsigned
        is_reversal = tags.boolean(element, "RvslInd")
        status = self._status(element)
        transactions = [
            each
            for group in element.findall(tags["NtryDtls"])
            for each in self._transactions_of(group)
        ]
        details = [self._detail(each, direction, is_reversal=is_reversal) for each in transactions]
        _check_batch(details, amount)
        # What a single transaction says, its entry says.
        single = transactions[0] if len(transactions) == 1 else _NOTHING
        detail = details[0] if len(details) == 1 else _NO_DETAIL
        return Entry(
            position,
            amount,
            direction,
            is_reversal,
            status,
            self._booking_date(element, status),
            tags.day(element, "ValDt"),
            tags.leaf(element, "AcctSvcrRef") or detail.bank_reference,
            tags.leaf(element, "NtryRef") or tags.text(single, "Refs", "InstrId"),
            detail.end_to_end_id,
            detail.remittance,
            detail.counterparty,
            self._code(element) or self._code(single),
            tags.leaf(element, "AddtlNtryInf"),
            tuple(details) if len(details) > 1 else (),
            texts_sha256(element),
        )

    def _status(self, entry: Element) -> EntryStatus:
        """Sts is a code, and since version 001.08 an element with a code in it."""
        element = self._tags.required(entry, "Sts")
        text = self._tags.leaf(element, "Cd") if len(element) else (element.text or "").strip()
        status = STATUSES.get(text)
        if status is None:
            raise FieldError(Reason.INVALID, "Sts", f"one of {', '.join(STATUSES)} was expected")
        return status

    def _booking_date(self, entry: Element, status: EntryStatus) -> date | None:
        day = self._tags.day(entry, "BookgDt")
        if day is None and status is _BOOKED:
            raise FieldError(Reason.MISSING, "BookgDt", "the element was expected")
        return day

    def _transactions_of(self, group: Element) -> list[Element]:
        """What is in NtryDtls. Raises FieldError if the bank counted otherwise."""
        tags = self._tags
        elements = group.findall(tags["TxDtls"])
        batch = group.find(tags["Btch"])
        if batch is not None and elements:
            field = "NtryDtls/Btch/NbOfTxs"
            number = whole_number(tags.leaf(batch, "NbOfTxs"), field)
            if number not in (None, len(elements)):
                raise FieldError(
                    Reason.BATCH, field, f"{len(elements)} was expected, as transactions follow"
                )
        return elements

    def _detail(self, element: Element, direction: Direction, *, is_reversal: bool) -> Detail:
        """What TxDtls says."""
        tags = self._tags
        try:
            tags.check_once(element, _OF_TRANSACTION)
            if element.find(tags["CdtDbtInd"]) is not None:
                direction = tags.direction(element)
            amount = self._transaction_amount(element)
        except FieldError as error:
            raise FieldError(
                error.reason, f"{_TRANSACTION}/{error.field}", error.expected
            ) from None
        if amount is not None and direction is _DEBIT:
            amount = -amount
        references = element.find(tags["Refs"])
        if references is None:
            references = _NOTHING
        return Detail(
            amount,
            tags.leaf(references, "AcctSvcrRef"),
            tags.leaf(references, "EndToEndId"),
            self._remittance(element),
            self._counterparty(element, is_debit=(direction is _DEBIT) != is_reversal),
        )

    def _transaction_amount(self, element: Element) -> int | None:
        """Amt, or TxAmt in versions before 001.03; None if neither is in the account's currency."""
        tags = self._tags
        amount = element.find(tags["Amt"])
        if amount is not None and amount.get("Ccy", self._currency) == self._currency:
            return tags.amount(element, self._currency)
        inner = tags.find(element, "AmtDtls", "TxAmt")
        amount = tags.find(inner, "Amt")
        if inner is None or amount is None or amount.get("Ccy", self._currency) != self._currency:
            return None
        return tags.amount(inner, self._currency)

    def _remittance(self, element: Element) -> str:
        """Every line for people, then the creditor's references of the structured form."""
        tags = self._tags
        information = element.find(tags["RmtInf"])
        if information is None:
            return tags.leaf(element, "AddtlTxInf")
        lines = [(line.text or "").strip() for line in information.findall(tags["Ustrd"])]
        lines += [
            tags.text(structured, "CdtrRefInf", "Ref")
            for structured in information.findall(tags["Strd"])
        ]
        return "\n".join(filter(None, lines)) or tags.leaf(element, "AddtlTxInf")

    def _counterparty(self, element: Element, *, is_debit: bool) -> str:
        """Who is on the other side: of what was first a credit, the debtor.

        A reversal keeps the roles that the first transaction had. Some banks turn them around;
        whoever has the account of the statement is its holder.
        """
        tags = self._tags
        parties = element.find(tags["RltdPties"])
        if parties is None:
            return ""
        role, other = ("Cdtr", "Dbtr") if is_debit else ("Dbtr", "Cdtr")
        account = parties.find(tags[f"{role}Acct"])
        if account is not None:
            identification = tags.text(account, "Id", "IBAN") or tags.text(
                account, "Id", "Othr", "Id"
            )
            if identification == self._account:
                role = other
        party = parties.find(tags[role])
        if party is None:
            return ""
        inner = party.find(tags["Pty"])
        return tags.leaf(party if inner is None else inner, "Nm")

    def _code(self, element: Element) -> str:
        """`PMNT/RCDT/ESCT`, or the bank's own code."""
        tags = self._tags
        code = element.find(tags["BkTxCd"])
        if code is None:
            return ""
        domain = code.find(tags["Domn"])
        if domain is None:
            return tags.text(code, "Prtry", "Cd")
        family = domain.find(tags["Fmly"])
        if family is None:
            family = _NOTHING
        return (
            f"{tags.leaf(domain, 'Cd')}/{tags.leaf(family, 'Cd')}/{tags.leaf(family, 'SubFmlyCd')}"
        )


def _check_batch(details: list[Detail], amount: int) -> None:
    """Raises FieldError unless transactions come to the amount of their entry, or have none."""
    known = [detail.amount_minor for detail in details if detail.amount_minor is not None]
    if not known:
        return
    field = f"{_TRANSACTION}/Amt"
    if len(known) < len(details):
        raise FieldError(
            Reason.BATCH, field, "an amount of every transaction or of none was expected"
        )
    if sum(known) != amount:
        raise FieldError(
            Reason.BATCH,
            field,
            "transactions that come to the entry were expected; they differ by"
            f" {sum(known) - amount} minor units",
        )
