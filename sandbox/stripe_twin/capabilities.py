"""What a connected account may do, and the links by which its merchant answers what is due."""

from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.connected_accounts import apply_params, find_account
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

LINK_LIFETIME_SECONDS = 300


def list_capabilities(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}/capabilities."""
    connected, item = find_account(call, call.path["id"])
    return {
        "object": "list",
        "data": list(connected.objects("capability")),
        "has_more": False,
        "url": f"/v1/accounts/{item['id']}/capabilities",
    }


def retrieve_capability(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}/capabilities/{capability}."""
    connected, _ = find_account(call, call.path["id"])
    return connected.objects("capability").get(call.path["capability"], "capability")


def update_capability(call: Call) -> JsonObject:
    """POST /v1/accounts/{id}/capabilities/{capability}: requests or gives up one."""
    connected, item = find_account(call, call.path["id"])
    name = call.path["capability"]
    wanted = {"capabilities": {name: {"requested": call.params.get("requested", False)}}}
    apply_params(connected, item, wanted)
    capability = connected.objects("capability").get(name, "capability")
    connected.emit("capability.updated", capability, call.origin, {})
    return capability


def create_account_link(call: Call) -> JsonObject:
    """POST /v1/account_links: hosted onboarding, here a page of the admin API."""
    _, item = find_account(call, call.params["account"])
    if call.params["type"] not in ("account_onboarding", "account_update"):
        raise invalid_request("Invalid type: must be account_onboarding or account_update")
    for name in ("refresh_url", "return_url"):
        if name not in call.params:
            message = f"You must provide a {name} for this type of account link."
            raise invalid_request(message, param=name)
    token = call.account.surroundings.identifiers.token(12)
    now = call.account.now()
    return {
        "object": "account_link",
        "created": now,
        "expires_at": now + LINK_LIFETIME_SECONDS,
        "url": f"{call.account.surroundings.public_url}/_twin/onboarding/{item['id']}/{token}",
    }
