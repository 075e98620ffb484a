"""Where events go: webhook endpoints (v1), event destinations (v2), and the v2 API's event list.

Event destinations here are webhook endpoints only; one with snapshots is a webhook endpoint of the
v1 API. Sending is in `webhooks`. https://docs.stripe.com/event-destinations
"""

from datetime import UTC, datetime
from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import invalid_request, missing
from sandbox.stripe_twin.events import (
    API_VERSION,
    iso_time,
    matches_any,
    snapshot_id,
    thin_counterpart,
)
from sandbox.stripe_twin.lists import v2_page
from sandbox.stripe_twin.reports import TYPE_UPDATED, announce_types
from sandbox.stripe_twin.store import JsonObject, within
from sandbox.stripe_twin.webhooks import Endpoint

_SECRET_LENGTH = 32
# https://docs.stripe.com/webhooks: at most 16 endpoints in a sandbox.
MAX_ENDPOINTS = 16


def create_webhook_endpoint(call: Call) -> JsonObject:
    """POST /v1/webhook_endpoints; the only answer that shows the secret."""
    if len(call.objects("webhook_endpoint")) >= MAX_ENDPOINTS:
        raise invalid_request(f"You have reached the maximum of {MAX_ENDPOINTS} webhook endpoints.")
    secret = "whsec_" + call.account.shared.identifiers.token(_SECRET_LENGTH)
    item = register(
        call.account,
        url=call.params["url"],
        secret=secret,
        enabled_events=call.params["enabled_events"],
        connect=call.params.get("connect", False),
    )
    item["description"] = call.params.get("description")
    merge_metadata(item, call.params.get("metadata"))
    return {**item, "secret": secret}


def retrieve_webhook_endpoint(call: Call) -> JsonObject:
    """GET /v1/webhook_endpoints/{id}."""
    return call.objects("webhook_endpoint").get(call.path["id"])


def list_webhook_endpoints(call: Call) -> JsonObject:
    """GET /v1/webhook_endpoints."""
    return call.objects("webhook_endpoint").page("/v1/webhook_endpoints", call.params)


def update_webhook_endpoint(call: Call) -> JsonObject:
    """POST /v1/webhook_endpoints/{id}: url, enabled_events, disabled, description, metadata."""
    item = call.objects("webhook_endpoint").get(call.path["id"])
    endpoint = call.account.shared.webhooks.find(item["id"])
    if endpoint is None:
        raise AssertionError(f"{item['id']} is not registered with the sender")
    if "url" in call.params:
        item["url"] = endpoint.url = call.params["url"]
    if "enabled_events" in call.params:
        item["enabled_events"] = endpoint.enabled_events = call.params["enabled_events"]
        _announce(call.account, item["enabled_events"])
    if "disabled" in call.params:
        endpoint.enabled = not call.params["disabled"]
        item["status"] = "enabled" if endpoint.enabled else "disabled"
    item["description"] = call.params.get("description", item["description"])
    merge_metadata(item, call.params.get("metadata"))
    return item


def delete_webhook_endpoint(call: Call) -> JsonObject:
    """DELETE /v1/webhook_endpoints/{id}."""
    item = call.objects("webhook_endpoint").get(call.path["id"])
    call.objects("webhook_endpoint").remove(item["id"])
    call.account.shared.webhooks.remove(item["id"])
    return {"id": item["id"], "object": "webhook_endpoint", "deleted": True}


def register(
    account: TwinAccount, *, url: str, secret: str, enabled_events: list[str], connect: bool
) -> JsonObject:
    """Adds an endpoint to an account; its object is without the secret."""
    item: JsonObject = {
        "id": account.new_id("we"),
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": account.now(),
        "description": None,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }
    account.objects("webhook_endpoint").add(item)
    account.shared.webhooks.register(
        Endpoint(
            endpoint_id=item["id"],
            account_id=account.account_id,
            url=url,
            secret=secret,
            enabled_events=enabled_events,
            own=not connect,
            connect=connect,
            names=account.names,
        )
    )
    _announce(account, enabled_events)
    return item


def _announce(account: TwinAccount, enabled_events: list[str]) -> None:
    """New data of reports is told of once somebody wants to hear of it."""
    if {TYPE_UPDATED, f"v1.{TYPE_UPDATED}"} & set(enabled_events):
        announce_types(account)


KIND = "v2.core.event_destination"
_SOURCES = frozenset({"self", "other_accounts"})


def create_event_destination(call: Call) -> JsonObject:
    """POST /v2/core/event_destinations; shows what `include` asks for."""
    params = call.params
    if params["type"] != "webhook_endpoint" or "webhook_endpoint" not in params:
        raise invalid_request("The twin models webhook endpoints only.", param="type")
    sources = params.get("events_from", ["self"])
    if not sources or not set(sources) <= _SOURCES:
        message = f"Invalid events_from: must be of {', '.join(sorted(_SOURCES))}"
        raise invalid_request(message, param="events_from")
    secret = "whsec_" + call.account.shared.identifiers.token(_SECRET_LENGTH)
    item = add_destination(
        call.account,
        url=params["webhook_endpoint"]["url"],
        secret=secret,
        enabled_events=params["enabled_events"],
        sources=sources,
        thin=params["event_payload"] == "thin",
        name=params["name"],
    )
    item["description"] = params.get("description", "")
    merge_metadata(item, params.get("metadata"))
    return _view(call, item)


def retrieve_event_destination(call: Call) -> JsonObject:
    """GET /v2/core/event_destinations/{id}."""
    return _view(call, _get(call))


def list_event_destinations(call: Call) -> JsonObject:
    """GET /v2/core/event_destinations."""
    found = [_view(call, item) for item in reversed(list(call.objects(KIND)))]
    return v2_page("/v2/core/event_destinations", found, call.params)


def update_event_destination(call: Call) -> JsonObject:
    """POST /v2/core/event_destinations/{id}: name, description, events, URL."""
    item, params = _get(call), call.params
    endpoint = _endpoint(call, item)
    for name in ("description", "name", "enabled_events"):
        if name in params:
            item[name] = params[name]
    endpoint.enabled_events = item["enabled_events"]
    _announce(call.account, item["enabled_events"])
    if "webhook_endpoint" in params:
        endpoint.url = params["webhook_endpoint"]["url"]
    merge_metadata(item, params.get("metadata"))
    item["updated"] = iso_time(call.account.now())
    return _view(call, item)


def enable_event_destination(call: Call) -> JsonObject:
    """POST /v2/core/event_destinations/{id}/enable."""
    return _switch(call, enabled=True)


def disable_event_destination(call: Call) -> JsonObject:
    """POST /v2/core/event_destinations/{id}/disable."""
    return _switch(call, enabled=False)


def delete_event_destination(call: Call) -> JsonObject:
    """DELETE /v2/core/event_destinations/{id}."""
    item = _get(call)
    call.objects(KIND).remove(item["id"])
    call.account.shared.webhooks.remove(item["id"])
    return {"id": item["id"], "object": KIND}


def ping_event_destination(call: Call) -> JsonObject:
    """POST /v2/core/event_destinations/{id}/ping: sends it a `v2.core.event_destination.ping`."""
    item = _get(call)
    related = {
        "id": item["id"],
        "type": KIND,
        "url": f"/v2/core/event_destinations/{item['id']}",
    }
    event = call.account.new_native("v2.core.event_destination.ping", related, call.origin)
    call.account.shared.webhooks.send_to(item["id"], event)
    return event.body()


def add_destination(
    account: TwinAccount,
    *,
    url: str,
    secret: str,
    enabled_events: list[str],
    sources: list[str],
    thin: bool,
    name: str,
) -> JsonObject:
    """Adds a destination to an account; its object is without URL and secret."""
    now = iso_time(account.now())
    item: JsonObject = {
        "id": account.new_id("ed"),
        "object": KIND,
        "created": now,
        "description": "",
        "enabled_events": enabled_events,
        "event_payload": "thin" if thin else "snapshot",
        "events_from": sources,
        "livemode": False,
        "metadata": {},
        "name": name,
        "snapshot_api_version": None if thin else API_VERSION,
        "status": "enabled",
        "status_details": None,
        "type": "webhook_endpoint",
        "updated": now,
        "webhook_endpoint": {"signing_secret": None, "url": None},
    }
    account.objects(KIND).add(item)
    account.shared.webhooks.register(
        Endpoint(
            endpoint_id=item["id"],
            account_id=account.account_id,
            url=url,
            secret=secret,
            enabled_events=enabled_events,
            own="self" in sources,
            connect="other_accounts" in sources,
            thin=thin,
            names=account.names,
        )
    )
    _announce(account, enabled_events)
    return item


def _switch(call: Call, *, enabled: bool) -> JsonObject:
    item = _get(call)
    _endpoint(call, item).enabled = enabled
    item["status"] = "enabled" if enabled else "disabled"
    item["status_details"] = None if enabled else {"disabled": {"reason": "user"}}
    item["updated"] = iso_time(call.account.now())
    return _view(call, item)


def _get(call: Call) -> JsonObject:
    return call.objects(KIND).get(call.path["id"])


def _endpoint(call: Call, item: JsonObject) -> Endpoint:
    endpoint = call.account.shared.webhooks.find(item["id"])
    if endpoint is None:
        raise AssertionError(f"{item['id']} is not registered with the sender")
    return endpoint


def _view(call: Call, item: JsonObject) -> JsonObject:
    """With the URL and the secret only if `include` names them."""
    include = call.params.get("include", [])
    endpoint = _endpoint(call, item)
    shown: dict[str, Any] = {
        "signing_secret": endpoint.secret if "webhook_endpoint.signing_secret" in include else None,
        "url": endpoint.url if "webhook_endpoint.url" in include else None,
    }
    return {**item, "webhook_endpoint": shown}


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
