"""BAI2 files, by the library bai2, which also checks their totals (ADR 49)."""

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import Any

from bai2 import bai2
from bai2.constants import AsOfDateModifier, TypeCodeLevel, TypeCodeTransaction
from bai2.exceptions import IntegrityException, NotSupportedYetException, ParsingException

from reconciliation.statements.amounts import exponent_of
from reconciliation.statements.bai2_records import checked_lines
from reconciliation.statements.model import (
    MAX_MINOR_UNITS,
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

VERSION = "BAI2 version 2"
OPENING_LEDGER, CLOSING_LEDGER = "010", "015"
_INTERIM = (AsOfDateModifier.interim_previous_day, AsOfDateModifier.interim_same_day)
_DIRECTIONS = {
    TypeCodeTransaction.credit: Direction.CREDIT,
    TypeCodeTransaction.debit: Direction.DEBIT,
}
# How the library's complaints about totals begin, and what was expected.
_TOTALS = {
    "Invalid account control total": ("49 control total", "the sum of the account's amounts"),
    "Invalid group control total": ("98 control total", "the sum of the accounts' totals"),
    "Invalid file control total": ("99 control total", "the sum of the groups' totals"),
    "Invalid number of accounts": ("98 number of accounts", "the number of accounts"),
    "Invalid number of groups": ("99 number of groups", "the number of groups"),
    "Invalid number of records": ("number of records", "the number of records"),
}


def read_bai2(source: Source, limits: Limits, encoding: str) -> list[Statement]:
    """All statements of a file, not yet proved. Raises StatementRefusedError."""
    place = Place(VERSION)
    try:
        lines = checked_lines(decode(source.read(), encoding), limits)
        file = _parse(lines)
    except FieldError as error:
        raise error.at(place) from None
    return list(_statements(file, source.sha256()))


def _parse(lines: list[str]) -> Any:
    """The library's model of a file. Its complaints are told in our words: its own have values."""
    try:
        return bai2.parse_from_lines(lines, check_integrity=True)
    except IntegrityException as error:
        for beginning, (field, expected) in _TOTALS.items():
            if str(error).startswith(beginning):
                raise FieldError(Reason.TOTALS, field, f"{expected} was expected") from None
        raise FieldError(Reason.TOTALS, "", "totals that agree were expected") from None
    except NotSupportedYetException:
        raise FieldError(
            Reason.UNSUPPORTED, "type code", "type codes of BAI2 version 2 were expected"
        ) from None
    except (ParsingException, ValueError, LookupError, AttributeError, TypeError):
        raise FieldError(
            Reason.UNREADABLE, "", "records with the fields of BAI2 version 2 were expected"
        ) from None


def _statements(file: Any, file_sha256: bytes) -> Iterator[Statement]:
    position = 0
    for group in file.children:
        for account in group.children:
            position += 1
            reader = _AccountReader(file, group, account, position)
            try:
                yield reader.read(file_sha256)
            except FieldError as error:
                raise error.at(Place(VERSION, position, reader.entry)) from None


class _AccountReader:
    """Reads what the library made of a record 03 and those that follow it."""

    def __init__(self, file: Any, group: Any, account: Any, position: int) -> None:
        self.entry = 0
        self._file = file
        self._group = group
        self._account = account
        self._position = position

    def read(self, file_sha256: bytes) -> Statement:
        """The statement of the account as of the group's date."""
        header = self._group.header
        is_interim = header.as_of_date_modifier in _INTERIM
        identifier = self._account.header
        currency = identifier.currency or header.currency
        exponent_of(currency, "03 currency")
        booked = EntryStatus.REPORTED if is_interim else EntryStatus.BOOKED
        entries = []
        for number, detail in enumerate(self._account.children, 1):
            self.entry = number
            entries.append(_entry(detail, number, header.as_of_date, booked))
        self.entry = 0
        return Statement(
            Format.BAI2,
            VERSION,
            Kind.INTERIM if is_interim else Kind.BOOKED,
            file_sha256,
            self._position,
            Account(identifier.customer_account_number.strip(), is_iban=False),
            currency,
            self._file.header.file_id or "",
            None,
            None,
            None,
            None,
            self._balance(OPENING_LEDGER, header.as_of_date),
            self._balance(CLOSING_LEDGER, header.as_of_date),
            tuple(entries),
            "",
        )

    def _balance(self, code: str, day: date) -> Balance | None:
        found = [
            summary.amount
            for summary in self._account.header.summary_items
            if summary.type_code is not None
            and summary.type_code.code == code
            and summary.amount is not None
        ]
        if len(found) > 1:
            raise FieldError(Reason.REPEATED, f"03 {code}", "one balance was expected")
        if not found:
            return None
        _check_size(found[0], f"03 {code}")
        return Balance(found[0], day)


def _entry(detail: Any, position: int, day: date, booked: EntryStatus) -> Entry:
    kind = detail.type_code
    is_information = kind.transaction is TypeCodeTransaction.misc
    direction = Direction.CREDIT if is_information else _DIRECTIONS.get(kind.transaction)
    if direction is None or kind.level is TypeCodeLevel.status:
        raise FieldError(
            Reason.UNSUPPORTED, "16 type code", "the code of a credit or a debit was expected"
        )
    unsigned = detail.amount or 0
    _check_size(unsigned, "16 amount")
    if is_information and unsigned:
        raise FieldError(Reason.INVALID, "16 amount", "no amount was expected with this type code")
    rows = "\n".join(f"{code.value},{text}" for code, text in detail.rows)
    availability = detail.availability or {}
    # A record that ends in an empty text before its continuation leaves the comma in the text.
    is_cut = len(detail.rows) > 1 and detail.rows[0][1].endswith(",/")
    text = detail.text or ""
    return Entry(
        position,
        unsigned if direction is Direction.CREDIT else -unsigned,
        direction,
        False,
        EntryStatus.INFORMATION if is_information else booked,
        day,
        availability.get("date"),
        (detail.bank_reference or "").strip(),
        (detail.customer_reference or "").strip(),
        "",
        (text.removeprefix(",") if is_cut else text).strip(),
        "",
        kind.code,
        kind.description,
        (),
        hashlib.sha256(rows.encode()).digest(),
    )


def _check_size(amount: int, field: str) -> None:
    if abs(amount) > MAX_MINOR_UNITS:
        raise FieldError(Reason.TOO_LARGE, field, "an amount within 64 bits was expected")
