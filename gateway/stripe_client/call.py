"""One call to Stripe, as data, and what decides about it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Protocol

import stripe
from stripe import RequestOptions

from gateway.stripe_client.classify import Verdict
from runtime.backoff import Backoff

Params = Mapping[str, Any]
Options = RequestOptions
Send = Callable[[stripe.StripeClient, Options], Awaitable[Any]]


class UnknownCorridorError(LookupError):
    """No corridor of this name is configured."""


class Priority(Enum):
    """Who waits for the call: when not all can be sent, the lowest is shed first."""

    CUSTOMER_PRESENT = "customer_present"
    """A customer stands before the screen."""
    OFF_SESSION = "off_session"
    """A customer's payment, but nobody waits for it now."""
    BACKGROUND = "background"
    """What webhooks and schedules have us read or do."""


_background: ContextVar[bool] = ContextVar("stripe_background", default=False)


@contextmanager
def background() -> Iterator[None]:
    """Calls inside the block that name no priority are background work."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def priority_of(named: Priority | None) -> Priority:
    """The priority of a call that names this one, or none."""
    if named is not None:
        return named
    return Priority.BACKGROUND if _background.get() else Priority.CUSTOMER_PRESENT


class CorridorMode(Enum):
    """What operators allow on a corridor."""

    OPEN = "OPEN"
    DRAIN = "DRAIN"
    CLOSED = "CLOSED"


class Modes(Protocol):
    """Knows what operators allow."""

    def mode_of(self, corridor: str) -> CorridorMode:
        """The mode of a corridor, as far as this replica knows."""
        ...


class CallObserver(Protocol):
    """Is told of each request that goes out, and of how it ended."""

    def begun(self, corridor: str) -> int:
        """A request goes out; the ticket is for `ended`."""
        ...

    def ended(self, ticket: int, call: "Call", verdict: Verdict | None) -> None:
        """It came back or was given up; without a verdict it was broken off."""
        ...


@dataclass(frozen=True)
class Call:
    """One call, the same for each of its requests."""

    endpoint_group: str
    send: Send
    options: Options
    begins: bool
    """Whether it begins something new at Stripe, which a drained corridor refuses."""
    priority: Priority
    changes: bool = False
    """Whether it changes something, as opposed to reading: Stripe counts the two apart."""
    object_id: str = ""
    """The object that it changes, where Stripe limits changes of one object."""
    seconds: float | None = None
    """How long one request may take where that is longer than the corridor's."""

    @property
    def bucket(self) -> str:
        """What its rate is counted under."""
        return self.endpoint_group if self.changes else f"{self.endpoint_group}:read"


def form(params: Params | None) -> Any:
    """Parameters as the SDK wants them; it types each endpoint's as another TypedDict."""
    return dict(params) if params is not None else None


RESENDING = Backoff(timedelta(milliseconds=200), timedelta(seconds=4))


@dataclass(frozen=True)
class RetryPolicy:
    """Bounds of the resending of one call; the caller's deadline bounds it as well."""

    max_attempts: int = 4
    """Requests, the first included."""
    backoff: Backoff = RESENDING
    """The wait after each, which is never less than Stripe asks for."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("a retry policy needs an attempt")
