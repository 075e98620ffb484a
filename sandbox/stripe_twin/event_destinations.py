"""Event destinations (v2): where thin events go. https://docs.stripe.com/event-destinations

Webhook endpoints only; a destination with snapshots is a webhook endpoint of the v1 API.
"""

from typing import Any

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.events import API_VERSION
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.thin_events import iso_time
from sandbox.stripe_twin.v2_lists import v2_page
from sandbox.stripe_twin.webhooks import Endpoint

KIND = "v2.core.event_destination"
_SECRET_LENGTH = 32
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
    secret = "whsec_" + call.account.surroundings.identifiers.token(_SECRET_LENGTH)
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
    return _shown(call, item)


def retrieve_event_destination(call: Call) -> JsonObject:
    """GET /v2/core/event_destinations/{id}."""
    return _shown(call, _get(call))


def list_event_destinations(call: Call) -> JsonObject:
    """GET /v2/core/event_destinations."""
    found = [_shown(call, item) for item in reversed(list(call.objects(KIND)))]
    return v2_page("/v2/core/event_destinations", found, call.params)


def update_event_destination(call: Call) -> JsonObject:
    """POST /v2/core/event_destinations/{id}: name, description, events, URL."""
    item, params = _get(call), call.params
    endpoint = _endpoint(call, item)
    for name in ("description", "name", "enabled_events"):
        if name in params:
            item[name] = params[name]
    endpoint.enabled_events = item["enabled_events"]
    if "webhook_endpoint" in params:
        endpoint.url = params["webhook_endpoint"]["url"]
    merge_metadata(item, params.get("metadata"))
    item["updated"] = iso_time(call.account.now())
    return _shown(call, item)


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
    call.account.surroundings.webhooks.remove(item["id"])
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
    call.account.surroundings.webhooks.send_to(item["id"], event)
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
    account.surroundings.webhooks.register(
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
    return item


def _switch(call: Call, *, enabled: bool) -> JsonObject:
    item = _get(call)
    _endpoint(call, item).enabled = enabled
    item["status"] = "enabled" if enabled else "disabled"
    item["status_details"] = None if enabled else {"disabled": {"reason": "user"}}
    item["updated"] = iso_time(call.account.now())
    return _shown(call, item)


def _get(call: Call) -> JsonObject:
    return call.objects(KIND).get(call.path["id"])


def _endpoint(call: Call, item: JsonObject) -> Endpoint:
    endpoint = call.account.surroundings.webhooks.find(item["id"])
    if endpoint is None:
        raise AssertionError(f"{item['id']} is not registered with the sender")
    return endpoint


def _shown(call: Call, item: JsonObject) -> JsonObject:
    """With the URL and the secret only if `include` names them."""
    include = call.params.get("include", [])
    endpoint = _endpoint(call, item)
    shown: dict[str, Any] = {
        "signing_secret": endpoint.secret if "webhook_endpoint.signing_secret" in include else None,
        "url": endpoint.url if "webhook_endpoint.url" in include else None,
    }
    return {**item, "webhook_endpoint": shown}
