"""Payments without the customer, and the customer who comes back to authenticate."""

from datetime import UTC, datetime, timedelta

import pytest

from compliance.v1.decision_pb2 import Verdict
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import (
    CaptureMethod,
    OperationKind,
    Payment,
    PaymentMethod,
    PaymentState,
)
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, fresh
from tests.gateway.running import OpenShop

S = PaymentState
BACK = "https://shop.example/back"


@pytest.fixture
async def card(twin: Twin) -> PaymentMethod:
    """A saved card whose bank wants its holder each time."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    return card


async def come_back(shop: Shop, payment: Payment, return_url: str = BACK) -> Payment:
    request = pb.ConfirmPaymentRequest(
        request_id=fresh(), payment_id=payment.id, return_url=return_url
    )
    answer: pb.ConfirmPaymentResponse = await shop.call("ConfirmPayment", request)
    return answer.payment


async def test_the_customer_comes_back_authenticates_and_pays_once(
    shop: Shop, twin: Twin, card: PaymentMethod, compliance: FakeCompliance
) -> None:
    declined = await shop.create(payment_method=card, off_session=True)
    assert declined.state == S.PAYMENT_STATE_DECLINED
    assert declined.decline.authentication_required
    waiting = await come_back(shop, declined)
    assert waiting.state == S.PAYMENT_STATE_REQUIRES_ACTION
    assert waiting.next_action.redirect_url
    assert waiting.payment_intent_id == declined.payment_intent_id
    assert waiting.off_session
    assert waiting.customer_returned
    assert len({request.request_id for request in compliance.requests}) == 2
    twin.complete_authentication(waiting.payment_intent_id)
    paid = await shop.confirm(waiting)
    assert paid.state == S.PAYMENT_STATE_SUCCEEDED
    facts = [fact.kind for fact in paid.booking.facts]
    assert facts[:4] == ["hold_placed", "hold_released", "hold_placed", "captured"]
    charges = twin.books()["default"]["charges"]
    assert [charge["paid"] for charge in charges] == [False, True]
    kinds = [operation.kind for operation in paid.operations]
    assert kinds.count(OperationKind.OPERATION_KIND_REATTEMPT) == 1
    assert twin.requests.posts_without_key == 0


async def test_without_a_return_url_the_customer_gets_a_secret(
    shop: Shop, card: PaymentMethod
) -> None:
    declined = await shop.create(payment_method=card, off_session=True)
    waiting = await come_back(shop, declined, return_url="")
    assert waiting.state == S.PAYMENT_STATE_REQUIRES_ACTION
    assert "_secret_" in waiting.next_action.client_secret
    events = await shop.watch_until(declined.id, S.PAYMENT_STATE_REQUIRES_ACTION)
    assert not any(event.payment.next_action.client_secret for event in events)


async def test_a_manual_capture_stays_one_when_the_customer_comes_back(
    shop: Shop, twin: Twin, card: PaymentMethod
) -> None:
    declined = await shop.create(
        payment_method=card,
        off_session=True,
        capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL,
    )
    waiting = await come_back(shop, declined)
    twin.complete_authentication(waiting.payment_intent_id)
    held = await shop.confirm(waiting)
    assert held.state == S.PAYMENT_STATE_AUTHORIZED
    assert (await shop.capture(held)).state == S.PAYMENT_STATE_SUCCEEDED


async def test_the_same_request_brings_the_customer_back_once(
    shop: Shop, twin: Twin, card: PaymentMethod
) -> None:
    declined = await shop.create(payment_method=card, off_session=True)
    request = pb.ConfirmPaymentRequest(request_id=fresh(), payment_id=declined.id, return_url=BACK)
    first = (await shop.call("ConfirmPayment", request)).payment
    again = (await shop.call("ConfirmPayment", request)).payment
    assert first.next_action == again.next_action
    assert (
        len(twin.requests.matching("POST", f"/v1/payment_intents/{first.payment_intent_id}")) == 1
    )
    request.return_url = "https://elsewhere.example"
    with pytest.raises(RefusedError) as refused:
        await shop.call("ConfirmPayment", request)
    assert refused.value.error.reason == "REQUEST_ID_REUSED"
    assert refused.value.error.metadata["differing_fields"] == "return_url"


async def test_a_customer_who_fails_to_authenticate_is_declined_for_good(
    shop: Shop, twin: Twin, card: PaymentMethod
) -> None:
    declined = await shop.create(payment_method=card, off_session=True)
    waiting = await come_back(shop, declined)
    twin.complete_authentication(waiting.payment_intent_id, passed=False)
    done = await shop.confirm(waiting)
    assert done.state == S.PAYMENT_STATE_DECLINED
    assert not done.decline.authentication_required
    assert (await come_back(shop, done)).state == S.PAYMENT_STATE_DECLINED
    assert [declined.attempt for declined in done.declined_attempts] == [1, 2]


async def test_other_declines_do_not_bring_the_customer_back(shop: Shop, twin: Twin) -> None:
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "visa_chargeDeclinedStolenCard")
    declined = await shop.create(payment_method=card, off_session=True)
    # The last that is told of it.
    declined = (await shop.watch_for(declined.id, "radar_outcome_known")).payment
    answered = await come_back(shop, declined)
    assert answered.state == S.PAYMENT_STATE_DECLINED
    assert answered.revision == declined.revision
    assert not twin.requests.matching("POST", f"/v1/payment_intents/{declined.payment_intent_id}")


async def test_nothing_is_charged_when_compliance_says_no_or_is_away(
    shop: Shop, twin: Twin, card: PaymentMethod, compliance: FakeCompliance
) -> None:
    denied = await shop.create(payment_method=card, off_session=True)
    declined = await shop.create(payment_method=card, off_session=True)
    compliance.verdict = Verdict.VERDICT_DENY
    assert (await come_back(shop, denied)).state == S.PAYMENT_STATE_BLOCKED
    await compliance.stop()
    kept = await come_back(shop, declined)
    assert kept.state == S.PAYMENT_STATE_DECLINED
    assert kept.decline.authentication_required
    for payment in (denied, declined):
        path = f"/v1/payment_intents/{payment.payment_intent_id}"
        assert not twin.requests.matching("POST", path)


async def test_a_closed_corridor_leaves_the_payment_as_it_was(
    shop: Shop, card: PaymentMethod
) -> None:
    declined = await shop.create(payment_method=card, off_session=True)
    await shop.close_corridor()
    kept = await come_back(shop, declined)
    assert kept.state == S.PAYMENT_STATE_DECLINED
    assert kept.decline.authentication_required
    await shop.open_corridor()
    assert (await come_back(shop, kept)).state == S.PAYMENT_STATE_REQUIRES_ACTION


async def test_a_customer_who_comes_back_and_never_acts(
    open_shop: OpenShop, twin: Twin, card: PaymentMethod
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock, action_hours=1.0) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
        await come_back(shop, declined)
        clock.advance(timedelta(hours=2))
        await shop.watch_until(declined.id, S.PAYMENT_STATE_EXPIRED)
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["status"] == "canceled"


async def test_a_card_saved_while_paying_pays_later_without_its_holder(
    shop: Shop, twin: Twin
) -> None:
    # This card wants its holder once; set up for off-session use, it does not ask again.
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequiredOnSetup")
    first = await shop.create(payment_method=card, save_payment_method=True)
    assert first.save_payment_method
    assert first.state == S.PAYMENT_STATE_REQUIRES_ACTION
    twin.complete_authentication(first.payment_intent_id)
    assert (await shop.confirm(first)).state == S.PAYMENT_STATE_SUCCEEDED
    later = await shop.create(payment_method=card, off_session=True)
    assert later.state == S.PAYMENT_STATE_SUCCEEDED


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "needs payment_method.stripe_customer_id"),
        ({"off_session": True}, "needs the customer's consent, but off_session is set"),
    ],
)
async def test_saving_needs_a_customer_who_is_there(
    fields: dict[str, bool], problem: str, shop: Shop
) -> None:
    with pytest.raises(RefusedError) as refused:
        await shop.create(save_payment_method=True, **fields)
    [violation] = refused.value.error.violations
    assert (violation.field, violation.description) == ("save_payment_method", problem)
