"""PaymentIntents: create, update, retrieve, list. The attempt to pay is in `confirmation`."""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.confirmation import attempt, check_confirmable
from sandbox.stripe_twin.currencies import check_charge
from sandbox.stripe_twin.errors import ApiError, check_choice, invalid_request
from sandbox.stripe_twin.lists import parse_query, search_page
from sandbox.stripe_twin.payment_methods import chosen_method
from sandbox.stripe_twin.store import JsonObject

# What the twin's accounts have switched on in their dashboard, beside what a request names.
PAYMENT_METHOD_TYPES = ("card",)
_CAPTURE_METHODS = frozenset({"automatic", "automatic_async", "manual"})
_CONFIRMATION_METHODS = frozenset({"automatic", "manual"})
_ONLY_WITH_CONFIRM = ("off_session", "return_url", "error_on_requires_action")
_UPDATABLE = ("description", "receipt_email", "setup_future_usage", "shipping", "transfer_group")
_OPEN_STATES = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def create_intent(call: Call) -> JsonObject:
    """POST /v1/payment_intents, with `confirm=true` also the first attempt."""
    params = call.params
    check_charge(params["amount"], params["currency"].lower(), None)
    check_choice(params, "capture_method", _CAPTURE_METHODS)
    check_choice(params, "confirmation_method", _CONFIRMATION_METHODS)
    confirming = bool(params.get("confirm"))
    for name in _ONLY_WITH_CONFIRM:
        if name in params and not confirming:
            raise invalid_request(
                f"You cannot provide `{name}` unless `confirm` is set to true.", param=name
            )
    customer = params.get("customer")
    if customer is not None:
        call.objects("customer").get(customer, "customer", 400)
    _check_destination(call.account, params)
    method = chosen_method(call.account, params)
    check_charge(params["amount"], params["currency"].lower(), _brand_of(method))
    intent = _new_intent(call.account, params)
    if method is not None:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    if confirming:
        method = check_confirmable(call.account, intent, method, params)
    call.objects("payment_intent").add(intent)
    call.emit("payment_intent.created", intent)
    if confirming and method is not None:
        attempt(call.account, call.origin, intent, method, params)
    return intent


def confirm_intent(call: Call) -> JsonObject:
    """POST /v1/payment_intents/{id}/confirm."""
    intent = _get(call)
    check_choice(call.params, "capture_method", _CAPTURE_METHODS)
    if intent["status"] not in _OPEN_STATES:
        raise _unexpected_state(intent, "confirm", "requires_confirmation, requires_action")
    method = chosen_method(call.account, call.params)
    check_charge(intent["amount"], intent["currency"], _brand_of(method))
    method = check_confirmable(call.account, intent, method, call.params)
    for name in ("capture_method", "setup_future_usage", "receipt_email", "shipping"):
        if name in call.params:
            intent[name] = call.params[name]
    options = call.params.get("payment_method_options", {}).get("card", {})
    intent["payment_method_options"]["card"].update(options or {})
    attempt(call.account, call.origin, intent, method, call.params)
    return intent


def update_intent(call: Call) -> JsonObject:
    """POST /v1/payment_intents/{id}; once it is paid only what describes it may change."""
    intent, params = _get(call), call.params
    if intent["status"] not in _OPEN_STATES:
        for name in ("amount", "currency", "payment_method", "customer", "capture_method"):
            if name in params:
                raise _unexpected_state(intent, "update", ", ".join(sorted(_OPEN_STATES)))
    if "amount" in params or "currency" in params:
        merged = {**intent, **params}
        amount, currency = merged["amount"], merged["currency"].lower()
        check_charge(amount, currency, None)
        intent.update(amount=amount, currency=currency)
    if "customer" in params:
        call.objects("customer").get(params["customer"], "customer", 400)
        intent["customer"] = params["customer"]
    if "capture_method" in params:
        check_choice(params, "capture_method", _CAPTURE_METHODS)
        intent["capture_method"] = params["capture_method"]
    method = chosen_method(call.account, params)
    if method is not None:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    for name in _UPDATABLE:
        if name in params:
            intent[name] = params[name] if params[name] != "" else None
    merge_metadata(intent, params.get("metadata"))
    return intent


def retrieve_intent(call: Call) -> JsonObject:
    """GET /v1/payment_intents/{id}."""
    return _get(call)


def list_intents(call: Call) -> JsonObject:
    """GET /v1/payment_intents by customer and created."""
    customer = call.params.get("customer")
    return call.objects("payment_intent").page(
        "/v1/payment_intents",
        call.params,
        lambda intent: customer in (None, intent["customer"]),
    )


def search_intents(call: Call) -> JsonObject:
    """GET /v1/payment_intents/search: https://docs.stripe.com/search."""
    query = parse_query(call.params["query"])
    horizon = call.account.now() - call.account.shared.settings.search_lag_seconds
    found = [
        intent
        for intent in call.objects("payment_intent")
        if intent["created"] <= horizon and query(intent)
    ]
    return search_page("/v1/payment_intents/search", found, call.params)


def _get(call: Call) -> JsonObject:
    return call.objects("payment_intent").get(call.path["id"], "intent")


def _unexpected_state(intent: JsonObject, verb: str, allowed: str) -> ApiError:
    return invalid_request(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}. "
        f"Only a PaymentIntent with one of the following statuses may be {verb}ed: {allowed}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def _brand_of(method: JsonObject | None) -> str | None:
    return method["card"]["brand"] if method is not None and "card" in method else None


def _check_destination(account: TwinAccount, params: dict[str, Any]) -> None:
    fee = params.get("application_fee_amount")
    transfer = params.get("transfer_data")
    if transfer is not None:
        destination = transfer["destination"]
        if destination not in account.connected:
            message = f"No such destination: '{destination}'"
            param = "transfer_data[destination]"
            raise invalid_request(message, code="resource_missing", param=param)
        transfers = account.connected[destination].objects("capability").find("transfers")
        if transfers is None or transfers["status"] != "active":
            raise invalid_request(
                "Your destination account needs to have at least one of the following "
                "capabilities enabled: transfers, crypto_transfers, legacy_payments",
                code="insufficient_capabilities_for_transfer",
            )
    if fee is not None:
        if transfer is None and not account.is_connected:
            raise invalid_request(
                "Can only apply an application_fee_amount when the PaymentIntent is attempting a "
                "direct payment (using an OAuth key or Stripe-Account header) or destination "
                "payment (using `transfer_data[destination]`).",
                param="application_fee_amount",
            )
        if fee > params["amount"]:
            raise invalid_request(
                "The application fee amount cannot be greater than the amount.",
                param="application_fee_amount",
            )


def _new_intent(account: TwinAccount, params: dict[str, Any]) -> JsonObject:
    intent_id = account.new_id("pi")
    allowed = params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods")
    if allowed is None and automatic is None:
        automatic = {"enabled": True}
    if automatic is not None:
        automatic = {"allow_redirects": "always", **automatic}
    card_options = {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    }
    given = params.get("payment_method_options", {}).get("card", {})
    card_options.update(given if isinstance(given, dict) else {})
    return {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": allowed,
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": params.get("application_fee_amount"),
        "automatic_payment_methods": automatic,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_{account.shared.identifiers.token(25)}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": account.now(),
        "currency": params["currency"].lower(),
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {key: value for key, value in params.get("metadata", {}).items() if value},
        "next_action": None,
        "on_behalf_of": params.get("on_behalf_of"),
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": card_options},
        "payment_method_types": list(allowed or PAYMENT_METHOD_TYPES),
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "review": None,
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": params.get("shipping"),
        "source": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": params.get("transfer_data"),
        "transfer_group": params.get("transfer_group"),
    }
