"""What a request brings along: a bracketed form in the v1 API, JSON in the v2 API."""

import json
from typing import Any

from aiohttp import web

from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.forms import FormError, decode_form


def posted(request: web.BaseRequest, raw: bytes) -> dict[str, Any]:
    """The parameters of a POST. Raises ApiError (400), which no key stores."""
    if raw and request.path.startswith("/v2/"):
        return _json(raw)
    if raw and request.content_type != "application/x-www-form-urlencoded":
        raise invalid_request(
            f"Invalid request (check that your POST content type is "
            f"application/x-www-form-urlencoded): {request.content_type}",
            stored=False,
        )
    return decoded(raw.decode("ascii", errors="replace"))


def queried(text: str) -> dict[str, Any]:
    """The parameters of a GET or DELETE. Raises ApiError (400).

    The SDK's asynchronous `fetch_event` and `fetch_related_object` send a stray `usage`, which
    belongs to its telemetry (16.1); the twin overlooks it.
    """
    found = decoded(text)
    found.pop("usage", None)
    return found


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid_request(f"Invalid JSON: {error}", stored=False) from error
    if not isinstance(body, dict):
        raise invalid_request("Invalid JSON: expected an object", stored=False)
    return body


def decoded(text: str) -> dict[str, Any]:
    """The parameters of a query string or a form. Raises ApiError (400)."""
    try:
        return decode_form(text)
    except FormError as error:
        raise invalid_request(str(error), stored=False) from error
