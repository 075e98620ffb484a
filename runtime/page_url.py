"""Addresses of pages that somebody is sent to."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from runtime.addresses import is_loopback
from runtime.rule import Rule
from runtime.rules import check, text

MAX_URL_BYTES = 2048


def problem_with_page_url(value: str) -> str | None:
    """Why nobody may be sent there: https, or http on this machine; None if one may."""
    if any(character.isspace() for character in value):
        return "is not a URL"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        return "is not a URL"
    if not host:
        return "is not a URL"
    # Stripe takes http in test mode; here for this machine only.
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(f"{host}:{port}")):
        return None
    return "is not an https URL"


def page_url(field: str, *, required: bool = True) -> Sequence[Rule]:
    """A field with such an address."""

    def problem(request: Any) -> str | None:
        value = getattr(request, field)
        return problem_with_page_url(value) if value else None

    return text(field, required=required, max_bytes=MAX_URL_BYTES), check(field, problem)
