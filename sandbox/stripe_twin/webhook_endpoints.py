"""Webhook endpoints as API objects; sending is in `webhooks`."""

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.events import API_VERSION
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.webhooks import Endpoint

_SECRET_LENGTH = 32
# https://docs.stripe.com/webhooks: at most 16 endpoints in a sandbox.
MAX_ENDPOINTS = 16


def create_webhook_endpoint(call: Call) -> JsonObject:
    """POST /v1/webhook_endpoints; the only answer that shows the secret."""
    if len(call.objects("webhook_endpoint")) >= MAX_ENDPOINTS:
        raise invalid_request(f"You have reached the maximum of {MAX_ENDPOINTS} webhook endpoints.")
    secret = "whsec_" + call.account.surroundings.identifiers.token(_SECRET_LENGTH)
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
    endpoint = call.account.surroundings.webhooks.find(item["id"])
    if endpoint is None:
        raise AssertionError(f"{item['id']} is not registered with the sender")
    if "url" in call.params:
        item["url"] = endpoint.url = call.params["url"]
    if "enabled_events" in call.params:
        item["enabled_events"] = endpoint.enabled_events = call.params["enabled_events"]
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
    call.account.surroundings.webhooks.remove(item["id"])
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
    account.surroundings.webhooks.register(
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
    return item
