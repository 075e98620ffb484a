"""CSV statements, read by a declared mapping."""

import csv
import hashlib
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from reconciliation.statements.amounts import exponent_of, minor_units, signed_minor_units
from reconciliation.statements.csv_mapping import CsvMapping, Order, Sign
from reconciliation.statements.model import (
    Account,
    Balance,
    Direction,
    Entry,
    EntryStatus,
    ExpectedAccount,
    Format,
    Kind,
    Limits,
    Statement,
)
from reconciliation.statements.refusal import FieldError, Place, Reason
from reconciliation.statements.source import Source, decode

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
# The separator of cells where they are hashed; no text of a bank has it.
_UNIT_SEPARATOR = "\x1f"


def read_csv(
    source: Source, limits: Limits, mapping: CsvMapping, accounts: tuple[ExpectedAccount, ...]
) -> list[Statement]:
    """The statement of a file, not yet proved. Raises StatementRefusedError."""
    reader = _Reader(mapping, limits)
    try:
        rows = _rows(decode(source.read(), mapping.encoding), mapping)
        return [reader.read(rows, accounts, source.sha256())]
    except FieldError as error:
        raise error.at(Place(f"CSV {mapping.name}", 1, reader.entry, reader.line)) from None


Row = tuple[int, dict[str, str], list[str]]


def _rows(text: str, mapping: CsvMapping) -> Iterator[Row]:
    """The line, declared cells and all cells of each row below the headings, without the footer."""
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=mapping.delimiter,
        quotechar=mapping.quote,
        strict=True,
    )
    try:
        for _ in range(mapping.heading_row - 1):
            next(lines, None)
        headings = [heading.strip() for heading in next(lines, [])]
        columns = mapping.columns.declared()
        for name, heading in columns.items():
            if headings.count(heading) != 1:
                raise FieldError(
                    Reason.MISSING if heading not in headings else Reason.REPEATED,
                    name,
                    "one column with its declared heading was expected",
                    lines.line_num,
                )
        at = {name: headings.index(heading) for name, heading in columns.items()}
        # The last rows are known as the footer only when nothing follows.
        held: list[tuple[int, list[str]]] = []
        for cells in lines:
            held.append((lines.line_num, cells))
            if len(held) <= mapping.footer_rows:
                continue
            line, cells = held.pop(0)
            if len(cells) != len(headings):
                raise FieldError(
                    Reason.UNREADABLE, "", f"a row of {len(headings)} cells was expected", line
                )
            yield line, {name: cells[index].strip() for name, index in at.items()}, cells
    except csv.Error:
        raise FieldError(
            Reason.UNREADABLE, "", "a row of CSV was expected", lines.line_num
        ) from None
    if len(held) < mapping.footer_rows:
        raise FieldError(Reason.MISSING, "", f"{mapping.footer_rows} last rows were expected")


class _Reader:
    """Reads rows into entries, in the order of the account."""

    def __init__(self, mapping: CsvMapping, limits: Limits) -> None:
        self.entry = 0
        self.line = 0
        self._mapping = mapping
        self._limits = limits

    def read(
        self, rows: Iterator[Row], accounts: tuple[ExpectedAccount, ...], file_sha256: bytes
    ) -> Statement:
        """The statement. Balances that the file does not have are for the proof to add."""
        account, currency = self._declared(accounts)
        found: list[tuple[Entry, int | None, int]] = []
        for self.entry, (self.line, cells, row) in enumerate(rows, 1):
            if self.entry > self._limits.max_entries:
                raise FieldError(
                    Reason.TOO_LARGE,
                    "",
                    f"at most {self._limits.max_entries} entries were expected",
                )
            account = self._same(account, cells, "account", Reason.ACCOUNT)
            currency = self._same(currency, cells, "currency", Reason.CURRENCY)
            exponent = exponent_of(currency, "currency")
            balance = (
                self._amount(cells["balance"], exponent, "balance") if "balance" in cells else None
            )
            found.append((self._entry(cells, row, exponent), balance, self.line))
        self.entry = self.line = 0
        if not account or not currency:
            raise FieldError(
                Reason.MISSING,
                "account" if not account else "currency",
                "rows with it, or one expected account, were expected",
            )
        if self._mapping.order is Order.NEWEST_FIRST:
            found = [
                (replace(entry, position=position), balance, line)
                for position, (entry, balance, line) in enumerate(reversed(found), 1)
            ]
        self._check_balances(found)
        entries = tuple(entry for entry, _, _ in found)
        last = found[-1] if found else None
        closing = (
            Balance(last[1], last[0].booking_date)
            if last and last[1] is not None and last[0].booking_date
            else None
        )
        return Statement(
            Format.CSV,
            f"CSV {self._mapping.name}",
            Kind.BOOKED,
            file_sha256,
            1,
            Account(account, is_iban=_IBAN.fullmatch(account) is not None),
            currency,
            "",
            None,
            None,
            None,
            None,
            None,
            closing,
            entries,
            "",
        )

    def _declared(self, accounts: tuple[ExpectedAccount, ...]) -> tuple[str, str]:
        """What the file does not say is that of the only account that is expected."""
        columns = self._mapping.columns
        if len(accounts) != 1:
            if not columns.account:
                raise FieldError(
                    Reason.MISSING, "account", "a column, or one expected account, was expected"
                )
            return "", ""
        return (
            "" if columns.account else accounts[0].identification,
            "" if columns.currency else accounts[0].currency,
        )

    def _same(self, known: str, cells: dict[str, str], name: str, reason: Reason) -> str:
        if name not in cells:
            return known
        value = cells[name].replace(" ", "")
        if not value:
            raise FieldError(Reason.MISSING, name, "a value was expected")
        if known and known != value:
            raise FieldError(reason, name, "the same in every row was expected")
        return value

    def _entry(self, cells: dict[str, str], row: list[str], exponent: int) -> Entry:
        amount, direction = self._signed(cells, exponent)
        value_date = cells.get("value_date", "")
        return Entry(
            self.entry,
            amount,
            direction,
            False,
            EntryStatus.BOOKED,
            self._day(cells["booking_date"], "booking_date"),
            self._day(value_date, "value_date") if value_date else None,
            cells.get("bank_reference", ""),
            cells.get("customer_reference", ""),
            cells.get("end_to_end_id", ""),
            cells.get("remittance", ""),
            cells.get("counterparty", ""),
            cells.get("transaction_code", ""),
            "",
            (),
            hashlib.sha256(_UNIT_SEPARATOR.join(row).encode()).digest(),
        )

    def _signed(self, cells: dict[str, str], exponent: int) -> tuple[int, Direction]:
        mapping = self._mapping
        if mapping.sign is Sign.SIGNED:
            amount = self._amount(cells["amount"], exponent, "amount")
            return amount, Direction.DEBIT if amount < 0 else Direction.CREDIT
        if mapping.sign is Sign.INDICATOR:
            word = cells["indicator"]
            if word not in (*mapping.credit_words, *mapping.debit_words):
                raise FieldError(
                    Reason.INVALID, "indicator", "one of the declared words was expected"
                )
            is_credit, name = word in mapping.credit_words, "amount"
        else:
            if bool(cells["credit"]) == bool(cells["debit"]):
                raise FieldError(
                    Reason.MISSING if not cells["credit"] else Reason.REPEATED,
                    "credit, debit",
                    "one of the two columns was expected to be filled",
                )
            is_credit = bool(cells["credit"])
            name = "credit" if is_credit else "debit"
        unsigned = minor_units(self._plain(cells[name], name), exponent, name, mapping.decimal_mark)
        return (unsigned, Direction.CREDIT) if is_credit else (-unsigned, Direction.DEBIT)

    def _amount(self, text: str, exponent: int, name: str) -> int:
        return signed_minor_units(
            self._plain(text, name), exponent, name, self._mapping.decimal_mark
        )

    def _plain(self, text: str, name: str) -> str:
        """Without marks between thousands, which have to be where they belong."""
        mark = self._mapping.thousands_mark
        if not mark or mark not in text:
            return text
        sign = text[:1] if text[:1] in "+-" else ""
        whole, decimal, fraction = text.removeprefix(sign).partition(self._mapping.decimal_mark)
        groups = whole.split(mark)
        if not (0 < len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])):
            raise FieldError(Reason.INVALID, name, "marks between thousands were expected")
        return sign + "".join(groups) + decimal + fraction

    def _day(self, text: str, name: str) -> date:
        try:
            day = datetime.strptime(text, self._mapping.date_format).date()  # noqa: DTZ007
            if day.strftime(self._mapping.date_format) == text:
                return day
        except ValueError:
            pass
        raise FieldError(
            Reason.INVALID, name, f"a date as {self._mapping.date_format} was expected"
        )

    def _check_balances(self, found: list[tuple[Entry, int | None, int]]) -> None:
        """The balance after each row is that before it and its amount."""
        for (_, before, _), (entry, after, line) in itertools.pairwise(found):
            if before is None or after is None:
                return
            difference = after - before - entry.amount_minor
            if difference:
                self.line = line
                raise FieldError(
                    Reason.BALANCE,
                    "balance",
                    "the balance before and the amount were expected; it differs by"
                    f" {difference} minor units",
                )
