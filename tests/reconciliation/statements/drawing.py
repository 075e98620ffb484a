"""Statements as tests draw them, and what a reader has to make of them.

Nothing here or in the writers is taken from the readers but the model that they answer with.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from reconciliation.statements.model import (
    Account,
    Balance,
    Detail,
    Direction,
    Entry,
    EntryStatus,
    Expected,
    ExpectedAccount,
    Format,
    Kind,
    Statement,
)

TODAY = date(2026, 11, 30)
# ISO 4217's decimals, written down once more.
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "CLF": 4}
IBANS = ("DE02120300000000202051", "FR1420041010050500013M02606", "GB29NWBK60161331926819")
LARGEST = 10**11


@dataclass(frozen=True)
class Part:
    """A transaction of a batch: signed, as its entry."""

    amount: int
    reference: str = ""
    end_to_end_id: str = ""
    remittance: str = ""
    name: str = ""


@dataclass(frozen=True)
class Line:
    """An entry: `amount` is what it does to the account."""

    amount: int
    booked: date = TODAY
    value: date | None = None
    status: EntryStatus = EntryStatus.BOOKED
    is_reversal: bool = False
    bank_reference: str = ""
    customer_reference: str = ""
    end_to_end_id: str = ""
    remittance: str = ""
    name: str = ""
    code: str = ""
    information: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def is_credit(self) -> bool:
        return self.amount >= 0


@dataclass(frozen=True)
class Drawn:
    """A statement whose entries come from its opening to its closing balance."""

    account: str
    currency: str
    opening: int
    opened: date
    closing: int
    closed: date
    lines: tuple[Line, ...]
    statement_id: str = ""
    number: int | None = None
    page: int | None = None
    period: tuple[date, date] | None = None
    note: str = ""
    kind: Kind = Kind.BOOKED
    is_iban: bool = field(default=True)

    def major(self, minor: int) -> str:
        """The amount with the currency's decimals and a point, without a sign."""
        decimals = DECIMALS[self.currency]
        return f"{Decimal(abs(minor)).scaleb(-decimals):.{decimals}f}"

    def expected(self, *, with_opening: bool = False, with_closing: bool = False) -> Expected:
        """What a reader is told to expect; balances for the formats that have none."""
        opening = Balance(self.opening, self.opened) if with_opening else None
        closing = Balance(self.closing, self.closed) if with_closing else None
        account = ExpectedAccount(self.account, self.currency, opening, closing)
        return Expected((account,), TODAY)

    def with_amount(self, at: int, difference: int) -> "Drawn":
        """The same with one amount changed, and nothing else."""
        line = self.lines[at]
        changed = replace(line, amount=line.amount + difference)
        return replace(self, lines=(*self.lines[:at], changed, *self.lines[at + 1 :]))


def proved(lines: tuple[Line, ...], opening: int) -> int:
    """The closing balance of booked lines."""
    return opening + sum(line.amount for line in lines if line.status is EntryStatus.BOOKED)


def statement_of(
    drawn: Drawn, content: bytes, file_format: Format, version: str, position: int = 1
) -> Statement:
    """What a reader has to answer, but for the hashes of entries."""
    is_booked = drawn.kind is Kind.BOOKED
    return Statement(
        file_format,
        version,
        drawn.kind,
        hashlib.sha256(content).digest(),
        position,
        Account(drawn.account, drawn.is_iban),
        drawn.currency,
        drawn.statement_id,
        drawn.number,
        drawn.page,
        drawn.period[0] if drawn.period else None,
        drawn.period[1] if drawn.period else None,
        Balance(drawn.opening, drawn.opened) if is_booked else None,
        Balance(drawn.closing, drawn.closed) if is_booked else None,
        tuple(_entry(line, number, drawn.kind) for number, line in enumerate(drawn.lines, 1)),
        drawn.note,
    )


def _entry(line: Line, position: int, kind: Kind) -> Entry:
    status = line.status
    if kind is not Kind.BOOKED and status is EntryStatus.BOOKED:
        status = EntryStatus.REPORTED
    return Entry(
        position,
        line.amount,
        Direction.CREDIT if line.is_credit else Direction.DEBIT,
        line.is_reversal,
        status,
        line.booked,
        line.value,
        line.bank_reference,
        line.customer_reference,
        line.end_to_end_id,
        line.remittance,
        line.name,
        line.code,
        line.information,
        tuple(
            Detail(part.amount, part.reference, part.end_to_end_id, part.remittance, part.name)
            for part in line.parts
        ),
        b"",
    )


def without_hashes(statement: Statement) -> Statement:
    """The same without the hashes of entries, of which tests say other things."""
    entries = tuple(replace(entry, source_sha256=b"") for entry in statement.entries)
    return replace(statement, entries=entries)


def words(alphabet: str, most: int = 4, letters: int = 8) -> st.SearchStrategy[str]:
    """Words with one space between, as banks' texts survive any line break."""
    word = st.text(alphabet, min_size=1, max_size=letters)
    return st.lists(word, max_size=most).map(" ".join)


def days(before: int = 40) -> st.SearchStrategy[date]:
    return st.integers(0, before).map(lambda ago: TODAY - timedelta(ago))


amounts = st.integers(-LARGEST, LARGEST)
references = st.text("ABCDEFGHIJ0123456789", max_size=16)
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789"
# Letters of Europe, signs that formats escape, and quotes.
WIDE = ALPHABET + "äöüßéñÅž&<>'\"();,.+€"


@st.composite
def statements(
    draw: st.DrawFn,
    lines: st.SearchStrategy[Line],
    currencies: tuple[str, ...] = tuple(DECIMALS),
    most: int = 5,
) -> Drawn:
    """A statement of some lines; what only some formats have is for their tests to add."""
    drawn_lines = tuple(draw(st.lists(lines, max_size=most)))
    opening = draw(amounts)
    closed = draw(days(0))
    return Drawn(
        account=draw(st.sampled_from(IBANS)),
        currency=draw(st.sampled_from(currencies)),
        opening=opening,
        opened=closed - timedelta(draw(st.integers(0, 40))),
        closing=proved(drawn_lines, opening),
        closed=closed,
        lines=drawn_lines,
    )
