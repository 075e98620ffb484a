"""SWIFT's MT940 customer statements and MT942 interim reports."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date

from reconciliation.statements.amounts import day_near, exponent_of, minor_units, short_date
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
from reconciliation.statements.source import Source, decode
from reconciliation.statements.swift_fields import Field, FieldQueue, messages
from reconciliation.statements.swift_information import Information, read_information

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_NUMBER = re.compile(r"([0-9]{1,5})(?:/([0-9]{1,5}))?")
_BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9,]{1,15})")
_FLOOR = re.compile(r"([A-Z]{3})[CD]?([0-9,]{1,15})")
_TOTAL = re.compile(r"([0-9]{1,5})([A-Z]{3})([0-9,]{1,15})")
_LINE = re.compile(
    r"(?P<value>[0-9]{6})(?P<entry>[0-9]{4})?(?P<mark>R[CD]|E[CD]|[CD])(?P<funds>[A-Z])?"
    r"(?P<amount>[0-9][0-9,]{0,14})(?P<code>[NSF][A-Z0-9]{3})"
    r"(?P<owner>.{0,16}?)(?://(?P<bank>.{0,16}))?"
)
# What a mark does to the account, and whether it takes something back.
_MARKS = {
    "C": (Direction.CREDIT, False),
    "D": (Direction.DEBIT, False),
    "EC": (Direction.CREDIT, False),
    "ED": (Direction.DEBIT, False),
    "RC": (Direction.DEBIT, True),
    "RD": (Direction.CREDIT, True),
}
_EXPECTED_MARKS = ("EC", "ED")
MARK = ","
MAX_LINES_OF_61 = 2


def read_swift(
    source: Source, limits: Limits, file_format: Format, encoding: str
) -> list[Statement]:
    """All statements of a file, not yet proved. Raises StatementRefusedError."""
    reader = _FileReader(file_format, limits)
    try:
        reader.read(decode(source.read(), encoding), source.sha256())
    except FieldError as error:
        raise error.at(reader.place()) from None
    return reader.statements


class _FileReader:
    """Reads the messages of a file one after the other."""

    def __init__(self, file_format: Format, limits: Limits) -> None:
        self.statements: list[Statement] = []
        self._format = file_format
        self._limits = limits
        self._message: _MessageReader | None = None

    def place(self) -> Place:
        """Where the reader is."""
        if self._message is None:
            return Place(self._format.value)
        return Place(self._format.value, len(self.statements) + 1, self._message.entry)

    def read(self, text: str, file_sha256: bytes) -> None:
        """Adds the statement of each message."""
        entries_left = self._limits.max_entries
        for fields in messages(text, self._format.value[2:], self._limits):
            position = len(self.statements) + 1
            if position > self._limits.max_statements:
                raise FieldError(
                    Reason.TOO_LARGE,
                    "",
                    f"at most {self._limits.max_statements} statements were expected",
                    fields[0].line,
                )
            self._message = _MessageReader(
                fields, self._format, position, entries_left, self._limits
            )
            self.statements.append(self._message.read(file_sha256))
            self._message = None
            entries_left -= len(self.statements[-1].entries)
        if not self.statements:
            raise FieldError(Reason.MISSING, ":20:", "a message was expected")


@dataclass(frozen=True, slots=True)
class _Bound:
    """An opening or closing balance, and whether it is that of a page."""

    currency: str
    balance: Balance


class _MessageReader:
    """Reads one message, field by field."""

    def __init__(
        self,
        fields: list[Field],
        file_format: Format,
        position: int,
        entries_left: int,
        limits: Limits,
    ) -> None:
        self.entry = 0
        self._queue = FieldQueue(fields)
        self._format = file_format
        self._position = position
        self._entries_left = entries_left
        self._limits = limits

    def read(self, file_sha256: bytes) -> Statement:
        """The statement of the message."""
        queue = self._queue
        is_booked = self._format is Format.MT940
        reference = queue.required("20").single_line().strip()
        queue.optional("21")
        account = _account(queue.required("25", "25P"))
        number, page = _number(queue.required("28C", "28"))
        opening = closing = None
        if is_booked:
            opening = _bound(queue.required("60F", "60M"))
            currency = opening.currency
        else:
            currency = self._floor_limits()
        entries = self._entries(currency)
        if is_booked:
            field = queue.required("62F", "62M")
            closing = _bound(field)
            _check_currency(closing.currency, currency, field)
            self._available_balances(currency)
        else:
            self._check_totals(currency, entries)
        note = queue.optional("86")
        queue.check_end()
        return Statement(
            self._format,
            self._format.value,
            Kind.BOOKED if is_booked else Kind.INTERIM,
            file_sha256,
            self._position,
            account,
            currency,
            reference,
            number,
            page,
            None,
            None,
            opening.balance if opening else None,
            closing.balance if closing else None,
            tuple(entries),
            "\n".join(note.lines).strip() if note else "",
        )

    def _floor_limits(self) -> str:
        """The currency of a report, from the amounts below which it leaves entries out."""
        field = self._queue.required("34F")
        currency = _floor_currency(field)
        second = self._queue.optional("34F")
        if second is not None:
            _check_currency(_floor_currency(second), currency, second)
        self._queue.required("13D", "13")
        return currency

    def _entries(self, currency: str) -> list[Entry]:
        entries: list[Entry] = []
        while (line := self._queue.optional("61")) is not None:
            self.entry = len(entries) + 1
            if self.entry > self._entries_left:
                raise FieldError(
                    Reason.TOO_LARGE,
                    "",
                    f"at most {self._limits.max_entries} entries were expected",
                    line.line,
                )
            information = self._queue.optional("86")
            try:
                entries.append(_entry(line, information, currency, self.entry, self._format))
            except FieldError as error:
                raise FieldError(error.reason, error.field, error.expected, line.line) from None
        self.entry = 0
        return entries

    def _available_balances(self, currency: str) -> None:
        for tags in (("64",), ("65",)):
            while (field := self._queue.optional(*tags)) is not None:
                _check_currency(_bound(field).currency, currency, field)
                if tags == ("64",):
                    break

    def _check_totals(self, currency: str, entries: list[Entry]) -> None:
        """Numbers and sums of debits and credits, where the report has them."""
        for tag, direction in (("90D", Direction.DEBIT), ("90C", Direction.CREDIT)):
            field = self._queue.optional(tag)
            if field is None:
                continue
            found = _TOTAL.fullmatch(field.single_line().strip())
            if found is None:
                raise _invalid(field, "a number, a currency and an amount were expected")
            _check_currency(found[2], currency, field)
            amounts = [abs(e.amount_minor) for e in entries if e.direction is direction]
            total = _amount(found[3], currency, field)
            if (int(found[1]), total) != (len(amounts), sum(amounts)):
                raise FieldError(
                    Reason.TOTALS,
                    field.name,
                    f"{len(amounts)} entries and their sum were expected; they differ by"
                    f" {int(found[1]) - len(amounts)} and {total - sum(amounts)} minor units",
                    field.line,
                )


def _entry(
    line: Field, information_field: Field | None, currency: str, position: int, file_format: Format
) -> Entry:
    found = _LINE.fullmatch(line.lines[0].rstrip())
    if found is None or len(line.lines) > MAX_LINES_OF_61:
        raise _invalid(line, "date, mark, amount, code and references were expected")
    mark = found["mark"]
    if mark in _EXPECTED_MARKS and file_format is Format.MT940:
        raise _invalid(line, "one of the marks C, D, RC and RD was expected")
    if found["funds"] and found["funds"] != currency[2]:
        raise FieldError(
            Reason.CURRENCY, line.name, f"the third letter of {currency} was expected as funds code"
        )
    direction, is_reversal = _MARKS[mark]
    unsigned = _amount(found["amount"], currency, line)
    value_date = short_date(found["value"], line.name)
    status = EntryStatus.BOOKED if file_format is Format.MT940 else EntryStatus.REPORTED
    information = (
        Information() if information_field is None else read_information(information_field.lines)
    )
    supplement = line.lines[1].strip() if len(line.lines) == MAX_LINES_OF_61 else ""
    said = [*line.lines, *(information_field.lines if information_field else ())]
    return Entry(
        position,
        unsigned if direction is Direction.CREDIT else -unsigned,
        direction,
        is_reversal,
        EntryStatus.PENDING if mark in _EXPECTED_MARKS else status,
        day_near(found["entry"], value_date, line.name) if found["entry"] else value_date,
        value_date,
        (found["bank"] or "").strip(),
        found["owner"].strip(),
        information.end_to_end_id,
        information.remittance,
        information.counterparty,
        "/".join(filter(None, (found["code"], information.transaction_code))),
        "\n".join(filter(None, (information.booking_text, supplement))),
        (),
        hashlib.sha256("\n".join(said).encode()).digest(),
    )


def _account(field: Field) -> Account:
    """The account's identification; :25P: has the bank's BIC in a second line."""
    text = (field.lines[0] if field.tag == "25P" else field.single_line()).strip()
    identification = text.replace(" ", "")
    if not identification:
        raise FieldError(Reason.MISSING, field.name, "the account was expected", field.line)
    return Account(identification, is_iban=_IBAN.fullmatch(identification) is not None)


def _number(field: Field) -> tuple[int, int | None]:
    found = _NUMBER.fullmatch(field.single_line().strip())
    if found is None:
        raise _invalid(field, "a number as 17 or 17/1 was expected")
    return int(found[1]), int(found[2]) if found[2] else None


def _bound(field: Field) -> _Bound:
    found = _BALANCE.fullmatch(field.single_line().strip())
    if found is None:
        raise _invalid(field, "C or D, date, currency and amount were expected")
    exponent_of(found[3], field.name)
    unsigned = _amount(found[4], found[3], field)
    day: date = short_date(found[2], field.name)
    return _Bound(found[3], Balance(unsigned if found[1] == "C" else -unsigned, day))


def _floor_currency(field: Field) -> str:
    found = _FLOOR.fullmatch(field.single_line().strip())
    if found is None:
        raise _invalid(field, "a currency and an amount were expected")
    _amount(found[2], found[1], field)
    return found[1]


def _amount(text: str, currency: str, field: Field) -> int:
    """SWIFT wants a comma in every amount, after which there may be nothing."""
    if MARK not in text:
        raise _invalid(field, "an amount with a decimal comma was expected")
    try:
        return minor_units(text, exponent_of(currency, field.name), field.name, MARK)
    except FieldError as error:
        raise FieldError(error.reason, field.name, error.expected, field.line) from None


def _check_currency(found: str, currency: str, field: Field) -> None:
    if found != currency:
        raise FieldError(
            Reason.CURRENCY, field.name, f"{currency} was expected, as in the message", field.line
        )


def _invalid(field: Field, expected: str) -> FieldError:
    return FieldError(Reason.INVALID, field.name, expected, field.line)
