"""Which handler deals with which type of event."""

import re
from collections.abc import Mapping

from gateway.webhooks_in.event import EventHandler, StripeEvent

WILDCARD = "*"
# Thin events are about the same changes: "v1.charge.updated" is "charge.updated" without a charge.
THIN_PREFIX = "v1."
# "v2.core.account[requirements].updated" is about a part of an account: who cares for the account
# cares for that.
_PART = re.compile(r"\[[^\]]*\]")


class EventRouter:
    """Finds handlers by type: "charge.updated" is more than "charge.*"; other types have none."""

    def __init__(self, routes: Mapping[str, EventHandler]) -> None:
        for pattern in routes:
            head = pattern.removesuffix("." + WILDCARD)
            if WILDCARD in head or not head:
                raise ValueError(f"not a type of event: {pattern!r}")
        self._routes = dict(routes)

    def handler_of(self, event_type: str) -> EventHandler | None:
        """The handler for a type of event; None if nobody cares for it."""
        event_type = _PART.sub("", event_type.removeprefix(THIN_PREFIX))
        if (exact := self._routes.get(event_type)) is not None:
            return exact
        parts = event_type.split(".")
        for length in range(len(parts) - 1, 0, -1):
            found = self._routes.get(".".join([*parts[:length], WILDCARD]))
            if found is not None:
                return found
        return None


def of_the_platform(routes: Mapping[str, EventHandler]) -> dict[str, EventHandler]:
    """The same routes, but only for what is the platform's own.

    A connected account charges for itself, too, with objects of the same kinds that only it has
    (https://docs.stripe.com/connect/direct-charges): they are none of ours, and asking for them in
    the platform's name finds nothing.
    """
    return {event_type: _platform_only(handler) for event_type, handler in routes.items()}


def _platform_only(handler: EventHandler) -> EventHandler:
    async def handle(event: StripeEvent) -> None:
        if event.stripe_account is None:
            await handler(event)

    return handle


def merged(*routes: Mapping[str, EventHandler]) -> dict[str, EventHandler]:
    """The routes of several handlers together; what two of them care for goes to both."""
    handlers: dict[str, EventHandler] = {}
    for listed in routes:
        for event_type, handler in listed.items():
            before = handlers.get(event_type)
            handlers[event_type] = handler if before is None else _both(before, handler)
    return handlers


def _both(first: EventHandler, second: EventHandler) -> EventHandler:
    async def handle(event: StripeEvent) -> None:
        # Handlers are idempotent: if the second one fails, the first one runs again, too.
        await first(event)
        await second(event)

    return handle
