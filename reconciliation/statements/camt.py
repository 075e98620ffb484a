"""camt.053 statements, camt.052 reports and camt.054 notifications, versions 001.02 to 001.13.

A file is read in pieces, so that what is held of it is its entries and not its XML.
"""

import re
from dataclasses import replace
from datetime import date
from typing import NamedTuple
from xml.etree.ElementTree import Element

from reconciliation.statements.amounts import exponent_of, iso_day_of_time
from reconciliation.statements.camt_elements import Tags, whole_number
from reconciliation.statements.camt_entry import EntryReader
from reconciliation.statements.camt_summary import SummaryCheck
from reconciliation.statements.model import (
    Account,
    Balance,
    Direction,
    Entry,
    EntryStatus,
    Format,
    Kind,
    Limits,
    Statement,
)
from reconciliation.statements.refusal import FieldError, Place, Reason
from reconciliation.statements.source import Source
from reconciliation.statements.xml_guard import GrowingTree, check_depth

VERSIONS = range(2, 14)
_DOCUMENT = re.compile(
    r"\{urn:iso:std:iso:20022:tech:xsd:(camt\.(05[234])\.001\.([0-9]{2}))\}Document"
)
STATEMENT_DEPTH = 3
# What BalanceType may be, in the order in which one counts: an interim one only on a page.
OPENING_CODES = ("OPBD", "PRCD")
CLOSING_CODES = ("CLBD",)
PAGE_CODE = "ITBD"
_OF_STATEMENT = ("Id", "ElctrncSeqNb", "FrToDt", "Acct", "TxsSummry")


class Message(NamedTuple):
    """A message's element, that of a statement in it, and what the statement is to the books."""

    element: str
    statement: str
    pages: str
    kind: Kind


MESSAGES = {
    "052": Message("BkToCstmrAcctRpt", "Rpt", "RptPgntn", Kind.INTERIM),
    "053": Message("BkToCstmrStmt", "Stmt", "StmtPgntn", Kind.BOOKED),
    "054": Message("BkToCstmrDbtCdtNtfctn", "Ntfctn", "NtfctnPgntn", Kind.NOTIFICATION),
}


def read_camt(source: Source, limits: Limits) -> list[Statement]:
    """All statements of a file, not yet proved. Raises StatementRefusedError."""
    reader = _FileReader(limits)
    tree = GrowingTree(source, limits)
    try:
        for root in tree.roots():
            if reader.take(root, is_complete=tree.is_complete):
                tree.took()
    except FieldError as error:
        raise error.at(reader.place()) from None
    return [replace(statement, file_sha256=source.sha256()) for statement in reader.statements]


class _FileReader:
    """Takes finished parts of the message off the tree, in the order of the file."""

    def __init__(self, limits: Limits) -> None:
        self.statements: list[Statement] = []
        self._limits = limits
        self._version = "camt"
        self._tags = Tags("")
        self._message: Message | None = None
        self._current: _StatementReader | None = None
        self._page: int | None = None
        self._entries = 0
        self._details = 0

    def place(self) -> Place:
        if self._current is None:
            return Place(self._version)
        return Place(self._version, self._current.position, self._current.entry)

    def take(self, root: Element, *, is_complete: bool) -> bool:
        """Whether anything was finished, and read."""
        if self._message is None:
            self._message = self._recognize(root)
        if len(root) > 1:
            raise FieldError(Reason.UNREADABLE, "Document", "one message was expected")
        if not len(root):
            if is_complete:
                raise FieldError(Reason.MISSING, self._message.element, "the element was expected")
            return False
        message = root[0]
        if self._tags.name(message) != self._message.element:
            raise FieldError(Reason.MISSING, self._message.element, "the element was expected")
        return self._take_message(message, self._message, is_complete=is_complete)

    def _recognize(self, root: Element) -> Message:
        found = _DOCUMENT.fullmatch(root.tag)
        if found is None or int(found[3]) not in VERSIONS:
            raise FieldError(
                Reason.UNSUPPORTED,
                "Document",
                "camt.052, camt.053 or camt.054 of versions 001.02 to 001.13 was expected",
            )
        self._version = found[1]
        self._tags = Tags(f"urn:iso:std:iso:20022:tech:xsd:{found[1]}")
        return MESSAGES[found[2]]

    def _take_message(self, element: Element, message: Message, *, is_complete: bool) -> bool:
        took = False
        for child in list(element):
            is_open = child is element[-1] and not is_complete
            name = self._tags.name(child)
            if name == message.statement:
                took |= self._take_statement(child, message, is_open=is_open)
            elif not is_open:
                check_depth(child, STATEMENT_DEPTH, self._limits)
                if name == "GrpHdr":
                    text = self._tags.text(child, "MsgPgntn", "PgNb")
                    self._page = whole_number(text, "GrpHdr/MsgPgntn/PgNb")
            if not is_open:
                element.remove(child)
                took = True
        if is_complete and not self.statements:
            raise FieldError(Reason.MISSING, message.statement, "a statement was expected")
        return took

    def _take_statement(self, element: Element, message: Message, *, is_open: bool) -> bool:
        if self._current is None:
            if len(self.statements) == self._limits.max_statements:
                raise _too_many(self._limits.max_statements, "statements")
            position = len(self.statements) + 1
            self._current = _StatementReader(
                self._tags, self._version, message, position, self._limits
            )
        finished = element[:-1] if is_open else element[:]
        for child in finished:
            entry = self._current.take(child)
            if entry is not None:
                self._count(entry)
        del element[: len(finished)]
        if not is_open:
            self.statements.append(self._current.finish(self._page))
            self._current = None
        return bool(finished)

    def _count(self, entry: Entry) -> None:
        self._entries += 1
        self._details += len(entry.details)
        limits = self._limits
        if self._entries > limits.max_entries:
            raise _too_many(limits.max_entries, "entries")
        if self._details > limits.max_details:
            raise _too_many(limits.max_details, "transactions of batches")


def _too_many(limit: int, what: str) -> FieldError:
    return FieldError(Reason.TOO_LARGE, "", f"at most {limit} {what} were expected")


class _StatementReader:
    """Collects a statement from its elements, which come in the order of the schema."""

    def __init__(
        self, tags: Tags, version: str, message: Message, position: int, limits: Limits
    ) -> None:
        self.position = position
        # The entry that is being read, 0 before and after.
        self.entry = 0
        self._tags = tags
        self._version = version
        self._message = message
        self._limits = limits
        self._wanted = {*_OF_STATEMENT, message.pages, f"Addtl{message.statement}Inf"}
        self._parts: dict[str, Element] = {}
        self._balances: list[tuple[str, Balance]] = []
        self._account: Account | None = None
        self._currency = ""
        self._entries: list[Entry] = []
        self._entry_reader: EntryReader | None = None

    def take(self, element: Element) -> Entry | None:
        """Reads one element of the statement; the entry, if it is one."""
        name = self._tags.name(element)
        if name == "Ntry":
            self.entry = len(self._entries) + 1
            entry = self._reader_of(element).read(element, self.entry)
            if self._message.kind is not Kind.BOOKED and entry.status is EntryStatus.BOOKED:
                # A report's word is not the statement's.
                entry = replace(entry, status=EntryStatus.REPORTED)
            self._entries.append(entry)
            self.entry = 0
            return entry
        check_depth(element, STATEMENT_DEPTH + 1, self._limits)
        if name == "Bal":
            self._balances.append(self._balance(element))
        elif name in self._wanted:
            if name in self._parts:
                raise FieldError(Reason.REPEATED, name, "the element was expected once")
            self._parts[name] = element
            if name == "Acct":
                self._read_account(element)
        return None

    def finish(self, message_page: int | None) -> Statement:
        """The statement; `message_page` is that of the whole message."""
        tags, parts = self._tags, self._parts
        account = self._account_or_refuse()
        if not self._currency:
            raise FieldError(Reason.MISSING, "Acct/Ccy", "the account's currency was expected")
        page_text = tags.text(parts.get(self._message.pages), "PgNb")
        page = whole_number(page_text, f"{self._message.pages}/PgNb")
        page = page if page is not None else message_page
        period = parts.get("FrToDt")
        opening = self._bound(OPENING_CODES, is_page=page is not None, is_opening=True)
        closing = self._bound(CLOSING_CODES, is_page=page is not None, is_opening=False)
        SummaryCheck(tags, self._currency).check(parts.get("TxsSummry"), self._entries)
        return Statement(
            Format.CAMT,
            self._version,
            self._message.kind,
            b"",
            self.position,
            account,
            self._currency,
            self._identification(),
            whole_number(tags.text(parts.get("ElctrncSeqNb")), "ElctrncSeqNb"),
            page,
            self._period(period, "FrDtTm"),
            self._period(period, "ToDtTm"),
            opening,
            closing,
            tuple(self._entries),
            tags.text(parts.get(f"Addtl{self._message.statement}Inf")),
        )

    def _reader_of(self, element: Element) -> EntryReader:
        if self._entry_reader is None:
            account = self._account_or_refuse()
            if not self._currency:
                # camt.054 has no balances, and many have no currency in the account.
                self._use_currency(self._tags.find(element, "Amt"), "Amt")
            self._entry_reader = EntryReader(
                self._tags, self._currency, account.identification, self._limits
            )
        return self._entry_reader

    def _account_or_refuse(self) -> Account:
        if self._account is None:
            raise FieldError(Reason.MISSING, "Acct", "the element was expected before entries")
        return self._account

    def _identification(self) -> str:
        found = self._tags.text(self._parts.get("Id"))
        if not found:
            raise FieldError(Reason.MISSING, "Id", "the element was expected")
        return found

    def _read_account(self, element: Element) -> None:
        tags = self._tags
        tags.check_once(element, ("Id", "Ccy"))
        identification = element.find(tags["Id"])
        if identification is not None:
            tags.check_once(identification, ("IBAN", "Othr"))
        iban = tags.text(element, "Id", "IBAN")
        other = tags.text(element, "Id", "Othr", "Id")
        if bool(iban) == bool(other):
            raise FieldError(
                Reason.MISSING if not iban else Reason.REPEATED,
                "Acct/Id",
                "either IBAN or Othr/Id was expected",
            )
        self._account = Account(iban or other, is_iban=bool(iban))
        code = tags.text(element, "Ccy")
        if code:
            exponent_of(code, "Acct/Ccy")
            if self._currency not in ("", code):
                raise FieldError(
                    Reason.CURRENCY, "Acct/Ccy", f"{self._currency} was expected, as in balances"
                )
            self._currency = code

    def _use_currency(self, element: Element | None, field: str) -> None:
        code = "" if element is None else element.get("Ccy", "")
        if not code:
            raise FieldError(Reason.MISSING, f"{field}/@Ccy", "the currency was expected")
        exponent_of(code, f"{field}/@Ccy")
        self._currency = code

    def _balance(self, element: Element) -> tuple[str, Balance]:
        tags = self._tags
        try:
            tags.check_once(element, ("Tp", "Amt", "CdtDbtInd", "Dt"))
            if not self._currency:
                self._use_currency(tags.required(element, "Amt"), "Amt")
            unsigned = tags.amount(element, self._currency)
            signed = unsigned if tags.direction(element) is Direction.CREDIT else -unsigned
            code = tags.text(tags.required(element, "Tp"), "CdOrPrtry", "Cd")
            tags.required(element, "Dt")
            day = tags.day(element, "Dt")
            assert day is not None
        except FieldError as error:
            raise FieldError(error.reason, f"Bal/{error.field}", error.expected) from None
        return code, Balance(signed, day)

    def _bound(self, codes: tuple[str, ...], *, is_page: bool, is_opening: bool) -> Balance | None:
        """The opening or closing balance; on a page of a statement, an interim one will do."""
        for code in codes:
            found = [balance for its_code, balance in self._balances if its_code == code]
            if len({balance.amount_minor for balance in found}) > 1:
                raise FieldError(Reason.REPEATED, "Bal", f"one balance {code} was expected")
            if found:
                return found[0]
        interim = [balance for code, balance in self._balances if code == PAGE_CODE]
        if not (is_page and interim):
            return None
        return interim[0] if is_opening else interim[-1]

    def _period(self, period: Element | None, name: str) -> date | None:
        text = self._tags.text(period, name)
        return iso_day_of_time(text, f"FrToDt/{name}") if text else None
