"""An endpoint, what is sent to it, and how it is signed: frozen values and pure rules.

Signatures as Standard Webhooks has them: https://www.standardwebhooks.com"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
# An endpoint at which every attempt has failed for so long is not sent to any more.
DISABLE_AFTER = timedelta(days=5)
DEFAULT_IN_FLIGHT, MAX_IN_FLIGHT = 4, 16
# How long a secret signs beside the one that follows it.
DEFAULT_OVERLAP = timedelta(hours=24)
HTTP_GONE = 410


class EndpointState(StrEnum):
    """Whether an endpoint is sent to."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    DELETED = "DELETED"


class DisableCause(StrEnum):
    """Why an endpoint is disabled."""

    CLIENT = "client"
    FAILING = "failing"
    GONE = "gone"


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one client has changes of payments sent to."""

    id: str
    url: str
    description: str
    merchant_id: str
    transitions: tuple[str, ...]
    max_in_flight: int
    state: EndpointState
    disable_cause: str
    dispatched_sequence: int
    failing_since: datetime | None
    create_time: datetime
    update_time: datetime

    def takes(self, merchant_id: str, transition: str) -> bool:
        """Whether an event passes the endpoint's filters."""
        if self.merchant_id and self.merchant_id != merchant_id:
            return False
        return not self.transitions or transition in self.transitions


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request to an endpoint; `failure` is empty if it was taken."""

    http_status: int = 0
    failure: str = ""
    # How long the endpoint asks us to wait.
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a delivery goes on after an attempt; `wait` is None when it has ended."""

    state: DeliveryState
    wait: timedelta | None = None


def after_attempt(attempts: int, attempt: Attempt, uniform: Callable[[], float]) -> Verdict:
    """What follows from the `attempts`-th attempt; `uniform` gives numbers in [0, 1)."""
    if not attempt.failure:
        return Verdict(DeliveryState.DELIVERED)
    if attempts >= MAX_ATTEMPTS:
        return Verdict(DeliveryState.DEAD)
    wait = RETRY_SCHEDULE[attempts - 1] * (1 + MAX_JITTER * uniform())
    asked = min(attempt.retry_after or timedelta(0), MAX_RETRY_AFTER)
    return Verdict(DeliveryState.PENDING, max(wait, asked))


def endpoint_after(endpoint: Endpoint, attempt: Attempt, now: datetime) -> Endpoint:
    """The endpoint after an attempt: well again, failing, or disabled."""
    if not attempt.failure:
        if endpoint.failing_since is None:
            return endpoint
        return replace(endpoint, failing_since=None, update_time=now)
    since = endpoint.failing_since or now
    failing = replace(endpoint, failing_since=since, update_time=now)
    if endpoint.state is not EndpointState.ENABLED:
        return failing
    if attempt.http_status == HTTP_GONE:
        return disabled(failing, DisableCause.GONE, now)
    if now - since >= DISABLE_AFTER:
        return disabled(failing, DisableCause.FAILING, now)
    return failing


def disabled(endpoint: Endpoint, cause: DisableCause, now: datetime) -> Endpoint:
    """The endpoint, not sent to any more."""
    return replace(endpoint, state=EndpointState.DISABLED, disable_cause=cause, update_time=now)


def enabled(endpoint: Endpoint, now: datetime) -> Endpoint:
    """The endpoint, sent to again, with as long to fail as a new one."""
    return replace(
        endpoint,
        state=EndpointState.ENABLED,
        disable_cause="",
        failing_since=None,
        update_time=now,
    )


SECRET_PREFIX = "whsec_"  # noqa: S105 (what every secret begins with)
SECRET_BYTES = 32
VERSION = "v1"


def new_secret() -> str:
    """A fresh secret, as it is shown to the client."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def webhook_id(epoch: int, sequence: int) -> str:
    """The message's id: the same for every attempt and replay of one event, and of no other one,
    though the gateway was restored and gives the sequence again."""
    return f"evt_{epoch}_{sequence}" if epoch else f"evt_{sequence}"


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
