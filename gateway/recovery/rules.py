"""What one of Stripe's objects says of a payment that the database has lost. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gateway.bookkeeping.facts import Fact, HoldForgotten, HoldReleased, ReleaseReason
from gateway.bookkeeping.ledger_log import LedgerHold
from gateway.ids import METADATA_PREFIX, RequestMetadata, derived_id
from gateway.merchants.domain import MERCHANT_KEY as ACCOUNT_KEY
from gateway.money import from_stripe
from gateway.operations.operation import Operation, OperationState
from gateway.payments.domain.check_outcome import authorization
from gateway.payments.domain.failover import at_home
from gateway.payments.domain.intents import IntentSnapshot, IntentStatus, id_of, read_intent
from gateway.payments.domain.money_facts import hold_placed
from gateway.payments.domain.payment import CaptureMethod, Change, Payment, take
from gateway.payments.domain.payment_methods import type_at_stripe
from gateway.payments.domain.processing import next_look_time
from gateway.payments.domain.reconcile import ContradictionError, Timing, covers, reconcile
from gateway.payments.domain.states import HOLDING, PaymentState, Transition
from gateway.payments.domain.stripe_params import (
    CUSTOMER_KEY,
    FEE_KEY,
    MERCHANT_KEY,
    NO_FEE,
    PAYMENT_KEY,
    payment_request_metadata,
)

S, T = PaymentState, Transition
# A payment that the database has as it was before Stripe was asked.
_BEFORE_STRIPE = frozenset(
    {S.RECEIVED, S.COMPLIANCE_CHECKED, S.QUEUED, S.IN_REVIEW, S.RETRY_SCHEDULED, S.FAILED}
)

_REFUSED = frozenset({S.DECLINED, S.RETRY_SCHEDULED})
# Whatever Stripe has of a payment that ended so contradicts it, and no recovery can take it up.
LEFT_TO_A_PERSON = frozenset({S.BLOCKED, S.CANCELED})
# A PaymentIntent that has taken money, or still may.
_WITH_MONEY = frozenset(
    {
        *(IntentStatus.CAPTURED, IntentStatus.AUTHORIZED),
        *(IntentStatus.PROCESSING, IntentStatus.ACTION_REQUIRED),
    }
)


def lost_payment(intent: Mapping[str, Any], corridor: str) -> Payment | None:
    """The payment that a PaymentIntent was made for, as it was asked for; None if the engine did
    not make it. Time limits, alternatives and retries after declines that the client asked for are
    not at Stripe: it stands as if the client had asked for none. Of a mandate's acceptance Stripe
    has made the mandate."""
    metadata: Mapping[str, str] = intent.get("metadata") or {}
    request_metadata = RequestMetadata.read(metadata)
    if request_metadata is None or PAYMENT_KEY not in metadata:
        return None
    merchant_id, customer_id = metadata.get(MERCHANT_KEY, ""), metadata.get(CUSTOMER_KEY, "")
    asked_for = datetime.fromtimestamp(int(intent["created"]), UTC)
    currency = str(intent["currency"]).upper()
    manual = intent.get("capture_method") == "manual"
    return Payment(
        id=metadata[PAYMENT_KEY],
        request_id=request_metadata.request_id,
        request_metadata=payment_request_metadata(request_metadata, merchant_id, customer_id),
        merchant_id=merchant_id,
        customer_id=customer_id,
        corridor=corridor,
        state=S.RECEIVED,
        currency=currency,
        amount_minor=from_stripe(currency, int(intent["amount"])),
        payment_method=id_of(intent.get("payment_method")),
        payment_method_customer=id_of(intent.get("customer")),
        payment_method_type=type_at_stripe(intent),
        capture_method=CaptureMethod.MANUAL if manual else CaptureMethod.AUTOMATIC,
        description=str(intent.get("description") or ""),
        statement_descriptor_suffix=str(intent.get("statement_descriptor_suffix") or ""),
        metadata={
            key: value for key, value in metadata.items() if not key.startswith(METADATA_PREFIX)
        },
        destination_account=id_of((intent.get("transfer_data") or {}).get("destination")),
        application_fee_minor=_application_fee(intent, currency),
        save_payment_method=intent.get("setup_future_usage") == "off_session",
        create_time=asked_for,
        update_time=asked_for,
    )


def carries_only_an_id(made: Mapping[str, Any]) -> bool:
    """Whether a release that sent no request along has made one of Stripe's objects: what it was
    asked for cannot be told from it."""
    metadata: Mapping[str, str] = made.get("metadata") or {}
    by_an_engine = any(key.startswith(METADATA_PREFIX) or key == ACCOUNT_KEY for key in metadata)
    return by_an_engine and RequestMetadata.read(metadata) is None


def _application_fee(intent: Mapping[str, Any], currency: str) -> int | None:
    """The fee that the payment was made with: a capture that took another one has left it."""
    kept = (intent.get("metadata") or {}).get(FEE_KEY)
    if kept is not None:
        return None if kept == NO_FEE else int(kept)
    fee = intent.get("application_fee_amount")
    return from_stripe(currency, int(fee)) if fee is not None else None


def steps_to_stripe(
    payment: Payment,
    at_stripe: Payment,
    payment_intent_id: str,
    operation_id: str,
    now: datetime,
) -> tuple[list[Change], Operation | None]:
    """The steps by which a payment has come to where Stripe was asked, and the operation that
    asked; none for a payment that is known to be there, or on its way there by this operation.
    `at_stripe` is what the PaymentIntent says of it: the database may not know that another
    corridor was tried. `operation_id` is that of `asking_attempt`."""
    begun_anew = payment.state is S.AUTHORIZING and operation_id != payment.hold_id
    if payment.payment_intent_id or (payment.state not in _BEFORE_STRIPE and not begun_anew):
        return [], None
    changes: list[Change] = []

    def step(transition: Transition, **values: Any) -> None:
        before = changes[-1].after if changes else payment
        changes.append(take(before, transition, now, **values))

    if payment.state is S.FAILED:
        step(T.RETRIED, failure=None)
    if begun_anew:
        # The attempt that the database has as under way was not sent: another one was made.
        step(T.FAILED_OVER, hold_id="")
    if payment.state is not S.COMPLIANCE_CHECKED:
        step(T.COMPLIANCE_ALLOWED)
    step(
        T.AUTHORIZATION_STARTED,
        hold_id=operation_id,
        payment_intent_id=payment_intent_id,
        **(at_home(at_stripe) if at_stripe.corridor != payment.corridor else {}),
    )
    # The hold was placed when the PaymentIntent was asked for, which is when it was made.
    changes[-1] = replace(changes[-1], effective_time=at_stripe.create_time)
    asked = replace(
        authorization(changes[-1].after, operation_id, now), state=OperationState.UNKNOWN
    )
    return changes, replace(asked, first_send_time=payment.create_time)


def has_news(payment: Payment, intent: Mapping[str, Any]) -> bool:
    """Whether a PaymentIntent may say more of a payment than the database knows."""
    return not payment.hold_id or not covers(payment, read_intent(intent))


def later_attempt(
    payment: Payment, seen: IntentSnapshot, now: datetime, timing: Timing
) -> Change | None:
    """The step of a payment that the database has as declined, if Stripe has a later attempt under
    way, which is lost: its customer came back to authenticate, or a bank decides about it.

    For what was read just now: an event that is older than the refusal shows the same.
    """
    if payment.state not in _REFUSED:
        return None
    values: dict[str, Any]
    if seen.status is IntentStatus.ACTION_REQUIRED:
        transition = T.ACTION_REQUIRED
        values = {
            "customer_returned": True,
            "next_action": seen.next_action,
            "wake_time": now + timing.action_of(payment),
        }
    elif seen.status is IntentStatus.PROCESSING:
        transition = T.PROCESSING_STARTED
        values = {"capture_before": None, "wake_time": next_look_time(now, now, 0.0)}
    else:
        return None
    change = take(
        payment,
        transition,
        now,
        charge_id=seen.charge_id or payment.charge_id,
        hold_id=seen.payment_intent_id,
        failure=None,
        **values,
    )
    return replace(change, effective_time=seen.effective_time)


def attempt_id(at_stripe: Payment, known: Sequence[str], holds: Sequence[LedgerHold]) -> str:
    """The id of the operation that has asked Stripe, and of the hold that it has placed: that of
    the ledger's last hold in this corridor, if no operation that the database knows has placed it,
    else as the next operation of the payment is named.

    `known` are the payment's operations in the database, the oldest first. That a hold was released
    since is of no account: bookkeeping places it anew.
    """
    placed = [
        hold.id for hold in holds if hold.corridor == at_stripe.corridor and hold.id not in known
    ]
    if placed:
        return placed[-1]
    last = known[-1] if known else derived_id("op", at_stripe.id)
    taken = {hold.id for hold in holds}
    operation_id = derived_id("op", last)
    while operation_id in taken:
        operation_id = derived_id("op", operation_id)
    return operation_id


def asking_attempt(
    payment: Payment, at_stripe: Payment, known: Sequence[str], holds: Sequence[LedgerHold]
) -> str:
    """The id of the operation that has asked Stripe: the one that is under way in the database,
    unless the PaymentIntent is in another corridor, or the ledger has the hold of a later attempt:
    that is made when it is certain that the one before has not been sent."""
    there = [one for one in holds if one.corridor == at_stripe.corridor and one.id not in known]
    if payment.state is S.AUTHORIZING and payment.corridor == at_stripe.corridor and not there:
        return payment.hold_id
    return attempt_id(at_stripe, known, holds)


def standing_hold(holds: Sequence[LedgerHold], corridor: str) -> str | None:
    """The corridor's hold in the ledger that was captured, else the last that was not released."""
    captured = [one.id for one in holds if one.corridor == corridor and one.is_captured]
    if captured:
        return captured[-1]
    standing = [one.id for one in holds if one.corridor == corridor and not one.is_released]
    return standing[-1] if standing else None


def facts_of_left_holds(
    payment: Payment,
    known: Collection[str],
    holds: Sequence[LedgerHold],
    operation_id: str,
    now: datetime,
) -> Iterator[Fact]:
    """That the holds of the attempts before are released, which sent nothing: a payment is tried
    elsewhere only then.

    Those of lost attempts are forgotten, since the next attempt may get the id of a lost one and
    places that hold anew. `known` are the payment's operations in the database.
    """
    for hold in holds:
        if hold.is_released or hold.is_captured or hold.id == operation_id:
            continue
        placed = hold_placed(replace(payment, corridor=hold.corridor), hold.id, now)
        if hold.id not in known:
            yield HoldForgotten(**asdict(placed), hold_revision=hold.revision)
            continue
        yield placed
        yield HoldReleased(**asdict(placed), reason=ReleaseReason.FAILED)


def under_hold(
    change: Change, hold_id: str | None, now: datetime
) -> tuple[Change, list[HoldReleased]]:
    """The step with the hold that the ledger has, where the database knows of none, or of that of
    an attempt before: the attempt that is lost has placed it, and may have been booked. With that,
    that the hold of the attempt before is released."""
    before = change.before
    if hold_id is None or before is None or before.hold_id == hold_id:
        return change, []
    left = []
    if before.hold_id:
        placed = hold_placed(before, before.hold_id, now)
        left.append(HoldReleased(**asdict(placed), reason=ReleaseReason.FAILED))
    after = replace(change.after, hold_id=hold_id) if change.after.hold_id else change.after
    moved = replace(
        change, before=replace(before, hold_id=""), after=after, surfaced_hold_id=hold_id
    )
    return moved, left


def knows_charge(payment: Payment, charge_id: str) -> bool:
    """Whether a charge is the one that the database has of a payment that stands by it."""
    return payment.charge_id == charge_id and payment.state not in {*_REFUSED, S.FAILED}


def may_be_behind(payment: Payment, corridor: str, *, under_way: bool) -> bool:
    """Whether Stripe is to be asked about a charge in a corridor that was not refused: neither what
    is known of its payment explains it, nor an operation that may have asked for it, nor may its
    customer have made it. One that is under way in another corridor does not."""
    if payment.state is S.AUTHORIZING and not payment.payment_intent_id:
        return payment.corridor != corridor
    if payment.state in LEFT_TO_A_PERSON:
        return False
    is_at_hand = payment.payment_intent_id and payment.corridor == corridor
    if is_at_hand and not payment.customer_away:
        # Its customer may have the PaymentIntent's client_secret: who pays with another card on the
        # merchant's page makes such a charge without us, and the event tells.
        return False
    return not under_way and payment.state not in HOLDING and payment.state is not S.SUCCEEDED


def is_behind(
    payment: Payment, seen: IntentSnapshot, corridor: str, now: datetime, timing: Timing
) -> bool:
    """Whether the charge of a payment that `may_be_behind` was made by an attempt that is lost, and
    a recovery can take it up. What contradicts the payment is not: a person decides about it, and
    the payment stays as it is."""
    if seen.status not in _WITH_MONEY:
        return False
    begun_anew = payment.state is S.AUTHORIZING and payment.corridor != corridor
    return begun_anew or fate_of(payment, seen, now, timing) is Fate.BEHIND


class Fate(StrEnum):
    """What becomes of a hold that stands in the ledger and that no fact of ours has reported."""

    # Nothing will come of it.
    FORGOTTEN = "FORGOTTEN"
    # Stripe has what the database has lost.
    BEHIND = "BEHIND"
    # Stripe has money that the payment, as it ended here, is not to have: a person decides.
    CONTRADICTED = "CONTRADICTED"


def fate_of(
    payment: Payment | None, seen: IntentSnapshot | None, now: datetime, timing: Timing
) -> Fate:
    """What becomes of an unknown hold of a payment, by what Stripe has of the payment in the hold's
    corridor: None is nothing, and then nobody asks for anything any more."""
    if seen is None:
        return Fate.FORGOTTEN
    if payment is None:
        return Fate.BEHIND
    has_money = seen.status in _WITH_MONEY
    if payment.payment_intent_id and payment.payment_intent_id != seen.payment_intent_id:
        # It went on in another corridor, and may not have left anything in this one.
        return Fate.CONTRADICTED if has_money else Fate.FORGOTTEN
    if payment.state in HOLDING:
        # Whatever comes of it comes under the hold that it has.
        return Fate.FORGOTTEN
    try:
        change = later_attempt(payment, seen, now, timing) or reconcile(
            payment, seen, now, timing, decided=True
        )
    except ContradictionError as error:
        return Fate.BEHIND if error.never_sent else Fate.CONTRADICTED
    return Fate.BEHIND if change is not None and has_money else Fate.FORGOTTEN
