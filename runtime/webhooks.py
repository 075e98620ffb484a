"""Outgoing webhooks: what came of a request, when it is sent again, and how it is signed. Frozen
values and pure rules.

Signatures as Standard Webhooks has them: https://www.standardwebhooks.com"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# Waits before the second attempt and each further one, about three days in all:
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
RETRY_SCHEDULE = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MAX_ATTEMPTS = len(RETRY_SCHEDULE) + 1
# Each wait is made longer by up to this part, so that endpoints are not met by waves.
MAX_JITTER = 0.2
# An endpoint that asks for a longer wait than this is tried sooner.
MAX_RETRY_AFTER = timedelta(hours=24)


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request to an endpoint; `failure` is empty if it was taken."""

    http_status: int = 0
    failure: str = ""
    # How long the endpoint asks us to wait.
    retry_after: timedelta | None = None
    # Whether it will never be taken, however often it is sent.
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a delivery goes on after an attempt; `wait` is None when it has ended."""

    state: DeliveryState
    wait: timedelta | None = None


def after_attempt(attempts: int, attempt: Attempt, uniform: Callable[[], float]) -> Verdict:
    """What follows from the `attempts`-th attempt; `uniform` gives numbers in [0, 1)."""
    if not attempt.failure:
        return Verdict(DeliveryState.DELIVERED)
    if attempts >= MAX_ATTEMPTS or attempt.is_final:
        return Verdict(DeliveryState.DEAD)
    wait = RETRY_SCHEDULE[attempts - 1] * (1 + MAX_JITTER * uniform())
    asked = min(attempt.retry_after or timedelta(0), MAX_RETRY_AFTER)
    return Verdict(DeliveryState.PENDING, max(wait, asked))


SECRET_PREFIX = "whsec_"  # noqa: S105 (what every secret begins with)
SECRET_BYTES = 32
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
VERSION = "v1"


def new_secret() -> str:
    """A fresh secret, as it is shown to the client."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def secret_problem(secret: str) -> str | None:
    """What is wrong with a secret that somebody has set; never the secret itself."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if secret.startswith(SECRET_PREFIX) and MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        return None
    return f"is not {SECRET_PREFIX} and base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"


def signed_headers(
    message_id: str, now: datetime, body: bytes, signed_with: Sequence[str]
) -> Mapping[str, str]:
    """The three headers; one signature per secret. Raises ValueError without any secret."""
    if not signed_with:
        raise ValueError("a message is signed with at least one secret")
    timestamp = str(int(now.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, content) for secret in signed_with),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"
