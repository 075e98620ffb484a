"""SetupIntents: a card is made ready for later payments without paying now.

https://docs.stripe.com/payments/setup-intents. A success attaches the card to its customer and
spares it 3-D Secure off-session, as far as the test card says so.
"""

from typing import Any

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.checks import check_choice
from sandbox.stripe_twin.errors import ApiError, invalid_request
from sandbox.stripe_twin.payment_methods import chosen_method
from sandbox.stripe_twin.setup_attempts import attempt_setup, confirmable
from sandbox.stripe_twin.store import JsonObject

_OPEN_STATES = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_USAGES = frozenset({"off_session", "on_session"})
_REASONS = frozenset({"abandoned", "duplicate", "requested_by_customer"})


def create_setup_intent(call: Call) -> JsonObject:
    """POST /v1/setup_intents, with `confirm=true` also the first attempt."""
    params = call.params
    check_choice(params, "usage", _USAGES)
    confirming = bool(params.get("confirm"))
    if "return_url" in params and not confirming:
        raise invalid_request(
            "You cannot provide `return_url` unless `confirm` is set to true.", param="return_url"
        )
    if "customer" in params:
        call.objects("customer").get(params["customer"], "customer", 400)
    method = chosen_method(call.account, params)
    intent = _new_setup_intent(call.account, params)
    if method is not None:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    if confirming:
        method = confirmable(call.account, intent, method, params)
    call.objects("setup_intent").add(intent)
    call.emit("setup_intent.created", intent)
    if confirming and method is not None:
        attempt_setup(call, intent, method)
    return intent


def confirm_setup_intent(call: Call) -> JsonObject:
    """POST /v1/setup_intents/{id}/confirm."""
    intent = _open(call, "confirm")
    method = chosen_method(call.account, call.params)
    method = confirmable(call.account, intent, method, call.params)
    attempt_setup(call, intent, method)
    return intent


def retrieve_setup_intent(call: Call) -> JsonObject:
    """GET /v1/setup_intents/{id}."""
    return call.objects("setup_intent").get(call.path["id"], "intent")


def update_setup_intent(call: Call) -> JsonObject:
    """POST /v1/setup_intents/{id} while it is open; later its metadata only."""
    params = call.params
    described = {"description", "metadata", "expand"}
    intent = retrieve_setup_intent(call) if params.keys() <= described else _open(call, "update")
    if "customer" in params:
        call.objects("customer").get(params["customer"], "customer", 400)
        intent["customer"] = params["customer"]
    method = chosen_method(call.account, params)
    if method is not None:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    intent["description"] = params.get("description", intent["description"])
    merge_metadata(intent, params.get("metadata"))
    return intent


def cancel_setup_intent(call: Call) -> JsonObject:
    """POST /v1/setup_intents/{id}/cancel while it is open."""
    reason = call.params.get("cancellation_reason")
    check_choice(call.params, "cancellation_reason", _REASONS)
    intent = _open(call, "cancel")
    intent["status"] = "canceled"
    intent["cancellation_reason"] = reason
    intent["next_action"] = None
    call.emit("setup_intent.canceled", intent)
    return intent


def list_setup_intents(call: Call) -> JsonObject:
    """GET /v1/setup_intents by customer, payment method and created."""
    wanted = {
        name: call.params[name] for name in ("customer", "payment_method") if name in call.params
    }
    return call.objects("setup_intent").page(
        "/v1/setup_intents",
        call.params,
        lambda intent: all(intent[name] == value for name, value in wanted.items()),
    )


def _open(call: Call, verb: str) -> JsonObject:
    intent = retrieve_setup_intent(call)
    if intent["status"] not in _OPEN_STATES:
        raise _unexpected_state(intent, verb)
    return intent


def _unexpected_state(intent: JsonObject, verb: str) -> ApiError:
    return invalid_request(
        f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}. Only a "
        f"SetupIntent with one of the following statuses may be {verb}ed: "
        f"{', '.join(sorted(_OPEN_STATES))}.",
        code="setup_intent_unexpected_state",
        setup_intent=intent,
    )


def _new_setup_intent(account: TwinAccount, params: dict[str, Any]) -> JsonObject:
    intent_id = account.new_id("seti")
    allowed = params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods")
    if automatic is None and allowed is None:
        automatic = {"enabled": True}
    if automatic is not None:
        automatic = {"allow_redirects": "always", **automatic}
    return {
        "id": intent_id,
        "object": "setup_intent",
        "allowed_payment_method_types": allowed,
        "application": None,
        "automatic_payment_methods": automatic,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{account.surroundings.identifiers.token(25)}",
        "created": account.now(),
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {key: value for key, value in params.get("metadata", {}).items() if value},
        "next_action": None,
        "on_behalf_of": params.get("on_behalf_of"),
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
