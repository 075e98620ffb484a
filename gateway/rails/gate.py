"""What a request passes before it is sent: mode, breaker, place, budget, turn.

In this order: what refuses at once comes first, what is waited for comes last, and the turn after
the place, so that requests go out at the pace of their tokens.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from gateway.rails import events
from gateway.rails.breaker import Permit
from gateway.rails.call import Call, Modes, RailMode
from gateway.rails.classify import Health, Verdict
from gateway.rails.line import Line
from gateway.rails.outcome import NotSentReason, Outcome, OutcomeClass
from gateway.rails.slots import Slot
from runtime.deadline import remaining

# With less time than this left, a request would be cut off before Stripe could answer.
MIN_REQUEST_SECONDS = 0.05
# Nobody waits longer than this for a place or a token, however far away the deadline is.
MAX_TURN_SECONDS = 5.0
# When to come back where no place was free: they come free with every answer.
PLACE_RETRY_AFTER = timedelta(seconds=1)


@dataclass
class Passage:
    """Leave to send one request; close it exactly once."""

    line: Line
    slot: Slot
    permit: Permit
    pace_ticket: int | None

    def close(self, verdict: Verdict | None) -> None:
        """The request ended like this; None if it was broken off."""
        self.permit.give_back(verdict.health if verdict is not None else Health.NOT_COUNTED)
        if self.pace_ticket is not None:
            self.line.pace.finish(self.pace_ticket)
        if verdict is not None:
            self._sample(verdict)
        self.line.slots.give_back(self.slot)

    def _sample(self, verdict: Verdict) -> None:
        slots = self.line.slots
        reason = verdict.outcome.not_sent_reason
        if verdict.health is Health.ANSWERED:
            slots.answered(self.slot)
        elif verdict.health is Health.FAILED or reason is NotSentReason.CONCURRENCY_LIMITED:
            slots.dropped(self.slot)
        elif verdict.outcome.outcome_class is OutcomeClass.UNKNOWN:
            slots.cut_short(self.slot)
        if reason is NotSentReason.RATE_LIMITED:
            self.line.slow_down()
        events.concurrency_changed(self.line.name, slots.limit, slow=self.line.pace.is_slow)


class Gate:
    """Lets requests through, or says why not."""

    def __init__(self, modes: Modes, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._modes = modes
        self._sleep = sleep

    async def enter(self, line: Line, call: Call, earlier: Outcome | None) -> Passage | Verdict:
        """Leave to send a request of the call now; `earlier` is what came of those before it."""
        if (refusal := self._forbidden(line, call, earlier)) is not None:
            return refusal
        slot = await line.slots.take(
            call.priority, call.bucket, 0.0 if line.pace.is_slow else _longest_wait()
        )
        if slot is None:
            events.shed(line.name, call.priority, NotSentReason.CONCURRENCY_LIMITED)
            return held_back(line, call, NotSentReason.CONCURRENCY_LIMITED, PLACE_RETRY_AFTER)
        passage: Passage | Verdict | None = None
        try:
            passage = await self._with_slot(line, call, slot)
        finally:
            if not isinstance(passage, Passage):
                line.slots.give_back(slot)
        return passage

    def _forbidden(self, line: Line, call: Call, earlier: Outcome | None) -> Verdict | None:
        begins = call.begins and (earlier is None or earlier.outcome_class is OutcomeClass.NOT_SENT)
        mode = self._modes.mode_of(line.name)
        if mode is RailMode.CLOSED:
            return held_back(line, call, NotSentReason.CORRIDOR_CLOSED)
        if mode is RailMode.DRAIN and begins:
            return held_back(line, call, NotSentReason.CORRIDOR_DRAINED)
        if not line.breaker(call.endpoint_group).would_admit:
            return _breaker_open(line, call)
        return None

    async def _with_slot(self, line: Line, call: Call, slot: Slot) -> Passage | Verdict:
        if (refusal := await self._take_turn(line, call)) is not None:
            return refusal
        left = remaining()
        if left is not None and left < MIN_REQUEST_SECONDS:
            line.give_back_turn(call.bucket)
            return held_back(line, call, NotSentReason.DEADLINE)
        permit = line.breaker(call.endpoint_group).admit()
        if permit is None:
            line.give_back_turn(call.bucket)
            return _breaker_open(line, call)
        if call.object_id:
            line.objects.book(call.object_id)
        line.slots.begin(slot)
        return Passage(line, slot, permit, line.pace.start() if call.changes else None)

    async def _take_turn(self, line: Line, call: Call) -> Verdict | None:
        wait = line.turn_wait_seconds(call.bucket, call.priority)
        if call.object_id:
            wait = max(wait, line.objects.wait_seconds(call.object_id))
        if wait > _longest_wait():
            events.shed(line.name, call.priority, NotSentReason.RATE_LIMITED)
            return held_back(line, call, NotSentReason.RATE_LIMITED, timedelta(seconds=wait))
        async with line.turn(call.bucket, call.priority):
            if wait > 0:
                events.waited_for_turn(line.name, call.endpoint_group, wait)
                await self._sleep(wait)
        return None


def held_back(
    line: Line, call: Call, reason: NotSentReason, retry_after: timedelta | None = None
) -> Verdict:
    """The verdict on a request that was not sent."""
    events.not_sent(line.name, call.endpoint_group, reason)
    outcome = Outcome(OutcomeClass.NOT_SENT, not_sent_reason=reason, retry_after=retry_after)
    return Verdict(outcome, retry=False, health=Health.NOT_COUNTED)


def _breaker_open(line: Line, call: Call) -> Verdict:
    seconds = line.breaker(call.endpoint_group).seconds_to_probe()
    return held_back(line, call, NotSentReason.BREAKER_OPEN, timedelta(seconds=max(seconds, 1.0)))


def _longest_wait() -> float:
    left = remaining()
    return MAX_TURN_SECONDS if left is None else min(MAX_TURN_SECONDS, left)
