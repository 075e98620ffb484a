"""Places for requests under way to one corridor, given by priority under a limit that adapts."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.rails.call import Priority
from gateway.rails.gradient import (
    ConcurrencyPolicy,
    Latency,
    is_late,
    limit_after_answer,
    limit_after_drop,
)

# What of the limit may be in use when a call of a priority begins: the rest is kept for higher
# ones, so that the lower one is shed first.
SHARES: Mapping[Priority, float] = {
    Priority.CUSTOMER_PRESENT: 1.0,
    Priority.OFF_SESSION: 0.9,
    Priority.BACKGROUND: 0.7,
}
# So many of each lower priority may always be under way: customers cannot starve the webhooks that
# tell what became of their payments.
GUARANTEED: Mapping[Priority, int] = {Priority.OFF_SESSION: 1, Priority.BACKGROUND: 1}
# More than this do not wait; they are shed.
MAX_WAITING = 1_000


def has_room(limit: float, under_way: Mapping[Priority, int], priority: Priority) -> bool:
    """Whether one more call of a priority may begin."""
    if under_way[priority] < GUARANTEED.get(priority, 0):
        return True
    return sum(under_way.values()) < max(1, int(limit * SHARES[priority]))


@dataclass(slots=True)
class Slot:
    """One place; `begun` when its request goes out, on the clock of the slots."""

    priority: Priority
    kind: str
    begun: float | None = None


class Slots:
    """The places of one corridor. `monotonic` tells seconds on a clock that never jumps."""

    def __init__(self, policy: ConcurrencyPolicy, monotonic: Callable[[], float]) -> None:
        self.policy = policy
        self._monotonic = monotonic
        self._limit = float(policy.initial)
        self._under_way = dict.fromkeys(Priority, 0)
        self._sending = 0
        self._waiting: dict[Priority, deque[asyncio.Future[None]]] = {
            priority: deque() for priority in Priority
        }
        # Kinds are named in code, so their number is bounded.
        self._latencies: dict[str, Latency] = {}
        self._cut_at = -1.0

    @property
    def limit(self) -> int:
        """How many may be under way."""
        return int(self._limit)

    def under_way(self, priority: Priority) -> int:
        """Calls of a priority that hold a place."""
        return self._under_way[priority]

    def waiting(self, priority: Priority) -> int:
        """Calls of a priority that wait for a place."""
        return sum(not future.done() for future in self._waiting[priority])

    def latency(self, kind: str) -> Latency:
        """What a kind of request takes."""
        return self._latencies.get(kind, Latency())

    async def take(self, priority: Priority, kind: str, seconds: float) -> Slot | None:
        """A place, within so long; None if there is none."""
        ahead = any(self.waiting(other) for other in Priority if SHARES[other] >= SHARES[priority])
        if not ahead and has_room(self._limit, self._under_way, priority):
            self._under_way[priority] += 1
            return Slot(priority, kind)
        if seconds <= 0 or sum(map(len, self._waiting.values())) >= MAX_WAITING:
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[priority].append(turn)
        try:
            await asyncio.wait({turn}, timeout=seconds)
        except BaseException:
            self._withdraw(turn, priority)
            raise
        if not turn.done():
            self._withdraw(turn, priority)
            return None
        return Slot(priority, kind)

    def begin(self, slot: Slot) -> None:
        """The request of the slot goes out."""
        slot.begun = self._monotonic()
        self._sending += 1

    def answered(self, slot: Slot) -> None:
        """The request was answered, whatever the answer."""
        assert slot.begun is not None, "an answer follows a request"
        sample = self._monotonic() - slot.begun
        latency = self.latency(slot.kind).with_sample(sample, self.policy)
        self._latencies[slot.kind] = latency
        self._limit = limit_after_answer(self._limit, latency, self._sending, self.policy)

    def dropped(self, slot: Slot) -> None:
        """The request was not answered, or refused because too many are under way.

        Those that were under way when the limit was cut last do not cut it again: they failed of
        the same cause.
        """
        assert slot.begun is not None, "a drop follows a request"
        if slot.begun >= self._cut_at:
            self._limit = limit_after_drop(self._limit, self.policy)
            self._cut_at = self._monotonic()

    def cut_short(self, slot: Slot) -> None:
        """The caller gave up; a drop if answers usually come sooner."""
        assert slot.begun is not None, "what was cut short had begun"
        if is_late(self.latency(slot.kind), self._monotonic() - slot.begun):
            self.dropped(slot)

    def give_back(self, slot: Slot) -> None:
        """The call is over, sent or not."""
        self._sending -= slot.begun is not None
        self._under_way[slot.priority] -= 1
        self._let_in()

    def _let_in(self) -> None:
        for priority in sorted(Priority, key=SHARES.__getitem__, reverse=True):
            waiting = self._waiting[priority]
            while waiting and has_room(self._limit, self._under_way, priority):
                turn = waiting.popleft()
                if not turn.done():
                    self._under_way[priority] += 1
                    turn.set_result(None)

    def _withdraw(self, turn: asyncio.Future[None], priority: Priority) -> None:
        """Nobody waits for this turn any more; if it has just come, it goes to the next."""
        if turn.done() and not turn.cancelled():
            self._under_way[priority] -= 1
            self._let_in()
            return
        turn.cancel()
        with contextlib.suppress(ValueError):
            self._waiting[priority].remove(turn)
