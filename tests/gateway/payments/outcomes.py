"""A payment and its operation in the middle of being asked for, what Stripe may say, and a model of
what is written down: for the tables of what follows from what, which compare whole decisions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.check_outcome import NOWHERE, DecisionContext
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.payment import Change, Decline, NextAction, Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.refund import Refund, RefundState
from gateway.payments.domain.routing import Router
from gateway.payments.domain.states import HOLDING, PaymentState
from gateway.stripe_client.failover import Elsewhere, Route, Terms
from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass
from tests.gateway.payments.test_states import new_payment

CREATED = datetime(2026, 11, 1, tzinfo=UTC)
NOW = CREATED + timedelta(minutes=3)
CAPTURE_BEFORE = NOW + timedelta(days=5)
TIMING = Timing(timedelta(hours=5), timedelta(hours=50), timedelta(minutes=7))
JITTER = 0.5
# Of the third request, which is what `operation` has sent: half of 500 ms doubled twice.
PAUSE = timedelta(seconds=1)
# Longer than our own pause: what Stripe asks for.
RETRY_AFTER = timedelta(seconds=40)
HOME = Route("default", "pm_1", "cus_1", "")
BACKUP = Route("backup", "pm_2", "cus_2", "")
TERMS = {
    "default": Terms("default", failover_to=("backup",)),
    "backup": Terms("backup"),
}
REFUSED = Failure(
    code="parameter_invalid",
    type="invalid_request_error",
    param="payment_method",
    http_status=400,
    stripe_request_id="req_1",
)

# Where each status of a PaymentIntent takes a payment: the transition, the state, and what else.
SEEN: dict[str, tuple[str, PaymentState, dict[str, Any]]] = {
    "requires_capture": (
        "authorized",
        PaymentState.AUTHORIZED,
        {
            "authorized_minor": 1000,
            "capture_before": CAPTURE_BEFORE,
            "wake_time": CAPTURE_BEFORE - timedelta(hours=24),
            "charge_id": "ch_1",
        },
    ),
    "succeeded": (
        "captured",
        PaymentState.SUCCEEDED,
        {
            "authorized_minor": 1000,
            "captured_minor": 1000,
            "capture_time": NOW,
            "hold_id": "",
            "charge_id": "ch_1",
        },
    ),
    "requires_action": (
        "action_required",
        PaymentState.REQUIRES_ACTION,
        {
            "next_action": NextAction("https://bank.example/3ds"),
            "wake_time": NOW + TIMING.action,
        },
    ),
    "processing": (
        "processing_started",
        PaymentState.PROCESSING,
        # Half an hour, and half as long again: what the jitter adds.
        {"wake_time": NOW + timedelta(minutes=45), "charge_id": "ch_1"},
    ),
    "canceled": ("canceled", PaymentState.CANCELED, {"hold_id": ""}),
}
# What a bank says, as an answer.
REFUSAL = Failure(
    code="card_declined",
    decline_code="insufficient_funds",
    advice_code="try_again_later",
    type="card_error",
    http_status=402,
    stripe_request_id="req_1",
    payment_intent={
        "id": "pi_2",
        "latest_charge": "ch_2",
        "last_payment_error": {
            "network_advice_code": "02",
            "payment_method": {"card": {"brand": "visa", "fingerprint": "fp_1"}},
        },
    },
)
# What the refusal says of the decline.
REASON = Decline(
    "card_declined",
    "insufficient_funds",
    "try_again_later",
    network_advice_code="02",
    card_brand="visa",
    card_fingerprint="fp_1",
)
ASKED_REFUND = Refund(
    id="ref_1",
    request_id="r-1",
    payment_id="pay_1",
    state=RefundState.PENDING,
    amount_minor=300,
    create_time=CREATED,
    update_time=CREATED,
)


def context(
    now: datetime = NOW, elsewhere: Elsewhere = NOWHERE, router: Router | None = None
) -> DecisionContext:
    """What is decided with: times that are nobody's default."""
    return DecisionContext(now, TIMING, JITTER, elsewhere, router)


def with_backup(available: Callable[[str], bool] = lambda _corridor: True) -> DecisionContext:
    """The context in which the corridor `backup` takes what `default` does not."""
    return context(elsewhere=Elsewhere(TERMS, available))


def payment_in(state: PaymentState, **values: Any) -> Payment:
    """A payment in a state, with what belongs to that state."""
    if state in HOLDING:
        values = {"hold_id": "op_0", **values}
    if state is PaymentState.SUCCEEDED:
        values = {"authorized_minor": 1000, "captured_minor": 1000, **values}
    return new_payment(
        state=state,
        **{
            "payment_method_customer": "cus_1",
            "create_time": CREATED,
            "update_time": CREATED,
            "revision": 7,
            "queue_deadline": NOW + timedelta(hours=2),
            **values,
        },
    )


def operation(kind: OperationKind, **values: Any) -> Operation:
    """An operation whose third request has gone out and is still wanted."""
    return Operation(
        **{
            "id": "op_1",
            "subject_id": "pay_1",
            "kind": kind,
            "state": OperationState.RUNNING,
            "corridor": "default",
            "create_time": CREATED,
            "next_attempt_time": CREATED,
            "deadline": CREATED + timedelta(minutes=10),
            "params": '{"amount":1000}',
            "attempt": 1,
            "send_count": 3,
            "first_send_time": CREATED,
            "last_send_time": NOW - timedelta(seconds=2),
            "lease_until": NOW + timedelta(seconds=30),
            "fencing_token": 5,
            **values,
        }
    )


def reply(
    outcome_class: OutcomeClass, failure: Failure | None = None, **values: Any
) -> StripeReply:
    """Stripe's answer; `values` are the outcome's, or `intent`, `nothing_found` and the like."""
    about = ("intent", "nothing_found", "method_is_lost")
    ours = {name: values.pop(name) for name in about if name in values}
    return StripeReply(Outcome(outcome_class, failure=failure, **values), **ours)


def not_sent(reason: NotSentReason | None, **values: Any) -> StripeReply:
    """Nothing went out, for a reason."""
    return reply(OutcomeClass.NOT_SENT, not_sent_reason=reason, **values)


def intent(status: str, **values: Any) -> dict[str, Any]:
    """A PaymentIntent of 10.00 EUR as Stripe shows it."""
    charge = {
        "id": "ch_1",
        "payment_method_details": {"card": {"capture_before": int(CAPTURE_BEFORE.timestamp())}},
    }
    about: dict[str, dict[str, Any]] = {
        "requires_capture": {"amount_capturable": 1000, "latest_charge": charge},
        "succeeded": {"amount_received": 1000, "latest_charge": charge},
        "processing": {"latest_charge": charge},
        "requires_action": {
            "next_action": {"redirect_to_url": {"url": "https://bank.example/3ds"}},
        },
        "requires_payment_method": {
            "latest_charge": "ch_1",
            "last_payment_error": {"code": "card_declined", "decline_code": "stolen_card"},
        },
    }
    shown = {"id": "pi_1", "status": status, "currency": "eur"}
    return {**shown, **about.get(status, {}), **values}


def step(payment: Payment, transition: str, state: PaymentState, **values: Any) -> Change:
    """One step as it is written down: a revision more, and what belonged to the state that was left
    is gone with it."""
    left: dict[str, Any] = {}
    if state is not payment.state:
        left = {"next_action": None, "wake_time": None, "queue_reason": None}
    after = replace(
        payment,
        **{**left, **values},
        state=state,
        revision=payment.revision + 1,
        update_time=NOW,
    )
    return Change(payment, after, transition)


def ended(
    before: Operation, state: OperationState, code: str = "", failure: Failure | None = None
) -> Operation:
    """The operation as it is kept for good: with what was refused, without what it carried."""
    return replace(
        before,
        state=state,
        end_time=NOW,
        lease_until=None,
        params="{}",
        failure_code=code,
        failure_param=failure.param if failure else "",
        failure_type=failure.type if failure else "",
        failure_request_id=failure.stripe_request_id if failure else "",
    )


def unknown_for(before: Operation, wait: timedelta, code: str = "") -> Operation:
    """The operation, which may have happened, left for another time."""
    return replace(
        before,
        state=OperationState.UNKNOWN,
        lease_until=None,
        failure_code=code,
        next_attempt_time=NOW + wait,
    )


def pending_for(before: Operation, wait: timedelta, code: str) -> Operation:
    """The operation, which certainly has not happened, left for another time."""
    return replace(
        before,
        state=OperationState.PENDING,
        lease_until=None,
        failure_code=code,
        first_send_time=None,
        next_attempt_time=NOW + wait,
    )


def anew(before: Operation) -> Operation:
    """The operation, which certainly has not happened, as a new attempt with a new key."""
    return replace(
        before,
        state=OperationState.PENDING,
        attempt=before.attempt + 1,
        send_count=0,
        first_send_time=None,
        last_send_time=None,
        lease_until=None,
        next_attempt_time=NOW,
    )


def decision(
    payment: Payment,
    after: Operation,
    *changes: Change,
    follow_up: Operation | None = None,
    refund: Refund | None = None,
) -> Decision:
    """What is written in one transaction; each of the changes begins where the one before ended."""
    for earlier, later in pairwise(changes):
        assert later.before == earlier.after
    payment = changes[-1].after if changes else payment
    return Decision(payment, after, changes, follow_up, refund)


# The news of it came before the answer.
KNOWN = payment_in(PaymentState.AUTHORIZED, authorized_minor=1000)
