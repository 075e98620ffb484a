"""Charges: what an attempt to pay leaves behind, and its settlement into the balance."""

from functools import partial

from sandbox.stripe_twin.account import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.cards import Decline
from sandbox.stripe_twin.destinations import direct_fee, settle_destination
from sandbox.stripe_twin.dispute_outcomes import open_dispute
from sandbox.stripe_twin.fees import processing_fee
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
    capture_before = now + int(account.surroundings.settings.authorization_seconds)
    charge = _charge(account, intent, method)
    charge["captured"] = not manual
    charge["amount_captured"] = 0 if manual else intent["amount"]
    charge["paid"] = True
    charge["status"] = "succeeded"
    charge["outcome"] = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": account.cards[method["id"]].card.risk_level,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
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
            "transaction_id": account.surroundings.identifiers.token(28),
            "version": "2.2.0",
        }
    return account.objects("charge").add(charge)


def new_failed_charge(
    account: TwinAccount, intent: JsonObject, method: JsonObject, decline: Decline
) -> JsonObject:
    """The charge of an attempt that was refused."""
    charge = _charge(account, intent, method)
    blocked = account.cards[method["id"]].card.risk_level == "highest"
    charge["failure_code"] = decline.code
    charge["failure_message"] = decline.message
    charge["status"] = "failed"
    charge["outcome"] = {
        "advice_code": decline.advice_code,
        "network_advice_code": decline.network_advice_code,
        "network_decline_code": decline.network_decline_code,
        "network_status": "not_sent_to_network" if blocked else "declined_by_network",
        "reason": "highest_risk_level" if blocked else decline.decline_code or decline.code,
        "risk_level": account.cards[method["id"]].card.risk_level,
        "seller_message": "Stripe blocked this payment as too risky."
        if blocked
        else "The bank did not return any further details with this decline.",
        "type": "blocked" if blocked else "issuer_declined",
    }
    return account.objects("charge").add(charge)


def settle(account: TwinAccount, charge: JsonObject, captured: int) -> None:
    """Books what was captured of a charge and Stripe's fee for it; its destination's share too.

    With multicapture each capture is booked by itself, and the charge names the latest.
    """
    currency = charge["currency"]
    fee = FeePart(processing_fee(captured, currency), "stripe_fee", "Stripe processing fees")
    method = charge["payment_method"]
    transaction = account.books.record(
        kind="charge",
        source=charge["id"],
        amount=captured,
        currency=currency,
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
        clock = account.surroundings.clock
        clock.after(0.0, partial(open_dispute, account, charge, reason))


def settle_later(account: TwinAccount, charge: JsonObject, origin: Origin = AUTOMATIC) -> None:
    """The settlement of `automatic_async`: after the answer, told by `charge.updated`."""

    def run() -> None:
        names = ("balance_transaction", "transfer", "application_fee")
        before = {name: charge.get(name) for name in names}
        settle(account, charge, charge["amount_captured"])
        previous = {name: value for name, value in before.items() if charge.get(name) != value}
        account.emit("charge.updated", charge, origin, previous)

    account.surroundings.clock.after(account.surroundings.settings.settlement_seconds, run)


def _multicapture(intent: JsonObject, brand: str) -> str:
    asked = intent["payment_method_options"]["card"].get("request_multicapture")
    wanted = asked == "if_available" and intent["capture_method"] == "manual"
    return "available" if wanted and brand in _MULTICAPTURE_BRANDS else "unavailable"


def _charge(account: TwinAccount, intent: JsonObject, method: JsonObject) -> JsonObject:
    card = method["card"]
    charge_id = account.new_id("ch")
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
        "payment_method_details": {
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
                "network_transaction_id": account.surroundings.identifiers.token(15),
                "overcapture": {
                    "maximum_amount_capturable": intent["amount"],
                    "status": "unavailable",
                },
                "regulated_status": "unregulated",
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
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
