"""What a bank statement says, whatever its format.

Amounts are signed integers of the currency's minor unit: what they do to the account's balance.
"""

from dataclasses import dataclass
from datetime import date
from enum import Enum

# The largest amount or sum that the engine can hold.
MAX_MINOR_UNITS = 2**63 - 1


class Format(Enum):
    """What a file is declared to be. A file is never read as anything else."""

    CAMT = "camt"
    MT940 = "MT940"
    MT942 = "MT942"
    BAI2 = "BAI2"
    OFX = "OFX"
    CSV = "CSV"


class Kind(Enum):
    """What a statement is to the books. Only `BOOKED` may be matched as the bank's word."""

    BOOKED = "booked statement"
    # camt.052, MT942, and BAI2 as of a moment within the day.
    INTERIM = "interim report"
    # camt.054.
    NOTIFICATION = "notification"


class EntryStatus(Enum):
    """How far an entry is. `REPORTED` is what a report, which is no statement, calls booked."""

    BOOKED = "booked"
    REPORTED = "reported"
    PENDING = "pending"
    # Of no effect on the account: camt's INFO.
    INFORMATION = "information"


class Direction(Enum):
    """Which side of the account an entry is on; a reversed credit is a debit."""

    CREDIT = "credit"
    DEBIT = "debit"


class NotBookedError(ValueError):
    """Booked entries were asked of a report that is no statement."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the bank names it: an IBAN without spaces, or what else the bank uses."""

    identification: str
    is_iban: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What was on the account at the end (opening: at the beginning) of a day."""

    amount_minor: int
    date: date


@dataclass(frozen=True, slots=True)
class Detail:
    """One transaction of a batch. It is never added to a balance: its entry is.

    `amount_minor` is None where the bank gives no amounts of single transactions.
    """

    amount_minor: int | None
    bank_reference: str
    end_to_end_id: str
    remittance: str
    counterparty: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a statement.

    `position` counts from 1 in the order of the account. Texts are empty where the bank
    gives none; lines of a text are joined by newlines unless the format says that they are pieces
    of one line. `details` are there if the entry has several transactions; what a single one says
    is in the entry itself. `information` is what the bank adds in words of its own.
    `source_sha256` is of what the file says of the entry (docs/bank-statements.md says how).
    References are kept as the bank wrote them, NONREF and NOTPROVIDED too: none of them is unique.
    """

    position: int
    amount_minor: int
    direction: Direction
    is_reversal: bool
    status: EntryStatus
    booking_date: date | None
    value_date: date | None
    bank_reference: str
    customer_reference: str
    end_to_end_id: str
    remittance: str
    counterparty: str
    transaction_code: str
    information: str
    details: tuple[Detail, ...]
    source_sha256: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of one account. `position` counts from 1 in the file.

    `number` is the bank's sequence number and `page` a part of a statement that the bank sent in
    several, each with balances of its own. `opening` and `closing` are there if `kind` is BOOKED,
    and then opening + Σ booked entries = closing. `note` is what the bank says of the whole.
    """

    file_format: Format
    version: str
    kind: Kind
    file_sha256: bytes
    position: int
    account: Account
    currency: str
    statement_id: str
    number: int | None
    page: int | None
    period_start: date | None
    period_end: date | None
    opening: Balance | None
    closing: Balance | None
    entries: tuple[Entry, ...]
    note: str

    def booked(self) -> tuple[Entry, ...]:
        """The booked entries of a statement. Raises NotBookedError for what is no statement."""
        if self.kind is not Kind.BOOKED:
            raise NotBookedError(f"{self.version} is no statement of booked entries")
        return tuple(entry for entry in self.entries if entry.status is EntryStatus.BOOKED)

    def pending(self) -> tuple[Entry, ...]:
        """What is announced and not booked, as far as the bank says so."""
        return tuple(entry for entry in self.entries if entry.status is EntryStatus.PENDING)


@dataclass(frozen=True, slots=True)
class ExpectedAccount:
    """An account whose statements are taken: as the file has to name it, and its currency.

    `opening` and `closing` are for files that carry none (OFX and CSV have no opening balance, CSV
    often no closing one): the closing balance of the statement before, and what the bank says
    elsewhere. Balances that are in the file come first. With `opening_follows` an opening balance
    that neither the file has nor was given is what the closing one and the entries come to: whoever
    asks for that compares it with the statement before.
    """

    identification: str
    currency: str
    opening: Balance | None = None
    closing: Balance | None = None
    opening_follows: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file has to agree with: the accounts, one of which each statement is of, and `today`,
    the latest day that a booked entry or a closing balance may have."""

    accounts: tuple[ExpectedAccount, ...]
    today: date


@dataclass(frozen=True, slots=True)
class Limits:
    """How large what is read may be. Whatever is larger is refused as TOO_LARGE."""

    # camt is read in pieces; what else there is, as a whole.
    max_xml_bytes: int = 256 * 2**20
    max_text_bytes: int = 64 * 2**20
    max_statements: int = 1_000
    # Entries, and transactions of their batches, of all statements of a file.
    max_entries: int = 200_000
    max_details: int = 200_000
    # Levels of elements in XML and OFX; camt.053 needs 15.
    max_depth: int = 64
    # One part of an XML statement with all in it: an entry with a batch of 10,000 takes 8 MB.
    max_element_bytes: int = 16 * 2**20
    max_line_chars: int = 64 * 2**10
