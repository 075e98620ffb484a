"""Payments whose customer or payment method is not at Stripe any more."""

import pytest

from gateway.v1.payment_pb2 import Payment, PaymentMethod, PaymentState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import saved_card
from tests.gateway.payments.shop import Shop
from tests.sandbox.stripe_twin.conftest import open_shop as open_dashboard
from tests.sandbox.stripe_twin.shop import fresh_key

S = PaymentState


def refused(payment: Payment) -> tuple[str, str]:
    """Code and reason of a payment that Stripe refused."""
    assert payment.state == S.PAYMENT_STATE_FAILED
    assert payment.failure.stripe_request_id.startswith("req_")
    assert payment.failure.stripe_type == "invalid_request_error"
    return payment.failure.code, payment.failure.reason


async def test_a_payment_says_what_is_not_there_any_more(shop: Shop, twin: Twin) -> None:
    card, other = await saved_card(twin, "visa"), await saved_card(twin, "visa")
    async with open_dashboard(twin, twin.account().secret_key) as dashboard:
        await dashboard.api.payment_methods.detach_async(card.token, None, fresh_key())
        await dashboard.api.customers.delete_async(other.stripe_customer_id)
    payment = await shop.create(payment_method=card)
    assert refused(payment) == ("stripe_rejected", "PAYMENT_METHOD_NOT_FOUND")
    payment = await shop.create(payment_method=other)
    assert refused(payment) == ("stripe_rejected", "INVALID_CUSTOMER_STATE")
    assert payment == await shop.get(payment.id)
    payment = await shop.create(payment_method=PaymentMethod(token="pm_nosuch"))
    assert refused(payment) == ("stripe_rejected", "PAYMENT_METHOD_NOT_FOUND")
    # The way back: the customer saves a card again.
    payment = await shop.create(payment_method=await saved_card(twin, "visa"))
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED


@pytest.mark.parametrize(("detached", "reason"), [(True, "PAYMENT_METHOD_NOT_FOUND"), (False, "")])
async def test_a_refusal_without_a_code_is_looked_into(
    shop: Shop, twin: Twin, *, detached: bool, reason: str
) -> None:
    card = await saved_card(twin, "visa")
    if detached:
        async with open_dashboard(twin, twin.account().secret_key) as dashboard:
            await dashboard.api.payment_methods.detach_async(card.token, None, fresh_key())
    body = {"error": {"type": "invalid_request_error", "message": "It may not be used again."}}
    twin.add_fault(
        kind="proxy", status=400, body=body, method="POST", path="/v1/payment_intents", count=1
    )
    payment = await shop.create(payment_method=card)
    assert refused(payment) == ("stripe_rejected", reason)
    assert payment.failure.stripe_code == ""
    asked = payment.operations[-1]
    assert asked.failure_code == asked.failure.stripe_type == "invalid_request_error"
    assert asked.failure.stripe_code == ""
