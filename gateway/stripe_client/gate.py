"""What a request passes before it is sent: mode, breaker, permit, budget, token.

In this order: what refuses at once comes first, what is waited for comes last, and the token
after the permit, so that requests go out at the pace of their tokens.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from gateway.stripe_client import telemetry
from gateway.stripe_client.breaker import Permit
from gateway.stripe_client.call import Call, CorridorMode, Modes
from gateway.stripe_client.classify import Health, Verdict
from gateway.stripe_client.concurrency import ConcurrencyPermit
from gateway.stripe_client.corridor_client import CorridorClient
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from runtime.deadline import remaining

# With less time than this left, a request would be cut off before Stripe could answer.
MIN_REQUEST_SECONDS = 0.05
# Nobody waits longer than this for a permit or a token, however far away the deadline is.
MAX_TOKEN_WAIT_SECONDS = 5.0
# When to come back where no permit was free: they come free with every answer.
PERMIT_RETRY_AFTER = timedelta(seconds=1)


@dataclass
class Passage:
    """Leave to send one request; close it exactly once."""

    corridor: CorridorClient
    permit: ConcurrencyPermit
    breaker_permit: Permit
    pace_ticket: int | None

    def close(self, verdict: Verdict | None) -> None:
        """The request ended like this; None if it was broken off."""
        self.breaker_permit.give_back(verdict.health if verdict is not None else Health.NOT_COUNTED)
        if self.pace_ticket is not None:
            self.corridor.pace.finish(self.pace_ticket)
        if verdict is not None:
            self._sample(verdict)
        self.corridor.concurrency.give_back(self.permit)

    def _sample(self, verdict: Verdict) -> None:
        concurrency = self.corridor.concurrency
        reason = verdict.outcome.not_sent_reason
        if verdict.health is Health.ANSWERED:
            concurrency.answered(self.permit)
        elif verdict.health is Health.FAILED or reason is NotSentReason.CONCURRENCY_LIMITED:
            concurrency.dropped(self.permit)
        elif verdict.outcome.outcome_class is OutcomeClass.UNKNOWN:
            concurrency.cut_short(self.permit)
        if reason is NotSentReason.RATE_LIMITED:
            self.corridor.slow_down()
        telemetry.concurrency_changed(
            self.corridor.name, concurrency.limit, slow=self.corridor.pace.is_slow
        )


class Gate:
    """Lets requests through, or says why not."""

    def __init__(self, modes: Modes, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._modes = modes
        self._sleep = sleep

    async def enter(
        self, corridor: CorridorClient, call: Call, earlier: Outcome | None
    ) -> Passage | Verdict:
        """Leave to send a request of the call now; `earlier` is what came of those before it."""
        if (refusal := self._forbidden(corridor, call, earlier)) is not None:
            return refusal
        permit = await corridor.concurrency.take(
            call.priority, call.bucket, 0.0 if corridor.pace.is_slow else _longest_wait()
        )
        if permit is None:
            telemetry.shed(corridor.name, call.priority, NotSentReason.CONCURRENCY_LIMITED)
            return held_back(corridor, call, NotSentReason.CONCURRENCY_LIMITED, PERMIT_RETRY_AFTER)
        passage: Passage | Verdict | None = None
        try:
            passage = await self._with_permit(corridor, call, permit)
        finally:
            if not isinstance(passage, Passage):
                corridor.concurrency.give_back(permit)
        return passage

    def _forbidden(
        self, corridor: CorridorClient, call: Call, earlier: Outcome | None
    ) -> Verdict | None:
        begins = call.begins and (earlier is None or earlier.outcome_class is OutcomeClass.NOT_SENT)
        mode = self._modes.mode_of(corridor.name)
        if mode is CorridorMode.CLOSED:
            return held_back(corridor, call, NotSentReason.CORRIDOR_CLOSED)
        if mode is CorridorMode.DRAIN and begins:
            return held_back(corridor, call, NotSentReason.CORRIDOR_DRAINED)
        if not corridor.breaker(call.endpoint_group).would_admit:
            return _breaker_open(corridor, call)
        return None

    async def _with_permit(
        self, corridor: CorridorClient, call: Call, permit: ConcurrencyPermit
    ) -> Passage | Verdict:
        if (refusal := await self._take_token(corridor, call)) is not None:
            return refusal
        left = remaining()
        if left is not None and left < MIN_REQUEST_SECONDS:
            corridor.give_back_token(call.bucket)
            return held_back(corridor, call, NotSentReason.DEADLINE)
        breaker_permit = corridor.breaker(call.endpoint_group).admit()
        if breaker_permit is None:
            corridor.give_back_token(call.bucket)
            return _breaker_open(corridor, call)
        if call.object_id:
            corridor.objects.book(call.object_id)
        corridor.concurrency.begin(permit)
        return Passage(
            corridor,
            permit,
            breaker_permit,
            corridor.pace.start() if call.changes else None,
        )

    async def _take_token(self, corridor: CorridorClient, call: Call) -> Verdict | None:
        wait = corridor.token_wait_seconds(call.bucket, call.priority)
        if call.object_id:
            wait = max(wait, corridor.objects.wait_seconds(call.object_id))
        if wait > _longest_wait():
            telemetry.shed(corridor.name, call.priority, NotSentReason.RATE_LIMITED)
            return held_back(corridor, call, NotSentReason.RATE_LIMITED, timedelta(seconds=wait))
        async with corridor.token(call.bucket, call.priority):
            if wait > 0:
                telemetry.waited_for_token(corridor.name, call.endpoint_group, wait)
                await self._sleep(wait)
        return None


def held_back(
    corridor: CorridorClient,
    call: Call,
    reason: NotSentReason,
    retry_after: timedelta | None = None,
) -> Verdict:
    """The verdict on a request that was not sent."""
    telemetry.not_sent(corridor.name, call.endpoint_group, reason)
    outcome = Outcome(OutcomeClass.NOT_SENT, not_sent_reason=reason, retry_after=retry_after)
    return Verdict(outcome, retry=False, health=Health.NOT_COUNTED)


def _breaker_open(corridor: CorridorClient, call: Call) -> Verdict:
    seconds = corridor.breaker(call.endpoint_group).seconds_to_probe()
    return held_back(
        corridor, call, NotSentReason.BREAKER_OPEN, timedelta(seconds=max(seconds, 1.0))
    )


def _longest_wait() -> float:
    left = remaining()
    return MAX_TOKEN_WAIT_SECONDS if left is None else min(MAX_TOKEN_WAIT_SECONDS, left)
