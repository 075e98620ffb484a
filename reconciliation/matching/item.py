"""What is reconciled: facts of four sources, each with its amount in integer minor units."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

MAX_KEY_BYTES = 255
MAX_TOKENS = 64
MAX_TOKEN_BYTES = 128
MAX_MINOR_UNITS = 2**53
SHA256_BYTES = 32

_CURRENCY = re.compile(r"[A-Z]{3}")


class ItemError(ValueError):
    """An item cannot be taken; the message names the field and what is wrong with it."""


class Source(StrEnum):
    """Who says it."""

    LEDGER = "LEDGER"
    """A posted transaction of ours, by what it does to the balance at Stripe."""
    STRIPE = "STRIPE"
    """A balance transaction, by its net."""
    PAYOUT = "PAYOUT"
    """A payout, by what it brings to the bank; a debit of the bank is negative."""
    BANK = "BANK"
    """A line of a bank statement, credits positive."""
    ADJUSTMENT = "ADJUSTMENT"
    """A posted transaction of ours that adjusts what a bank account should have, by what it does to
    the ledger's account of the bank: a fee that the bank took of a payout is negative."""


class State(StrEnum):
    """How final it is."""

    PENDING = "PENDING"
    """Not yet so: a pending line, a payout that has not left. It takes no part in anything."""
    BOOKED = "BOOKED"
    RETURNED = "RETURNED"
    """A payout that failed, which it may for days after it was paid."""


class Content(StrEnum):
    """Whether Stripe says which balance transactions a payout is made of."""

    NONE = "NONE"
    """Of manual and instant payouts it never does; other sources have none."""
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"


class Leg(StrEnum):
    """Two sources that are to agree. An item has one state in each leg that it takes part in."""

    BOOKED = "BOOKED"
    """What the ledger says against Stripe's balance transactions."""
    CONTENT = "CONTENT"
    """Balance transactions against the payouts that they are paid out with."""
    BANKED = "BANKED"
    """Payouts against lines of the bank."""

    @property
    def left(self) -> Source:
        """The source whose amounts are counted against the other's."""
        return _SIDES[self][0]

    def is_left(self, source: Source) -> bool:
        """Whether a source is on that side; adjustments of the bank are beside payouts."""
        return source is self.left or source is _BESIDE_LEFT.get(self)

    @property
    def sources(self) -> frozenset[Source]:
        """All that take part."""
        beside = _BESIDE_LEFT.get(self)
        return frozenset(_SIDES[self]) | (frozenset() if beside is None else frozenset({beside}))

    def has_both_sides(self, sources: Iterable[Source]) -> bool:
        """Whether there is something on either side."""
        return len({self.is_left(source) for source in sources}) == 2

    @property
    def right(self) -> Source:
        """The other source."""
        return _SIDES[self][1]


_SIDES = {
    Leg.BOOKED: (Source.LEDGER, Source.STRIPE),
    Leg.CONTENT: (Source.STRIPE, Source.PAYOUT),
    Leg.BANKED: (Source.PAYOUT, Source.BANK),
}


_BESIDE_LEFT = {Leg.BANKED: Source.ADJUSTMENT}


class ItemKey(NamedTuple):
    """What identifies an item: one of its source, within a corridor."""

    source: Source
    corridor: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One fact of one source. It never changes; what its source knows of it later is a further
    revision, of which `folded` makes one item. Raises `ItemError`."""

    source: Source
    corridor: str
    """The Stripe account, and the bank account that it pays out to."""
    key: str
    """The source's own id: a balance transaction's, a line's place in its statement."""
    currency: str
    amount_minor: int
    instant: datetime
    """When it happened, aware."""
    book_date: date
    """The day that the source books it on; of a payout, its arrival date."""
    sha256: bytes
    """Of the bytes that the source gave."""
    tokens: frozenset[str] = frozenset()
    """References by which the other side names it: ids, a trace id."""
    group: str = ""
    """The payout that it is part of; of a payout that was split, the first one."""
    state: State = State.BOOKED
    content: Content = Content.NONE
    revision: int = 1
    fee_minor: int | None = field(default=None, compare=False)
    """What of it is a fee of Stripe's: of the ledger what is booked on the account of fees. None
    where that is not known, or there is nothing of the kind."""
    source_bytes: bytes = field(default=b"", compare=False, repr=False)
    """What `sha256` is of, to be kept; empty where it is kept elsewhere, as a bank's files are."""

    def __post_init__(self) -> None:
        for name in ("corridor", "key"):
            if not 0 < len(getattr(self, name).encode()) <= MAX_KEY_BYTES:
                raise ItemError(f"{name}: is not of 1 to {MAX_KEY_BYTES} bytes")
        if len(self.group.encode()) > MAX_KEY_BYTES:
            raise ItemError(f"group: has more than {MAX_KEY_BYTES} bytes")
        if not _CURRENCY.fullmatch(self.currency):
            raise ItemError("currency: is not a code of three capital letters")
        if abs(self.amount_minor) > MAX_MINOR_UNITS:
            raise ItemError(f"amount_minor: is beyond {MAX_MINOR_UNITS}")
        if self.instant.tzinfo is None:
            raise ItemError("instant: has no time zone")
        if len(self.sha256) != SHA256_BYTES:
            raise ItemError(f"sha256: is not of {SHA256_BYTES} bytes")
        if len(self.tokens) > MAX_TOKENS:
            raise ItemError(f"tokens: are more than {MAX_TOKENS}")
        if not all(0 < len(token.encode()) <= MAX_TOKEN_BYTES for token in self.tokens):
            raise ItemError(f"tokens: one is not of 1 to {MAX_TOKEN_BYTES} bytes")
        if self.revision < 1:
            raise ItemError("revision: is not 1 or more")
        if self.content is not Content.NONE and self.source is not Source.PAYOUT:
            raise ItemError("content: only payouts have one")
        if self.state is State.RETURNED and self.source is not Source.PAYOUT:
            raise ItemError("state: only payouts are returned")

    @property
    def id(self) -> ItemKey:
        """What identifies it."""
        return ItemKey(self.source, self.corridor, self.key)


def folded(items: Iterable[Item]) -> Mapping[ItemKey, Item]:
    """One item for each key: the highest revision says how it stands, in whatever order they come;
    references add up. Raises `ItemError` where two revisions differ in what never changes."""
    kept: dict[ItemKey, Item] = {}
    for item in items:
        before = kept.get(item.id)
        kept[item.id] = item if before is None else _joined(before, item)
    return kept


def _joined(one: Item, other: Item) -> Item:
    for name in ("currency", "amount_minor", "instant"):
        if getattr(one, name) != getattr(other, name):
            raise ItemError(f"{name}: differs between revisions of {one.source} {one.key}")
    # Of two that claim to be the same revision the bytes decide, not the order in which they came.
    last = max(one, other, key=lambda item: (item.revision, item.sha256))
    return Item(
        source=last.source,
        corridor=last.corridor,
        key=last.key,
        currency=last.currency,
        amount_minor=last.amount_minor,
        instant=last.instant,
        book_date=last.book_date,
        sha256=last.sha256,
        tokens=one.tokens | other.tokens,
        group=last.group,
        state=last.state,
        content=last.content,
        revision=last.revision,
    )


def takes_part(leg: Leg, item: Item) -> bool:
    """Whether an item is to be matched in a leg.

    A balance transaction that no payout names is still in the balance. Who is never told the
    content of a payout cannot compare it.
    """
    if item.state is State.PENDING or item.source not in leg.sources:
        return False
    if leg is Leg.CONTENT:
        if item.source is Source.PAYOUT:
            # Of a payout that was split all content is the first one's.
            return item.content is not Content.NONE or item.group not in ("", item.key)
        return bool(item.group)
    return True


def references(leg: Leg, item: Item) -> frozenset[str]:
    """By what the other side of a leg knows an item: in CONTENT the payout, else its tokens."""
    if leg is Leg.CONTENT:
        return frozenset([item.group or item.key])
    return item.tokens
