"""The parameters of the requests to Stripe, made once and stored as the bytes that are sent.

https://docs.stripe.com/api/payment_intents/create and the pages beside it.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.ids import RequestMetadata
from gateway.money import to_stripe
from gateway.payments.domain.payment import CaptureMethod, Payment
from gateway.payments.domain.payment_methods import mandate_params
from gateway.payments.domain.refund import Refund, RefundCause

PAYMENT_KEY = "engine_payment_id"
REFUND_KEY = "engine_refund_id"
MERCHANT_KEY = "engine_merchant_id"
CUSTOMER_KEY = "engine_customer_id"
# The application fee that the payment was made with, in minor units or NO_FEE, where its capture
# takes another; and what a refund takes back of it where that is not the default.
FEE_KEY = "engine_application_fee"
NO_FEE = "none"
REFUND_FEE_KEY = "engine_refund_application_fee"
# What a capture's request is carried as, beside the one that asked for the payment.
CAPTURE = "capture"

# A charge that is expanded brings its id and the capture deadline with the same answer.
EXPAND_CHARGE = ["latest_charge"]
# And this one when a manual capture was made.
EXPAND_CAPTURE = ["latest_charge.balance_transaction"]
# And this one, from which part of Stripe's balance a refund was taken.
EXPAND_BALANCE = ["balance_transaction"]
# And these also what refunds have taken back of a destination charge.
EXPAND_REFUND = [*EXPAND_BALANCE, "charge.application_fee", "transfer_reversal.transfer"]
# And these also when one that failed came back.
EXPAND_REFUND_NOW = [*EXPAND_REFUND, "failure_balance_transaction"]
_CAUSES = {
    RefundCause.REQUESTED_BY_CUSTOMER: "requested_by_customer",
    RefundCause.DUPLICATE: "duplicate",
    RefundCause.FRAUDULENT: "fraudulent",
}


def payment_request_metadata(
    request_metadata: RequestMetadata, merchant_id: str, customer_id: str
) -> dict[str, str]:
    """What a PaymentIntent carries of the request for it, and of whom it is."""
    return {**request_metadata.as_metadata(), MERCHANT_KEY: merchant_id, CUSTOMER_KEY: customer_id}


def encode(params: dict[str, Any]) -> str:
    """The parameters as JSON, the same for the same parameters."""
    return json.dumps(params, sort_keys=True, separators=(",", ":"))


def authorize_params(payment: Payment) -> dict[str, Any]:
    """Create and confirm a PaymentIntent."""
    params: dict[str, Any] = {
        "amount": to_stripe(payment.currency, payment.amount_minor),
        "currency": payment.currency.lower(),
        "payment_method": payment.payment_method,
        "allowed_payment_method_types": [payment.payment_method_type.at_stripe],
        "confirm": True,
        "capture_method": "manual"
        if payment.capture_method is CaptureMethod.MANUAL
        else "automatic_async",
        "metadata": {
            **payment.metadata,
            **payment.request_metadata,
            PAYMENT_KEY: payment.id,
        },
        "expand": EXPAND_CHARGE,
    }
    if payment.mandate_acceptance is not None:
        # Without it Stripe takes the mandate that the payment method was saved with.
        params["mandate_data"] = mandate_params(payment.mandate_acceptance)
    if payment.save_payment_method:
        params["setup_future_usage"] = "off_session"
    if payment.customer_away:
        # Without a customer 3-D Secure cannot be done: Stripe then answers with a decline.
        params["off_session"] = True
    elif payment.three_d_secure is not None and payment.three_d_secure.request:
        card = {"request_three_d_secure": payment.three_d_secure.request}
        params["payment_method_options"] = {"card": card}
    if payment.payment_method_customer:
        params["customer"] = payment.payment_method_customer
    if payment.return_url:
        params["return_url"] = payment.return_url
    if payment.description:
        params["description"] = payment.description
    if payment.statement_descriptor_suffix:
        params["statement_descriptor_suffix"] = payment.statement_descriptor_suffix
    if payment.destination_account:
        params["transfer_data"] = {"destination": payment.destination_account}
    if payment.application_fee_minor is not None:
        params["application_fee_amount"] = to_stripe(
            payment.currency, payment.application_fee_minor
        )
    return params


def reattempt_params(payment: Payment) -> dict[str, Any]:
    """Confirm the PaymentIntent of a declined attempt with the same payment method again."""
    params: dict[str, Any] = {"payment_method": payment.payment_method, "expand": EXPAND_CHARGE}
    if payment.customer_away:
        params["off_session"] = True
    elif payment.return_url:
        params["return_url"] = payment.return_url
    return params


def confirm_params(payment: Payment) -> dict[str, Any]:
    """Go on after the customer's action."""
    params: dict[str, Any] = {"expand": EXPAND_CHARGE}
    if payment.return_url:
        params["return_url"] = payment.return_url
    return params


def capture_params(
    payment: Payment, amount_minor: int, fee_minor: int | None, request_metadata: RequestMetadata
) -> dict[str, Any]:
    """Capture that much and release the rest; the application fee where it is another than the
    PaymentIntent has: Stripe takes that one whole, also of a part."""
    metadata = request_metadata.as_metadata(CAPTURE)
    params: dict[str, Any] = {
        "amount_to_capture": to_stripe(payment.currency, amount_minor),
        "metadata": metadata,
        "expand": EXPAND_CAPTURE,
    }
    made_with = payment.application_fee_minor
    if (fee_minor or 0) != (made_with or 0):
        params["application_fee_amount"] = to_stripe(payment.currency, fee_minor or 0)
        metadata[FEE_KEY] = NO_FEE if made_with is None else str(made_with)
    return params


def cancel_params(*, expired: bool) -> dict[str, Any]:
    """Cancel; Stripe's cancellation reasons are few."""
    reason = "abandoned" if expired else "requested_by_customer"
    return {"cancellation_reason": reason, "expand": EXPAND_CHARGE}


def refund_params(
    payment: Payment, refund: Refund, request_metadata: RequestMetadata
) -> dict[str, Any]:
    """Refund that much of the PaymentIntent."""
    params: dict[str, Any] = {
        "payment_intent": payment.payment_intent_id,
        "amount": to_stripe(payment.currency, refund.amount_minor),
        "expand": EXPAND_REFUND if payment.destination_account else EXPAND_BALANCE,
        "metadata": {
            **request_metadata.as_metadata(),
            PAYMENT_KEY: payment.id,
            REFUND_KEY: refund.id,
        },
    }
    if refund.cause in _CAUSES:
        params["reason"] = _CAUSES[refund.cause]
    if refund.reverse_transfer:
        params["reverse_transfer"] = True
    if refund.refund_application_fee:
        params["refund_application_fee"] = True
    elif refund.reverse_transfer and refund.refund_application_fee is not None:
        params["metadata"][REFUND_FEE_KEY] = NO_FEE
    return params


def refunds_fee(payment: Payment, stripe_refund: Mapping[str, Any]) -> bool | None:
    """Whether a refund of ours that is at Stripe takes back the application fee; None without
    one. Stripe does not tell it of the refund."""
    if not payment.destination_account or not payment.fee_taken_minor:
        return None
    kept = (stripe_refund.get("metadata") or {}).get(REFUND_FEE_KEY) == NO_FEE
    return bool(stripe_refund.get("transfer_reversal")) and not kept
