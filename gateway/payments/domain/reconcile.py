"""What a PaymentIntent that was seen means for a payment.

Applying the same status twice changes nothing, and an older one never overwrites a newer state:
Stripe's objects only move forward, and so does `reconcile`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.payments.domain.card import Card
from gateway.payments.domain.decline_retries import decline_step, outcome_of_same_charge
from gateway.payments.domain.intents import IntentSnapshot, IntentStatus
from gateway.payments.domain.payment import Change, Payment, take
from gateway.payments.domain.processing import next_look_time
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.states import FINAL, NEVER_SENT, PaymentState, Transition, allows

# Until then Stripe captures a card by default where the charge names no deadline of its own:
# https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
DEFAULT_CAPTURE_WINDOW = timedelta(days=7)
CAPTURE_WARNING = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the states that end by time may last."""

    action: timedelta = timedelta(hours=24)
    # Of a bank account that its holder has to verify: small deposits take a day or two to arrive,
    # and Stripe gives up after ten.
    # https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#verify-bank-account-with-microdeposits
    verification: timedelta = timedelta(days=10)
    review: timedelta = timedelta(hours=72)
    review_recheck: timedelta = timedelta(minutes=5)

    def action_of(self, payment: Payment) -> timedelta:
        """How long its customer may take to act."""
        return self.verification if payment.payment_method_type.is_bank_debit else self.action


class ContradictionError(Exception):
    """Stripe says something that cannot be after what we know: a person must look."""

    def __init__(self, payment: Payment, seen: IntentSnapshot) -> None:
        super().__init__(
            f"{payment.id} is {payment.state}, but {seen.payment_intent_id} is {seen.status}"
        )
        self.payment_id = payment.id
        # Whatever Stripe has of it, the database has lost that it was asked for.
        self.never_sent = payment.state in NEVER_SENT and not payment.payment_intent_id


_UNDER_WAY = frozenset({PaymentState.CAPTURING, PaymentState.CANCELING})
# It is for Stripe to say what comes next.
_UNDECIDED = frozenset(
    {PaymentState.AUTHORIZING, PaymentState.REQUIRES_ACTION, PaymentState.PROCESSING}
)
# It was processed, or something follows that an older look knows nothing of.
_PAST_PROCESSING = frozenset(
    {
        *(PaymentState.PROCESSING, PaymentState.AUTHORIZED, PaymentState.SUCCEEDED),
        *(PaymentState.DECLINED, PaymentState.RETRY_SCHEDULED),
    }
)
_GIVEN_BACK = frozenset({PaymentState.CANCELED, PaymentState.EXPIRED})


def reconcile(
    payment: Payment,
    seen: IntentSnapshot,
    now: datetime,
    timing: Timing,
    *,
    decided: bool,
    jitter: float = 0.0,
) -> Change | None:
    """The step that the status leads to, or None if it tells nothing new.

    `decided` says that no operation on the payment is under way: only then does a status of an
    earlier stage take a payment back from CAPTURING or CANCELING. `jitter`, uniform in [0, 1),
    spreads the looks at one that is PROCESSING. Raises ContradictionError.
    """
    if seen.status is IntentStatus.NOT_CONFIRMED:
        return None
    if seen.status is IntentStatus.PROCESSING:
        return _processing(payment, seen, now, jitter, decided=decided)
    if seen.status is IntentStatus.CAPTURED:
        return _captured(payment, seen, now)
    if seen.status is IntentStatus.AUTHORIZED:
        return _authorized(payment, seen, now, decided=decided)
    if seen.status is IntentStatus.CANCELED:
        return _canceled(payment, seen, now)
    earlier = payment.state not in _UNDECIDED
    if earlier and not (decided and payment.state in _UNDER_WAY):
        return None
    if payment.state is PaymentState.CAPTURING:
        # It was authorised, and the state machine knows no way from a capture to before that.
        raise ContradictionError(payment, seen)
    if seen.status is IntentStatus.DECLINED:
        return _declined(payment, seen, now, decided=decided)
    if payment.state is PaymentState.REQUIRES_ACTION or not decided:
        return None
    return _step(
        payment,
        Transition.ACTION_REQUIRED,
        seen,
        now,
        next_action=seen.next_action,
        wake_time=now + timing.action_of(payment),
    )


def covers(payment: Payment, seen: IntentSnapshot) -> bool:
    """Whether the payment is where the status says, or past it and never to come back: then
    `reconcile` has nothing to take from it, whatever came in between and however old it is."""
    if payment.payment_intent_id != seen.payment_intent_id:
        return False
    if payment.state is PaymentState.AUTHORIZED:
        return seen.status is IntentStatus.AUTHORIZED
    if payment.state is PaymentState.PROCESSING:
        return seen.status in (IntentStatus.PROCESSING, IntentStatus.NOT_CONFIRMED)
    if payment.state is PaymentState.SUCCEEDED:
        return (
            seen.status is not IntentStatus.CANCELED
            and seen.captured_minor <= payment.captured_minor
        )
    return False


def radar_step(
    payment: Payment,
    charge_id: str,
    outcome: RadarOutcome | None,
    now: datetime,
    card: Card | None = None,
) -> Change | None:
    """The step by which Radar's outcome of the payment's charge, and the kind of its card, become
    known after the charge itself, or the outcome is another than it was; None if there is nothing
    new, or the charge is not its own.

    While an operation asks for the money its answer is waited for: it is about a later charge.
    """
    if outcome is None or outcome == payment.radar_outcome or charge_id != payment.charge_id:
        return None
    if not allows(payment.state, Transition.RADAR_OUTCOME_KNOWN):
        return None
    values = {"radar_outcome": outcome, "card": card or payment.card}
    return take(payment, Transition.RADAR_OUTCOME_KNOWN, now, **values)


def capture_wake_time(capture_before: datetime, now: datetime) -> datetime:
    """When to look at an AUTHORIZED payment: a day before the deadline, then at it."""
    warning = capture_before - CAPTURE_WARNING
    return warning if warning > now else capture_before


def _captured(payment: Payment, seen: IntentSnapshot, now: datetime) -> Change | None:
    if payment.state is PaymentState.SUCCEEDED:
        return None
    if not allows(payment.state, Transition.CAPTURED):
        raise ContradictionError(payment, seen)
    return _step(
        payment,
        Transition.CAPTURED,
        seen,
        now,
        authorized_minor=max(seen.authorized_minor, payment.authorized_minor),
        captured_minor=seen.captured_minor,
        application_fee_captured_minor=seen.application_fee_minor,
        capture_time=seen.effective_time or now,
        hold_id="",
        decline=None,
        failure=None,
    )


def _authorized(
    payment: Payment, seen: IntentSnapshot, now: datetime, *, decided: bool
) -> Change | None:
    if payment.state in (PaymentState.AUTHORIZED, PaymentState.SUCCEEDED):
        return None
    if payment.state in _UNDER_WAY and not decided:
        return None
    if payment.state in _GIVEN_BACK and payment.payment_intent_id == seen.payment_intent_id:
        # Looked at before Stripe canceled it, and only now compared.
        return None
    if not allows(payment.state, Transition.AUTHORIZED):
        raise ContradictionError(payment, seen)
    capture_before = seen.capture_before or payment.capture_before or now + DEFAULT_CAPTURE_WINDOW
    return _step(
        payment,
        Transition.AUTHORIZED,
        seen,
        now,
        authorized_minor=seen.authorized_minor,
        capture_before=capture_before,
        wake_time=capture_wake_time(capture_before, now),
        # One that surfaces after its hold was released gets a hold of its own.
        hold_id=payment.hold_id or seen.payment_intent_id,
        decline=None,
        failure=None,
    )


def _processing(
    payment: Payment, seen: IntentSnapshot, now: datetime, jitter: float, *, decided: bool
) -> Change | None:
    """A bank decides about it later. No time limit ends that, and nothing is tried meanwhile."""
    if payment.state in _PAST_PROCESSING:
        return None
    if payment.state in _UNDER_WAY and not decided:
        return None
    several = payment.decline_count > 0
    if several and payment.state is PaymentState.AUTHORIZING and not decided:
        # It may be the attempt before: this one's operation finds out.
        return None
    surfaced = payment.state in FINAL
    if surfaced and payment.payment_intent_id == seen.payment_intent_id:
        # Looked at before it ended, and only now compared.
        return None
    if not allows(payment.state, Transition.PROCESSING_STARTED):
        raise ContradictionError(payment, seen)
    return _step(
        payment,
        Transition.PROCESSING_STARTED,
        seen,
        now,
        # What was authorised is being captured, or will be authorised anew.
        capture_before=None,
        wake_time=next_look_time(now, now, jitter),
        hold_id=payment.hold_id or seen.payment_intent_id,
        failure=None,
    )


def _declined(
    payment: Payment, seen: IntentSnapshot, now: datetime, *, decided: bool
) -> Change | None:
    assert seen.decline is not None, "a refusal comes with its reason"
    charge_id = seen.charge_id or payment.charge_id
    several = payment.decline_count > 0 or payment.decline_retry is not None
    if several and not decided:
        if payment.state is PaymentState.AUTHORIZING:
            # It may be the refusal of the attempt before: this one's operation finds out.
            return None
        if (seen.decline, charge_id) == (payment.decline, payment.charge_id):
            # Seen before the present attempt was made, and told late.
            return None
    change = decline_step(
        payment, seen.decline, now, seen.payment_intent_id, charge_id, seen.radar_outcome, seen.card
    )
    return replace(change, effective_time=seen.effective_time)


def _canceled(payment: Payment, seen: IntentSnapshot, now: datetime) -> Change | None:
    if payment.state in FINAL:
        if payment.state is PaymentState.SUCCEEDED:
            raise ContradictionError(payment, seen)
        return None
    transition = Transition.EXPIRED if seen.expired else Transition.CANCELED
    if not allows(payment.state, transition):
        raise ContradictionError(payment, seen)
    return _step(payment, transition, seen, now, authorized_minor=0, hold_id="")


def _step(
    payment: Payment, transition: Transition, seen: IntentSnapshot, now: datetime, **values: object
) -> Change:
    charge_id = seen.charge_id or payment.charge_id
    change = take(
        payment,
        transition,
        now,
        payment_intent_id=seen.payment_intent_id,
        charge_id=charge_id,
        radar_outcome=seen.radar_outcome or outcome_of_same_charge(payment, charge_id),
        card_fingerprint=seen.card_fingerprint or payment.card_fingerprint,
        card=seen.card or payment.card,
        **values,
    )
    return replace(change, effective_time=seen.effective_time)
