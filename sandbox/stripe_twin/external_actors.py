"""The external actors around Stripe: customers, banks, merchants, registers.

The pages that Stripe hosts for them, and the admin endpoints that play them.
"""

from html import escape
from typing import Any, Literal
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sandbox.stripe_twin.admin import AdminCall, AdminHandler
from sandbox.stripe_twin.disputes import DisputeMove
from sandbox.stripe_twin.identity import SESSION, begin_verification
from sandbox.stripe_twin.overrides import (
    AccountState,
    BalanceEntry,
    CardOverride,
    ExternalAccountState,
    PersonState,
)
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.tax import set_verification


def challenge_page(intent: JsonObject) -> str:
    """The page for a PaymentIntent or SetupIntent that waits for 3-D Secure."""
    what = "Setup of a card"
    if intent["object"] == "payment_intent":
        what = f"Payment of {intent['amount']} {intent['currency'].upper()} (minor units)"
    base = f"/_twin/authenticate/{escape(intent['id'], quote=True)}"
    return (
        "<!doctype html><title>3-D Secure test page</title>"
        f"<h1>3-D Secure test page</h1><p>{escape(what)}</p>"
        f'<form method="post" action="{base}/succeed"><button>Complete</button></form>'
        f'<form method="post" action="{base}/fail"><button>Fail</button></form>'
    )


def onboarding_page(account_id: str) -> str:
    """The page behind an account link."""
    account = escape(account_id, quote=True)
    return (
        "<!doctype html><title>Onboarding test page</title>"
        f"<h1>Onboarding test page</h1><p>Account {account}</p>"
        f'<form method="post" action="/_twin/onboarding/{account}">'
        "<button>Give everything that is asked for</button></form>"
    )


def identity_page(session: JsonObject) -> str:
    """The page of a verification session."""
    base = f"/_twin/identity/{escape(session['id'], quote=True)}"
    return (
        "<!doctype html><title>Identity test page</title><h1>Identity test page</h1>"
        f'<form method="post" action="{base}/verify"><button>Verify</button></form>'
        f'<form method="post" action="{base}/fail/document_unverified_other">'
        "<button>Fail</button></form>"
    )


def return_address(intent: JsonObject) -> str | None:
    """Where the customer goes afterwards, with what Stripe adds to the merchant's URL."""
    action = intent["next_action"]
    if action is None or action["type"] != "redirect_to_url":
        return None
    address: str = action["redirect_to_url"]["return_url"]
    kind = intent["object"]
    query = urlencode({kind: intent["id"], f"{kind}_client_secret": intent["client_secret"]})
    return f"{address}{'&' if '?' in address else '?'}{query}"


class TaxIdVerdict(BaseModel):
    """The body of POST /_twin/tax_ids/{id}."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["pending", "unavailable", "unverified", "verified"]
    verified_name: str | None = None


class DocumentVerdict(BaseModel):
    """The body of POST /_twin/documents/{account}; without an error it was accepted."""

    model_config = ConfigDict(extra="forbid")

    field: str
    error: str | None = None


def get_authenticate(call: AdminCall) -> Any:
    """GET authenticate/{intent}: the customer's 3-D Secure page."""
    intent = _intent(call, call.rest[0])
    return web.Response(text=challenge_page(intent), content_type="text/html")


def post_authenticate(call: AdminCall) -> Any:
    """POST authenticate/{intent}/succeed or /fail: what the customer does there."""
    intent_id, outcome = call.rest
    if outcome not in ("succeed", "fail"):
        raise LookupError(outcome)
    intent = _intent(call, intent_id)
    back = return_address(intent)
    call.twin.complete_authentication(intent_id, passed=outcome == "succeed")
    if back is not None and call.wants_page:
        return web.Response(status=303, headers={"Location": back})
    return intent


def post_refunds(call: AdminCall) -> Any:
    """POST refunds/{id}/fail: the bank returns a refund."""
    refund_id, verb = call.rest
    if verb != "fail":
        raise LookupError(verb)
    return call.twin.fail_refund(refund_id)


def post_accounts(call: AdminCall) -> Any:
    """POST accounts/{id}: sets a connected account's requirements, capabilities and switches."""
    return call.twin.override_account(call.rest[0], AccountState.model_validate_json(call.body))


def post_persons(call: AdminCall) -> Any:
    """POST persons/{id}: sets what Stripe wants of a person, and whether it was verified."""
    return call.twin.override_person(call.rest[0], PersonState.model_validate_json(call.body))


def post_external_accounts(call: AdminCall) -> Any:
    """POST external_accounts/{id}: sets whether payouts reach it, and what is wanted for it."""
    state = ExternalAccountState.model_validate_json(call.body)
    return call.twin.override_external_account(call.rest[0], state)


def post_documents(call: AdminCall) -> Any:
    """POST documents/{account}: what comes of a document that answers a requirement."""
    verdict = DocumentVerdict.model_validate_json(call.body)
    return call.twin.decide_document(call.rest[0], verdict.field, verdict.error)


def get_onboarding(call: AdminCall) -> Any:
    """GET onboarding/{account}/{token}: the page behind an account link."""
    account_id, _ = call.rest
    page = onboarding_page(account_id)
    return web.Response(text=page, content_type="text/html")


def post_onboarding(call: AdminCall) -> Any:
    """POST onboarding/{account}: the merchant gives everything that is asked for."""
    return call.twin.complete_onboarding(call.rest[0])


def post_tax_ids(call: AdminCall) -> Any:
    """POST tax_ids/{id}: what the register says of a tax id."""
    verdict = TaxIdVerdict.model_validate_json(call.body)
    account, item = call.twin.state.locate("tax_id", call.rest[0])
    set_verification(account, item, verdict.status, verdict.verified_name)
    return item


def post_charges(call: AdminCall) -> Any:
    """POST charges/{id}/dispute/{reason}?amount=: the card holder disputes, or inquires."""
    charge_id, verb, reason = call.rest
    if verb != "dispute":
        raise LookupError(verb)
    amount = call.query.get("amount")
    return call.twin.open_dispute(charge_id, reason, int(amount) if amount else None)


def post_disputes(call: AdminCall) -> Any:
    """POST disputes/{id}/win?amount=, /lose, /escalate, /appeal or /move: the bank decides, or
    goes on, or money moves."""
    dispute_id, outcome = call.rest
    match outcome:
        case "win" | "lose":
            amount = call.query.get("amount")
            return call.twin.decide_dispute(
                dispute_id,
                won=outcome == "win",
                reinstated=int(amount) if amount else None,
            )
        case "move":
            return call.twin.move_dispute(dispute_id, DisputeMove.model_validate_json(call.body))
        case "escalate":
            return call.twin.escalate_dispute(dispute_id)
        case "appeal":
            return call.twin.offer_appeal(dispute_id)
    raise LookupError(outcome)


def post_payouts(call: AdminCall) -> Any:
    """POST payouts/{account}/run/{currency}, payouts/{id}/fail/{code}: pays out, or returns it."""
    subject, verb, detail = call.rest
    if verb == "run":
        return call.twin.pay_out(subject, detail)
    if verb == "fail":
        return call.twin.fail_payout(subject, detail)
    raise LookupError(verb)


def post_balance_transactions(call: AdminCall) -> Any:
    """POST balance_transactions/{account}: books a transaction of any type."""
    entry = BalanceEntry.model_validate_json(call.body)
    return call.twin.record_transaction(call.rest[0], entry)


def post_cards(call: AdminCall) -> Any:
    """POST cards/{payment_method} `{"decline", "times"}`: how a card answers from now on."""
    return call.twin.override_card(call.rest[0], CardOverride.model_validate_json(call.body))


def get_identity(call: AdminCall) -> Any:
    """GET identity/{session}: the page where a person proves who she is."""
    _, session = call.twin.state.locate(SESSION, call.rest[0])
    return web.Response(text=identity_page(session), content_type="text/html")


def post_identity(call: AdminCall) -> Any:
    """POST identity/{session}/process, /verify, /fail/{code} or /redacted: what she shows, the
    check, and that it is removed."""
    match call.rest:
        case (session, "process"):
            account, item = call.twin.state.locate(SESSION, session)
            begin_verification(account, item)
            return item
        case (session, "verify"):
            return call.twin.finish_verification(session)
        case (session, "fail", code):
            return call.twin.finish_verification(session, code)
        case (session, "redacted"):
            return call.twin.finish_redaction(session)
    raise LookupError("/".join(call.rest))


def _intent(call: AdminCall, identifier: str) -> JsonObject:
    kind = "setup_intent" if identifier.startswith("seti_") else "payment_intent"
    return call.twin.state.locate(kind, identifier)[1]


ACTOR_ROUTES: dict[tuple[str, str], AdminHandler] = {
    ("GET", "authenticate"): get_authenticate,
    ("POST", "authenticate"): post_authenticate,
    ("POST", "refunds"): post_refunds,
    ("POST", "accounts"): post_accounts,
    ("POST", "persons"): post_persons,
    ("POST", "external_accounts"): post_external_accounts,
    ("POST", "documents"): post_documents,
    ("GET", "onboarding"): get_onboarding,
    ("POST", "onboarding"): post_onboarding,
    ("POST", "tax_ids"): post_tax_ids,
    ("POST", "charges"): post_charges,
    ("POST", "disputes"): post_disputes,
    ("POST", "payouts"): post_payouts,
    ("POST", "balance_transactions"): post_balance_transactions,
    ("POST", "cards"): post_cards,
    ("GET", "identity"): get_identity,
    ("POST", "identity"): post_identity,
}
