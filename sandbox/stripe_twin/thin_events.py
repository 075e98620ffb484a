"""Thin events (v2): the same happenings, told without the object, which is to be fetched.

Every event of the v1 API also exists as a thin one, of type `v1.` and the v1 type; its id is the
v1 event's with `evt_test_` in front, so that nothing has to be kept twice.
https://docs.stripe.com/event-destinations#thin-payload
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.stripe_twin.events import Event

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
        case "bank_account":
            url = f"/v1/accounts/{item['account']}/external_accounts/{item['id']}"
        case _:
            url = f"{path}s/{item['id']}"
    return {"id": item["id"], "type": kind, "url": url}
