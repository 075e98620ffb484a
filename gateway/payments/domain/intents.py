"""What Stripe's PaymentIntent says, in the words of the gateway.

https://docs.stripe.com/api/payment_intents/object
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gateway.money import PartOfMinorUnitError, from_stripe
from gateway.payments.domain.card import Card, card_fingerprint_of, card_of
from gateway.payments.domain.payment import Decline, NextAction
from gateway.payments.domain.radar import RadarOutcome, radar_outcome_of
from gateway.stripe_times import made_time, time_of

AUTHENTICATION_REQUIRED = "authentication_required"
# Stripe's own reasons when nobody captured in time.
_EXPIRED = frozenset({"automatic", "expired"})


class IntentStatus(StrEnum):
    """Where a PaymentIntent stands."""

    NOT_CONFIRMED = "NOT_CONFIRMED"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    CANCELED = "CANCELED"
    DECLINED = "DECLINED"


@dataclass(frozen=True, slots=True)
class IntentSnapshot:
    """A PaymentIntent as it was seen."""

    status: IntentStatus
    payment_intent_id: str
    charge_id: str
    currency: str
    authorized_minor: int
    captured_minor: int
    capture_before: datetime | None
    # Canceled by Stripe because the time to capture was over.
    expired: bool
    next_action: NextAction | None
    decline: Decline | None
    # What the platform takes of what was captured, of `currency`; None without a fee.
    application_fee_minor: int | None = None
    # When it came to this status, as far as Stripe tells.
    effective_time: datetime | None = None
    # Of the charge, and of its card, if it is expanded.
    radar_outcome: RadarOutcome | None = None
    card_fingerprint: str = ""
    card: Card | None = None


class UnreadableIntentError(Exception):
    """Stripe sent a PaymentIntent that the gateway does not understand."""


INTENT_STATUSES: Mapping[str, IntentStatus] = {
    "requires_confirmation": IntentStatus.NOT_CONFIRMED,
    "requires_action": IntentStatus.ACTION_REQUIRED,
    "processing": IntentStatus.PROCESSING,
    "requires_capture": IntentStatus.AUTHORIZED,
    "succeeded": IntentStatus.CAPTURED,
    "canceled": IntentStatus.CANCELED,
    # The state after a decline; a PaymentIntent of ours is never created without a method.
    "requires_payment_method": IntentStatus.DECLINED,
}


def read_intent(intent: Mapping[str, Any]) -> IntentSnapshot:
    """What a PaymentIntent says. Raises UnreadableIntentError for an unknown
    status, or a part of a minor unit."""
    status = INTENT_STATUSES.get(str(intent.get("status")))
    if status is None:
        raise UnreadableIntentError(f"status {intent.get('status')!r} of {intent.get('id')!r}")
    charge = intent.get("latest_charge")
    currency = str(intent.get("currency") or "").upper()
    try:
        captured = from_stripe(currency, int(intent.get("amount_received") or 0))
        authorized = from_stripe(currency, int(intent.get("amount_capturable") or 0))
        fee = _application_fee(intent, charge)
        fee = from_stripe(currency, fee) if fee is not None else None
    except PartOfMinorUnitError as error:
        raise UnreadableIntentError(f"{error} in {intent.get('id')!r}") from error
    if status is IntentStatus.CAPTURED:
        authorized = max(authorized, captured)
    return IntentSnapshot(
        status=status,
        payment_intent_id=str(intent["id"]),
        charge_id=id_of(charge),
        currency=currency,
        authorized_minor=authorized,
        captured_minor=captured,
        capture_before=_capture_before(charge),
        expired=intent.get("cancellation_reason") in _EXPIRED,
        next_action=next_action_of(intent) if status is IntentStatus.ACTION_REQUIRED else None,
        decline=_decline(intent) if status is IntentStatus.DECLINED else None,
        application_fee_minor=fee,
        effective_time=_effective_time(intent, charge, status),
        radar_outcome=radar_outcome_of(charge),
        card_fingerprint=card_fingerprint_of(charge),
        card=card_of(charge),
    )


def id_of(related: Any) -> str:
    """The id of a related object, which may be expanded; empty without one."""
    if isinstance(related, Mapping):
        related = related.get("id")
    return related if isinstance(related, str) else ""


def decline_of(
    code: str, decline_code: str, advice_code: str, error: Mapping[str, Any] | None = None
) -> Decline:
    """A refusal in Stripe's codes; `error` is the PaymentIntent's last_payment_error."""
    error = error or {}
    method = error.get("payment_method") or {}
    kind = str(method.get("type") or "card")
    instrument = method.get(kind) or {}
    return Decline(
        code=code,
        decline_code=decline_code,
        advice_code=advice_code,
        authentication_required=AUTHENTICATION_REQUIRED in (code, decline_code),
        network_advice_code=str(error.get("network_advice_code") or ""),
        card_brand=str(instrument.get("brand") or "") if kind == "card" else kind,
        card_fingerprint=str(instrument.get("fingerprint") or ""),
    )


def _application_fee(intent: Mapping[str, Any], charge: Any) -> int | None:
    """What is asked for, as the charge says if it is expanded, and no more than was captured: so
    Stripe takes it. In Stripe's units."""
    asked = intent.get("application_fee_amount")
    if isinstance(charge, Mapping) and charge.get("application_fee_amount") is not None:
        asked = charge["application_fee_amount"]
    if asked is None:
        return None
    return min(int(asked), int(intent.get("amount_received") or 0))


def _effective_time(
    intent: Mapping[str, Any], charge: Any, status: IntentStatus
) -> datetime | None:
    """When a PaymentIntent came to its status, told by what every look at it shows alike.

    `canceled_at` is "the time at which it was canceled". A card's charge is made when its bank
    answers, and taken then, if it is taken automatically: its balance transaction may follow an
    hour later (https://docs.stripe.com/payments/payment-intents/asynchronous-capture). What is
    captured manually moves when the capture makes the balance transaction. Of a bank debit the
    charge is made days before its bank decides, and nothing but the event tells when it did.
    """
    if status is IntentStatus.CANCELED:
        return time_of(intent.get("canceled_at"))
    if not isinstance(charge, Mapping):
        return None
    if status is IntentStatus.CAPTURED and intent.get("capture_method") == "manual":
        return made_time(charge.get("balance_transaction"))
    if status in (IntentStatus.AUTHORIZED, IntentStatus.PROCESSING):
        return made_time(charge)
    is_answer = status is IntentStatus.CAPTURED or charge.get("status") == "failed"
    return made_time(charge) if is_answer and _is_of_card(charge) else None


def _is_of_card(charge: Mapping[str, Any]) -> bool:
    return (charge.get("payment_method_details") or {}).get("type") == "card"


def _capture_before(charge: Any) -> datetime | None:
    """The network's deadline for a capture, in a charge that is expanded."""
    if not isinstance(charge, Mapping):
        return None
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    seconds = card.get("capture_before")
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None


def next_action_of(intent: Mapping[str, Any]) -> NextAction:
    """What the customer of a PaymentIntent or SetupIntent must do: the redirect where there is one,
    or Stripe's page on which a bank account is verified; else the client secret, for Stripe.js to
    go on with."""
    action = intent.get("next_action") or {}
    verifying = action.get("verify_with_microdeposits") or {}
    url = (action.get("redirect_to_url") or {}).get("url") or ""
    url = url or verifying.get("hosted_verification_url") or ""
    if url:
        return NextAction(redirect_url=str(url))
    return NextAction(client_secret=str(intent.get("client_secret") or ""))


def _decline(intent: Mapping[str, Any]) -> Decline:
    error = intent.get("last_payment_error") or {}
    return decline_of(
        str(error.get("code") or ""),
        str(error.get("decline_code") or ""),
        str(error.get("advice_code") or ""),
        error,
    )
