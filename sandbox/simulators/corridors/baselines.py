"""Choosers known from the literature and from other routers, to say how hard a world is.

Each learns from whether a payment succeeded, whatever the cause, by region and network.
"""

import math
import random
from collections import deque

from sandbox.simulators.corridors.play import Answer, Payment, Seen

Segment = tuple[str, str]


class SlidingWindowUcb:
    """Upper confidence bounds over the last `window` outcomes of a segment.

    Garivier and Moulines, "On Upper-Confidence Bound Policies for Non-Stationary Bandit Problems",
    2008, with their bound for rewards within 0 and 1.
    """

    def __init__(self, window: int = 1_000, width: float = 0.1) -> None:
        self._window = window
        self._width = width
        self._outcomes: dict[Segment, deque[tuple[int, bool]]] = {}
        self._sums: dict[tuple[Segment, int], list[int]] = {}

    def choose(self, payment: Payment) -> int:
        """The corridor with the highest bound; one without outcomes first."""
        segment = (payment.region, payment.network)
        total = max(len(self._outcomes.get(segment, ())), 2)

        def bound(corridor: int) -> float:
            calls, successes = self._sums.get((segment, corridor), (0, 0))
            if not calls:
                return math.inf
            return successes / calls + math.sqrt(self._width * math.log(total) / calls)

        return max(payment.allowed, key=bound)

    def see(self, seen: Seen) -> None:
        """Takes an outcome into the window, and the oldest out."""
        if seen.answer in (Answer.PENDING, Answer.UNKNOWN):
            return
        segment = (seen.payment.region, seen.payment.network)
        window = self._outcomes.setdefault(segment, deque())
        window.append((seen.corridor, seen.answer is Answer.APPROVED))
        sums = self._sums.setdefault((segment, seen.corridor), [0, 0])
        sums[0] += 1
        sums[1] += seen.answer is Answer.APPROVED
        if len(window) > self._window:
            corridor, succeeded = window.popleft()
            self._sums[segment, corridor][0] -= 1
            self._sums[segment, corridor][1] -= succeeded


class WindowHedging:
    """The highest success rate of each corridor's last outcomes; a share of payments elsewhere.

    The rule of Juspay's decision-engine (success-rate routing): a window of 125 outcomes by segment
    and corridor, 5 % hedging (https://github.com/juspay/decision-engine).
    """

    def __init__(self, seed: int, window: int = 125, hedging: float = 0.05) -> None:
        self._draw = random.Random(seed)
        self._window = window
        self._hedging = hedging
        self._outcomes: dict[tuple[Segment, int], deque[bool]] = {}
        self._sums: dict[tuple[Segment, int], int] = {}

    def choose(self, payment: Payment) -> int:
        """The best by its window, a full one of successes before the first outcomes."""
        segment = (payment.region, payment.network)

        def rate(corridor: int) -> float:
            outcomes = len(self._outcomes.get((segment, corridor), ()))
            # What has not been seen counts as success, as there.
            successes = self._sums.get((segment, corridor), 0) + self._window - outcomes
            return successes / self._window

        best = max(payment.allowed, key=rate)
        if len(payment.allowed) > 1 and self._draw.random() < self._hedging:
            return self._draw.choice([c for c in payment.allowed if c != best])
        return best

    def see(self, seen: Seen) -> None:
        """Takes an outcome into the corridor's window."""
        if seen.answer in (Answer.PENDING, Answer.UNKNOWN):
            return
        key = ((seen.payment.region, seen.payment.network), seen.corridor)
        outcomes = self._outcomes.setdefault(key, deque())
        succeeded = seen.answer is Answer.APPROVED
        outcomes.append(succeeded)
        self._sums[key] = self._sums.get(key, 0) + succeeded
        if len(outcomes) > self._window:
            self._sums[key] -= outcomes.popleft()
