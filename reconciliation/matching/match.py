"""What belongs together: groups of allocations whose two sides are equal to the minor unit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciliation.matching.item import Item, ItemKey, Leg, State


class MatchError(ValueError):
    """A match would not be true; the message says which rule it breaks."""


class Rule(StrEnum):
    """Why items were matched, the strongest first."""

    REFERENCE = "REFERENCE"
    """One on each side with a common reference and the same amount, and no other such."""
    GROUP_SUM = "GROUP_SUM"
    """All that have a reference in common, and both sides come to the same sum."""
    UNIQUE_AMOUNT = "UNIQUE_AMOUNT"
    """The only one of its amount in its window, on both sides."""
    PERSON = "PERSON"
    """Somebody said so."""


@dataclass(frozen=True, slots=True, order=True)
class Allocation:
    """How much of an item a match takes, with the item's sign."""

    item: ItemKey
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Match:
    """Allocations of one leg; 1:1, 1:n and n:m are the same. They are sorted by item."""

    leg: Leg
    rule: Rule
    allocations: tuple[Allocation, ...]

    @property
    def members(self) -> frozenset[ItemKey]:
        """The items."""
        return frozenset(allocation.item for allocation in self.allocations)


def whole_match(leg: Leg, rule: Rule, items: Iterable[Item]) -> Match:
    """The match that takes all of some items, and of a payout that came back nothing. Raises
    `MatchError` if their sums differ."""
    known = {item.id: item for item in items}
    taken = sorted(Allocation(key, brought(leg, item)) for key, item in known.items())
    match = Match(leg, rule, tuple(taken))
    check_match(match, known)
    return match


def check_match(match: Match, items: Mapping[ItemKey, Item]) -> None:
    """Raises `MatchError` unless both sides are there and equal per currency, and each allocation
    is within its item."""
    sums: Counter[str] = Counter()
    sides = set()
    if len(match.members) != len(match.allocations):
        raise MatchError("an item is allocated twice")
    for allocation in match.allocations:
        item = items[allocation.item]
        if item.source not in match.leg.sources:
            raise MatchError(f"an item of {item.source} has no place in {match.leg}")
        is_back = comes_to_nothing(match.leg, item) and allocation.amount_minor == 0
        if not is_back and not is_within(allocation.amount_minor, item.amount_minor):
            raise MatchError("an allocation exceeds its item or has another sign")
        left = match.leg.is_left(item.source)
        sides.add(left)
        sums[item.currency] += allocation.amount_minor if left else -allocation.amount_minor
    if len(sides) != 2:
        raise MatchError("one side has no item")
    if any(sums.values()):
        raise MatchError("the sums of the two sides differ")


def comes_to_nothing(leg: Leg, item: Item) -> bool:
    """Whether an item brings nothing, because it came back: a payout that failed, at the bank."""
    return leg is Leg.BANKED and item.state is State.RETURNED


def brought(leg: Leg, item: Item) -> int:
    """What a match takes of an item."""
    return 0 if comes_to_nothing(leg, item) else item.amount_minor


def is_within(allocated: int, amount: int) -> bool:
    """Whether an amount can be allocated of an item's: no more of it, no other sign, and nothing
    only of nothing."""
    if amount > 0:
        return 0 < allocated <= amount
    if amount < 0:
        return amount <= allocated < 0
    return allocated == 0


def differences(leg: Leg, items: Iterable[Item]) -> Mapping[str, int]:
    """By currency the left side's sum less the right side's; currencies that agree have 0."""
    sums: Counter[str] = Counter()
    for item in items:
        sums[item.currency] += item.amount_minor if leg.is_left(item.source) else -item.amount_minor
    return sums
