"""What follows a decline: another attempt when its time has come, or the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.card import Card
from gateway.payments.domain.payment import Change, Decline, Payment, take
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.retry_policy import DATA, earliest_within_limits, next_attempt_time
from gateway.payments.domain.states import PaymentState, Transition

# An attempt that could not be sent is looked at again after this long.
POSTPONED = timedelta(hours=1)
# How long compliance may be asked about one attempt.
CHECK_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class DeclinedAttempt:
    """One refused authorisation of a payment."""

    attempt: int
    charge_id: str
    decline: Decline
    decline_time: datetime


def longest_window() -> timedelta:
    """How far back the networks count declines."""
    return DATA.longest_window


def decline_step(
    payment: Payment,
    decline: Decline,
    now: datetime,
    payment_intent_id: str,
    charge_id: str,
    radar_outcome: RadarOutcome | None = None,
    card: Card | None = None,
) -> Change:
    """The step when an attempt was refused: the last one, or another is scheduled. Either way
    the hold is released: the next attempt places its own. `radar_outcome` and `card` are
    the charge's, None where they are not told yet."""
    due = None
    if payment.state in (PaymentState.AUTHORIZING, PaymentState.PROCESSING):
        due = next_attempt_time(payment, decline, now)
    return take(
        payment,
        Transition.RETRY_SCHEDULED if due is not None else Transition.DECLINED,
        now,
        decline=decline,
        decline_count=payment.decline_count + 1,
        payment_intent_id=payment_intent_id,
        charge_id=charge_id,
        radar_outcome=radar_outcome or outcome_of_same_charge(payment, charge_id),
        card_fingerprint=_fingerprint(payment, decline),
        card=card or payment.card,
        hold_id="",
        wake_time=due,
    )


def outcome_of_same_charge(payment: Payment, charge_id: str) -> RadarOutcome | None:
    """What is known of Radar's outcome where the payment's charge is still the same one."""
    return payment.radar_outcome if payment.charge_id == charge_id else None


def _fingerprint(payment: Payment, decline: Decline) -> str:
    """The card's; a bank debit's is the account's, which is no card."""
    if payment.payment_method_type.is_bank_debit:
        return ""
    return decline.card_fingerprint or payment.card_fingerprint


def put_back_step(payment: Payment, now: datetime) -> Change:
    """The step when another attempt was due and certainly did not happen: later, if there is
    time, else the payment stays declined for the reason that it had."""
    policy = payment.decline_retry
    due = now + POSTPONED
    if payment.customer_away and policy is not None and due <= payment.create_time + policy.within:
        return take(payment, Transition.RETRY_POSTPONED, now, wake_time=due, hold_id="")
    return take(payment, Transition.DECLINED, now, hold_id="")


def is_too_late(payment: Payment, now: datetime) -> bool:
    """Whether another attempt would begin after the time that the client gave, and the check."""
    policy = payment.decline_retry
    if policy is None or not payment.decline_count or not payment.customer_away:
        return False
    return now > payment.create_time + policy.within + CHECK_WINDOW


def due_step(
    payment: Payment, declines: Sequence[datetime], now: datetime, operation_id: str
) -> tuple[Change, Operation | None]:
    """The step when the time of the next attempt has come, and the operation that begins it.

    `declines` are the times at which the same card was declined, whatever the payment.
    """
    assert payment.decline is not None, "it was declined"
    assert payment.decline_retry is not None, "it is to be tried again"
    earliest = earliest_within_limits(payment.decline.card_brand, declines, now)
    if earliest > payment.create_time + payment.decline_retry.within:
        return take(payment, Transition.DECLINED, now), None
    if earliest > now:
        return take(payment, Transition.RETRY_POSTPONED, now, wake_time=earliest), None
    started = take(payment, Transition.RETRY_STARTED, now, wake_time=None)
    operation = Operation(
        id=operation_id,
        subject_id=payment.id,
        kind=OperationKind.CHECK,
        state=OperationState.PENDING,
        corridor=payment.corridor,
        create_time=now,
        next_attempt_time=now,
        deadline=now + CHECK_WINDOW,
        queue_time=payment.create_time,
    )
    return started, operation
