"""An attempt to pay a PaymentIntent: 3-D Secure, the issuer's answer, what follows from it."""

from functools import partial
from typing import Any

from sandbox.stripe_twin.accounts import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.bank_debits import check_debit, check_type, complete_verification, debit
from sandbox.stripe_twin.cards import (
    AUTHENTICATION_REQUIRED,
    Authentication,
    Decline,
)
from sandbox.stripe_twin.charges import (
    expire_later,
    new_charge,
    new_failed_charge,
    settle,
    settle_later,
)
from sandbox.stripe_twin.errors import DOC_URL, invalid_request
from sandbox.stripe_twin.payment_methods import (
    attach_for_future,
    card_failure,
    ensure_usable,
    error_members,
)
from sandbox.stripe_twin.radar import blocked_by_radar
from sandbox.stripe_twin.store import JsonObject


def check_confirmable(
    account: TwinAccount,
    intent: JsonObject,
    method: JsonObject | None,
    params: dict[str, Any],
) -> JsonObject:
    """The payment method of an attempt, `method` or the one that the intent has.

    Raises ApiError (400) if the attempt cannot be made; nothing has happened then.
    """
    if method is None:
        if intent["payment_method"] is None:
            raise invalid_request(
                "You cannot confirm this PaymentIntent because it's missing a payment method. You "
                "can either update the PaymentIntent with a payment method and then confirm it "
                "again, or confirm it again directly with a payment method or ConfirmationToken.",
                code="payment_intent_unexpected_state",
            )
        method = account.objects("payment_method").get(intent["payment_method"])
    _require_return_url(intent, params, _is_off_session(params.get("off_session")))
    ensure_usable(account, method, intent["customer"])
    check_type(intent, method)
    check_debit(account, intent, method, params)
    return method


def attempt(
    account: TwinAccount,
    origin: Origin,
    intent: JsonObject,
    method: JsonObject,
    params: dict[str, Any],
) -> None:
    """Attempts the payment. Raises ApiError (402) if the card was refused."""
    off_session = _is_off_session(params.get("off_session"))
    intent["payment_method"] = method["id"]
    if method["type"] != "card":
        debit(account, origin, intent, method)
        return
    if _wants_authentication(account, intent, method, params, off_session):
        if off_session or params.get("error_on_requires_action"):
            _decline(account, origin, intent, method, AUTHENTICATION_REQUIRED)
            raise _refusal(intent, method, AUTHENTICATION_REQUIRED)
        _require_action(account, origin, intent, params)
        return
    if off_session and account.cards[method["id"]].card.notified:
        _process(account, origin, intent, method)
        return
    decline = charge_card(account, origin, intent, method, authenticated=False)
    if decline is not None:
        raise _refusal(intent, method, decline)


def complete_authentication(account: TwinAccount, intent: JsonObject, *, passed: bool) -> None:
    """What the customer did on the page of 3-D Secure, or of verifying an account. Raises
    ValueError if nobody asked for it."""
    if intent["status"] != "requires_action":
        raise ValueError(f"{intent['id']} does not wait for an authentication")
    method = account.objects("payment_method").get(intent["payment_method"])
    if method["type"] != "card":
        complete_verification(account, intent, method, passed=passed)
        return
    intent["next_action"] = None
    if not passed:
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        intent["last_payment_error"] = {
            "code": "payment_intent_authentication_failure",
            "doc_url": DOC_URL + "payment-intent-authentication-failure",
            "message": "The provided PaymentMethod has failed authentication. You can provide "
            "payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent "
            "again.",
            "payment_method": method,
            "type": "invalid_request_error",
        }
        account.emit("payment_intent.payment_failed", intent)
        return
    if intent["confirmation_method"] == "manual":
        account.cards[method["id"]].set_up = True
        intent["status"] = "requires_confirmation"
        return
    charge_card(account, AUTOMATIC, intent, method, authenticated=True)


def charge_card(
    account: TwinAccount,
    origin: Origin,
    intent: JsonObject,
    method: JsonObject,
    *,
    authenticated: bool,
) -> Decline | None:
    """Asks the issuer; the intent becomes paid, authorised or open again with the decline given."""
    state = account.cards[method["id"]]
    decline = blocked_by_radar(account, state) or state.next_decline()
    if decline is None and account.course is not None:
        decline = account.course.decline()
    if decline is not None:
        _decline(account, origin, intent, method, decline)
        return decline
    charge = new_charge(account, intent, method, authenticated=authenticated)
    state.used = True
    intent["latest_charge"] = charge["id"]
    intent["last_payment_error"] = None
    if intent["setup_future_usage"] and intent["customer"]:
        attach_for_future(account, method, intent["customer"], origin)
    if intent["capture_method"] == "manual":
        intent["status"] = "requires_capture"
        intent["amount_capturable"] = intent["amount"]
        account.emit("charge.succeeded", charge, origin)
        account.emit("payment_intent.amount_capturable_updated", intent, origin)
        expire_later(account, intent, charge)
        return None
    intent["status"] = "succeeded"
    intent["amount_received"] = intent["amount"]
    if intent["capture_method"] == "automatic":
        settle(account, charge, charge["amount_captured"])
    account.emit("charge.succeeded", charge, origin)
    account.emit("payment_intent.succeeded", intent, origin)
    if intent["capture_method"] == "automatic_async":
        settle_later(account, charge)
    return None


def _process(account: TwinAccount, origin: Origin, intent: JsonObject, method: JsonObject) -> None:
    """The card's bank tells its customer first, and decides later: an Indian e-mandate.
    https://docs.stripe.com/india-recurring-payments"""
    seconds = account.shared.settings.processing_seconds
    intent["status"] = "processing"
    intent["next_action"] = None
    intent["last_payment_error"] = None
    intent["processing"] = {
        "card": {
            "customer_notification": {
                "approval_requested": False,
                "completes_at": account.now() + int(seconds),
            }
        },
        "type": "card",
    }
    account.emit("payment_intent.processing", intent, origin)
    account.shared.clock.after(seconds, partial(_processed, account, intent, method))


def _processed(account: TwinAccount, intent: JsonObject, method: JsonObject) -> None:
    """The bank decides, unless it was canceled meanwhile."""
    if intent["status"] == "processing":
        intent["processing"] = None
        charge_card(account, AUTOMATIC, intent, method, authenticated=False)


def _is_off_session(value: object) -> bool:
    # A form has no booleans: `true` comes as text, beside the named kinds of off-session payment.
    return value is True or value in ("true", "one_off", "recurring")


def _require_return_url(intent: JsonObject, params: dict[str, Any], off_session: bool) -> None:
    automatic = intent["automatic_payment_methods"]
    if automatic is None or not automatic["enabled"] or off_session:
        return
    if automatic["allow_redirects"] == "never" or "return_url" in params:
        return
    raise invalid_request(
        "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "
        "Because some of these payment methods might redirect your customer off of your page, you "
        "must provide a `return_url`. If you don't want to accept redirect-based payment methods, "
        "set `automatic_payment_methods[enabled]` to `true` and "
        "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
        "Payment Intents."
    )


def _wants_authentication(
    account: TwinAccount,
    intent: JsonObject,
    method: JsonObject,
    params: dict[str, Any],
    off_session: bool,
) -> bool:
    state = account.cards[method["id"]]
    if intent["confirmation_method"] == "manual" and state.set_up:
        return False
    given = params.get("payment_method_options", {}).get("card", {})
    request = intent["payment_method_options"]["card"]["request_three_d_secure"]
    if isinstance(given, dict):
        request = given.get("request_three_d_secure", request)
    match state.card.authentication:
        case Authentication.NEVER:
            return False
        case Authentication.ALWAYS:
            return True
        case Authentication.UNLESS_SET_UP:
            return not (off_session and state.set_up)
        case Authentication.ON_SESSION:
            return not off_session
        case Authentication.OPTIONAL:
            return request in ("any", "challenge") and not off_session


def _require_action(
    account: TwinAccount, origin: Origin, intent: JsonObject, params: dict[str, Any]
) -> None:
    token = account.shared.identifiers.token(24)
    url = f"{account.shared.public_url}/_twin/authenticate/{intent['id']}"
    if "return_url" in params and not params.get("use_stripe_sdk"):
        intent["next_action"] = {
            "redirect_to_url": {"return_url": params["return_url"], "url": url},
            "type": "redirect_to_url",
        }
    else:
        intent["next_action"] = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {
                "source": f"src_{token}",
                "stripe_js": url,
                "type": "three_d_secure_redirect",
            },
        }
    intent["status"] = "requires_action"
    account.emit("payment_intent.requires_action", intent, origin)


def _decline(
    account: TwinAccount, origin: Origin, intent: JsonObject, method: JsonObject, decline: Decline
) -> None:
    charge = new_failed_charge(account, intent, method, decline)
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    intent["next_action"] = None
    intent["latest_charge"] = charge["id"]
    intent["last_payment_error"] = {
        **error_members(decline),
        "charge": charge["id"],
        "payment_method": method,
    }
    account.emit("charge.failed", charge, origin)
    account.emit("payment_intent.payment_failed", intent, origin)


def _refusal(intent: JsonObject, method: JsonObject, decline: Decline) -> Exception:
    return card_failure(decline, method, charge=intent["latest_charge"], payment_intent=intent)
