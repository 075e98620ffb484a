"""An attempt to set a card up: 3-D Secure, the issuer's answer, what follows from it."""

from typing import Any

from sandbox.stripe_twin.account import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.cards import Authentication, Decline
from sandbox.stripe_twin.errors import DOC_URL, invalid_request
from sandbox.stripe_twin.payment_methods import card_failure, ensure_usable, error_members
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
    return method


def attempt_setup(call: Call, intent: JsonObject, method: JsonObject) -> None:
    account = call.account
    intent["payment_method"] = method["id"]
    attempt = account.objects("setup_attempt").add(_new_attempt(account, intent, method))
    intent["latest_attempt"] = attempt["id"]
    state = account.cards[method["id"]]
    if state.card.decline is not None and not state.card.attachable:
        _refuse(call, intent, method, state.card.decline)
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
    surroundings = call.account.surroundings
    url = f"{surroundings.public_url}/_twin/authenticate/{intent['id']}"
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


def _new_attempt(account: TwinAccount, intent: JsonObject, method: JsonObject) -> JsonObject:
    card = method["card"]
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
        "payment_method_details": {
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
        },
        "setup_error": None,
        "setup_intent": intent["id"],
        "status": "processing",
        "usage": intent["usage"],
    }
