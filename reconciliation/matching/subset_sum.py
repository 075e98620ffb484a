"""Which of some amounts come to a sum: a proposal for a person, never a match."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# Each half of so many amounts has 1,024 sums, which are a millisecond's work.
MAX_AMOUNTS = 20


@dataclass(frozen=True)
class Subset:
    """What was found: the places of the only subset, or why there is none to propose."""

    places: tuple[int, ...] = ()
    note: str = ""


def only_subset(amounts: Sequence[int], total: int) -> Subset:
    """The one non-empty proper subset that comes to `total`, if there is exactly one."""
    if len(amounts) > MAX_AMOUNTS:
        return Subset(note=f"sums of parts were not tried: there are more than {MAX_AMOUNTS} items")
    middle = len(amounts) // 2
    later: dict[int, list[int]] = defaultdict(list)
    for sum_, chosen in _sums(amounts[middle:]):
        later[sum_].append(chosen)
    everything = (1 << len(amounts)) - 1
    found: list[int] = []
    for sum_, chosen in _sums(amounts[:middle]):
        for other in later.get(total - sum_, ()):
            both = chosen | other << middle
            if both not in (0, everything):
                found.append(both)
                if len(found) > 1:
                    return Subset(note="several parts come to the sum")
    if not found:
        return Subset(note="no part comes to the sum")
    return Subset(tuple(place for place in range(len(amounts)) if found[0] >> place & 1))


def _sums(amounts: Sequence[int]) -> list[tuple[int, int]]:
    """(sum, bits of the chosen places) of every subset, the empty one included."""
    sums = [(0, 0)]
    for place, amount in enumerate(amounts):
        sums += [(sum_ + amount, chosen | 1 << place) for sum_, chosen in sums]
    return sums
