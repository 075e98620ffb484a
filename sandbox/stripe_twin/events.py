"""Events: what happened in an account, each with a snapshot of its object at that moment."""

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from sandbox.stripe_twin.errors import missing
from sandbox.stripe_twin.store import JsonObject, page_limit, within

# The version that the pinned SDK speaks; checked by a test.
API_VERSION = "2026-10-28.endive"
# Stripe lists events of the last 30 days; the twin also bounds their number.
RETENTION_SECONDS = 30 * 24 * 60 * 60
MAX_EVENTS = 200_000


@dataclass(slots=True)
class Event:
    """One event. `undelivered` holds the endpoints that have not acknowledged it."""

    event_id: str
    kind: str
    created: int
    snapshot: str
    previous: str | None
    request_id: str | None
    idempotency_key: str | None
    account_id: str | None
    undelivered: set[str] = field(default_factory=set)

    def render(self) -> str:
        """The event as Stripe sends it, as JSON."""
        account = f'"account": "{self.account_id}", ' if self.account_id else ""
        previous = f', "previous_attributes": {self.previous}' if self.previous else ""
        request = json.dumps({"id": self.request_id, "idempotency_key": self.idempotency_key})
        return (
            f'{{"id": "{self.event_id}", "object": "event", {account}'
            f'"api_version": "{API_VERSION}", "created": {self.created}, '
            f'"data": {{"object": {self.snapshot}{previous}}}, "livemode": false, '
            f'"pending_webhooks": {len(self.undelivered)}, "request": {request}, '
            f'"type": "{self.kind}"}}'
        )


class EventLog:
    """The events of one account, oldest first."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, Event] = OrderedDict()

    def add(self, event: Event) -> None:
        """Appends an event and forgets what is too old or too many."""
        self._events[event.event_id] = event
        horizon = event.created - RETENTION_SECONDS
        while self._events:
            oldest = next(iter(self._events.values()))
            if oldest.created >= horizon and len(self._events) <= MAX_EVENTS:
                return
            self._events.popitem(last=False)

    def get(self, event_id: str) -> JsonObject:
        """One event as Stripe answers it."""
        event = self.find(event_id)
        if event is None:
            raise missing("event", event_id, "id")
        return _parsed(event)

    def find(self, event_id: str) -> Event | None:
        """One event, or None."""
        return self._events.get(event_id)

    def all(self) -> list[Event]:
        """Every event that is kept, oldest first."""
        return list(self._events.values())

    def page(self, params: JsonObject) -> JsonObject:
        """A list answer by `type`, `types`, `delivery_success`, `created` and the page."""
        events = list(self._events.values())
        if (before := params.get("ending_before")) is not None:
            events = events[self._index(events, before, "ending_before") + 1 :]
        else:
            if (after := params.get("starting_after")) is not None:
                events = events[: self._index(events, after, "starting_after")]
            events.reverse()
        accepted = [event for event in events if _accepts(event, params)]
        limit = page_limit(params)
        page = accepted[:limit]
        if "ending_before" in params:
            page.reverse()
        return {
            "object": "list",
            "data": [_parsed(event) for event in page],
            "has_more": len(accepted) > limit,
            "url": "/v1/events",
        }

    @staticmethod
    def _index(events: list[Event], event_id: str, param: str) -> int:
        for index, event in enumerate(events):
            if event.event_id == event_id:
                return index
        raise missing("event", event_id, param, 400)


def matches_any(kind: str, patterns: list[str]) -> bool:
    """Whether an event type matches one of e.g. `*`, `charge.*`, `charge.updated`."""
    return any(fnmatchcase(kind, pattern) for pattern in patterns)


def _parsed(event: Event) -> JsonObject:
    parsed: JsonObject = json.loads(event.render())
    return parsed


def _accepts(event: Event, params: JsonObject) -> bool:
    if "type" in params and not matches_any(event.kind, [params["type"]]):
        return False
    if "types" in params and not matches_any(event.kind, params["types"]):
        return False
    if "delivery_success" in params and params["delivery_success"] == bool(event.undelivered):
        return False
    return within(event.created, params.get("created"))
