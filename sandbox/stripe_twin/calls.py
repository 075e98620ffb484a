"""One API call: whose key it carries, what its handler is given, which route leads there.

A request acts on the account of its secret key, then on that of `Stripe-Account`. Routes are looked
up by method and path without regular expressions.
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.stripe_twin.accounts import Origin, TwinAccount
from sandbox.stripe_twin.errors import account_invalid, unauthenticated
from sandbox.stripe_twin.store import Collection, JsonObject

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


@dataclass(slots=True)
class Call:
    """`path` holds the parts of the URL that the route names, `params` the checked parameters."""

    account: TwinAccount
    path: dict[str, str]
    params: dict[str, Any]
    origin: Origin

    def objects(self, kind: str) -> Collection:
        """All objects of a kind in the account that the call acts on."""
        return self.account.objects(kind)

    def emit(self, kind: str, item: JsonObject, previous: JsonObject | None = None) -> None:
        """Records an event that this call caused."""
        self.account.emit(kind, item, self.origin, previous)


def merge_metadata(item: JsonObject, changes: Any) -> None:
    """Applies `metadata` of an update: an empty value removes its key, `""` removes all."""
    if changes is None:
        return
    if changes == "":
        item["metadata"] = {}
        return
    merged = {**item["metadata"], **changes}
    item["metadata"] = {key: value for key, value in merged.items() if value != ""}


@dataclass(frozen=True, slots=True)
class Content:
    """An answer that is no object: the bytes of a file."""

    body: bytes
    content_type: str


Handler = Callable[[Call], JsonObject | Content]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `params` names the SDK's parameter type that its parameters must satisfy."""

    method: str
    pattern: str
    handler: Handler
    params: str


class Router:
    """Finds the route of a request; a fixed segment wins over a named one."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._named: dict[tuple[str, int], list[tuple[list[str], Route]]] = defaultdict(list)
        for route in routes:
            segments = route.pattern.split("/")
            if "{" in route.pattern:
                self._named[route.method, len(segments)].append((segments, route))
            else:
                self._fixed[route.method, route.pattern] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the named parts of the path."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}
        given = path.split("/")
        for segments, candidate in self._named.get((method, len(given)), ()):
            parts = _match(segments, given)
            if parts is not None:
                return candidate, parts
        return None


def _match(segments: list[str], given: list[str]) -> dict[str, str] | None:
    parts: dict[str, str] = {}
    for segment, value in zip(segments, given, strict=True):
        if segment.startswith("{"):
            if not value:
                return None
            parts[segment[1:-1]] = value
        elif segment != value:
            return None
    return parts
