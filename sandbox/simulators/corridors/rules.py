"""What a chooser is compared with: who knows the truth, the best fixed table, operators' rules.

All success is counted in the world's probabilities, not in what was drawn, so that a comparison has
no luck in it.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sandbox.simulators.corridors.play import Answer, Payment, Played, Seen
from sandbox.simulators.corridors.world import (
    HOUR_S,
    NETWORKS,
    REGIONS,
    TIMEOUT_S,
    Floats,
    World,
)


def oracle(world: World) -> Played:
    """The best corridor of each payment, incidents known at once."""
    return Played(world.success.argmax(axis=1))


def best_fixed_table(world: World) -> Played:
    """The best order of corridors for each region and network, in hindsight of the whole time.

    A segment's corridors are ordered by their mean success over the payments that may take them; a
    payment takes the first that it may take.
    """
    success = world.success
    segment = world.contexts.region * len(NETWORKS) + world.contexts.network
    chosen = np.zeros(len(segment), dtype=np.int64)
    for number in range(len(REGIONS) * len(NETWORKS)):
        rows = np.flatnonzero(segment == number)
        if len(rows):
            allowed = world.allowed[rows]
            sums = np.where(allowed, success[rows], 0.0).sum(axis=0)
            means = sums / np.maximum(allowed.sum(axis=0), 1)
            chosen[rows] = np.where(allowed, means, -1.0).argmax(axis=1)
    return Played(chosen)


def operators_orders(world: World) -> dict[str, tuple[int, ...]]:
    """For each region the corridors in the order that operators would have written down.

    They know each corridor's approval by region as it was before anything shifted, which a month's
    report shows; no networks, and nothing of what is to come.
    """
    orders = {}
    for number, region in enumerate(REGIONS):
        rows = world.contexts.region == number
        if rows.any():
            usual = world.usual_approval[rows].mean(axis=0)
            orders[region] = tuple(np.argsort(-usual, kind="stable").tolist())
        else:
            orders[region] = tuple(range(world.settings.corridors))
    return orders


@dataclass
class _Breaker:
    """A window of calls of one corridor: (time, failed) of those that ended, starts of others."""

    ended: deque[tuple[float, bool]]
    running: dict[int, float]
    open_until_s: float | None = None
    """None while it is closed."""
    probes: dict[int, bool | None] | None = None
    """While half-open: whether each probe failed, None while it runs."""


class OperatorsRules:
    """The first corridor of the region's order whose circuit breaker lets calls pass.

    The breaker opens at half failed or slow calls of at least ten in two minutes (resilience4j's
    rule with a longer window, since calls are few), and after 30 s lets three calls through, whose
    outcomes decide whether it closes. If all are open, the first is taken.
    """

    WINDOW_S, MIN_CALLS, FAILURE_RATE, SLOW_S, OPEN_S, PROBES = 120.0, 10, 0.5, 8.0, 30.0, 3

    def __init__(self, world: World) -> None:
        self._orders = operators_orders(world)
        self._breakers = [_Breaker(deque(), {}) for _ in range(world.settings.corridors)]

    def choose(self, payment: Payment) -> int:
        """The first that is closed or wants a probe."""
        order = [c for c in self._orders[payment.region] if c in payment.allowed]
        corridor = next((c for c in order if self._passes(c, payment.time_s)), order[0])
        breaker = self._breakers[corridor]
        breaker.running[payment.number] = payment.time_s
        if breaker.probes is not None and len(breaker.probes) < self.PROBES:
            breaker.probes[payment.number] = None
        return corridor

    def see(self, seen: Seen) -> None:
        """Counts the end of a call; what is told later of a call that timed out counts no more."""
        breaker, number = self._breakers[seen.corridor], seen.payment.number
        breaker.running.pop(number, None)
        failed = seen.answer in (Answer.TECHNICAL_FAILURE, Answer.UNKNOWN)
        bad = failed or seen.latency_s > self.SLOW_S
        if breaker.probes and breaker.probes.get(number, True) is None:
            breaker.probes[number] = bad
        timed_out_before = seen.later and seen.latency_s >= TIMEOUT_S
        if seen.answer is not Answer.PENDING and not timed_out_before:
            breaker.ended.append((seen.time_s, bad))

    def _passes(self, corridor: int, now_s: float) -> bool:
        breaker = self._breakers[corridor]
        if breaker.open_until_s is not None and not self._closes(breaker, now_s):
            return (
                now_s >= breaker.open_until_s
                and breaker.probes is not None
                and len(breaker.probes) < self.PROBES
            )
        while breaker.ended and breaker.ended[0][0] < now_s - self.WINDOW_S:
            breaker.ended.popleft()
        late = sum(1 for start in breaker.running.values() if now_s - start > self.SLOW_S)
        calls = len(breaker.ended) + late
        failures = sum(failed for _, failed in breaker.ended) + late
        if calls >= self.MIN_CALLS and failures >= self.FAILURE_RATE * calls:
            breaker.open_until_s = now_s + self.OPEN_S
            return False
        return True

    def _closes(self, breaker: _Breaker, now_s: float) -> bool:
        """Whether enough probes of an open breaker went well; it opens anew if too few did."""
        assert breaker.open_until_s is not None
        if breaker.probes is None:
            if now_s >= breaker.open_until_s:
                breaker.probes = {}
            return False
        results = [
            now_s - breaker.running[number] > self.SLOW_S or None if bad is None else bad
            for number, bad in breaker.probes.items()
        ]
        if len(results) < self.PROBES or None in results:
            return False
        breaker.probes = None
        if sum(map(bool, results)) >= self.FAILURE_RATE * self.PROBES:
            breaker.open_until_s = now_s + self.OPEN_S
            return False
        breaker.open_until_s = None
        breaker.ended.clear()
        return True


@dataclass(frozen=True)
class Score:
    """How good a choice was; shares are of payments, 0 to 1."""

    success: float
    gap: float
    """Success of the oracle less that of the best fixed table."""
    gap_closed: float
    """The part of the gap that the choice closes; negative if it is worse than the table. 0 where
    there is no gap."""
    incident_regret: float
    """Oracle less choice, mean over payments that came while a corridor they may take failed."""
    worst_hour: float
    """The least success of an hour less that of `against` in it; negative where it is worse."""


def score(world: World, played: Played, against: Played) -> Score:
    """Judges a choice, hour by hour against another (operators' rules)."""
    best, table = _of(world, oracle(world)), _of(world, best_fixed_table(world))
    mine, theirs = _of(world, played), _of(world, against)
    gap = float(best.mean() - table.mean())
    hours = (world.contexts.time_s // HOUR_S).astype(np.int64)
    counts = np.maximum(np.bincount(hours), 1)
    by_hour = np.bincount(hours, weights=mine - theirs) / counts
    incident = world.in_incident
    return Score(
        success=float(mine.mean()),
        gap=gap,
        gap_closed=float(mine.mean() - table.mean()) / gap if gap > 0 else 0.0,
        incident_regret=float((best - mine)[incident].mean()) if incident.any() else 0.0,
        worst_hour=float(by_hour.min()),
    )


def _of(world: World, played: Played) -> Floats:
    success: npt.NDArray[np.float64] = world.success[np.arange(len(played.chosen)), played.chosen]
    return success
