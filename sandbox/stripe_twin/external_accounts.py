"""Bank accounts and debit cards to which a connected account is paid out.

One of each currency is the default, which payouts go to. One that a payout failed at is `errored`,
and no scheduled payout goes there: https://docs.stripe.com/api/external_accounts
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, masked, merge_metadata
from sandbox.stripe_twin.errors import account_invalid, invalid_request
from sandbox.stripe_twin.requirements import work_out
from sandbox.stripe_twin.store import JsonObject


def list_external_accounts(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}/external_accounts."""
    connected = _owner(call)
    url = f"/v1/accounts/{connected.account_id}/external_accounts"
    wanted = call.params.get("object")
    return connected.objects("bank_account").page(
        url, call.params, lambda item: wanted in (None, item["object"])
    )


def retrieve_external_account(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}/external_accounts/{external_account}."""
    return _owner(call).objects("bank_account").get(call.path["external_account"])


def create_external_account(call: Call) -> JsonObject:
    """POST /v1/accounts/{id}/external_accounts."""
    given = call.params["external_account"]
    if not isinstance(given, dict):
        raise invalid_request(f"No such token: '{given}'", param="external_account")
    connected = _owner(call)
    bank_account = add_external_account(connected, given)
    connected.provided.add("external_account")
    platform = connected.platform or connected
    work_out(connected, platform.objects("account").get(connected.account_id))
    return bank_account


def update_external_account(call: Call) -> JsonObject:
    """POST /v1/accounts/{id}/external_accounts/{external_account}: holder, default, metadata."""
    connected = _owner(call)
    item = connected.objects("bank_account").get(call.path["external_account"])
    previous: JsonObject = {}
    for name in ("account_holder_name", "account_holder_type"):
        if name in call.params and name in item:
            previous[name] = item[name]
            item[name] = call.params[name] if call.params[name] != "" else None
    if "metadata" in call.params:
        previous["metadata"] = item["metadata"]
        merge_metadata(item, call.params["metadata"])
    if call.params.get("default_for_currency"):
        previous["default_for_currency"] = item["default_for_currency"]
        for other in connected.objects("bank_account"):
            if other["currency"] == item["currency"]:
                other["default_for_currency"] = other is item
    connected.emit("account.external_account.updated", item, call.origin, previous)
    return item


def delete_external_account(call: Call) -> JsonObject:
    """DELETE /v1/accounts/{id}/external_accounts/{external_account}; not the default one."""
    connected = _owner(call)
    accounts = connected.objects("bank_account")
    item = accounts.get(call.path["external_account"])
    if item["default_for_currency"] and len(accounts) > 1:
        raise invalid_request(
            "You cannot delete the default external account for your default currency. Please "
            "make another external account the default using the `default_for_currency` param, "
            "and then delete this one."
        )
    accounts.remove(item["id"])
    if not len(accounts):
        connected.provided.discard("external_account")
        platform = connected.platform or connected
        work_out(connected, platform.objects("account").get(connected.account_id))
    connected.emit("account.external_account.deleted", item, call.origin)
    return {"id": item["id"], "object": item["object"], "deleted": True}


def external_account_list(connected: TwinAccount) -> JsonObject:
    """The list object inside an account."""
    data = list(connected.objects("bank_account"))
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "total_count": len(data),
        "url": f"/v1/accounts/{connected.account_id}/external_accounts",
    }


def add_external_account(connected: TwinAccount, given: dict[str, Any]) -> JsonObject:
    """Adds a bank account or a debit card; the first of its currency becomes the default."""
    currency = given.get("currency", connected.default_currency).lower()
    others = [item for item in connected.objects("bank_account") if item["currency"] == currency]
    common: JsonObject = {
        "account": connected.account_id,
        "available_payout_methods": ["standard"],
        "currency": currency,
        "default_for_currency": not others,
        "metadata": {},
        "status": "new",
    }
    match given.get("object"):
        case "bank_account":
            external = _bank_account(connected, given) | common
        case "card" if "number" in given:
            external = _card(connected, given) | common
        case kind:
            raise invalid_request(
                f"The twin models bank accounts and numbers of cards, not {kind}.",
                param="external_account",
            )
    connected.objects("bank_account").add(external)
    connected.emit("account.external_account.created", external)
    return external


def destination_of(account: TwinAccount, currency: str) -> JsonObject | None:
    """Where payouts of a currency go: its default, else any external account there is."""
    externals = list(account.objects("bank_account"))
    defaults = [
        item for item in externals if item["default_for_currency"] and item["currency"] == currency
    ]
    return next(iter([*defaults, *externals]), None)


def payout_failed(account: TwinAccount, external_id: str | None) -> None:
    """What a failed payout does to where it went."""
    external = account.objects("bank_account").find(external_id) if external_id else None
    if external is not None and external["status"] != "errored":
        previous = {"status": external["status"]}
        external["status"] = "errored"
        account.emit("account.external_account.updated", external, previous=previous)


def _bank_account(connected: TwinAccount, given: dict[str, Any]) -> JsonObject:
    number = given["account_number"]
    return {
        "id": connected.new_id("ba"),
        "object": "bank_account",
        "account_holder_name": given.get("account_holder_name"),
        "account_holder_type": given.get("account_holder_type"),
        "account_type": None,
        "bank_name": "STRIPE TEST BANK",
        "country": given["country"],
        "fingerprint": f"twin{number[-12:]}",
        "future_requirements": _no_requirements(),
        "last4": number[-4:],
        "requirements": _no_requirements(),
        "routing_number": given.get("routing_number"),
    }


def _card(connected: TwinAccount, given: dict[str, Any]) -> JsonObject:
    number = given["number"]
    address = ("city", "country", "line1", "line2", "state", "zip")
    return {
        "id": connected.new_id("card"),
        "object": "card",
        **{f"address_{name}": given.get(f"address_{name}") for name in address},
        "address_line1_check": None,
        "address_zip_check": None,
        "brand": "Visa",
        "country": connected.country,
        "cvc_check": None,
        "dynamic_last4": None,
        "exp_month": given["exp_month"],
        "exp_year": given["exp_year"],
        "fingerprint": f"twin{number[-12:]}",
        "funding": "debit",
        "last4": number[-4:],
        "name": given.get("name"),
        "tokenization_method": None,
    }


def _no_requirements() -> JsonObject:
    return {"currently_due": [], "errors": [], "past_due": [], "pending_verification": []}


def _owner(call: Call) -> TwinAccount:
    platform = call.account.platform or call.account
    connected = platform.connected.get(call.path["id"])
    if connected is None:
        raise account_invalid(masked(platform.secret_key), call.path["id"])
    return connected
