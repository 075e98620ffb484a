"""Why a command is refused: decided, and so the same for good for the same request."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.payments.domain.payment import Payment


@dataclass(frozen=True, slots=True)
class Refusal:
    """A FAILED_PRECONDITION; `reason` is a name of gateway.v1.ErrorReason without its prefix."""

    reason: str
    message: str
    metadata: Mapping[str, str]


def invalid_state(payment: Payment, action: str) -> Refusal:
    """The payment's state does not allow the action."""
    return Refusal(
        "INVALID_PAYMENT_STATE",
        f"a payment that is {payment.state} cannot be asked to {action}",
        {"payment_id": payment.id, "payment_state": payment.state, "action": action},
    )


def currency_mismatch(payment: Payment, currency: str) -> Refusal:
    """The amount is of another currency."""
    return Refusal(
        "CURRENCY_MISMATCH",
        f"the payment is in {payment.currency}",
        {
            "payment_id": payment.id,
            "expected_currency_code": payment.currency,
            "currency_code": currency,
        },
    )


def capture_window_over(payment: Payment) -> Refusal:
    """The time to capture is over."""
    before = payment.capture_before
    return Refusal(
        "CAPTURE_WINDOW_OVER",
        "the time to capture this authorisation is over",
        {
            "payment_id": payment.id,
            "capture_before_time": before.isoformat() if before is not None else "",
        },
    )


def amount_exceeds_authorized(payment: Payment, requested_minor: int) -> Refusal:
    """More would be captured than was authorised."""
    return Refusal(
        "AMOUNT_EXCEEDS_AUTHORIZED",
        "more than was authorised",
        _limits(payment, payment.authorized_minor, requested_minor),
    )


def payment_disputed(payment: Payment) -> Refusal:
    """A dispute keeps the payment's money, or may take it: Stripe refunds nothing."""
    return Refusal(
        "PAYMENT_DISPUTED",
        "a dispute has taken this payment's money; it cannot be refunded",
        {"payment_id": payment.id, "disputed_minor": str(payment.disputed_minor)},
    )


def amount_exceeds_refundable(payment: Payment, requested_minor: int) -> Refusal:
    """More would be refunded than is left."""
    return Refusal(
        "AMOUNT_EXCEEDS_REFUNDABLE",
        "more than is left to refund",
        _limits(payment, payment.refundable_minor - payment.disputed_minor, requested_minor),
    )


def too_many_refunds(payment: Payment, limit: int) -> Refusal:
    """The payment has as many refunds as it may have."""
    return Refusal(
        "TOO_MANY_REFUNDS",
        f"a payment has at most {limit} refunds",
        {"payment_id": payment.id, "limit": str(limit)},
    )


def no_destination(payment: Payment, field: str) -> Refusal:
    """The payment has no transfer, and so no application fee either."""
    return Refusal(
        "NO_DESTINATION_ACCOUNT",
        f"the payment has no destination_account_id, which {field} needs",
        {"payment_id": payment.id, "field": field},
    )


def no_application_fee(payment: Payment, field: str) -> Refusal:
    """The platform took no application fee of the payment."""
    return Refusal(
        "NO_APPLICATION_FEE",
        f"no application fee was taken of this payment, which {field} needs",
        {"payment_id": payment.id, "field": field},
    )


def fee_exceeds_captured(payment: Payment, captured_minor: int, fee_minor: int) -> Refusal:
    """More would be kept than is captured."""
    return Refusal(
        "APPLICATION_FEE_EXCEEDS_AMOUNT",
        "the application fee is more than what is captured",
        {**_limits(payment, captured_minor, fee_minor), "field": "application_fee"},
    )


def _limits(payment: Payment, limit_minor: int, requested_minor: int) -> dict[str, str]:
    return {
        "payment_id": payment.id,
        "limit_minor": str(limit_minor),
        "requested_minor": str(requested_minor),
    }
