"""Payments that a bank decides about for hours: answered at once, looked at rarely."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
)
from gateway.payments.domain.apply import apply_outcome
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.intents import read_intent
from gateway.payments.domain.payment import Decline, DeclineRetry, Payment, PaymentFailure
from gateway.payments.domain.payment import FailureCode as Code
from gateway.payments.domain.processing import (
    LONGEST_WAIT,
    LOOKS_PER_DOUBLING,
    SHORTEST_PAUSE,
    SHORTEST_WAIT,
    next_look_time,
)
from gateway.payments.domain.reconcile import ContradictionError, Timing, reconcile
from gateway.payments.domain.states import PaymentState as State
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from gateway.v1.payment_pb2 import (
    OperationKind as Kind,
)
from gateway.v1.payment_pb2 import (
    OperationState as Ended,
)
from gateway.v1.payment_pb2 import Payment as Shown
from gateway.v1.payment_pb2 import PaymentMethod, PaymentState
from runtime.clock import ManualClock
from sandbox.stripe_twin.faults import WebhookFault
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.payments.test_commanding import in_state
from tests.gateway.running import OpenShop

S = PaymentState
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TIMING = Timing()
CONTEXT = DecisionContext(NOW, TIMING, 0.5)
INTENT: Mapping[str, Any] = {
    "id": "pi_1",
    "status": "processing",
    "currency": "eur",
    "latest_charge": None,
}
PAYS = PaymentMethod(token="pm_card_indiaRecurringMandateSetupAndRenewalsSuccess")
FAILS = PaymentMethod(token="pm_card_indiaRecurringPaymentFailureAfterPreDebitNotification")
DECIDED = timedelta(hours=27).total_seconds()


def seen(status: str, **members: Any) -> Any:
    return read_intent({**INTENT, "status": status, **members})


def test_a_thousand_that_began_together_cost_under_one_call_a_second() -> None:
    chance = random.Random(9)
    per_minute: Counter[int] = Counter()
    for _ in range(1_000):
        due = NOW
        for _ in range(100):
            due = next_look_time(NOW, due, chance.random())
            per_minute[int((due - NOW).total_seconds()) // 60] += 1
    days = 5 * 24 * 60
    assert sum(per_minute[minute] for minute in range(days)) > 1_000
    assert max(per_minute[minute] for minute in range(days)) < 60
    # However it is drawn: each of them twice an hour at most.
    assert 1_000 * timedelta(hours=1) / SHORTEST_WAIT < 3_600
    # And whatever fell due while nobody could look.
    assert timedelta(seconds=1) < SHORTEST_PAUSE


@pytest.mark.parametrize(
    ("lasted", "wait"),
    [
        (timedelta(0), SHORTEST_WAIT),
        (SHORTEST_WAIT * LOOKS_PER_DOUBLING, SHORTEST_WAIT),
        ((SHORTEST_WAIT + SECOND) * LOOKS_PER_DOUBLING, SHORTEST_WAIT + SECOND),
        (LONGEST_WAIT * LOOKS_PER_DOUBLING, LONGEST_WAIT),
        (timedelta(days=365), LONGEST_WAIT),
    ],
)
def test_the_looks_become_rarer_up_to_a_bound(lasted: timedelta, wait: timedelta) -> None:
    assert next_look_time(NOW, NOW + lasted, 0.0) == NOW + lasted + wait
    assert next_look_time(NOW, NOW + lasted, 0.5) == NOW + lasted + wait * 1.5


@pytest.mark.parametrize("state", [State.AUTHORIZING, State.REQUIRES_ACTION])
@pytest.mark.parametrize("decided", [True, False])
def test_what_stripe_has_taken_on_is_processing(state: State, decided: bool) -> None:
    change = reconcile(
        in_state(state), seen("processing"), NOW, TIMING, decided=decided, jitter=0.5
    )
    assert change is not None
    after = change.after
    assert (after.state, after.payment_intent_id) == (State.PROCESSING, "pi_1")
    assert (after.hold_id, after.wake_time) == ("op_1", NOW + SHORTEST_WAIT * 1.5)


@pytest.mark.parametrize(
    "state",
    [
        *(State.PROCESSING, State.AUTHORIZED, State.SUCCEEDED),
        *(State.DECLINED, State.RETRY_SCHEDULED),
    ],
)
def test_an_older_look_takes_nothing_back_to_processing(state: State) -> None:
    payment = in_state(state)
    for decided in (True, False):
        assert reconcile(payment, seen("processing"), NOW, TIMING, decided=decided) is None


@pytest.mark.parametrize("state", [State.CAPTURING, State.CANCELING])
def test_what_is_under_way_says_itself_how_it_ended(state: State) -> None:
    payment = in_state(state)
    assert reconcile(payment, seen("processing"), NOW, TIMING, decided=False) is None
    change = reconcile(payment, seen("processing"), NOW, TIMING, decided=True)
    assert change is not None
    assert change.after.state is State.PROCESSING


def test_one_that_surfaces_after_it_was_given_up_is_held_again() -> None:
    given_up = in_state(State.FAILED, failure=PaymentFailure(Code.OUTCOME_NOT_PERFORMED))
    change = reconcile(given_up, seen("processing"), NOW, TIMING, decided=False)
    assert change is not None
    after = change.after
    assert (after.state, after.hold_id, after.failure) == (State.PROCESSING, "pi_1", None)


def test_one_that_ended_as_we_know_is_not_denied_and_a_strange_one_is_told() -> None:
    ended = in_state(State.EXPIRED, payment_intent_id="pi_1")
    assert reconcile(ended, seen("processing"), NOW, TIMING, decided=False) is None
    with pytest.raises(ContradictionError):
        reconcile(in_state(State.CANCELED), seen("processing"), NOW, TIMING, decided=False)


def test_only_a_look_of_ours_takes_it_back_to_its_customer() -> None:
    payment = in_state(State.PROCESSING)
    assert reconcile(payment, seen("requires_action"), NOW, TIMING, decided=False) is None
    change = reconcile(payment, seen("requires_action"), NOW, TIMING, decided=True)
    assert change is not None
    assert change.after.state is State.REQUIRES_ACTION


def test_what_the_bank_refused_later_is_tried_again_only_if_that_was_asked_for() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds"}
    refused = seen("requires_payment_method", last_payment_error=error)
    plain = reconcile(
        in_state(State.PROCESSING, off_session=True), refused, NOW, TIMING, decided=False
    )
    assert plain is not None
    assert plain.after.state is State.DECLINED
    assert plain.after.decline == Decline("card_declined", "insufficient_funds")
    retried = in_state(
        State.PROCESSING, off_session=True, decline_retry=DeclineRetry(3, timedelta(days=30))
    )
    change = reconcile(retried, refused, NOW, TIMING, decided=False)
    assert change is not None
    assert change.after.state is State.RETRY_SCHEDULED


def asked(kind: OperationKind, **values: Any) -> Operation:
    return Operation(
        id="op_9",
        kind=kind,
        subject_id="pay_1",
        corridor="default",
        create_time=NOW - timedelta(days=3),
        next_attempt_time=NOW,
        deadline=NOW - timedelta(days=1),
        **values,
    )


def decided_about(payment: Payment, kind: OperationKind, reply: StripeReply | GivenUp) -> Decision:
    return apply_outcome(payment, asked(kind), None, reply, CONTEXT, resend=False)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (State.AUTHORIZING, OperationKind.AUTHORIZE),
        (State.AUTHORIZING, OperationKind.REATTEMPT),
        (State.AUTHORIZING, OperationKind.CONFIRM),
        (State.CAPTURING, OperationKind.CAPTURE),
    ],
)
def test_an_answer_that_it_is_processing_ends_the_operation(
    state: State, kind: OperationKind
) -> None:
    reply = StripeReply(Outcome(OutcomeClass.SUCCEEDED, object=dict(INTENT)))
    decision = decided_about(in_state(state), kind, reply)
    assert decision.operation.state is OperationState.SUCCEEDED
    assert decision.payment.state is State.PROCESSING
    assert decision.follow_up is None


def test_a_capture_that_is_processed_keeps_what_was_authorised_but_not_its_deadline() -> None:
    reply = StripeReply(Outcome(OutcomeClass.SUCCEEDED, object=dict(INTENT)))
    payment = decided_about(in_state(State.CAPTURING), OperationKind.CAPTURE, reply).payment
    assert (payment.authorized_minor, payment.capture_before) == (1000, None)


def test_a_refused_cancellation_leaves_it_processing_and_says_why() -> None:
    failure = Failure(code="payment_intent_unexpected_state", type="invalid_request_error")
    reply = StripeReply(Outcome(OutcomeClass.REJECTED, failure=failure), intent=dict(INTENT))
    decision = decided_about(in_state(State.CANCELING), OperationKind.CANCEL, reply)
    assert decision.payment.state is State.PROCESSING
    assert decision.operation.state is OperationState.FAILED
    assert decision.operation.failure_code == "payment_intent_unexpected_state"


@pytest.mark.parametrize("authorized_minor", [0, 1000])
def test_a_cancellation_that_was_never_sent_leaves_it_processing(authorized_minor: int) -> None:
    payment = in_state(State.CANCELING, authorized_minor=authorized_minor)
    decision = decided_about(payment, OperationKind.CANCEL, GivenUp())
    assert decision.payment.state is State.PROCESSING


def test_a_cancellation_that_did_not_happen_leaves_it_where_stripe_has_it() -> None:
    outcome = Outcome(OutcomeClass.SUCCEEDED, object=dict(INTENT))
    reply = StripeReply(outcome, intent=dict(INTENT), nothing_found=True)
    decision = decided_about(in_state(State.CANCELING), OperationKind.CANCEL, reply)
    assert decision.payment.state is State.PROCESSING
    assert decision.operation.state is OperationState.FAILED


async def begin(shop: Shop, method: PaymentMethod = PAYS, **fields: Any) -> Shown:
    payment = await shop.create(payment_method=method, off_session=True, **fields)
    assert payment.state == S.PAYMENT_STATE_PROCESSING
    assert payment.payment_intent_id
    return payment


async def test_it_is_answered_at_once_survives_a_restart_and_is_booked_when_it_succeeds(
    open_shop: OpenShop, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        payment = await begin(shop, request_id="once")
        for refused_call in (shop.capture, shop.refund):
            with pytest.raises(RefusedError) as refused:
                await refused_call(payment)
            assert refused.value.error.reason == "INVALID_PAYMENT_STATE"
            assert refused.value.error.metadata["payment_state"] == "PROCESSING"
        assert [o.state for o in payment.operations] == [Ended.OPERATION_STATE_SUCCEEDED] * 2
        assert [f.kind for f in payment.booking.facts] == ["hold_placed"]
    # No deadline reaches it, neither of the key nor of what a customer or a capture may last.
    late = timedelta(days=40)
    clock.advance(late)
    twin.settings.signature_skew_seconds = late.total_seconds()
    async with open_shop(clock) as shop:
        assert (await begin(shop, request_id="once")).id == payment.id
        twin.advance(seconds=DECIDED)
        await shop.watch_for(payment.id, "fee_known")
        payment = await shop.get(payment.id)
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "captured", "fee_charged"]
    books = twin.books()["default"]
    [intent] = books["payment_intents"]
    assert intent["amount_received"] == payment.amount_captured.minor_units
    [charge] = books["charges"]
    assert charge["id"] == payment.charge_id


async def test_one_that_fails_hours_later_is_declined_with_stripes_code(
    shop: Shop, twin: Twin
) -> None:
    payment = await begin(shop, FAILS)
    twin.advance(seconds=DECIDED)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_DECLINED)
    payment = await shop.get(payment.id)
    assert payment.decline.code == "india_recurring_payment_mandate_canceled"
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]


async def test_it_is_canceled_where_stripe_allows_that(shop: Shop, twin: Twin) -> None:
    payment = await shop.cancel(await begin(shop))
    assert payment.state == S.PAYMENT_STATE_CANCELED
    twin.advance(seconds=DECIDED)
    [intent] = twin.books()["default"]["payment_intents"]
    assert (intent["status"], intent["amount_received"]) == ("canceled", 0)
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]


async def test_where_stripe_refuses_to_cancel_it_goes_on_and_the_client_knows_why(
    shop: Shop, twin: Twin
) -> None:
    twin.settings.processing_cancelable = False
    payment = await shop.cancel(await begin(shop))
    assert payment.state == S.PAYMENT_STATE_PROCESSING
    refused = payment.operations[-1]
    assert refused.kind == Kind.OPERATION_KIND_CANCEL
    assert refused.failure.stripe_code == "payment_intent_unexpected_state"
    twin.advance(seconds=DECIDED)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)


async def test_a_rare_look_finds_what_a_lost_event_would_have_told(
    open_shop: OpenShop, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        twin.webhooks.faults.add(WebhookFault(kind="drop", event_type="*"))
        payment = await begin(shop)
        twin.advance(seconds=DECIDED)
        clock.advance(SHORTEST_WAIT * 2)
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    looks = twin.requests.matching("GET", f"/v1/payment_intents/{payment.payment_intent_id}")
    # One wait over, or both that have passed.
    assert len(looks) in (1, 2)
