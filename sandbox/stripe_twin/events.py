"""Events: what happened in an account, each with a snapshot of its object at that moment.

Every event of the v1 API also exists as a thin one (v2), without the object, which is to be
fetched. Its type is `v1.` and the v1 type, its id the v1 event's with `evt_test_` in front, so
that nothing has to be kept twice. https://docs.stripe.com/event-destinations#thin-payload
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from sandbox.stripe_twin.errors import missing
from sandbox.stripe_twin.store import JsonObject, page_limit, within

# The version that the pinned SDK speaks; checked by a test.
API_VERSION = "2026-10-28.endive"
# Stripe lists events of the last 30 days; the twin also bounds their number.
RETENTION_SECONDS = 30 * 24 * 60 * 60
# The order of the events is compacted only if at least so many forgotten ones stand in it.
COMPACTION_EVENTS = 1_000


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
        self._events: dict[str, Event] = {}
        # The ids in their order; what stands before `_first` is forgotten.
        self._order: list[str] = []
        self._first = 0
        self._positions: dict[str, int] = {}

    def add(self, event: Event, most: int) -> None:
        """Appends an event and forgets what is too old, and all but the newest `most`."""
        self._events[event.event_id] = event
        self._positions[event.event_id] = len(self._order)
        self._order.append(event.event_id)
        horizon = event.created - RETENTION_SECONDS
        while self._events[self._order[self._first]].created < horizon or len(self._events) > most:
            forgotten = self._order[self._first]
            del self._events[forgotten], self._positions[forgotten]
            self._first += 1
        if self._first > len(self._order) // 2 and self._first > COMPACTION_EVENTS:
            del self._order[: self._first]
            self._first = 0
            self._positions = {event_id: place for place, event_id in enumerate(self._order)}

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
        limit = page_limit(params)
        if (before := params.get("ending_before")) is not None:
            walk = range(self._place(before, "ending_before") + 1, len(self._order))
        else:
            end = len(self._order)
            if (after := params.get("starting_after")) is not None:
                end = self._place(after, "starting_after")
            walk = range(end - 1, self._first - 1, -1)
        found: list[Event] = []
        for place in walk:
            event = self._events[self._order[place]]
            if _accepts(event, params):
                found.append(event)
                if len(found) > limit:
                    break
        page = found[:limit]
        if before is not None:
            page.reverse()
        return {
            "object": "list",
            "data": [_parsed(event) for event in page],
            "has_more": len(found) > limit,
            "url": "/v1/events",
        }

    def _place(self, event_id: str, param: str) -> int:
        if event_id not in self._positions:
            raise missing("event", event_id, param, 400)
        return self._positions[event_id]


# Types that only who names them gets: https://docs.stripe.com/api/events/types says "selection
# required".
_NAMED_ONLY = frozenset({"reporting.report_type.updated", "v1.reporting.report_type.updated"})


def subscribes(kind: str, patterns: list[str]) -> bool:
    """Whether an endpoint with these `enabled_events` gets events of a type."""
    return kind in patterns if kind in _NAMED_ONLY else matches_any(kind, patterns)


def matches_any(kind: str, patterns: list[str]) -> bool:
    """Whether an event type matches one of e.g. `*`, `charge.*`, `charge.updated`."""
    # "v2.core.account[requirements].updated" is a name: its brackets are no set of characters.
    return any(fnmatchcase(kind, pattern.replace("[", "[[]")) for pattern in patterns)


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


_V1_PREFIX, _THIN_PREFIX = "evt_", "evt_test_"
# Resources that exist once per account, so that their URL holds no id.
_SINGLETONS = frozenset({"balance", "tax.settings"})


@dataclass(slots=True)
class ThinEvent:
    """An event of the v2 API; `snapshot_event` is the v1 event that it stands for, if there is one.

    `related` is the type and URL of its object, and the id unless there is only one. `context` is
    the connected account that the event is about.
    """

    event_id: str
    kind: str
    created: float
    related: dict[str, str]
    context: str | None
    request_id: str | None
    idempotency_key: str | None
    changes: dict[str, Any] | None = None
    snapshot_event: str | None = None
    undelivered: set[str] = field(default_factory=set)

    def render(self) -> str:
        """What an event destination is sent, as JSON."""
        return json.dumps(self._notification())

    def body(self) -> dict[str, Any]:
        """What GET /v2/core/events/{id} answers: the notification and what changed."""
        more = {"changes": self.changes, "snapshot_event": self.snapshot_event}
        return {**self._notification(), **more}

    def _notification(self) -> dict[str, Any]:
        reason = None
        if self.request_id is not None:
            request = {"id": self.request_id, "idempotency_key": self.idempotency_key or ""}
            reason = {"type": "request", "request": request}
        return {
            "id": self.event_id,
            "object": "v2.core.event",
            "type": self.kind,
            "created": iso_time(self.created),
            "livemode": False,
            "context": self.context,
            "related_object": self.related,
            "reason": reason,
        }


def thin_counterpart(event: "Event") -> ThinEvent:
    """A v1 event as a thin one; both are delivered together."""
    item = json.loads(event.snapshot)
    before = json.loads(event.previous) if event.previous else None
    changes = None
    if before:
        changes = {"before": before, "after": {name: item.get(name) for name in before}}
    return ThinEvent(
        event_id=thin_id(event.event_id),
        kind=thin_kind(event.kind),
        created=event.created,
        related=_related(item),
        context=event.account_id,
        request_id=event.request_id,
        idempotency_key=event.idempotency_key,
        changes=changes,
        snapshot_event=event.event_id,
        undelivered=event.undelivered,
    )


def thin_kind(kind: str) -> str:
    """The type of a v1 event's thin counterpart."""
    return f"v1.{kind}"


def thin_id(event_id: str) -> str:
    """The id of a v1 event's thin counterpart."""
    return _THIN_PREFIX + event_id.removeprefix(_V1_PREFIX)


def snapshot_id(event_id: str) -> str:
    """The id of the v1 event that a thin one stands for."""
    return _V1_PREFIX + event_id.removeprefix(_THIN_PREFIX)


def iso_time(seconds: float) -> str:
    """A moment as the v2 API writes it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _related(item: dict[str, Any]) -> dict[str, str]:
    kind: str = item["object"]
    path = "/v1/" + kind.replace(".", "/")
    if kind in _SINGLETONS:
        return {"type": kind, "url": path}
    match kind:
        case "capability":
            url = f"/v1/accounts/{item['account']}/capabilities/{item['id']}"
        case "bank_account" | "card":
            url = f"/v1/accounts/{item['account']}/external_accounts/{item['id']}"
        case _:
            url = f"{path}s/{item['id']}"
    return {"id": item["id"], "type": kind, "url": url}
