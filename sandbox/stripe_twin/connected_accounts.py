"""Connected accounts: https://docs.stripe.com/connect.

With what each may do, and the links by which its merchant answers what is due.
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, masked, merge_metadata
from sandbox.stripe_twin.documents import check_files, documents_of_account, take_in
from sandbox.stripe_twin.errors import account_invalid, check_choice, invalid_request
from sandbox.stripe_twin.external_accounts import add_external_account, external_account_list
from sandbox.stripe_twin.persons import take_individual
from sandbox.stripe_twin.requirements import (
    apply_missing,
    empty_requirements,
    provided_paths,
    verify_persons,
    work_out,
)
from sandbox.stripe_twin.store import JsonObject

_TYPES = frozenset({"custom", "express", "standard"})
_DESCRIBING = ("business_profile", "company", "individual", "settings", "tos_acceptance")
# What a request gives of a company or person that answers never show again.
_SECRET = frozenset({"id_number", "tax_id", "ssn_last_4", "vat_id"})


def create_account(call: Call) -> JsonObject:
    """POST /v1/accounts."""
    params = call.params
    check_choice(params, "type", _TYPES)
    if "type" in params and "controller" in params:
        raise invalid_request("You may only specify one of these parameters: type, controller.")
    connected, item = open_account(call, params)
    apply_params(connected, item, params)
    return _view(connected, item)


def open_account(call: Call, params: dict[str, Any]) -> tuple[TwinAccount, JsonObject]:
    """A new connected account that has given nothing yet, and its object. Raises ApiError (400)."""
    if call.account.is_connected:
        raise invalid_request("A connected account cannot create accounts.")
    item = _new_account(call.account, params)
    connected = TwinAccount(
        account_id=item["id"],
        name=item["id"],
        secret_key="",
        webhook_secret=call.account.webhook_secret,
        country=item["country"],
        default_currency=item["default_currency"],
        shared=call.account.shared,
        platform=call.account,
    )
    call.objects("account").add(item)
    call.account.connected[item["id"]] = connected
    return connected, item


def retrieve_account(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}."""
    connected, item = find_account(call, call.path["id"])
    return _view(connected, item)


def retrieve_current_account(call: Call) -> JsonObject:
    """GET /v1/account: the account that the key, or `Stripe-Account`, names."""
    if call.account.is_connected:
        connected, item = find_account(call, call.account.account_id)
        return _view(connected, item)
    return {
        **_new_account(call.account, {"type": "standard", "country": call.account.country}),
        "id": call.account.account_id,
        "charges_enabled": True,
        "details_submitted": True,
        "payouts_enabled": True,
    }


def update_account(call: Call) -> JsonObject:
    """POST /v1/accounts/{id}."""
    connected, item = find_account(call, call.path["id"])
    before = _view(connected, item)
    given = documents_of_account(call.params)
    check_files(connected, given)
    apply_params(connected, item, call.params)
    take_in(connected, item, given)
    after = _view(connected, item)
    previous = {name: value for name, value in before.items() if after[name] != value}
    if previous:
        connected.emit("account.updated", after, call.origin, previous)
    return after


def list_accounts(call: Call) -> JsonObject:
    """GET /v1/accounts."""
    page = call.objects("account").page("/v1/accounts", call.params)
    page["data"] = [_view(call.account.connected[item["id"]], item) for item in page["data"]]
    return page


def delete_account(call: Call) -> JsonObject:
    """DELETE /v1/accounts/{id}."""
    connected, item = find_account(call, call.path["id"])
    platform = connected.platform or connected
    platform.objects("account").remove(item["id"])
    del platform.connected[item["id"]]
    return {"id": item["id"], "object": "account", "deleted": True}


def find_account(call: Call, account_id: str) -> tuple[TwinAccount, JsonObject]:
    """The connected account of this id and its object. Raises ApiError (403)."""
    platform = call.account.platform or call.account
    connected = platform.connected.get(account_id)
    if connected is None:
        raise account_invalid(masked(platform.secret_key), account_id)
    return connected, platform.objects("account").get(account_id, "account")


def complete_onboarding(connected: TwinAccount, item: JsonObject) -> None:
    """The merchant gave everything that was asked for, and Stripe accepted it."""
    before = _view(connected, item)
    verify_persons(connected)
    apply_missing(item, list(connected.objects("capability")), [])
    after = _view(connected, item)
    previous = {name: value for name, value in before.items() if after[name] != value}
    connected.emit("account.updated", after, previous=previous)


def apply_params(connected: TwinAccount, item: JsonObject, params: dict[str, Any]) -> None:
    """Takes over what a request says of an account, and works out what is still due."""
    for name in ("business_type", "email", "default_currency"):
        if name in params:
            item[name] = params[name] if params[name] != "" else None
    for name in _DESCRIBING:
        if name in params:
            item[name] = merged(item.get(name) or {}, params[name])
    merge_metadata(item, params.get("metadata"))
    if isinstance(params.get("external_account"), dict):
        add_external_account(connected, params["external_account"])
    for name, given in params.get("capabilities", {}).items():
        _request_capability(connected, name, requested=bool(given.get("requested")))
    connected.provided |= provided_paths(params)
    if isinstance(params.get("individual"), dict):
        take_individual(connected, params["individual"])
    work_out(connected, item)


def merged(known: JsonObject, given: JsonObject) -> JsonObject:
    """What is known of a company or person after a request; secrets are only said to be there."""
    after = dict(known)
    for name, value in given.items():
        if name in _SECRET:
            after[f"{name}_provided"] = True
        elif isinstance(value, dict):
            after[name] = merged(known.get(name) or {}, value)
        else:
            after[name] = value
    return after


def _request_capability(connected: TwinAccount, name: str, *, requested: bool) -> None:
    capability = connected.objects("capability").find(name)
    if capability is None:
        capability = connected.objects("capability").add(
            {
                "id": name,
                "object": "capability",
                "account": connected.account_id,
                "future_requirements": empty_requirements(),
                "requested": False,
                "requested_at": None,
                "requirements": empty_requirements(),
                "status": "unrequested",
            }
        )
    if capability["requested"] != requested:
        capability["requested"] = requested
        capability["requested_at"] = connected.now() if requested else None
        capability["status"] = "inactive" if requested else "unrequested"


def _view(connected: TwinAccount, item: JsonObject) -> JsonObject:
    return {**item, "external_accounts": external_account_list(connected)}


def _controller(params: dict[str, Any]) -> JsonObject:
    controller: JsonObject = {
        "fees": {"payer": "application_custom"},
        "is_controller": True,
        "losses": {"payments": "application"},
        "requirement_collection": "application",
        "stripe_dashboard": {"type": "none"},
        "type": "application",
    }
    controller.update(params.get("controller", {}))
    return controller


def _new_account(platform: TwinAccount, params: dict[str, Any]) -> JsonObject:
    country = params.get("country", platform.country)
    return {
        "id": platform.new_id("acct")[:21],
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": None,
            "name": None,
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": None,
        "capabilities": {},
        "charges_enabled": False,
        "controller": _controller(params),
        "country": country,
        "created": platform.now(),
        "default_currency": params.get("default_currency", platform.default_currency),
        "details_submitted": False,
        "email": params.get("email"),
        "future_requirements": empty_requirements(),
        "metadata": {},
        "payouts_enabled": False,
        "requirements": empty_requirements(),
        "settings": {
            "branding": {
                "icon": None,
                "logo": None,
                "primary_color": None,
                "secondary_color": None,
            },
            "card_payments": {
                "decline_on": {"avs_failure": False, "cvc_failure": False},
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
            "payments": {
                "statement_descriptor": None,
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
            },
            "payouts": {
                "debit_negative_balances": False,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "none" if "controller" in params else params.get("type", "custom"),
    }


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
    token = call.account.shared.identifiers.token(12)
    now = call.account.now()
    return {
        "object": "account_link",
        "created": now,
        "expires_at": now + LINK_LIFETIME_SECONDS,
        "url": f"{call.account.shared.public_url}/_twin/onboarding/{item['id']}/{token}",
    }
