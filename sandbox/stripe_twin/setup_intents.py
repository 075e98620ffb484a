"""SetupIntents: a card is made ready for later payments without paying now.

https://docs.stripe.com/payments/setup-intents. An attempt passes 3-D Secure and the issuer. A
success attaches the card to its customer and spares it 3-D Secure off-session, as far as the test
card says so.
"""

from typing import Any

from sandbox.stripe_twin.accounts import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.cards import Authentication, Decline
from sandbox.stripe_twin.errors import DOC_URL, ApiError, check_choice, invalid_request
from sandbox.stripe_twin.payment_methods import (
    card_failure,
    chosen_method,
    ensure_usable,
    error_members,
)
from sandbox.stripe_twin.store import JsonObject


def list_setup_attempts(call: Call) -> JsonObject:
    """GET /v1/setup_attempts of one SetupIntent."""
    intent = call.objects("setup_intent").get(call.params["setup_intent"], "setup_intent", 400)
    return call.objects("setup_attempt").page(
        "/v1/setup_attempts", call.params, lambda item: item["setup_intent"] == intent["id"]
    )


def complete_setup(account: TwinAccount, intent: JsonObject, *, passed: bool) -> None:
    """What the customer did on the 3-D Secure page. Raises ValueError if nobody asked for it."""
    if intent["status"] != "requires_action":
        raise ValueError(f"{intent['id']} does not wait for an authentication")
    method = account.objects("payment_method").get(intent["payment_method"])
    intent["next_action"] = None
    if passed:
        _finish(account, AUTOMATIC, intent, method)
        return
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    error = {
        "code": "setup_intent_authentication_failure",
        "doc_url": DOC_URL + "setup-intent-authentication-failure",
        "message": "The latest attempt to set up the payment method has failed because "
        "authentication failed.",
        "payment_method": method,
        "type": "invalid_request_error",
    }
    _record_failure(account, AUTOMATIC, intent, error)


def confirmable(
    account: TwinAccount, intent: JsonObject, method: JsonObject | None, params: dict[str, Any]
) -> JsonObject:
    """The payment method of an attempt. Raises ApiError (400) if it cannot be made."""
    if method is None:
        if intent["payment_method"] is None:
            raise invalid_request(
                "You cannot confirm this SetupIntent because it's missing a payment method. Update "
                "the SetupIntent with a payment method and then confirm it again.",
                code="setup_intent_unexpected_state",
                setup_intent=intent,
            )
        method = account.objects("payment_method").get(intent["payment_method"])
    automatic = intent["automatic_payment_methods"]
    redirects = automatic is not None and automatic["allow_redirects"] == "always"
    if redirects and "return_url" not in params:
        raise invalid_request(
            "This SetupIntent is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your page, "
            "you must provide a `return_url`.",
            param="return_url",
        )
    ensure_usable(account, method, intent["customer"])
    if method["type"] != "card" and "mandate_data" not in params:
        raise invalid_request(
            f"A {method['type']} needs the customer's mandate: provide `mandate_data`.",
            code="parameter_missing",
            param="mandate_data",
        )
    return method


def attempt_setup(call: Call, intent: JsonObject, method: JsonObject) -> None:
    account = call.account
    intent["payment_method"] = method["id"]
    attempt = account.objects("setup_attempt").add(_new_attempt(account, intent, method))
    intent["latest_attempt"] = attempt["id"]
    state = account.cards[method["id"]]
    if state.card.decline is not None and not state.card.attachable:
        _refuse(call, intent, method, state.card.decline)
    if not state.verified:
        raise invalid_request(
            "The twin sets up bank accounts that are verified only.", stored=False
        )
    given = call.params.get("payment_method_options", {}).get("card", {})
    asked = given.get("request_three_d_secure") in ("any", "challenge")
    if _wants_authentication(state.card.authentication, intent, asked=asked):
        _require_action(call, intent, attempt)
        return
    _finish(account, call.origin, intent, method)


def _wants_authentication(card: Authentication, intent: JsonObject, *, asked: bool) -> bool:
    match card:
        case Authentication.ALWAYS | Authentication.ON_SESSION:
            return True
        case Authentication.UNLESS_SET_UP:
            return bool(intent["usage"] == "off_session")
        case Authentication.OPTIONAL:
            return asked
        case Authentication.NEVER:
            return False


def _require_action(call: Call, intent: JsonObject, attempt: JsonObject) -> None:
    shared = call.account.shared
    url = f"{shared.public_url}/_twin/authenticate/{intent['id']}"
    if "return_url" in call.params and not call.params.get("use_stripe_sdk"):
        intent["next_action"] = {
            "redirect_to_url": {"return_url": call.params["return_url"], "url": url},
            "type": "redirect_to_url",
        }
    else:
        intent["next_action"] = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"stripe_js": url, "type": "three_d_secure_redirect"},
        }
    intent["status"] = attempt["status"] = "requires_action"
    call.emit("setup_intent.requires_action", intent)


def _finish(account: TwinAccount, origin: Origin, intent: JsonObject, method: JsonObject) -> None:
    intent["status"] = "succeeded"
    intent["last_setup_error"] = None
    account.objects("setup_attempt").get(intent["latest_attempt"])["status"] = "succeeded"
    account.cards[method["id"]].set_up = True
    if intent["customer"] is not None and method["customer"] is None:
        method["customer"] = intent["customer"]
        account.emit("payment_method.attached", method, origin)
    account.emit("setup_intent.succeeded", intent, origin)


def _refuse(call: Call, intent: JsonObject, method: JsonObject, decline: Decline) -> None:
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    error = {**error_members(decline), "payment_method": method}
    _record_failure(call.account, call.origin, intent, error)
    raise card_failure(decline, method, setup_intent=intent)


def _record_failure(
    account: TwinAccount, origin: Origin, intent: JsonObject, error: JsonObject
) -> None:
    intent["last_setup_error"] = error
    attempt = account.objects("setup_attempt").get(intent["latest_attempt"])
    attempt["status"] = "failed"
    attempt["setup_error"] = error
    account.emit("setup_intent.setup_failed", intent, origin)


def _details(method: JsonObject) -> JsonObject:
    if method["type"] != "card":
        return {method["type"]: {}, "type": method["type"]}
    card = method["card"]
    return {
        "card": {
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "last4": card["last4"],
            "network": card["brand"],
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    }


def _new_attempt(account: TwinAccount, intent: JsonObject, method: JsonObject) -> JsonObject:
    return {
        "id": account.new_id("setatt"),
        "object": "setup_attempt",
        "application": None,
        "created": account.now(),
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": intent["on_behalf_of"],
        "payment_method": method["id"],
        "payment_method_details": _details(method),
        "setup_error": None,
        "setup_intent": intent["id"],
        "status": "processing",
        "usage": intent["usage"],
    }


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
        "client_secret": f"{intent_id}_secret_{account.shared.identifiers.token(25)}",
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
