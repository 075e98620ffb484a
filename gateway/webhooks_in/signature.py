"""Stripe's signatures: https://docs.stripe.com/webhooks#verify-manually

The SDK's check is not used: it takes an empty secret in some versions, accepts timestamps of the
future, and knows one secret only.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum

SCHEME = "v1"
TOLERANCE = timedelta(minutes=5)
# A header that Stripe makes holds a time and one signature per active secret.
MAX_HEADER_CHARACTERS = 4096
MAX_SIGNATURES = 16


class SignatureProblem(Enum):
    """Why a body is not known to come from Stripe."""

    MISSING = "missing"
    MALFORMED = "malformed"
    MISMATCH = "mismatch"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"


def find_signature_problem(
    body: bytes,
    header: str | None,
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> SignatureProblem | None:
    """What is wrong with the signature of a raw body; None if one of the secrets made it.

    Raises `ValueError` for an empty secret or none at all: that is our mistake, not the sender's.
    """
    if not secrets or any(not secret.strip() for secret in secrets):
        raise ValueError("a webhook needs at least one secret, and none may be empty")
    if not header:
        return SignatureProblem.MISSING
    parsed = _parse(header)
    if parsed is None:
        return SignatureProblem.MALFORMED
    timestamp, signatures = parsed
    if not _matches(f"{timestamp}.".encode() + body, secrets, signatures):
        return SignatureProblem.MISMATCH
    age = now.timestamp() - timestamp
    if age > tolerance.total_seconds():
        return SignatureProblem.TOO_OLD
    if age < -tolerance.total_seconds():
        return SignatureProblem.IN_FUTURE
    return None


def _parse(header: str) -> tuple[int, list[bytes]] | None:
    if len(header) > MAX_HEADER_CHARACTERS or not header.isascii():
        return None
    timestamps: list[str] = []
    signatures: list[bytes] = []
    for item in header.split(","):
        name, _, value = item.strip().partition("=")
        if name == "t":
            timestamps.append(value)
        elif name == SCHEME:
            signatures.append(value.encode())
    if len(timestamps) != 1 or not 1 <= len(signatures) <= MAX_SIGNATURES:
        return None
    # The very digits are signed, so "007" or "+7" is not the same time as "7".
    if not timestamps[0].isdigit() or len(timestamps[0]) > 12:
        return None
    timestamp = int(timestamps[0])
    return (timestamp, signatures) if str(timestamp) == timestamps[0] else None


def _matches(signed: bytes, secrets: Sequence[str], signatures: Sequence[bytes]) -> bool:
    matched = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        for signature in signatures:
            # No early end: the time taken says nothing about which secret was close.
            matched |= hmac.compare_digest(expected, signature)
    return matched
