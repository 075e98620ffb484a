"""Lines of statements as items: which of them are the same line, and what it is known by.

Statements may overlap, and a bank may book two equal lines on a day. So a line counts as often as
the statements that do not exclude each other say so together: each is an item, whose key is made of
what the bank says of it and of its number among equal ones. What the items are follows from the set
of statements, in whatever order they came, and one that comes later takes none away.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import pairwise

from reconciliation.bank.accounts import BankAccount
from reconciliation.matching.item import MAX_TOKEN_BYTES, MAX_TOKENS, Item, Source
from reconciliation.statements.model import Entry, EntryStatus

# Statements that have the same line and of which some exclude each other; the ways to choose among
# more are too many to go through.
MAX_CARRIERS = 20
# Of an identity, in a key: 64 bits tell the lines of an account apart.
KEY_HEX = 16
MIN_TOKEN_CHARACTERS = 6
# A word of a text that has fewer digits is rather a name than a reference; what stands where a
# reference belongs is one with fewer.
MIN_TOKEN_DIGITS = 4
MIN_REFERENCE_DIGITS = 1
# What banks write where there is no reference.
PLACEHOLDERS = frozenset({"NONREF", "NOTPROVIDED", "NOTAVAILABLE"})

_WORD = re.compile(r"[A-Za-z0-9_-]+")


class TooManyCarriersError(Exception):
    """More statements have the same line than are compared."""


def number_of(counts: Mapping[int, int], excludes: Mapping[int, Collection[int]]) -> int:
    """How often a line is there: the most that statements which do not exclude each other say.

    `counts` are how often each statement has it, `excludes` the statements that a statement
    excludes. Raises `TooManyCarriersError`.
    """
    near = {
        place: frozenset(other for other in excludes.get(place, ()) if other in counts)
        for place in counts
    }
    if not any(near.values()):
        return sum(counts.values())
    if len(counts) > MAX_CARRIERS:
        raise TooManyCarriersError
    return _most(frozenset(counts), counts, near)


def _most(
    left: frozenset[int], counts: Mapping[int, int], near: Mapping[int, frozenset[int]]
) -> int:
    # The one with the most rivals decides most; among equal ones any does.
    place = max(left, key=lambda each: len(near[each] & left), default=None)
    if place is None or not near[place] & left:
        return sum(counts[each] for each in left)
    without = _most(left - {place}, counts, near)
    return max(without, counts[place] + _most(left - {place} - near[place], counts, near))


def is_compared(account: BankAccount, entry: Entry) -> bool:
    """Whether a line is to be matched: booked, of something, from the account's first day on, and
    with a text of payouts' lines if the account has any."""
    day = entry.booking_date
    return (
        entry.status is EntryStatus.BOOKED
        and entry.amount_minor != 0
        and day is not None
        and day >= account.from_day
        and _says_so(account, entry)
    )


def _says_so(account: BankAccount, entry: Entry) -> bool:
    if not account.payout_texts:
        return True
    parties = (entry.counterparty, *(detail.counterparty for detail in entry.details))
    said = "\n".join((*parties, *_texts(entry))).casefold()
    return any(text in said for text in account.payout_texts)


def key_of(account: str, day: date, identity: bytes, number: int) -> str:
    """The key of a line, and of its item if it has one."""
    return f"{account}/{day}/{identity.hex()[:KEY_HEX]}/{number}"


def item_of(account: BankAccount, entry: Entry, identity: bytes, number: int) -> Item:
    """A line that is compared, as an item; the bank knows its day and no time. Raises `ItemError`
    for an amount that is beyond an item's."""
    day = entry.booking_date
    assert day is not None, "a line that is compared has a day"
    return Item(
        source=Source.BANK,
        corridor=account.corridor,
        key=key_of(account.name, day, identity, number),
        currency=account.currency,
        amount_minor=entry.amount_minor,
        instant=datetime.combine(day, time(), UTC),
        book_date=day,
        sha256=identity,
        tokens=tokens_of(entry),
    )


def tokens_of(entry: Entry) -> frozenset[str]:
    """By what a line may name a payout: its references, and words of its texts that look like one.

    Banks cut texts into pieces, so that two words beside each other are tried as one, too.
    """
    found: dict[str, None] = {}
    given = [reference.strip() for reference in _references(entry)]
    for reference in given:
        if _is_reference(reference, MIN_REFERENCE_DIGITS):
            found.setdefault(reference)
    texts = [_WORD.findall(text) for text in _texts(entry)]
    for words in texts:
        found.update(dict.fromkeys(word for word in words if _is_reference(word)))
    joined = [
        one + other
        for words in texts
        for one, other in pairwise(words)
        if _is_reference(one + other)
    ]
    return frozenset(list(dict.fromkeys([*found, *joined]))[:MAX_TOKENS])


def _references(entry: Entry) -> Iterator[str]:
    yield from (entry.end_to_end_id, entry.bank_reference, entry.customer_reference)
    for detail in entry.details:
        yield from (detail.end_to_end_id, detail.bank_reference)


def _texts(entry: Entry) -> Sequence[str]:
    return (entry.remittance, *(detail.remittance for detail in entry.details))


def _is_reference(word: str, min_digits: int = MIN_TOKEN_DIGITS) -> bool:
    return (
        len(word) >= MIN_TOKEN_CHARACTERS
        and len(word.encode()) <= MAX_TOKEN_BYTES
        and word not in PLACEHOLDERS
        and sum(letter.isdigit() for letter in word) >= min_digits
    )
