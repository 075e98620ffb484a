"""Accounts of the v2 API: the connected accounts, asked for and shown in the newer way.

One account has both faces. Modelled are merchants that take cards and recipients of transfers,
with what identifies them; https://docs.stripe.com/connect/accounts-v2.
"""

from typing import Any

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.connected_accounts import (
    apply_params,
    find_account,
    open_account,
)
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.v2_account_faces import show_account
from sandbox.stripe_twin.v2_lists import v2_page

_GIVEN = ("contact_email", "contact_phone", "dashboard", "defaults", "display_name", "identity")
# What a v2 request gives, and what the v1 API calls it.
_V1_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("configuration", "merchant", "mcc"): ("business_profile", "mcc"),
    ("contact_email",): ("email",),
    ("defaults", "currency"): ("default_currency",),
    ("defaults", "profile", "business_url"): ("business_profile", "url"),
    ("identity", "attestations", "terms_of_service", "account", "date"): (
        "tos_acceptance",
        "date",
    ),
    ("identity", "attestations", "terms_of_service", "account", "ip"): ("tos_acceptance", "ip"),
    ("identity", "business_details", "address", "line1"): ("company", "address", "line1"),
    ("identity", "business_details", "id_numbers"): ("company", "tax_id"),
    ("identity", "business_details", "phone"): ("company", "phone"),
    ("identity", "business_details", "registered_name"): ("company", "name"),
    ("identity", "entity_type"): ("business_type",),
    ("identity", "individual", "address", "line1"): ("individual", "address", "line1"),
    ("identity", "individual", "date_of_birth", "day"): ("individual", "dob", "day"),
    ("identity", "individual", "date_of_birth", "month"): ("individual", "dob", "month"),
    ("identity", "individual", "date_of_birth", "year"): ("individual", "dob", "year"),
    ("identity", "individual", "email"): ("individual", "email"),
    ("identity", "individual", "given_name"): ("individual", "first_name"),
    ("identity", "individual", "id_numbers"): ("individual", "id_number"),
    ("identity", "individual", "surname"): ("individual", "last_name"),
}
# The capabilities of either configuration that the twin models, by their v1 names.
_CAPABILITIES = {
    "card_payments": ("configuration", "merchant", "capabilities", "card_payments", "requested"),
    "transfers": (
        "configuration",
        "recipient",
        "capabilities",
        "stripe_balance",
        "stripe_transfers",
        "requested",
    ),
}


def create_v2_account(call: Call) -> JsonObject:
    """POST /v2/core/accounts."""
    params = call.params
    country = _at(params, ("identity", "country"))
    told: dict[str, Any] = {} if country is None else {"country": country.upper()}
    connected, item = open_account(call, told)
    connected.v2_details = {"configurations": {}, "closed": False}
    _apply(connected, item, params)
    return _told(call, connected, item, "v2.core.account.created")


def retrieve_v2_account(call: Call) -> JsonObject:
    """GET /v2/core/accounts/{id}; shows what `include` asks for."""
    connected, item = find_account(call, call.path["id"])
    return show_account(connected, item, call.params.get("include", []))


def update_v2_account(call: Call) -> JsonObject:
    """POST /v2/core/accounts/{id}."""
    connected, item = find_account(call, call.path["id"])
    if connected.v2_details.get("closed"):
        raise invalid_request(f"The account {item['id']} is closed.")
    _apply(connected, item, call.params)
    return _told(call, connected, item, "v2.core.account.updated")


def close_v2_account(call: Call) -> JsonObject:
    """POST /v2/core/accounts/{id}/close, of all the configurations that it has."""
    connected, item = find_account(call, call.path["id"])
    applied = set(connected.v2_details.get("configurations", {}))
    if set(call.params.get("applied_configurations", [])) != applied:
        raise invalid_request(
            "All configurations of the account must be closed.", param="applied_configurations"
        )
    connected.v2_details["closed"] = True
    item["charges_enabled"] = item["payouts_enabled"] = False
    return _told(call, connected, item, "v2.core.account.closed")


def list_v2_accounts(call: Call) -> JsonObject:
    """GET /v2/core/accounts by configuration; without the closed ones unless they are wanted."""
    wanted = set(call.params.get("applied_configurations", []))
    closed = call.params.get("closed", False)
    found = [
        show_account(connected, item, [])
        for item in reversed(list(call.objects("account")))
        if (connected := call.account.connected[item["id"]]).v2_details.get("closed", False)
        == closed
        and wanted <= set(connected.v2_details.get("configurations", {}))
    ]
    return v2_page("/v2/core/accounts", found, call.params)


def _told(call: Call, connected: TwinAccount, item: JsonObject, kind: str) -> JsonObject:
    """The account as it is shown, after its event was sent."""
    platform = connected.platform or connected
    related = {
        "id": item["id"],
        "type": "v2.core.account",
        "url": f"/v2/core/accounts/{item['id']}",
    }
    event = platform.new_native(kind, related, call.origin)
    platform.surroundings.webhooks.publish(event, platform.account_id, platform.account_id)
    return show_account(connected, item, call.params.get("include", []))


def _apply(connected: TwinAccount, item: JsonObject, params: dict[str, Any]) -> None:
    details = connected.v2_details
    for name in _GIVEN:
        if name in params:
            details[name] = _merged(details.get(name), params[name])
    for name, given in params.get("configuration", {}).items():
        known = details.setdefault("configurations", {})
        known[name] = _merged(known.get(name), given)
    told: dict[str, Any] = {}
    for path, v1_path in _V1_NAMES.items():
        value = _at(params, path)
        if value is not None:
            _put(told, v1_path, "provided" if isinstance(value, list) else value)
    for name, path in _CAPABILITIES.items():
        requested = _at(params, path)
        if requested is not None:
            _put(told, ("capabilities", name, "requested"), requested)
    apply_params(connected, item, told)
    merge_metadata(item, params.get("metadata"))


def _merged(known: Any, given: Any) -> Any:
    if not isinstance(given, dict) or not isinstance(known, dict):
        return given
    return {**known, **{name: _merged(known.get(name), value) for name, value in given.items()}}


def _at(params: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(params, dict):
            return None
        params = params.get(name)
    return params


def _put(told: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        told = told.setdefault(name, {})
    told[path[-1]] = value
