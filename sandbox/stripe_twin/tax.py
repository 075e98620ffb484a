"""Stripe Tax: settings and registrations of an account."""

from typing import Any

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.checks import check_choice
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

_STATUSES = frozenset({"active", "all", "expired", "scheduled"})


def retrieve_settings(call: Call) -> JsonObject:
    """GET /v1/tax/settings."""
    return _settings(call.account)


def update_settings(call: Call) -> JsonObject:
    """POST /v1/tax/settings; active as soon as there is a head office."""
    settings = _settings(call.account)
    names = ("defaults", "head_office")
    previous: JsonObject = {name: settings[name] for name in names if name in call.params}
    if "defaults" in call.params:
        settings["defaults"] = {**settings["defaults"], **call.params["defaults"]}
    if "head_office" in call.params:
        settings["head_office"] = {"address": _address(call.params["head_office"]["address"])}
        settings["status"] = "active"
        settings["status_details"] = {"active": {}}
    call.emit("tax.settings.updated", settings, previous)
    return settings


def create_registration(call: Call) -> JsonObject:
    """POST /v1/tax/registrations."""
    params = call.params
    now = call.account.now()
    active_from = now if params["active_from"] == "now" else params["active_from"]
    registration: JsonObject = {
        "id": call.account.new_id("taxreg"),
        "object": "tax.registration",
        "active_from": active_from,
        "country": params["country"],
        "country_options": params["country_options"],
        "created": now,
        "expires_at": params.get("expires_at"),
        "livemode": False,
        "status": "",
    }
    _check_period(registration)
    call.objects("tax.registration").add(registration)
    return _current(call.account, registration)


def retrieve_registration(call: Call) -> JsonObject:
    """GET /v1/tax/registrations/{id}."""
    registration = call.objects("tax.registration").get(call.path["id"])
    return _current(call.account, registration)


def update_registration(call: Call) -> JsonObject:
    """POST /v1/tax/registrations/{id}: when it begins and ends."""
    registration = call.objects("tax.registration").get(call.path["id"])
    changed = {**registration}
    for name in ("active_from", "expires_at"):
        if name in call.params:
            value: Any = call.params[name]
            changed[name] = {"now": call.account.now(), "": None}.get(value, value)
    _check_period(changed)
    registration.update(changed)
    return _current(call.account, registration)


def list_registrations(call: Call) -> JsonObject:
    """GET /v1/tax/registrations by status."""
    check_choice(call.params, "status", _STATUSES)
    wanted = call.params.get("status", "all")
    return call.objects("tax.registration").page(
        "/v1/tax/registrations",
        call.params,
        lambda item: wanted in ("all", _current(call.account, item)["status"]),
    )


def active_countries(account: TwinAccount) -> set[str]:
    """The countries where the account collects tax now."""
    return {
        item["country"]
        for item in account.objects("tax.registration")
        if _current(account, item)["status"] == "active"
    }


def _settings(account: TwinAccount) -> JsonObject:
    if not account.tax_settings:
        account.tax_settings = {
            "object": "tax.settings",
            "defaults": {"provider": "stripe", "tax_behavior": None, "tax_code": None},
            "head_office": None,
            "livemode": False,
            "status": "pending",
            "status_details": {"pending": {"missing_fields": ["head_office"]}},
        }
    return account.tax_settings


def _address(given: dict[str, Any]) -> JsonObject:
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {name: given.get(name) for name in names}


def _check_period(registration: JsonObject) -> None:
    ends = registration["expires_at"]
    if ends is not None and ends <= registration["active_from"]:
        raise invalid_request("expires_at must be after active_from.", param="expires_at")


def _current(account: TwinAccount, registration: JsonObject) -> JsonObject:
    """The registration with the status of this moment."""
    now = account.now()
    expires_at = registration["expires_at"]
    if expires_at is not None and expires_at <= now:
        registration["status"] = "expired"
    else:
        registration["status"] = "scheduled" if registration["active_from"] > now else "active"
    return registration
