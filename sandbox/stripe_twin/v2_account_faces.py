"""How the v2 API shows a connected account: parts only if they are asked for."""

from typing import Any

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.thin_events import iso_time

_STATUSES = {"active": "active", "inactive": "restricted", "pending": "pending"}
# What restricts which capability, by the v1 name of the capability.
_CONFIGURATIONS = {
    "card_payments": ("merchant", "card_payments"),
    "transfers": ("recipient", "stripe_balance.stripe_transfers"),
}


def show_account(connected: TwinAccount, item: JsonObject, include: list[str]) -> JsonObject:
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
        "future_requirements": _no_requirements() if "future_requirements" in include else None,
        "identity": _identity(item, details) if "identity" in include else None,
        "livemode": False,
        "metadata": item["metadata"],
        "requirements": _requirements(connected, item) if "requirements" in include else None,
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


def _requirements(connected: TwinAccount, item: JsonObject) -> JsonObject:
    requested = [
        {"capability": capability, "configuration": configuration, "deadline": _past_due()}
        for name, (configuration, capability) in _CONFIGURATIONS.items()
        if _capability(connected, name) is not None
    ]
    entries = [
        {
            "awaiting_action_from": "user",
            "description": field,
            "errors": [],
            "impact": {"restricts_capabilities": requested},
            "minimum_deadline": _past_due(),
            "reference": None,
            "requested_reasons": [{"code": "routine_onboarding"}],
        }
        for field in item["requirements"]["currently_due"]
    ]
    summary = {"minimum_deadline": {**_past_due(), "time": None} if entries else None}
    return {"alternatives": [], "entries": entries, "summary": summary}


def _no_requirements() -> JsonObject:
    return {"alternatives": [], "entries": [], "summary": {"minimum_deadline": None}}


def _past_due() -> JsonObject:
    return {"status": "past_due"}
