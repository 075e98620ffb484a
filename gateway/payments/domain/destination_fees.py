"""Destination charges: the application fee of a capture, and what a refund takes back.

Defaults follow from the request and from what a payment is for good, so that the same request means
the same after its payment was restored. Stripe's own rules:
https://docs.stripe.com/connect/destination-charges#issue-refunds,
https://docs.stripe.com/api/payment_intents/capture#capture_payment_intent-application_fee_amount
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.money import PartOfMinorUnitError, from_stripe, rounded_down
from gateway.payments.domain.payment import Payment


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount that a caller asks for."""

    currency: str
    minor_units: int


@dataclass(frozen=True, slots=True)
class TakingBack:
    """What a refund is asked to take back; None where the caller leaves it to the default."""

    reverse_transfer: bool | None = None
    refund_application_fee: bool | None = None


DEFAULT_TAKING_BACK = TakingBack()


def default_fee(payment: Payment, captured_minor: int) -> int | None:
    """The fee of a capture for which none is given: of a part, the same share of the fee.

    In minor units, rounded down to an amount that Stripe takes in the currency, so that the rest is
    the connected account's and no capture has more fee than amount. None without a fee.
    """
    fee = payment.application_fee_minor
    if fee is None or captured_minor >= payment.amount_minor:
        return fee
    return rounded_down(payment.currency, fee * captured_minor // payment.amount_minor)


def default_taking_back(payment: Payment, asked: TakingBack) -> TakingBack:
    """What a refund takes back: the transfer, unless the caller wants otherwise, and with the
    transfer the fee. None where the payment has no transfer, or no fee was taken."""
    if not payment.destination_account:
        return DEFAULT_TAKING_BACK
    reverses = asked.reverse_transfer is not False
    if not payment.fee_taken_minor:
        return TakingBack(reverses)
    fee = asked.refund_application_fee
    return TakingBack(reverses, reverses if fee is None else fee)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What Stripe has taken back of a destination charge so far, over all its refunds.

    Minor units of the currency that each settled in, upper-case ISO 4217; that is empty where
    nothing was told.
    """

    transfer_minor: int = 0
    transfer_currency: str = ""
    fee_minor: int = 0
    fee_currency: str = ""


def read_taken_back(stripe_refund: Mapping[str, Any]) -> TakenBack:
    """What a refund tells whose `charge.application_fee` and `transfer_reversal.transfer` are
    expanded; what is not expanded tells nothing."""
    reversal, charge = stripe_refund.get("transfer_reversal"), stripe_refund.get("charge")
    transfer = reversal.get("transfer") if isinstance(reversal, Mapping) else None
    fee = charge.get("application_fee") if isinstance(charge, Mapping) else None
    return TakenBack(*_told(transfer, "amount_reversed"), *_told(fee, "amount_refunded"))


def newly_taken_back(payment: Payment, told: TakenBack) -> dict[str, Any]:
    """The payment's values that change with it. Neither sum ever becomes less at Stripe: less is
    an answer of before."""
    changed: dict[str, Any] = {}
    if told.transfer_minor > payment.transfer_reversed_minor:
        changed["transfer_reversed_minor"] = told.transfer_minor
        changed["transfer_reversed_currency"] = told.transfer_currency
    if told.fee_minor > payment.application_fee_refunded_minor:
        changed["application_fee_refunded_minor"] = told.fee_minor
        changed["application_fee_refunded_currency"] = told.fee_currency
    return changed


def _told(carrier: object, name: str) -> tuple[int, str]:
    if not isinstance(carrier, Mapping):
        return 0, ""
    currency = str(carrier["currency"])
    try:
        return from_stripe(currency, int(carrier[name])), currency.upper()
    except PartOfMinorUnitError:
        # The refund itself is none the worse; the balance sweep reports the movement that cannot be
        # read, and people look at it.
        return 0, ""
