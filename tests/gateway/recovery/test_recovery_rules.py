"""How a payment comes to where Stripe has it."""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.payments.domain.payment import CaptureMethod, Payment
from gateway.payments.domain.states import PaymentState
from gateway.recovery.rules import steps_to_stripe

NOW = datetime(2026, 11, 29, tzinfo=UTC)
RECEIVED = Payment(
    id="pay_1",
    request_id="request-1",
    merchant_id="merchant",
    customer_id="customer",
    corridor="default",
    state=PaymentState.RECEIVED,
    currency="EUR",
    amount_minor=10_00,
    payment_method="pm_of_the_client",
    capture_method=CaptureMethod.AUTOMATIC,
    create_time=NOW,
    update_time=NOW,
)


def test_a_payment_that_was_failed_over_is_where_its_payment_intent_is() -> None:
    at_stripe = replace(
        RECEIVED, corridor="backup", payment_method="pm_there", destination_account="acct_there"
    )
    changes, operation = steps_to_stripe(RECEIVED, at_stripe, "pi_1", "op_hold", NOW)
    recovered = changes[-1].after
    assert recovered.state is PaymentState.AUTHORIZING
    assert (recovered.corridor, recovered.payment_method) == ("backup", "pm_there")
    assert recovered.destination_account == "acct_there"
    assert operation is not None
    assert operation.corridor == "backup"


def test_a_payment_in_its_own_corridor_keeps_what_its_client_has_said() -> None:
    at_stripe = replace(RECEIVED, payment_method="pm_there")
    changes, _ = steps_to_stripe(RECEIVED, at_stripe, "pi_1", None, NOW)
    assert changes[-1].after.payment_method == "pm_of_the_client"
