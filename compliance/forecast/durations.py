"""How long something takes, learnt from what ended and from what has not ended yet.

The estimate is Kaplan's and Meier's: what is still open counts as open for as long as it has been,
so that slow ones are not left out because nobody knows their end. It is robust: a single length,
however absurd, moves a quantile by one place.
https://doi.org/10.1080/01621459.1958.10501452
"""

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

# Fewer ends than this are no ground to go by, and fewer still open tell nothing of their tail.
MIN_ENDED = 20
MIN_AT_RISK = 5


@dataclass(frozen=True)
class Length:
    """How long something has lasted, and whether it is over."""

    length: timedelta
    ended: bool


@dataclass(frozen=True)
class Durations:
    """The share that lasts longer, at each length at which something ended.

    Empty if fewer than `MIN_ENDED` have ended. Beyond `known_until` nothing is known.
    """

    lengths: tuple[timedelta, ...] = ()
    shares: tuple[float, ...] = ()
    known_until: timedelta = timedelta(0)

    @classmethod
    def of(cls, seen: Iterable[Length]) -> "Durations":
        ends: Counter[timedelta] = Counter()
        leaving: Counter[timedelta] = Counter()
        for item in seen:
            # A clock that was set back makes a length negative; it was short.
            length = max(item.length, timedelta(0))
            leaving[length] += 1
            if item.ended:
                ends[length] += 1
        if ends.total() < MIN_ENDED:
            return cls()
        at_risk, share = leaving.total(), 1.0
        lengths: list[timedelta] = []
        shares: list[float] = []
        known_until = timedelta(0)
        for length in sorted(leaving):
            if at_risk < MIN_AT_RISK:
                break
            known_until = length
            if ends[length]:
                share *= 1 - ends[length] / at_risk
                lengths.append(length)
                shares.append(share)
            at_risk -= leaving[length]
        return cls(tuple(lengths), tuple(shares), known_until)

    @property
    def is_known(self) -> bool:
        return bool(self.lengths)

    def share_beyond(self, length: timedelta) -> float:
        """The share that lasts longer than this; that of `known_until` beyond it."""
        place = bisect.bisect_right(self.lengths, length)
        return self.shares[place - 1] if place else 1.0

    def quantile(self, share: float) -> timedelta | None:
        """The length within which this share is over; None if that was not seen."""
        for length, beyond in zip(self.lengths, self.shares, strict=True):
            if beyond <= 1 - share:
                return length
        return None

    def chance_of_more(self, so_far: timedelta, more: timedelta) -> float:
        """How likely what has lasted `so_far` lasts another `more`; 1 where nothing is known."""
        if more <= timedelta(0) or not self.is_known or so_far >= self.known_until:
            return 1.0
        lasting = self.share_beyond(so_far)
        return self.share_beyond(so_far + more) / lasting if lasting else 1.0
