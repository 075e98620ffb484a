"""What the process that reads a file is told and tells, as values of JSON."""

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from reconciliation.bank.accounts import BankAccount
from reconciliation.matching.calendars import Calendar
from reconciliation.statements.continuity import Past
from reconciliation.statements.csv_mapping import CsvMapping, document_of_mapping, mapping_of
from reconciliation.statements.model import Balance, Entry, Format, Statement
from reconciliation.statements.reading import Declared
from reconciliation.statements.refusal import StatementRefusedError

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a file is, and what is expected of it."""

    file_number: int
    """An open file that the process inherits."""
    account: BankAccount
    declared: Declared | None
    """None where it is to be found out."""
    today: date
    opening: Balance | None = None
    closing: Balance | None = None

    def to_line(self) -> bytes:
        account, declared = self.account, self.declared
        return _line(
            {
                "file_number": self.file_number,
                "name": account.name,
                "identification": account.identification,
                "currency": account.currency,
                "corridor": account.corridor,
                "from_day": account.from_day.isoformat(),
                "payout_texts": account.payout_texts,
                "declared": None
                if declared is None
                else [declared.file_format.value, declared.encoding, _mapping(declared.mapping)],
                "today": self.today.isoformat(),
                "opening": _balance(self.opening),
                "closing": _balance(self.closing),
            }
        )

    def to_text(self) -> str:
        """The same of whatever file, to be kept: `from_line` reads it."""
        return replace(self, file_number=0).to_line().decode().rstrip()

    @classmethod
    def from_line(cls, line: bytes) -> "Asked":
        told = json.loads(line)
        account = BankAccount(
            told["name"],
            told["identification"],
            told["currency"],
            told["corridor"],
            None,
            # Nothing of a file depends on it.
            Calendar("", frozenset()),
            1,
            date.fromisoformat(told["from_day"]),
            tuple(told["payout_texts"]),
        )
        declared = None
        if told["declared"] is not None:
            word, encoding, mapping = told["declared"]
            declared = Declared(
                Format(word), encoding, None if mapping is None else mapping_of(mapping)
            )
        return cls(
            told["file_number"],
            account,
            declared,
            date.fromisoformat(told["today"]),
            balance_from(told["opening"]),
            balance_from(told["closing"]),
        )


def past_line(statement_id: int, past: Row, excludes: list[int]) -> bytes:
    """An earlier statement, as the store has it (`past_from` says what of it)."""
    return _line({"id": statement_id, "past": past, "excludes": excludes})


def first_id_line(first_id: int) -> bytes:
    return _line({"first_id": first_id})


def past_from(told: Row, account: BankAccount) -> Past:
    """A statement as those after it see it. One without a day in common comes without entries."""
    return Past(
        account.name,
        account.currency,
        bytes.fromhex(told["file_sha256"]),
        told["position"],
        told["bank_statement_id"],
        told["number"],
        told["page"],
        Balance(told["opening_minor"], date.fromisoformat(told["opening_date"])),
        Balance(told["closing_minor"], date.fromisoformat(told["closing_date"])),
        date.fromisoformat(told["first_day"]),
        date.fromisoformat(told["last_day"]),
        tuple(bytes.fromhex(each) for each in told["entries"]),
    )


def header_of(statement: Statement, today: date) -> Row:
    """All of a statement but its lines. A report without any day is of today."""
    days = [entry.booking_date for entry in statement.entries if entry.booking_date is not None]
    opening, closing = statement.opening, statement.closing
    known = [
        day
        for day in (
            statement.period_start,
            statement.period_end,
            None if closing is None else closing.date,
            *days,
        )
        if day is not None
    ]
    if closing is not None:
        # As continuity counts them.
        first = min([statement.period_start or closing.date, *days])
        last = max([statement.period_end or closing.date, *days])
    else:
        first, last = min(known, default=today), max(known, default=today)
    return {
        "position": statement.position,
        "kind": statement.kind.name,
        "version": statement.version,
        "currency": statement.currency,
        "bank_statement_id": statement.statement_id,
        # Banks that do not count write 0.
        "number": statement.number or None,
        "page": statement.page,
        "opening_minor": None if opening is None else opening.amount_minor,
        "opening_date": None if opening is None else opening.date.isoformat(),
        "closing_minor": None if closing is None else closing.amount_minor,
        "closing_date": None if closing is None else closing.date.isoformat(),
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "line_count": len(statement.entries),
        "note": statement.note,
    }


def line_row(
    statement_id: int, entry: Entry, identity: bytes, line_key: str, *, is_compared: bool
) -> Row:
    """A line, with its key, which is that of its item if it is compared; empty if not booked."""
    return {
        "statement_id": statement_id,
        "position": entry.position,
        "state": entry.status.name,
        "amount_minor": entry.amount_minor,
        "booking_date": None if entry.booking_date is None else entry.booking_date.isoformat(),
        "value_date": None if entry.value_date is None else entry.value_date.isoformat(),
        "bank_reference": entry.bank_reference,
        "customer_reference": entry.customer_reference,
        "end_to_end_id": entry.end_to_end_id,
        "remittance": entry.remittance,
        "counterparty": entry.counterparty,
        "sha256": entry.source_sha256.hex(),
        "identity": identity.hex(),
        "line_key": line_key,
        "is_compared": is_compared,
    }


def refused_of(error: StatementRefusedError) -> Row:
    """Why a file is refused; nothing of it is personal."""
    return {
        "reason": error.reason.name,
        "place": str(error.place),
        "expected": error.expected,
    }


def balance_from(told: Any) -> Balance | None:
    return None if told is None else Balance(told[0], date.fromisoformat(told[1]))


def _balance(balance: Balance | None) -> Any:
    return None if balance is None else [balance.amount_minor, balance.date.isoformat()]


def _mapping(mapping: CsvMapping | None) -> str | None:
    return None if mapping is None else document_of_mapping(mapping)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
