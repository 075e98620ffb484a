"""What a policy would have decided otherwise, counted."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from compliance.policies.judging import Judged

# The newest decisions that would be decided otherwise are named, the others counted.
MAX_NAMED = 100


class Change(NamedTuple):
    """A kind of difference: verdicts, and the currency whose money is counted."""

    decided: str
    candidate: str
    currency_code: str


class Comparison:
    """Counts, sums and the newest examples."""

    def __init__(self) -> None:
        self.judged = 0
        self.unreadable = 0
        self.counts: Counter[Change] = Counter()
        self.amounts: Counter[Change] = Counter()
        self.newest: deque[Judged] = deque(maxlen=MAX_NAMED)

    def add(self, judged: Iterable[Judged | None]) -> None:
        """Takes decisions in the log's order."""
        for one in judged:
            self.judged += 1
            if one is None:
                self.unreadable += 1
            elif one.is_changed:
                change = Change(one.decided, one.candidate, one.currency_code)
                self.counts[change] += 1
                self.amounts[change] += one.amount_minor
                self.newest.append(one)
