"""What a bank knows of an account: what came, what it booked of it, and of which payout that is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from sandbox.twin_bank.practice import Practice

MAX_TEXT_CHARS = 140
MAX_END_TO_END_CHARS = 35
# An MT940 writes amounts in 15 characters with a comma among them.
MAX_MINOR_UNITS = 10**14 - 1
STRIPE = "STRIPE"
# What every format takes anywhere in a text: neither what ends a record or a field somewhere (: /
# ? +) nor what is written otherwise in XML. Whatever else comes, the bank prints as a point.
_UNPRINTABLE = re.compile(r"[^A-Za-z0-9 .,()'-]")
_NOT_IN_REFERENCES = re.compile(r"[^A-Za-z0-9-]")
_SPACES = re.compile(" +")


def printable(text: str, chars: int = MAX_TEXT_CHARS) -> str:
    """A text as the bank's systems have it."""
    return _SPACES.sub(" ", _UNPRINTABLE.sub(".", text)).strip(" ,")[:chars].strip(" ,")


def printable_reference(text: str) -> str:
    """A reference as the bank's systems have it: letters, digits and hyphens."""
    return _NOT_IN_REFERENCES.sub("-", text)[:MAX_END_TO_END_CHARS].strip("-")


class EntryKind(StrEnum):
    """What an entry is. No statement says so."""

    PAYOUT = "payout"
    # Stripe takes money: a payout below zero.
    DEBIT = "debit"
    # What came goes back, or what was taken comes back.
    RETURN = "return"
    CHARGE = "charge"
    # The company's own: rent, customers that pay by themselves.
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Transfer:
    """What Stripe hands to the bank: minor units, below zero for a debit, and what it is called.

    `transfer_id` is the payout's id, which no bank prints.
    """

    transfer_id: str
    amount: int
    trace: str
    descriptor: str


class OwnEntry(BaseModel):
    """Something that has nothing to do with Stripe, booked on the next business day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: int = Field(ge=-(10**12), le=10**12)
    counterparty: str = Field(default="", max_length=70)
    remittance: str = Field(default="", max_length=MAX_TEXT_CHARS)
    end_to_end_id: str = Field(default="", max_length=MAX_END_TO_END_CHARS)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of an entry is of which transfer, before fees; and by what it is called."""

    transfer_id: str
    amount: int
    trace: str
    descriptor: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the bank's books: minor units as they change the balance.

    `shares` is what the bank knows; of a credit that shows its parts, `is_itemized`, a statement
    tells them. `reference` is the bank's own.
    """

    kind: EntryKind
    amount: int
    booked: date
    reference: str
    end_to_end_id: str = ""
    remittance: str = ""
    counterparty: str = ""
    is_reversal: bool = False
    is_itemized: bool = False
    shares: tuple[Share, ...] = ()

    def with_amount(self, amount: int) -> "Entry":
        """The same with another amount, which the last of its parts makes up for."""
        if not self.shares:
            return replace(self, amount=amount)
        last = self.shares[-1]
        changed = replace(last, amount=last.amount + amount - self.amount)
        return replace(self, amount=amount, shares=(*self.shares[:-1], changed))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What will be booked on a day: a transfer, its return, or an own entry."""

    day: date
    transfer: Transfer | None = None
    is_return: bool = False
    own: OwnEntry | None = None

    @property
    def amount(self) -> int:
        """What it will do to the balance, before fees."""
        if self.transfer is not None:
            return -self.transfer.amount if self.is_return else self.transfer.amount
        assert self.own is not None
        return self.own.amount


class EntryMaker:
    """Makes the entries of one day from what waits for it, by the bank's practice."""

    def __init__(self, practice: Practice, account_number: int, day: date) -> None:
        self._practice = practice
        self._prefix = f"{account_number:03}{day:%y%m%d}"
        self._day = day
        self._entries: list[Entry] = []

    def make(self, waiting: Sequence[Waiting]) -> list[Entry]:
        """All entries of the day: what came from Stripe first."""
        came = [item.transfer for item in waiting if item.transfer and not item.is_return]
        coming = [transfer for transfer in came if transfer.amount > 0]
        if self._practice.merges and len(coming) > 1:
            self._credit([_share(transfer) for transfer in coming])
        else:
            for transfer in coming:
                for share in self._split(transfer):
                    self._credit([share])
        for transfer in came:
            if transfer.amount < 0:
                self._stripe(EntryKind.DEBIT, transfer.amount, [_share(transfer)])
        for item in waiting:
            if item.transfer and item.is_return:
                self._give_back(item.transfer)
            if item.own:
                self._own(item.own)
        return self._entries

    def _split(self, transfer: Transfer) -> list[Share]:
        whole = _share(transfer)
        above = self._practice.splits_above
        if above is None or transfer.amount <= above or transfer.amount < 2:
            return [whole]
        rest = transfer.amount // 2
        return [replace(whole, amount=whole.amount - rest), replace(whole, amount=rest)]

    def _credit(self, shares: list[Share]) -> None:
        whole = sum(share.amount for share in shares)
        fee = self._practice.fee_taken_off
        self._stripe(EntryKind.PAYOUT, whole - fee if fee < whole else whole, shares)
        if self._practice.fee_charged:
            self._add(EntryKind.CHARGE, -self._practice.fee_charged, remittance="CREDIT FEE")

    def _give_back(self, transfer: Transfer) -> None:
        share = replace(_share(transfer), amount=-transfer.amount)
        self._stripe(EntryKind.RETURN, share.amount, [share], before="RETURN ")

    def _own(self, own: OwnEntry) -> None:
        self._add(
            EntryKind.OWN,
            own.amount,
            end_to_end_id=printable_reference(own.end_to_end_id),
            remittance=printable(own.remittance),
            counterparty=printable(own.counterparty),
        )

    def _stripe(self, kind: EntryKind, amount: int, shares: list[Share], before: str = "") -> None:
        practice = self._practice
        single = shares[0] if len(shares) == 1 else None
        shown = [self._shown(share) for share in shares]
        text = shown[0].descriptor if single else f"{len(shares)} CREDITS {STRIPE}"
        self._add(
            kind,
            amount,
            end_to_end_id=shown[0].trace if single else "",
            remittance=f"{before}{text}".strip(),
            counterparty=STRIPE,
            is_reversal=kind is EntryKind.RETURN,
            # A fee that is taken off is in none of the parts.
            is_itemized=practice.itemizes and single is None and not practice.fee_taken_off,
            shares=tuple(shown),
        )

    def _shown(self, share: Share) -> Share:
        """What the bank got of a transfer's names."""
        trace = printable_reference(share.trace) if self._practice.shows_traces else ""
        chars = self._practice.descriptor_chars or MAX_TEXT_CHARS
        return replace(share, trace=trace, descriptor=printable(share.descriptor, chars))

    def _add(self, kind: EntryKind, amount: int, **texts: object) -> None:
        reference = f"{self._prefix}{len(self._entries) + 1:06}"
        self._entries.append(Entry(kind, amount, self._day, reference, **texts))  # type: ignore[arg-type]


def _share(transfer: Transfer) -> Share:
    return Share(transfer.transfer_id, transfer.amount, transfer.trace, transfer.descriptor)
