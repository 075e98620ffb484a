"""Events of the v2 API: GET /v2/core/events and its items."""

from datetime import UTC, datetime
from typing import Any

from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.errors import invalid_request, missing
from sandbox.stripe_twin.events import matches_any
from sandbox.stripe_twin.store import JsonObject, within
from sandbox.stripe_twin.thin_events import snapshot_id, thin_counterpart
from sandbox.stripe_twin.v2_lists import v2_page


def retrieve_v2_event(call: Call) -> JsonObject:
    """GET /v2/core/events/{id}."""
    identifier = call.path["id"]
    native = call.account.native_events.get(identifier)
    if native is not None:
        return native.body()
    event = call.account.events.find(snapshot_id(identifier))
    if event is None:
        raise missing("event", identifier, "id")
    return thin_counterpart(event).body()


def list_v2_events(call: Call) -> JsonObject:
    """GET /v2/core/events by types, object_id and created, newest first."""
    types, about = call.params.get("types"), call.params.get("object_id")
    created = {name: _milliseconds(value) for name, value in call.params.get("created", {}).items()}
    moments: list[tuple[int, JsonObject]] = [
        (event.created * 1_000, thin_counterpart(event).body())
        for event in call.account.events.all()
    ]
    moments += [
        (int(event.created * 1_000), event.body()) for event in call.account.native_events.values()
    ]
    # Newest first also within one moment.
    moments.reverse()
    moments.sort(key=lambda moment: moment[0], reverse=True)
    found = [
        event
        for moment, event in moments
        if (types is None or matches_any(event["type"], types))
        and about in (None, event["related_object"].get("id"))
        and within(moment, created or None)
    ]
    return v2_page("/v2/core/events", found, call.params)


def _milliseconds(value: Any) -> int:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise invalid_request("Invalid timestamp.", param="created") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000)
