"""The pages that Stripe hosts: a customer authenticates, a merchant is onboarded."""

from html import escape
from urllib.parse import urlencode

from sandbox.stripe_twin.store import JsonObject


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
