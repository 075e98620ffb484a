"""Which handler deals with which type of event."""

from collections.abc import Mapping

from gateway.webhooks.event import EventHandler

WILDCARD = "*"


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
        if (exact := self._routes.get(event_type)) is not None:
            return exact
        parts = event_type.split(".")
        for length in range(len(parts) - 1, 0, -1):
            found = self._routes.get(".".join([*parts[:length], WILDCARD]))
            if found is not None:
                return found
        return None
