"""Capturing, canceling and expiring what a manual capture authorised."""

from sandbox.stripe_twin.account import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.charges import settle
from sandbox.stripe_twin.checks import check_choice, check_positive
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

_CANCELABLE = frozenset(
    {"requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"}
)
_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer", "abandoned"})


def capture_intent(call: Call) -> JsonObject:
    """POST /v1/payment_intents/{id}/capture, all of it or `amount_to_capture`.

    What a partial capture leaves is released; since API version 2025-03-31 without a Refund.
    `final_capture=false` keeps it for a further capture, where multicapture was asked for.
    """
    intent = call.objects("payment_intent").get(call.path["id"], "intent")
    if intent["status"] != "requires_capture":
        raise invalid_request(
            "This PaymentIntent could not be captured because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be "
            "captured: requires_capture.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    capturable: int = intent["amount_capturable"]
    amount = call.params.get("amount_to_capture", capturable)
    _check_capture(intent, amount)
    charge = call.objects("charge").get(intent["latest_charge"])
    final = call.params.get("final_capture", True) or amount == capturable
    if not final:
        _check_multicapture(charge)
    charge["captured"] = final
    charge["amount_captured"] += amount
    for name in ("statement_descriptor", "statement_descriptor_suffix"):
        if name in call.params:
            charge[name] = intent[name] = call.params[name]
    if "application_fee_amount" in call.params:
        fee = call.params["application_fee_amount"]
        charge["application_fee_amount"] = intent["application_fee_amount"] = fee
    merge_metadata(intent, call.params.get("metadata"))
    intent["amount_received"] += amount
    settle(call.account, charge, amount)
    if not final:
        intent["amount_capturable"] -= amount
        call.emit("charge.updated", charge, {"amount_captured": charge["amount_captured"] - amount})
        call.emit("payment_intent.amount_capturable_updated", intent)
        return intent
    intent["status"] = "succeeded"
    intent["amount_capturable"] = 0
    call.emit("charge.captured", charge)
    call.emit("payment_intent.succeeded", intent)
    return intent


def cancel_intent(call: Call) -> JsonObject:
    """POST /v1/payment_intents/{id}/cancel; an authorisation is released without a Refund."""
    intent = call.objects("payment_intent").get(call.path["id"], "intent")
    if intent["status"] not in _CANCELABLE:
        raise invalid_request(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be canceled: "
            "requires_payment_method, requires_capture, requires_confirmation, requires_action, "
            "processing.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    reason = call.params.get("cancellation_reason")
    check_choice(call.params, "cancellation_reason", _REASONS)
    _cancel(call.account, intent, reason, call.origin)
    return intent


def expire_later(account: TwinAccount, intent: JsonObject, charge: JsonObject) -> None:
    """Lets an authorisation go at its `capture_before` unless it was captured or canceled."""

    def expire() -> None:
        if intent["status"] == "requires_capture":
            account.emit("charge.expired", charge)
            _cancel(account, intent, "expired", AUTOMATIC)

    account.surroundings.clock.after(account.surroundings.settings.authorization_seconds, expire)


def _cancel(account: TwinAccount, intent: JsonObject, reason: str | None, origin: Origin) -> None:
    intent["amount_capturable"] = 0
    if intent["amount_received"]:
        # Something was captured already: only the rest is released.
        intent["status"] = "succeeded"
        account.objects("charge").get(intent["latest_charge"])["captured"] = True
        account.emit("payment_intent.succeeded", intent, origin)
        return
    intent["status"] = "canceled"
    intent["canceled_at"] = account.now()
    intent["cancellation_reason"] = reason
    intent["next_action"] = None
    account.emit("payment_intent.canceled", intent, origin)


def _check_capture(intent: JsonObject, amount: int) -> None:
    check_positive(amount, "amount_to_capture")
    if amount > intent["amount_capturable"]:
        raise invalid_request(
            "The provided amount_to_capture is greater than the amount that can be captured: "
            f"{intent['amount_capturable']}.",
            code="amount_too_large",
            param="amount_to_capture",
            payment_intent=intent,
        )


def _check_multicapture(charge: JsonObject) -> None:
    if charge["payment_method_details"]["card"]["multicapture"]["status"] != "available":
        raise invalid_request(
            "The payment method does not support capturing more than once.",
            param="final_capture",
        )
