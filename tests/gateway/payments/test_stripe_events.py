"""Events about payments: late, doubled, out of order, about what happened elsewhere."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from gateway.payments.domain.intents import INTENT_STATUSES, read_intent
from gateway.payments.domain.reconcile import Timing, covers, reconcile
from gateway.payments.domain.states import HOLDING
from gateway.payments.domain.states import PaymentState as State
from gateway.payments.domain.stripe_params import REFUND_KEY
from gateway.v1.payment_pb2 import CaptureMethod, PaymentMethod, PaymentState
from gateway.v1.payment_service_pb2 import ListPaymentsRequest
from gateway.v1.refund_pb2 import RefundState
from sandbox.stripe_twin.faults import WebhookFault
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import Shop
from tests.gateway.payments.test_states import new_payment

S = PaymentState
NOW = datetime(2026, 11, 1, tzinfo=UTC)
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL


@pytest.fixture
async def dashboard(twin: Twin) -> AsyncIterator[stripe.StripeClient]:
    """Somebody who uses Stripe besides the engine."""
    transport: Any = stripe.AIOHTTPClient()
    yield stripe.StripeClient(
        twin.account().secret_key,
        base_addresses={"api": twin.url},
        http_client=transport,
        max_network_retries=0,
    )
    await transport.close_async()


async def test_a_customer_who_acts_needs_no_confirmation(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token="pm_card_threeDSecure2Required"))
    twin.complete_authentication(payment.payment_intent_id)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    assert (await shop.confirm(payment)).state == S.PAYMENT_STATE_SUCCEEDED


async def test_a_capture_made_elsewhere_is_taken_over(
    shop: Shop, dashboard: stripe.StripeClient
) -> None:
    payment = await shop.create(capture_method=MANUAL)
    await dashboard.v1.payment_intents.capture_async(
        payment.payment_intent_id, {"amount_to_capture": 800}, {"idempotency_key": "by-hand"}
    )
    await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    payment = await shop.get(payment.id)
    assert payment.amount_captured.minor_units == 800
    assert [f.kind for f in payment.booking.facts[:2]] == ["hold_placed", "captured"]


async def test_a_refund_made_elsewhere_is_taken_over(
    shop: Shop, dashboard: stripe.StripeClient
) -> None:
    payment = await shop.create()
    await dashboard.v1.refunds.create_async(
        {"payment_intent": payment.payment_intent_id, "amount": 700},
        {"idempotency_key": "by-hand"},
    )
    await shop.watch_for(payment.id, "refund_succeeded")
    payment = await shop.get(payment.id)
    assert payment.amount_refunded.minor_units == 700
    assert [refund.request_id for refund in payment.refunds] == [""]
    # And what is left is all that can still be refunded.
    assert (await shop.refund(payment)).refund.amount.minor_units == 1300


async def test_a_refund_that_was_given_up_and_surfaces_is_taken_over(
    shop: Shop, twin: Twin, dashboard: stripe.StripeClient
) -> None:
    payment = await shop.create()
    await shop.watch_for(payment.id, "fee_known")
    twin.webhooks.faults.add(WebhookFault(kind="drop", event_type="charge.dispute.*"))
    dispute = twin.open_dispute((await shop.get(payment.id)).charge_id)
    given_up = (await shop.refund(payment, 700)).refund
    assert given_up.state == RefundState.REFUND_STATE_FAILED
    assert (given_up.failure_code, given_up.stripe_refund_id) == ("charge_disputed", "")

    twin.decide_dispute(dispute["id"], won=True)
    await dashboard.v1.refunds.create_async(
        {
            "payment_intent": payment.payment_intent_id,
            "amount": 700,
            "metadata": {REFUND_KEY: given_up.id},
        },
        {"idempotency_key": "by-hand"},
    )
    await shop.watch_for(payment.id, "refund_succeeded")
    shown = await shop.get(payment.id)
    assert [refund.id for refund in shown.refunds] == [given_up.id]
    assert shown.refunds[0].state == RefundState.REFUND_STATE_SUCCEEDED
    assert not shown.refunds[0].failure_code
    assert shown.amount_refunded.minor_units == 700
    assert [f.kind for f in shown.booking.facts].count("refund_created") == 1


async def test_a_charge_of_somebody_else_is_left_alone(
    shop: Shop, dashboard: stripe.StripeClient
) -> None:
    await dashboard.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types": ["card"],
            "confirm": True,
        },
        {"idempotency_key": "by-hand"},
    )
    payment = await shop.create()
    await shop.watch_for(payment.id, "fee_known")
    listed = await shop.stub.ListPayments(ListPaymentsRequest())
    assert [p.id for p in listed.payments] == [payment.id]


def intent(status: str, **values: Any) -> dict[str, Any]:
    return {"id": "pi_1", "status": status, "currency": "eur", "latest_charge": "ch_1", **values}


def test_an_older_sight_never_overwrites_a_newer_state() -> None:
    authorized = read_intent(intent("requires_capture", amount_capturable=1000))
    action = read_intent(intent("requires_action"))
    for state, hold_id, captured in (
        (State.CAPTURING, "op_1", 0),
        (State.CANCELING, "op_1", 0),
        (State.SUCCEEDED, "", 1000),
    ):
        payment = new_payment(state=state, hold_id=hold_id, captured_minor=captured)
        for seen in (authorized, action):
            assert reconcile(payment, seen, NOW, Timing(), decided=False) is None


@pytest.mark.parametrize("state", [State.CANCELED, State.EXPIRED])
def test_a_hold_that_was_seen_before_it_was_given_back_stays_given_back(state: State) -> None:
    authorized = read_intent(intent("requires_capture", amount_capturable=1000))
    known = new_payment(state=state, payment_intent_id="pi_1")
    assert reconcile(known, authorized, NOW, Timing(), decided=False) is None


def test_a_hold_that_surfaces_after_the_payment_expired_is_not_denied() -> None:
    authorized = read_intent(intent("requires_capture", amount_capturable=1000))
    change = reconcile(new_payment(state=State.EXPIRED), authorized, NOW, Timing(), decided=False)
    assert change is not None
    assert change.after.state is State.AUTHORIZED


def test_the_same_sight_twice_changes_nothing() -> None:
    payment = new_payment(state=State.AUTHORIZING, hold_id="op_1")
    for seen in (
        read_intent(intent("succeeded", amount_received=1000)),
        read_intent(intent("requires_capture", amount_capturable=1000)),
        read_intent(intent("canceled")),
        read_intent(intent("requires_payment_method")),
    ):
        change = reconcile(payment, seen, NOW, Timing(), decided=True)
        assert change is not None
        assert reconcile(change.after, seen, NOW, Timing(), decided=True) is None


def test_a_charge_that_surfaces_late_is_not_denied() -> None:
    captured = read_intent(intent("succeeded", amount_received=1000))
    for state in (State.FAILED, State.EXPIRED, State.DECLINED):
        change = reconcile(new_payment(state=state), captured, NOW, Timing(), decided=False)
        assert change is not None
        assert change.after.state is State.SUCCEEDED
        assert change.after.captured_minor == 1000


@pytest.mark.parametrize("state", State)
def test_an_event_that_is_not_looked_into_would_have_changed_nothing(state: State) -> None:
    hold_id = "op_1" if state in HOLDING else ""
    captured = 800 if state is State.SUCCEEDED else 0
    payment = new_payment(
        state=state, hold_id=hold_id, captured_minor=captured, payment_intent_id="pi_1"
    )
    left_alone = set()
    for status in INTENT_STATUSES:
        for amount in (0, 799, 800, 801):
            for name in ("amount_received", "amount_capturable"):
                seen = read_intent(intent(status, **{name: amount}))
                if covers(payment, seen):
                    left_alone.add(seen.status)
                    assert reconcile(payment, seen, NOW, Timing(), decided=False) is None
                    assert reconcile(payment, seen, NOW, Timing(), decided=True) is None
    expected = {
        State.PROCESSING: 2,
        State.AUTHORIZED: 1,
        State.SUCCEEDED: len(INTENT_STATUSES) - 1,
    }
    assert len(left_alone) == expected.get(state, 0)
    more = read_intent(intent("succeeded", amount_received=captured + 1))
    assert not covers(payment, more)
    assert not covers(new_payment(state=state, hold_id=hold_id, captured_minor=captured), more)
