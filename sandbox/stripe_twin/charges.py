"""Charges: what an attempt to pay leaves behind, and its settlement into the balance.

And what becomes of one that a manual capture authorised: it is captured, canceled or expires.
"""

from functools import partial

from sandbox.stripe_twin.accounts import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.books import FeePart, processing_fee
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.cards import Decline
from sandbox.stripe_twin.currencies import check_step
from sandbox.stripe_twin.debit_balance import take_back
from sandbox.stripe_twin.destinations import direct_fee, settle_destination
from sandbox.stripe_twin.disputes import open_dispute
from sandbox.stripe_twin.errors import check_choice, check_positive, invalid_request
from sandbox.stripe_twin.radar import approved_outcome, debit_outcome, refused_outcome
from sandbox.stripe_twin.store import JsonObject

# https://docs.stripe.com/payments/multicapture
_MULTICAPTURE_BRANDS = frozenset({"amex", "diners", "discover", "jcb", "mastercard", "visa"})


def retrieve_charge(call: Call) -> JsonObject:
    """GET /v1/charges/{id}."""
    return call.objects("charge").get(call.path["id"], "charge")


def update_charge(call: Call) -> JsonObject:
    """POST /v1/charges/{id}: description and metadata."""
    charge = call.objects("charge").get(call.path["id"], "charge")
    previous = {"metadata": charge["metadata"], "description": charge["description"]}
    charge["description"] = call.params.get("description", charge["description"])
    merge_metadata(charge, call.params.get("metadata"))
    call.emit("charge.updated", charge, previous)
    return charge


def list_charges(call: Call) -> JsonObject:
    """GET /v1/charges by payment_intent and customer."""
    intent, customer = call.params.get("payment_intent"), call.params.get("customer")
    return call.objects("charge").page(
        "/v1/charges",
        call.params,
        lambda charge: (
            intent in (None, charge["payment_intent"]) and customer in (None, charge["customer"])
        ),
    )


def new_charge(
    account: TwinAccount, intent: JsonObject, method: JsonObject, *, authenticated: bool
) -> JsonObject:
    """The charge of an attempt that succeeded; `captured` unless the intent wants that later."""
    manual = intent["capture_method"] == "manual"
    now = account.now()
    capture_before = now + int(account.shared.settings.authorization_seconds)
    charge = _charge(account, intent, method)
    charge["captured"] = not manual
    charge["amount_captured"] = 0 if manual else intent["amount"]
    charge["paid"] = True
    charge["status"] = "succeeded"
    charge["outcome"] = approved_outcome(account, account.cards[method["id"]])
    card = charge["payment_method_details"]["card"]
    card["authorization_code"] = "123456"
    card["capture_before"] = capture_before if manual else None
    if authenticated:
        card["three_d_secure"] = {
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": None,
            "result": "authenticated",
            "result_reason": None,
            "transaction_id": account.shared.identifiers.token(28),
            "version": "2.2.0",
        }
    return account.objects("charge").add(charge)


def new_failed_charge(
    account: TwinAccount, intent: JsonObject, method: JsonObject, decline: Decline
) -> JsonObject:
    """The charge of an attempt that was refused."""
    charge = _charge(account, intent, method)
    charge["failure_code"] = decline.code
    charge["failure_message"] = decline.message
    charge["status"] = "failed"
    charge["outcome"] = refused_outcome(account, account.cards[method["id"]], decline)
    return account.objects("charge").add(charge)


def debit_charge(account: TwinAccount, intent: JsonObject, method: JsonObject) -> JsonObject:
    """The charge of a bank debit that the bank has not decided about."""
    charge = _charge(account, intent, method)
    charge["outcome"] = debit_outcome()
    return account.objects("charge").add(charge)


def settle(account: TwinAccount, charge: JsonObject, captured: int) -> None:
    """Books what was captured of a charge and Stripe's fee for it; its destination's share too.

    With multicapture each capture is booked by itself, and the charge names the latest.
    """
    settled = account.settled(captured, charge["currency"])
    fee_amount = processing_fee(settled.amount, settled.currency)
    fee = FeePart(fee_amount, "stripe_fee", "Stripe processing fees")
    method = charge["payment_method"]
    transaction = account.books.record(
        kind="charge",
        source=charge["id"],
        amount=settled.amount,
        currency=settled.currency,
        exchange_rate=settled.rate,
        now=account.now(),
        description=charge["description"],
        fees=(fee, *direct_fee(account, charge)),
        available_at_once=account.cards[method].card.available_at_once,
    )
    charge["balance_transaction"] = transaction["id"]
    if charge["transfer_data"] is not None:
        settle_destination(account, charge, captured)
    reason = account.cards[method].card.dispute
    if reason is not None and charge["captured"]:
        clock = account.shared.clock
        clock.after(0.0, partial(open_dispute, account, charge, reason))


def settle_later(account: TwinAccount, charge: JsonObject, origin: Origin = AUTOMATIC) -> None:
    """The settlement of `automatic_async`: after the answer, announced by `charge.updated`."""

    def run() -> None:
        names = ("balance_transaction", "transfer", "application_fee")
        before = {name: charge.get(name) for name in names}
        settle(account, charge, charge["amount_captured"])
        previous = {name: value for name, value in before.items() if charge.get(name) != value}
        account.emit("charge.updated", charge, origin, previous)

    account.shared.clock.after(account.shared.settings.settlement_seconds, run)


def _multicapture(intent: JsonObject, brand: str) -> str:
    asked = intent["payment_method_options"]["card"].get("request_multicapture")
    wanted = asked == "if_available" and intent["capture_method"] == "manual"
    return "available" if wanted and brand in _MULTICAPTURE_BRANDS else "unavailable"


def _charge(account: TwinAccount, intent: JsonObject, method: JsonObject) -> JsonObject:
    is_card = method["type"] == "card"
    charge_id = account.new_id("ch" if is_card else "py")
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": intent["application_fee_amount"],
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "TWIN",
        "captured": False,
        "created": account.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": intent["on_behalf_of"],
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _card_details(account, intent, method)
        if is_card
        else _debit_details(account, method),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/{charge_id}",
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": intent["transfer_data"],
        "transfer_group": intent["transfer_group"],
    }


def _card_details(account: TwinAccount, intent: JsonObject, method: JsonObject) -> JsonObject:
    card = method["card"]
    return {
        "card": {
            "amount_authorized": intent["amount"],
            "authorization_code": None,
            "brand": card["brand"],
            "capture_before": None,
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "multicapture": {"status": _multicapture(intent, card["brand"])},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": account.shared.identifiers.token(15),
            "overcapture": {
                "maximum_amount_capturable": intent["amount"],
                "status": "unavailable",
            },
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    }


def _debit_details(account: TwinAccount, method: JsonObject) -> JsonObject:
    shown = {
        key: value
        for key, value in method[method["type"]].items()
        if key not in ("financial_connections_account", "generated_from", "networks")
    }
    shown.pop("status_details", None)
    shown |= {"expected_debit_date": None, "mandate": account.new_id("mandate")}
    return {method["type"]: shown, "type": method["type"]}


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
        _check_fee(call.account, charge, fee)
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
    rare = intent["status"] == "processing" and call.account.shared.settings.processing_cancelable
    if intent["status"] not in _CANCELABLE and not rare:
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

    account.shared.clock.after(account.shared.settings.authorization_seconds, expire)


def _cancel(account: TwinAccount, intent: JsonObject, reason: str | None, origin: Origin) -> None:
    intent["amount_capturable"] = 0
    if intent["amount_received"]:
        # Something was captured already: only the rest is released.
        intent["status"] = "succeeded"
        account.objects("charge").get(intent["latest_charge"])["captured"] = True
        account.emit("payment_intent.succeeded", intent, origin)
        return
    if intent["status"] == "processing" and intent["latest_charge"] is not None:
        # A bank debit that the bank has not decided about.
        charge = account.objects("charge").get(intent["latest_charge"])
        charge["status"] = "failed"
        take_back(account, charge, failed=False)
        account.emit("charge.failed", charge, origin)
    intent["status"] = "canceled"
    intent["canceled_at"] = account.now()
    intent["cancellation_reason"] = reason
    intent["next_action"] = None
    intent["processing"] = None
    account.emit("payment_intent.canceled", intent, origin)


def _check_capture(intent: JsonObject, amount: int) -> None:
    check_positive(amount, "amount_to_capture")
    check_step(amount, intent["currency"], "amount_to_capture")
    if amount > intent["amount_capturable"]:
        raise invalid_request(
            "The provided amount_to_capture is greater than the amount that can be captured: "
            f"{intent['amount_capturable']}.",
            code="amount_too_large",
            param="amount_to_capture",
            payment_intent=intent,
        )


def _check_fee(account: TwinAccount, charge: JsonObject, fee: int) -> None:
    """What is more than the amount captured is capped when the fee is taken, not refused."""
    if fee < 0:
        raise invalid_request(
            "This value must be greater than or equal to 0.", param="application_fee_amount"
        )
    if charge["transfer_data"] is None and not account.is_connected:
        raise invalid_request(
            "Can only apply an application_fee_amount to a direct or a destination payment.",
            param="application_fee_amount",
        )


def _check_multicapture(charge: JsonObject) -> None:
    if charge["payment_method_details"]["card"]["multicapture"]["status"] != "available":
        raise invalid_request(
            "The payment method does not support capturing more than once.",
            param="final_capture",
        )
