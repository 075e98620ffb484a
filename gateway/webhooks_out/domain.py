"""An endpoint and what is sent to it: frozen values and pure rules."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from runtime.webhooks import Attempt

# An endpoint at which every attempt has failed for so long is not sent to any more.
DISABLE_AFTER = timedelta(days=5)
DEFAULT_IN_FLIGHT, MAX_IN_FLIGHT = 4, 16
# How long a secret signs beside the one that follows it.
DEFAULT_OVERLAP = timedelta(hours=24)
HTTP_GONE = 410


class Feed(StrEnum):
    """What an endpoint takes changes of."""

    PAYMENTS = "PAYMENTS"
    INCIDENTS = "INCIDENTS"


# What ids of messages begin with. One URL may be of two endpoints: no id is of changes of both.
ID_PREFIXES = {Feed.PAYMENTS: "evt", Feed.INCIDENTS: "inc"}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where changes of one feed are sent to."""

    id: str
    feed: Feed
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


def webhook_id(feed: Feed, epoch: int, sequence: int) -> str:
    """The message's id: the same for every attempt and replay of one event, and of no other one,
    though the gateway was restored and gives the sequence again."""
    prefix = ID_PREFIXES[feed]
    return f"{prefix}_{epoch}_{sequence}" if epoch else f"{prefix}_{sequence}"
