"""Which account a request acts on: its secret key, then `Stripe-Account`."""

import base64
import binascii
from collections.abc import Mapping

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.errors import account_invalid, unauthenticated

_VISIBLE_CHARACTERS = 4


def authenticate(headers: Mapping[str, str], accounts: Mapping[str, TwinAccount]) -> TwinAccount:
    """The account of the request; `accounts` are by key. Raises ApiError (401 or 403)."""
    key = _secret_key(headers.get("Authorization", ""))
    if not key:
        raise unauthenticated(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details."
        )
    account = accounts.get(key)
    if account is None:
        raise unauthenticated(f"Invalid API Key provided: {masked(key)}")
    # The v2 API names the account by a context, at most `platform/account`.
    named = headers.get("Stripe-Account") or headers.get("Stripe-Context", "").split("/")[-1]
    if named in ("", account.account_id):
        return account
    connected = account.connected.get(named)
    if connected is None:
        raise account_invalid(masked(key), named)
    return connected


def _secret_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme == "Bearer":
        return value.strip()
    if scheme == "Basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise unauthenticated("Invalid Authorization header.") from error
    return ""


def masked(key: str) -> str:
    """The key as an error message may show it."""
    return "*" * max(len(key) - _VISIBLE_CHARACTERS, 0) + key[-_VISIBLE_CHARACTERS:]
