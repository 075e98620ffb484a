"""Bank accounts of each format, and files of their banks that tests draw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from reconciliation.statements.csv_mapping import mapping_of
from reconciliation.statements.model import Format
from tests.reconciliation.statements.bai2_writer import write_bai2
from tests.reconciliation.statements.camt_writer import write_camt
from tests.reconciliation.statements.csv_writer import write_csv
from tests.reconciliation.statements.drawing import Drawn, Line, proved
from tests.reconciliation.statements.ofx_writer import Writer
from tests.reconciliation.statements.swift_writer import write_swift

# The day of the tests' clock, and the first one of the accounts.
TODAY = date(2026, 11, 30)
FROM_DAY = date(2026, 11, 2)
IBANS = {
    "of-camt": "DE02120300000000202051",
    "of-mt940": "FR1420041010050500013M02606",
    "of-bai2": "12345678",
    "of-ofx": "GB29NWBK60161331926819",
    "of-csv": "NL91ABNA0417164300",
    "of-any": "ES9121000418450200051332",
}
FORMATS = {
    "of-camt": Format.CAMT,
    "of-mt940": Format.MT940,
    "of-bai2": Format.BAI2,
    "of-ofx": Format.OFX,
    "of-csv": Format.CSV,
}
CSV_MAPPING = """{
  "name": "my-bank", "encoding": "utf-8", "date_format": "%Y-%m-%d", "decimal_mark": ".",
  "sign": "signed", "order": "oldest_first",
  "columns": {
    "booking_date": "Day", "amount": "Amount", "balance": "Balance", "bank_reference": "Reference",
    "remittance": "Text"
  }
}"""
CSV_TABLE = """
[accounts.of-csv.csv]
name = "my-bank"
encoding = "utf-8"
date_format = "%Y-%m-%d"
decimal_mark = "."
sign = "signed"
order = "oldest_first"

[accounts.of-csv.csv.columns]
booking_date = "Day"
amount = "Amount"
balance = "Balance"
bank_reference = "Reference"
remittance = "Text"
"""
ACCOUNTS = (
    "".join(
        f'[accounts.{name}]\nidentification = "{number}"\ncurrency = "EUR"\ncorridor = "main"\n'
        f'format = "{FORMATS[name].value if name in FORMATS else "detect"}"\n'
        f"from_day = {FROM_DAY}\n\n"
        for name, number in IBANS.items()
    )
    + CSV_TABLE
)


@dataclass(frozen=True)
class Booked:
    """A line as a bank books it."""

    amount: int
    text: str = ""
    day: date = TODAY


def drawn(
    account: str,
    lines: Sequence[Booked],
    opening: int,
    first: date,
    last: date | None = None,
    number: int | None = None,
    name: str = "",
) -> Drawn:
    """A statement of some days; without a last one, of one day."""
    last = last or first
    entries = tuple(
        Line(
            line.amount,
            booked=line.day,
            value=line.day if account != "of-csv" else None,
            bank_reference="NONREF",
            remittance=line.text,
            code=_code(account, line.amount),
        )
        for line in lines
    )
    return Drawn(
        account=IBANS[account],
        currency="EUR",
        opening=opening,
        opened=first,
        closing=proved(entries, opening),
        closed=last,
        lines=entries,
        statement_id=name or f"S{first:%m%d}{last:%m%d}",
        number=number,
        period=(first, last) if account in ("of-camt", "of-ofx") else None,
    )


def _code(account: str, amount: int) -> str:
    if account == "of-bai2":
        return "195" if amount >= 0 else "495"
    if account == "of-ofx":
        return "CREDIT" if amount >= 0 else "DEBIT"
    return "NTRF" if account == "of-mt940" else ""


def file_of(account: str, *statements: Drawn) -> bytes:
    """A file of the account's bank, in its format."""
    file_format = FORMATS.get(account, Format.CAMT)
    many = list(statements)
    if file_format is Format.MT940:
        # It counts, and has to.
        return write_swift([replace(each, number=each.number or 0) for each in many])
    if file_format is Format.BAI2:
        return write_bai2(many)
    if file_format is Format.OFX:
        return Writer(is_xml=True).write(many)
    if file_format is Format.CSV:
        (one,) = many
        return write_csv(one, mapping_of(CSV_MAPPING))
    return write_camt(many)


def day(number: int) -> date:
    """The days of the accounts, the first one 0; 2 November 2026 is a Monday."""
    return FROM_DAY + timedelta(days=number)
