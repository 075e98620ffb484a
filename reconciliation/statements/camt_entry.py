"""Entries of camt messages and the transactions within them.

One level of a batch counts: the entry. The amounts of its transactions have to come to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
_OTHER_SIDE = {Direction.CREDIT: Direction.DEBIT, Direction.DEBIT: Direction.CREDIT}
_PARTIES = {Direction.CREDIT: "Dbtr", Direction.DEBIT: "Cdtr"}


@dataclass(frozen=True, slots=True)
class Transaction:
    """What TxDtls says, and what only an entry of one transaction takes over."""

    detail: Detail
    customer_reference: str
    transaction_code: str


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
        amount = unsigned if direction is Direction.CREDIT else -unsigned
        is_reversal = tags.boolean(element, "RvslInd")
        status = self._status(element)
        transactions = self._transactions(element, direction, amount, is_reversal=is_reversal)
        single = transactions[0] if len(transactions) == 1 else None
        detail = single.detail if single else None
        return Entry(
            position,
            amount,
            direction,
            is_reversal,
            status,
            self._booking_date(element, status),
            tags.day(element, "ValDt"),
            tags.leaf(element, "AcctSvcrRef") or (detail.bank_reference if detail else ""),
            tags.leaf(element, "NtryRef") or (single.customer_reference if single else ""),
            detail.end_to_end_id if detail else "",
            detail.remittance if detail else "",
            detail.counterparty if detail else "",
            self._code(element) or (single.transaction_code if single else ""),
            tags.leaf(element, "AddtlNtryInf"),
            () if single else tuple(transaction.detail for transaction in transactions),
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
        if day is None and status is EntryStatus.BOOKED:
            raise FieldError(Reason.MISSING, "BookgDt", "the element was expected")
        return day

    def _transactions(
        self, entry: Element, direction: Direction, amount: int, *, is_reversal: bool
    ) -> list[Transaction]:
        """The transactions of an entry. Raises FieldError unless they come to its amount."""
        tags = self._tags
        found: list[Transaction] = []
        for group in entry.findall(tags["NtryDtls"]):
            elements = group.findall(tags["TxDtls"])
            self._check_count(group, len(elements))
            found += [
                self._transaction(each, direction, is_reversal=is_reversal) for each in elements
            ]
        amounts = [transaction.detail.amount_minor for transaction in found]
        known = [amount for amount in amounts if amount is not None]
        field = f"{_TRANSACTION}/Amt"
        if known and len(known) < len(amounts):
            raise FieldError(
                Reason.BATCH, field, "an amount of every transaction or of none was expected"
            )
        if known and sum(known) != amount:
            raise FieldError(
                Reason.BATCH,
                field,
                "transactions that come to the entry were expected; they differ by"
                f" {sum(known) - amount} minor units",
            )
        return found

    def _check_count(self, group: Element, count: int) -> None:
        field = "NtryDtls/Btch/NbOfTxs"
        batch = group.find(self._tags["Btch"])
        if batch is None:
            return
        number = whole_number(self._tags.leaf(batch, "NbOfTxs"), field)
        if number is not None and count and number != count:
            raise FieldError(Reason.BATCH, field, f"{count} was expected, as transactions follow")

    def _transaction(
        self, element: Element, direction: Direction, *, is_reversal: bool
    ) -> Transaction:
        tags = self._tags
        try:
            tags.check_once(element, _OF_TRANSACTION)
            if element.find(tags["CdtDbtInd"]) is not None:
                direction = tags.direction(element)
            unsigned = self._transaction_amount(element)
        except FieldError as error:
            raise FieldError(
                error.reason, f"{_TRANSACTION}/{error.field}", error.expected
            ) from None
        signed = unsigned
        if unsigned is not None and direction is Direction.DEBIT:
            signed = -unsigned
        references = element.find(tags["Refs"])
        if references is None:
            references = _NOTHING
        detail = Detail(
            signed,
            tags.leaf(references, "AcctSvcrRef"),
            tags.leaf(references, "EndToEndId"),
            self._remittance(element),
            self._counterparty(element, direction, is_reversal=is_reversal),
        )
        return Transaction(detail, tags.leaf(references, "InstrId"), self._code(element))

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

    def _counterparty(self, element: Element, direction: Direction, *, is_reversal: bool) -> str:
        """Who is on the other side: a reversal keeps the roles that the first transaction had.

        Some banks turn them around; whoever has the account of the statement is its holder.
        """
        tags = self._tags
        parties = element.find(tags["RltdPties"])
        if parties is None:
            return ""
        side = _OTHER_SIDE[direction] if is_reversal else direction
        role = _PARTIES[side]
        account = parties.find(tags[f"{role}Acct"])
        if account is not None and self._account in (
            tags.text(account, "Id", "IBAN"),
            tags.text(account, "Id", "Othr", "Id"),
        ):
            role = _PARTIES[_OTHER_SIDE[side]]
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
