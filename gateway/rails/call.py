"""One call to Stripe, as data, and what decides about it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import stripe
from stripe import RequestOptions

Params = Mapping[str, Any]
Options = RequestOptions
Send = Callable[[stripe.StripeClient, Options], Awaitable[Any]]


class UnknownCorridorError(LookupError):
    """No corridor of this name is configured."""


class Priority(Enum):
    """Who waits for the call; background calls leave tokens for customers."""

    CUSTOMER_PRESENT = "customer_present"
    BACKGROUND = "background"


class RailMode(Enum):
    """What operators allow on a corridor."""

    OPEN = "OPEN"
    DRAIN = "DRAIN"
    CLOSED = "CLOSED"


class Modes(Protocol):
    """Knows what operators allow."""

    def mode_of(self, corridor: str) -> RailMode:
        """The mode of a corridor, as far as this replica knows."""
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


def form(params: Params | None) -> Any:
    """Parameters as the SDK wants them; it types each endpoint's as another TypedDict."""
    return dict(params) if params is not None else None
