"""Thin events (v2): the same happenings, told without the object, which is to be fetched.

Every event of the v1 API also exists as a thin one, of type `v1.` and the v1 type; its id is the
v1 event's with `evt_test_` in front, so that nothing has to be kept twice.
https://docs.stripe.com/event-destinations#thin-payload
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.stripe_twin.events import Event

_V1_PREFIX, _THIN_PREFIX = "evt_", "evt_test_"
# Resources that exist once per account, so that their URL holds no id.
_SINGLETONS = frozenset({"balance", "tax.settings"})


def thin_id(event_id: str) -> str:
    """The id of a v1 event's thin counterpart."""
    return _THIN_PREFIX + event_id.removeprefix(_V1_PREFIX)


def snapshot_id(event_id: str) -> str:
    """The id of the v1 event that a thin one stands for."""
    return _V1_PREFIX + event_id.removeprefix(_THIN_PREFIX)


def thin_notification(event: "Event") -> str:
    """What an event destination is sent, as JSON."""
    return json.dumps(_members(event))


def thin_event(event: "Event") -> dict[str, Any]:
    """What GET /v2/core/events/{id} answers: the notification and what changed."""
    before = json.loads(event.previous) if event.previous else None
    changes: dict[str, Any] | None = None
    if before:
        after = json.loads(event.snapshot)
        changes = {"before": before, "after": {name: after.get(name) for name in before}}
    return {**_members(event), "changes": changes, "snapshot_event": event.event_id}


def iso_time(seconds: float) -> str:
    """A moment as the v2 API writes it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _members(event: "Event") -> dict[str, Any]:
    members: dict[str, Any] = {
        "id": thin_id(event.event_id),
        "object": "v2.core.event",
        "type": event.kind_for(thin=True),
        "created": iso_time(event.created),
        "livemode": False,
        "context": event.account_id,
        "related_object": _related(json.loads(event.snapshot)),
        "reason": None,
    }
    if event.request_id is not None:
        request = {"id": event.request_id, "idempotency_key": event.idempotency_key or ""}
        members["reason"] = {"type": "request", "request": request}
    return members


def _related(item: dict[str, Any]) -> dict[str, str]:
    kind: str = item["object"]
    path = "/v1/" + kind.replace(".", "/")
    match kind:
        case kind if kind in _SINGLETONS:
            return {"type": kind, "url": path}
        case "capability":
            url = f"/v1/accounts/{item['account']}/capabilities/{item['id']}"
        case "bank_account":
            url = f"/v1/accounts/{item['account']}/external_accounts/{item['id']}"
        case "v2.core.account":
            url = f"/v2/core/accounts/{item['id']}"
        case _:
            url = f"{path}s/{item['id']}"
    return {"id": item["id"], "type": kind, "url": url}
