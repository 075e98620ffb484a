"""Bank debits: an attempt is `processing` for days, until the customer's bank pays or refuses.

https://docs.stripe.com/payments/ach-direct-debit, https://docs.stripe.com/payments/sepa-debit and
the other pages of https://docs.stripe.com/payments/bank-debits. What a bank returns after it has
paid comes as a dispute that is lost from the beginning.
"""

from functools import partial
from typing import Any

from sandbox.stripe_twin.accounts import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.cards import Decline
from sandbox.stripe_twin.charges import debit_charge
from sandbox.stripe_twin.debit_balance import submit_later, take_back
from sandbox.stripe_twin.disputes import open_dispute
from sandbox.stripe_twin.errors import DOC_URL, invalid_request
from sandbox.stripe_twin.payment_methods import attach_for_future, error_members
from sandbox.stripe_twin.settings import DAY
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.test_accounts import ACSS, BACS, BANK_DEBITS, CURRENCIES

# The customer accepts these on a page of Stripe's, whose mandate the API cannot make.
_MANDATE_AT_STRIPE = frozenset({BACS, ACSS})


def check_type(intent: JsonObject, method: JsonObject) -> None:
    """Raises ApiError (400) if the intent does not take payment methods of this type."""
    allowed = intent["allowed_payment_method_types"]
    if allowed is not None and method["type"] not in allowed:
        raise invalid_request(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. "
            f"Please attach a PaymentMethod of one of the following types: {', '.join(allowed)}.",
            param="payment_method",
        )


def check_debit(
    account: TwinAccount, intent: JsonObject, method: JsonObject, params: dict[str, Any]
) -> None:
    """Raises ApiError (400) if an account cannot be debited like that; nothing has happened then.

    The mandate is one that `mandate_data` makes now, or the account's from before.
    """
    kind = method["type"]
    if kind not in BANK_DEBITS:
        if "mandate_data" in params:
            raise invalid_request(
                "The twin takes no mandate_data for cards.", param="mandate_data", stored=False
            )
        return
    if intent["currency"] not in CURRENCIES[kind]:
        raise invalid_request(
            f"The currency provided ({intent['currency']}) is invalid. Payments with {kind} "
            f"support the following currencies: {', '.join(CURRENCIES[kind])}.",
            param="currency",
        )
    if intent["capture_method"] == "manual":
        raise invalid_request(
            f"The payment method type {kind} does not support manual capture.",
            param="capture_method",
        )
    if "statement_descriptor_suffix" in params:
        raise invalid_request(
            "`statement_descriptor_suffix` is for card charges only.",
            param="statement_descriptor_suffix",
        )
    if account.cards[method["id"]].set_up:
        return
    if "mandate_data" not in params:
        raise invalid_request(
            f"Payments with {kind} need the customer's mandate: provide `mandate_data`, or a "
            "payment method that was set up before.",
            code="parameter_missing",
            param="mandate_data",
        )
    if kind in _MANDATE_AT_STRIPE:
        raise invalid_request(
            f"A mandate of {kind} is accepted on a page of Stripe's.", param="mandate_data"
        )
    _check_acceptance(params["mandate_data"])


def debit(account: TwinAccount, origin: Origin, intent: JsonObject, method: JsonObject) -> None:
    """Takes the debit on; its bank decides later. First the account's holder has to verify it."""
    if not account.cards[method["id"]].verified:
        _verify(account, origin, intent)
        return
    charge = debit_charge(account, intent, method)
    state = account.cards[method["id"]]
    state.used = True
    intent["status"] = "processing"
    intent["next_action"] = None
    intent["last_payment_error"] = None
    intent["latest_charge"] = charge["id"]
    account.emit("charge.pending", charge, origin)
    account.emit("payment_intent.processing", intent, origin)
    if intent["customer"] and intent["setup_future_usage"]:
        attach_for_future(account, method, intent["customer"], origin)
    submit_later(account, charge)
    if not state.card.undecided:
        seconds = account.shared.settings.debit_seconds
        account.shared.clock.after(seconds, partial(_decide, account, intent, charge, method))


def complete_verification(
    account: TwinAccount, intent: JsonObject, method: JsonObject, *, passed: bool
) -> None:
    """What the account's holder says of the deposits: what they are, or too often something else.
    https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#verify-bank-account-with-microdeposits
    """
    intent["next_action"] = None
    if passed:
        account.cards[method["id"]].verified = True
        debit(account, AUTOMATIC, intent, method)
        return
    code = "payment_method_microdeposit_verification_attempts_exceeded"
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    intent["last_payment_error"] = {
        "code": code,
        "doc_url": DOC_URL + code.replace("_", "-"),
        "message": "You have exceeded the number of allowed verification attempts.",
        "payment_method": method,
        "type": "invalid_request_error",
    }
    account.emit("payment_intent.payment_failed", intent)


def _verify(account: TwinAccount, origin: Origin, intent: JsonObject) -> None:
    intent["status"] = "requires_action"
    intent["next_action"] = {
        "type": "verify_with_microdeposits",
        "verify_with_microdeposits": {
            "arrival_date": account.now() + int(DAY),
            "hosted_verification_url": (
                f"{account.shared.public_url}/_twin/authenticate/{intent['id']}"
            ),
            "microdeposit_type": "amounts",
        },
    }
    account.emit("payment_intent.requires_action", intent, origin)


def _check_acceptance(mandate_data: dict[str, Any]) -> None:
    acceptance = mandate_data["customer_acceptance"]
    if acceptance["type"] == "online":
        for name in ("ip_address", "user_agent"):
            if not acceptance.get("online", {}).get(name):
                param = f"mandate_data[customer_acceptance][online][{name}]"
                raise invalid_request(
                    f"Missing required param: {param}.", code="parameter_missing", param=param
                )


def _decide(
    account: TwinAccount, intent: JsonObject, charge: JsonObject, method: JsonObject
) -> None:
    """The bank pays or refuses, unless it was canceled meanwhile."""
    if charge["status"] != "pending":
        return
    state = account.cards[method["id"]]
    failure = state.next_decline()
    if failure is not None:
        _fail(account, intent, charge, method, failure)
        return
    state.set_up = True
    charge |= {
        "amount_captured": charge["amount"],
        "captured": True,
        "paid": True,
        "status": "succeeded",
    }
    intent["status"] = "succeeded"
    intent["amount_received"] = intent["amount"]
    account.emit("charge.succeeded", charge, AUTOMATIC)
    account.emit("payment_intent.succeeded", intent, AUTOMATIC)
    if state.card.dispute is not None:
        later = partial(open_dispute, account, charge, state.card.dispute)
        account.shared.clock.after(account.shared.settings.debit_return_seconds, later)


def _fail(
    account: TwinAccount,
    intent: JsonObject,
    charge: JsonObject,
    method: JsonObject,
    failure: Decline,
) -> None:
    charge |= {
        "failure_code": failure.code,
        "failure_message": failure.message,
        "status": "failed",
    }
    take_back(account, charge, failed=True)
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    intent["last_payment_error"] = {
        **error_members(failure),
        "charge": charge["id"],
        "payment_method": method,
    }
    account.emit("charge.failed", charge, AUTOMATIC)
    account.emit("payment_intent.payment_failed", intent, AUTOMATIC)
