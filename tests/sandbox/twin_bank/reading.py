"""The bank's files as the engine's readers see them. Only tests import both sides."""

import io
from datetime import date
from typing import NamedTuple

from reconciliation.statements.csv_mapping import Columns, CsvMapping, Order, Sign
from reconciliation.statements.model import (
    Balance,
    Expected,
    ExpectedAccount,
    Format,
    Statement,
)
from reconciliation.statements.reading import Declared, read_statements
from sandbox.twin_bank import FileFormat, write
from sandbox.twin_bank.books import Entry
from sandbox.twin_bank.statement import Statement as BankStatement

# As docs/stripe-twin.md has it.
CSV_MAPPING = CsvMapping(
    name="twin-bank",
    encoding="utf-8",
    delimiter=";",
    columns=Columns(
        booking_date="Booking date",
        value_date="Value date",
        amount="Amount",
        balance="Balance",
        currency="Currency",
        account="Account",
        bank_reference="Bank reference",
        end_to_end_id="End-to-end id",
        remittance="Text",
        counterparty="Counterparty",
        transaction_code="Kind of booking",
    ),
    date_format="%d.%m.%Y",
    decimal_mark=",",
    sign=Sign.SIGNED,
    order=Order.OLDEST_FIRST,
)
FORMATS = {
    FileFormat.CAMT_053: Format.CAMT,
    FileFormat.CAMT_052: Format.CAMT,
    FileFormat.MT940: Format.MT940,
    FileFormat.BAI2: Format.BAI2,
    FileFormat.CSV: Format.CSV,
}


class Row(NamedTuple):
    """What two sides are compared by; texts that a format has no place for are empty."""

    amount: int
    booked: date | None
    valued: date | None
    reference: str
    end_to_end_id: str
    remittance: str
    counterparty: str
    is_reversal: bool
    parts: tuple[tuple[int, str, str], ...]


def read(statement: BankStatement, file_format: FileFormat) -> Statement:
    """A statement written by the bank and read by the engine; raises what refuses it."""
    content = write(statement, file_format)
    opening = Balance(statement.opening, statement.opened)
    expected = ExpectedAccount(statement.account, statement.currency, opening)
    declared = Declared(
        FORMATS[file_format], mapping=CSV_MAPPING if file_format is FileFormat.CSV else None
    )
    (found,) = read_statements(
        io.BytesIO(content),
        declared,
        Expected((expected,), statement.day),
    )
    return found


def rows_read(statement: Statement, file_format: FileFormat) -> list[Row]:
    """What the engine makes of a file."""
    is_bai2 = file_format is FileFormat.BAI2
    return [
        Row(
            entry.amount_minor,
            entry.booking_date,
            entry.value_date,
            entry.bank_reference,
            entry.customer_reference
            if is_bai2
            else entry.end_to_end_id.removeprefix("NOTPROVIDED"),
            entry.remittance,
            entry.counterparty,
            entry.is_reversal,
            tuple(
                (detail.amount_minor or 0, detail.end_to_end_id, detail.remittance)
                for detail in entry.details
            ),
        )
        for entry in statement.entries
    ]


def rows_told(statement: BankStatement, file_format: FileFormat) -> list[Row]:
    """What the bank's entries are in a format."""
    return [_told(entry, statement.day, file_format) for entry in statement.entries]


def _told(entry: Entry, day: date, file_format: FileFormat) -> Row:
    row = Row(
        entry.amount,
        entry.booked,
        entry.booked,
        entry.reference,
        entry.end_to_end_id,
        entry.remittance,
        entry.counterparty,
        entry.is_reversal,
        (),
    )
    match file_format:
        case FileFormat.BAI2:
            # Its day is the file's; parties and texts are one.
            text = f"{entry.counterparty} {entry.remittance}".strip()
            return row._replace(booked=day, remittance=text, counterparty="", is_reversal=False)
        case FileFormat.CSV:
            return row._replace(is_reversal=False)
        case FileFormat.MT940:
            return row
        case _ if entry.is_itemized:
            parts = tuple(
                (share.amount, share.trace or "NOTPROVIDED", share.descriptor)
                for share in entry.shares
            )
            # What several transactions say, the entry does not.
            return row._replace(end_to_end_id="", remittance="", counterparty="", parts=parts)
        case _:
            return row
