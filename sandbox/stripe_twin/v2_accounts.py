"""Accounts of the v2 API: the connected accounts, asked for and shown in the newer way.

One account has both views; the v2 API shows the parts that are asked for. Modelled are merchants
that take cards and recipients of transfers, with what identifies them.
https://docs.stripe.com/connect/accounts-v2
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount, v2_reference
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.connected_accounts import (
    apply_params,
    find_account,
    open_account,
)
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.events import iso_time
from sandbox.stripe_twin.lists import v2_page
from sandbox.stripe_twin.store import JsonObject

_STATUSES = {"active": "active", "inactive": "restricted", "pending": "pending"}
# What restricts which capability, by the v1 name of the capability.
_CONFIGURATIONS = {
    "card_payments": ("merchant", "card_payments"),
    "transfers": ("recipient", "stripe_balance.stripe_transfers"),
}


def account_view(connected: TwinAccount, item: JsonObject, include: list[str]) -> JsonObject:
    """The account; what `include` does not name is null."""
    details = connected.v2_details
    configurations: JsonObject = details.get("configurations", {})
    named = {name.partition(".")[2] for name in include if name.startswith("configuration.")}
    shown: JsonObject = {
        name: _configuration(connected, name, configurations.get(name)) if name in named else None
        for name in ("customer", "merchant", "recipient")
    }
    return {
        "id": item["id"],
        "object": "v2.core.account",
        "applied_configurations": sorted(configurations),
        "closed": details.get("closed", False),
        "configuration": shown if named else None,
        "contact_email": details.get("contact_email"),
        "contact_phone": details.get("contact_phone"),
        "created": iso_time(item["created"]),
        "dashboard": details.get("dashboard"),
        "defaults": _defaults(item, details) if "defaults" in include else None,
        "display_name": details.get("display_name"),
        "future_requirements": _requirements(connected, item, "future_requirements")
        if "future_requirements" in include
        else None,
        "identity": _identity(item, details) if "identity" in include else None,
        "livemode": False,
        "metadata": item["metadata"],
        "requirements": _requirements(connected, item, "requirements")
        if "requirements" in include
        else None,
    }


def _configuration(connected: TwinAccount, name: str, given: Any) -> JsonObject | None:
    if given is None:
        return None
    capabilities: JsonObject | None = None
    match name:
        case "merchant":
            card_payments = _capability(connected, "card_payments")
            capabilities = {"card_payments": card_payments}
            return {"applied": True, "capabilities": capabilities, "mcc": given.get("mcc")}
        case "recipient":
            transfers = _capability(connected, "transfers")
            capabilities = {"stripe_balance": {"stripe_transfers": transfers}}
    return {"applied": True, "capabilities": capabilities}


def _capability(connected: TwinAccount, name: str) -> JsonObject | None:
    found = connected.objects("capability").find(name)
    if found is None or not found["requested"]:
        return None
    status = _STATUSES.get(found["status"], "restricted")
    detail = {"code": "requirements_past_due", "resolution": "provide_info"}
    return {"status": status, "status_details": [] if status == "active" else [detail]}


def _defaults(item: JsonObject, details: JsonObject) -> JsonObject:
    given = details.get("defaults", {})
    responsibilities = {
        "fees_collector": "application",
        "losses_collector": "application",
        **(given.get("responsibilities") or {}),
        "requirements_collector": "application",
    }
    profile = {"business_url": None, "doing_business_as": None, "product_description": None}
    return {
        "currency": item["default_currency"],
        "locales": given.get("locales"),
        "profile": {**profile, **given["profile"]} if "profile" in given else None,
        "responsibilities": responsibilities,
    }


def _identity(item: JsonObject, details: JsonObject) -> JsonObject:
    given = details.get("identity", {})
    business, person = given.get("business_details"), given.get("individual")
    return {
        "attestations": None,
        "business_details": None
        if business is None
        else {
            "phone": business.get("phone"),
            "registered_name": business.get("registered_name"),
            "structure": business.get("structure"),
        },
        "country": item["country"],
        "entity_type": given.get("entity_type"),
        "individual": None
        if person is None
        else {
            "account": item["id"],
            "created": iso_time(item["created"]),
            "email": person.get("email"),
            "given_name": person.get("given_name"),
            "id": item["id"].replace("acct_", "person_"),
            "object": "v2.core.account_person",
            "surname": person.get("surname"),
            "updated": iso_time(item["created"]),
        },
    }


def _requirements(connected: TwinAccount, item: JsonObject, part: str) -> JsonObject:
    """v1's lists of `requirements` or `future_requirements` as one list of entries."""
    said = item[part]
    fields: list[str] = []
    for name in (*_SEVERITIES, "pending_verification"):
        fields += [field for field in said[name] if field not in fields]
    entries = [
        {
            **_entry(said, field),
            "impact": {"restricts_capabilities": _restricted(connected, part, field)},
            "minimum_deadline": {"status": _severity(said, field)},
            "requested_reasons": [{"code": "routine_onboarding"}],
        }
        for field in fields
    ]
    time = None if said["current_deadline"] is None else iso_time(said["current_deadline"])
    worst = [name for name in _SEVERITIES if any(_severity(said, one) == name for one in fields)]
    summary = {"status": worst[0], "time": time} if worst else None
    alternatives = [
        {
            "options": [{"entries": [_entry(said, one) for one in pair["alternative_fields_due"]]}],
            "original_entries": [
                {name: _entry(said, one)[name] for name in ("description", "reference")}
                for one in pair["original_fields_due"]
            ],
        }
        for pair in said["alternatives"]
    ]
    return {
        "alternatives": alternatives,
        "entries": entries,
        "summary": {"minimum_deadline": summary},
    }


_SEVERITIES = ("past_due", "currently_due", "eventually_due")


def _severity(said: JsonObject, field: str) -> str:
    """What is being verified has to be by the deadline, as if it was due."""
    return next((name for name in _SEVERITIES if field in said[name]), "currently_due")


def _entry(said: JsonObject, field: str) -> JsonObject:
    """What an entry and an alternative's have in common; a person's names the person."""
    person, _, below = field.partition(".")
    about_person = person.startswith("person_") and bool(below)
    pending = field in said["pending_verification"] and field not in said["currently_due"]
    return {
        "awaiting_action_from": "stripe" if pending else "user",
        "description": below if about_person else field,
        "errors": [
            {"code": error["code"], "description": error["reason"]}
            for error in said["errors"]
            if error["requirement"] == field
        ],
        "reference": {"inquiry": None, "resource": person, "type": "person"}
        if about_person
        else None,
    }


def _restricted(connected: TwinAccount, part: str, field: str) -> list[JsonObject]:
    """The capabilities that wait for a field; all that are asked for if none says that it does."""
    asked = {
        name: capability[part]
        for name in _CONFIGURATIONS
        if (capability := connected.objects("capability").find(name)) and capability["requested"]
    }
    waiting = {
        name: said
        for name, said in asked.items()
        if any(field in said[one] for one in (*_SEVERITIES, "pending_verification"))
    }
    return [
        {
            "capability": _CONFIGURATIONS[name][1],
            "configuration": _CONFIGURATIONS[name][0],
            "deadline": {"status": _severity(said, field)},
        }
        for name, said in (waiting or asked).items()
    ]


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
    v1_params: dict[str, Any] = {} if country is None else {"country": country.upper()}
    connected, item = open_account(call, v1_params)
    connected.v2_details = {"configurations": {}, "closed": False}
    _apply(connected, item, params)
    return _announced(call, connected, item, "v2.core.account.created")


def retrieve_v2_account(call: Call) -> JsonObject:
    """GET /v2/core/accounts/{id}; shows what `include` asks for."""
    connected, item = find_account(call, call.path["id"])
    return account_view(connected, item, call.params.get("include", []))


def update_v2_account(call: Call) -> JsonObject:
    """POST /v2/core/accounts/{id}."""
    connected, item = find_account(call, call.path["id"])
    if connected.v2_details.get("closed"):
        raise invalid_request(f"The account {item['id']} is closed.")
    _apply(connected, item, call.params)
    return _announced(call, connected, item, "v2.core.account.updated")


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
    return _announced(call, connected, item, "v2.core.account.closed")


def list_v2_accounts(call: Call) -> JsonObject:
    """GET /v2/core/accounts by configuration; without the closed ones unless they are wanted."""
    wanted = set(call.params.get("applied_configurations", []))
    closed = call.params.get("closed", False)
    found = [
        account_view(connected, item, [])
        for item in reversed(list(call.objects("account")))
        if (connected := call.account.connected[item["id"]]).v2_details.get("closed", False)
        == closed
        and wanted <= set(connected.v2_details.get("configurations", {}))
    ]
    return v2_page("/v2/core/accounts", found, call.params)


def _announced(call: Call, connected: TwinAccount, item: JsonObject, kind: str) -> JsonObject:
    """The account as it is shown, after its event was sent."""
    connected.announce_v2(kind, v2_reference(item["id"]), call.origin)
    return account_view(connected, item, call.params.get("include", []))


def _apply(connected: TwinAccount, item: JsonObject, params: dict[str, Any]) -> None:
    details = connected.v2_details
    for name in _GIVEN:
        if name in params:
            details[name] = _merged(details.get(name), params[name])
    for name, given in params.get("configuration", {}).items():
        known = details.setdefault("configurations", {})
        known[name] = _merged(known.get(name), given)
    v1_params: dict[str, Any] = {}
    for path, v1_path in _V1_NAMES.items():
        value = _at(params, path)
        if value is not None:
            _put(v1_params, v1_path, "provided" if isinstance(value, list) else value)
    for name, path in _CAPABILITIES.items():
        requested = _at(params, path)
        if requested is not None:
            _put(v1_params, ("capabilities", name, "requested"), requested)
    apply_params(connected, item, v1_params)
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


def _put(params: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        params = params.setdefault(name, {})
    params[path[-1]] = value
