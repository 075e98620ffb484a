"""The bank's CSV: one row for each entry, with the balance after it; the mapping is in
docs/stripe-twin.md."""

import csv
import io

from sandbox.twin_bank.books import EntryKind
from sandbox.twin_bank.statement import Statement, major

HEADINGS = (
    "Booking date",
    "Value date",
    "Amount",
    "Balance",
    "Currency",
    "Account",
    "Bank reference",
    "End-to-end id",
    "Text",
    "Counterparty",
    "Kind of booking",
)
# What the bank calls them; it does not tell whose money it is.
_WORDS = {
    EntryKind.PAYOUT: "TRANSFER",
    EntryKind.DEBIT: "DIRECT DEBIT",
    EntryKind.RETURN: "RETURN",
    EntryKind.CHARGE: "CHARGE",
    EntryKind.OWN: "TRANSFER",
}


def write_csv(statement: Statement) -> bytes:
    """The file."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, delimiter=";", quoting=csv.QUOTE_MINIMAL)
    rows.writerow(HEADINGS)
    # The last balance is the closing one: if that is false, each row's is.
    balance = statement.closing - sum(entry.amount for entry in statement.entries)
    for entry in statement.entries:
        balance += entry.amount
        day = f"{entry.booked:%d.%m.%Y}"
        rows.writerow(
            (
                day,
                day,
                _signed(entry.amount, statement.currency),
                _signed(balance, statement.currency),
                statement.currency,
                statement.account,
                entry.reference,
                entry.end_to_end_id,
                entry.remittance,
                entry.counterparty,
                _WORDS[entry.kind],
            )
        )
    return text.getvalue().encode("utf-8")


def _signed(minor: int, currency: str) -> str:
    return ("-" if minor < 0 else "") + major(minor, currency, ",")
