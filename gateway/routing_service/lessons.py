"""What an event of a payment says of the attempt that routing decided about. Pure.

An attempt is learnt from when it is decided, and not before: an UNKNOWN outcome says nothing while
it is one. When it is decided, that it was unknown counts against the corridor's health as of when
it was sent, and what came of it says what the issuer thinks, as attribution has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gateway.payments.domain.states import Transition
from gateway.routing.attribution import Attribution, CallResult, Ending, attribute
from gateway.routing.decision import Lesson
from gateway.routing_service.record import rank_of, slots_in
from gateway.stripe_client.outcome import NotSentReason
from gateway.v1 import payment_pb2

T = Transition
_WENT_THROUGH = frozenset({T.AUTHORIZED, T.CAPTURED})
_DECLINED = frozenset({T.DECLINED, T.RETRY_SCHEDULED})
_ENDED = frozenset({T.CANCELED, T.EXPIRED, T.COMPLIANCE_DENIED})
_LEFT = frozenset({T.FAILED_OVER, T.QUEUED})
# Events of these are looked at; none of another says how an attempt ended.
TRANSITIONS = frozenset(
    each.value for each in _WENT_THROUGH | _DECLINED | _ENDED | _LEFT | {T.FAILED}
)
_NOT_SENT = CallResult(Ending.NOT_SENT)
# Of a payment that failed, by the code of its failure.
_FAILED: Mapping[str, CallResult] = MappingProxyType(
    {
        "stripe_rejected": CallResult(Ending.REJECTED),
        # It had been sent, and Stripe has no trace of it.
        "outcome_not_performed": CallResult(Ending.UNKNOWN),
        "compliance_unavailable": _NOT_SENT,
    }
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The operation that charged the payment where it was sent first."""

    send_count: int
    first_send_time: datetime | None
    end_time: datetime | None

    @property
    def was_unknown(self) -> bool:
        """Whether it had to be sent again: only what is UNKNOWN is."""
        return self.send_count > 1


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a decided attempt teaches, in order, and what it is put down to."""

    lessons: tuple[Lesson, ...]
    attribution: Attribution
    was_unknown: bool


def result_of(
    transition: str, payment: payment_pb2.Payment, corridor: str, hop: int = 0
) -> CallResult | None:
    """How the attempt at a corridor ended, which was chosen when the payment had left `hop` others;
    None if the event does not say that it has."""
    if len(payment.failovers) < hop:
        # Of before the choice.
        return None
    since = payment.failovers[hop:]
    left = next((step for step in since if step.corridor == corridor), None)
    if left is not None:
        return _not_sent(left.reason)
    if payment.corridor != corridor or transition in _LEFT:
        return None
    if transition in _WENT_THROUGH:
        return CallResult(Ending.SUCCEEDED)
    if transition in _DECLINED:
        declined = payment.decline
        if not payment.HasField("decline"):
            # It was too late to try at all.
            return _NOT_SENT
        return CallResult(Ending.DECLINED, declined.code, declined.decline_code)
    if transition == T.FAILED:
        code = payment.failure.code
        return _FAILED.get(code) or _not_sent(payment.failure.not_sent_reason)
    return _NOT_SENT if transition in _ENDED else None


def learnt_of(
    transition: str,
    payment: payment_pb2.Payment,
    decision: Any,
    attempt: Attempt | None,
    record_time: datetime,
    now: datetime,
    hop: int = 0,
) -> Learnt | None:
    """What an event teaches of a row of `routing_decision`, or of `routing_failover` with its
    `hop`; None if it is not decided yet."""
    result = result_of(transition, payment, decision.corridor, hop)
    if result is None:
        return None
    was_unknown = attempt is not None and attempt.was_unknown
    sent = result.ending is not Ending.NOT_SENT
    latency_s: float | None = None
    if sent and not was_unknown and attempt is not None:
        begun, ended = attempt.first_send_time, attempt.end_time
        if begun is not None and ended is not None:
            latency_s = max(0.0, (ended - begun).total_seconds())
    answered = Lesson(
        region=decision.region,
        network=decision.network,
        slots=slots_in(decision.slots),
        corridor=decision.corridor,
        rank=rank_of(decision),
        attribution=attribute(replace(result, was_unknown=was_unknown)),
        latency_s=latency_s,
        age_s=max(0.0, (now - record_time).total_seconds()),
    )
    if not was_unknown or result.ending is Ending.UNKNOWN:
        timed_out = result.ending is Ending.UNKNOWN
        lesson = replace(answered, timed_out=timed_out)
        return Learnt((lesson,), lesson.attribution, was_unknown or timed_out)
    assert attempt is not None, "only what was sent is unknown"
    hung = replace(
        answered,
        attribution=attribute(CallResult(Ending.UNKNOWN)),
        timed_out=True,
        age_s=max(0.0, (now - (attempt.first_send_time or record_time)).total_seconds()),
    )
    return Learnt((hung, answered), answered.attribution, was_unknown)


def _not_sent(reason: str) -> CallResult:
    return replace(_NOT_SENT, connect_failed=reason == NotSentReason.CONNECT_FAILED)
