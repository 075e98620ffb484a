"""OFX statements of bank accounts (STMTRS), versions 1.x and 2.x.

OFX has no opening balance: the one before has to be given, as the proof needs it.
"""

import hashlib
import re
from datetime import date

from reconciliation.statements.amounts import compact_date, exponent_of, signed_minor_units
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
from reconciliation.statements.ofx_elements import Node, read_tree
from reconciliation.statements.refusal import FieldError, Place, Reason
from reconciliation.statements.source import Source

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_TIME = re.compile(r"[0-9]{8}(?:[0-9]{4}(?:[0-9]{2}(?:\.[0-9]{3})?)?)?(?:\[[^\[\]]{1,12}\])?")
# Messages of things that are no statement of a bank account.
_OTHERS = ("CREDITCARDMSGSRSV1", "INVSTMTMSGSRSV1", "LOANMSGSRSV1")


def read_ofx(source: Source, limits: Limits) -> list[Statement]:
    """All statements of a file, not yet proved. Raises StatementRefusedError."""
    place = Place("OFX")
    try:
        version, root = read_tree(source, limits)
        place = Place(f"OFX {version}")
        responses = _responses(root, limits)
    except FieldError as error:
        raise error.at(place) from None
    statements = []
    entries = 0
    for position, response in enumerate(responses, 1):
        reader = _StatementReader(place.source, position, limits.max_entries - entries, limits)
        try:
            statements.append(reader.read(response, source.sha256()))
        except FieldError as error:
            raise error.at(Place(place.source, position, reader.entry)) from None
        entries += len(statements[-1].entries)
    return statements


def _responses(root: Node, limits: Limits) -> list[Node]:
    if root.name != "OFX":
        raise FieldError(Reason.MISSING, "OFX", "the element was expected")
    for name in _OTHERS:
        if root.optional(name) is not None:
            raise FieldError(Reason.UNSUPPORTED, name, "statements of bank accounts were expected")
    responses = list(root.required("BANKMSGSRSV1").all_of("STMTTRNRS"))
    if not responses:
        raise FieldError(Reason.MISSING, "STMTTRNRS", "a statement was expected")
    if len(responses) > limits.max_statements:
        raise FieldError(
            Reason.TOO_LARGE, "", f"at most {limits.max_statements} statements were expected"
        )
    return responses


class _StatementReader:
    """Reads one response of a bank."""

    def __init__(self, version: str, position: int, entries_left: int, limits: Limits) -> None:
        self.entry = 0
        self._version = version
        self._position = position
        self._entries_left = entries_left
        self._limits = limits

    def read(self, response: Node, file_sha256: bytes) -> Statement:
        """The statement; its opening balance is for the proof to add."""
        status = response.optional("STATUS")
        if status is not None and status.value("CODE") != "0":
            raise FieldError(Reason.INVALID, "STATUS/CODE", "0 was expected", status.line)
        statement = response.required("STMTRS")
        currency = statement.required("CURDEF").text
        exponent = exponent_of(currency, "CURDEF")
        listed = statement.optional("BANKTRANLIST")
        start = listed.optional("DTSTART") if listed else None
        end = listed.optional("DTEND") if listed else None
        entries = self._entries(statement, listed, currency, exponent)
        ledger = statement.required("LEDGERBAL")
        closing = Balance(
            _amount(ledger.required("BALAMT"), exponent), _day(ledger.required("DTASOF"))
        )
        return Statement(
            Format.OFX,
            self._version,
            Kind.BOOKED,
            file_sha256,
            self._position,
            _account(statement.required("BANKACCTFROM")),
            currency,
            "",
            None,
            None,
            _day(start) if start else None,
            _day(end) if end else None,
            None,
            closing,
            tuple(entries),
            "",
        )

    def _entries(
        self, statement: Node, listed: Node | None, currency: str, exponent: int
    ) -> list[Entry]:
        pending = statement.optional("BANKTRANLISTP")
        nodes = [
            *((node, EntryStatus.BOOKED) for node in (listed.all_of("STMTTRN") if listed else ())),
            *(
                (node, EntryStatus.PENDING)
                for node in (pending.all_of("STMTTRNP") if pending else ())
            ),
        ]
        if len(nodes) > self._entries_left:
            raise FieldError(
                Reason.TOO_LARGE, "", f"at most {self._limits.max_entries} entries were expected"
            )
        entries = []
        for self.entry, (node, status) in enumerate(nodes, 1):
            entries.append(_entry(node, status, self.entry, currency, exponent))
        self.entry = 0
        return entries


def _entry(node: Node, status: EntryStatus, position: int, currency: str, exponent: int) -> Entry:
    is_booked = status is EntryStatus.BOOKED
    for name in ("CORRECTFITID", "CORRECTACTION"):
        if node.optional(name) is not None:
            raise FieldError(
                Reason.UNSUPPORTED, name, "no change of an earlier entry was expected", node.line
            )
    own_currency = node.optional("CURRENCY")
    if own_currency is not None and own_currency.value("CURSYM") != currency:
        raise FieldError(Reason.CURRENCY, "CURRENCY", f"{currency} was expected", node.line)
    amount = _amount(node.required("TRNAMT"), exponent)
    node.required("TRNTYPE")
    if is_booked:
        node.required("FITID")
    available = node.optional("DTAVAIL")
    payee = node.optional("PAYEE")
    return Entry(
        position,
        amount,
        Direction.DEBIT if amount < 0 else Direction.CREDIT,
        False,
        status,
        _day(node.required("DTPOSTED")) if is_booked else None,
        _day(available) if available else None,
        node.value("FITID"),
        node.value("CHECKNUM") or node.value("REFNUM"),
        "",
        node.value("MEMO"),
        payee.value("NAME") if payee else node.value("EXTDNAME") or node.value("NAME"),
        node.value("TRNTYPE"),
        "",
        (),
        hashlib.sha256("\n".join(_said(node)).encode()).digest(),
    )


def _said(node: Node) -> list[str]:
    """All of an element, in the order of the file."""
    said = [f"{node.name}={node.text}"]
    for child in node.children:
        said += _said(child)
    return said


def _account(node: Node) -> Account:
    """An IBAN by itself; otherwise the bank's number goes before the account's."""
    bank, number = node.required("BANKID").text, node.required("ACCTID").text.replace(" ", "")
    if not number:
        raise FieldError(Reason.MISSING, "ACCTID", "the account was expected", node.line)
    if _IBAN.fullmatch(number):
        return Account(number, is_iban=True)
    return Account(f"{bank}/{number}", is_iban=False)


def _amount(node: Node, exponent: int) -> int:
    """OFX takes a point or a comma for the decimal mark, and no marks between thousands."""
    mark = "," if "," in node.text else "."
    try:
        return signed_minor_units(node.text, exponent, node.name, mark)
    except FieldError as error:
        raise FieldError(error.reason, error.field, error.expected, node.line) from None


def _day(node: Node) -> date:
    if not _TIME.fullmatch(node.text):
        raise FieldError(
            Reason.INVALID, node.name, "a time as 20261130120000 was expected", node.line
        )
    return compact_date(node.text[:8], node.name)
