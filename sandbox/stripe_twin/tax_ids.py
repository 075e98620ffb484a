"""Tax ids of customers and accounts, and their verification.

https://docs.stripe.com/billing/customer/tax-ids: ids of some types are verified against a
government's register, later than the answer; the documented test values decide how that ends.
"""

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

VERIFIED_TYPES = frozenset({"au_abn", "eu_vat", "gb_vat"})
# The digits at the end of a test value, and how its verification ends; any other is unverified.
_VERIFIED_DIGITS = "000000000"
_PENDING_DIGITS = "222222222"
_COUNTRIES = {"au_abn": "AU", "gb_vat": "GB", "us_ein": "US", "ch_vat": "CH", "in_gst": "IN"}


def create_customer_tax_id(call: Call) -> JsonObject:
    """POST /v1/customers/{customer}/tax_ids."""
    customer = call.objects("customer").get(call.path["customer"], "customer")
    return _create(call, customer["id"])


def create_tax_id(call: Call) -> JsonObject:
    """POST /v1/tax_ids: of the account itself, or of a customer as `owner`."""
    owner = call.params.get("owner", {"type": "self"})
    if owner["type"] == "customer":
        customer = call.objects("customer").get(owner["customer"], "owner[customer]", 400)
        return _create(call, customer["id"])
    if owner["type"] != "self":
        raise invalid_request("The twin models the owners `self` and `customer`.", param="owner")
    return _create(call, None)


def retrieve_tax_id(call: Call) -> JsonObject:
    """GET /v1/tax_ids/{id} and GET /v1/customers/{customer}/tax_ids/{id}."""
    return call.objects("tax_id").get(call.path["id"])


def list_customer_tax_ids(call: Call) -> JsonObject:
    """GET /v1/customers/{customer}/tax_ids."""
    customer = call.objects("customer").get(call.path["customer"], "customer")
    return call.objects("tax_id").page(
        f"/v1/customers/{customer['id']}/tax_ids",
        call.params,
        lambda item: item["customer"] == customer["id"],
    )


def list_tax_ids(call: Call) -> JsonObject:
    """GET /v1/tax_ids: the account's own, or those of `owner[customer]`."""
    customer = call.params.get("owner", {}).get("customer")
    return call.objects("tax_id").page(
        "/v1/tax_ids", call.params, lambda item: item["customer"] == customer
    )


def delete_tax_id(call: Call) -> JsonObject:
    """DELETE of a tax id."""
    item = call.objects("tax_id").get(call.path["id"])
    call.objects("tax_id").remove(item["id"])
    if item["customer"] is not None:
        call.emit("customer.tax_id.deleted", item)
    return {"id": item["id"], "object": "tax_id", "deleted": True}


def set_verification(
    account: TwinAccount,
    item: JsonObject,
    status: str,
    verified_name: str | None = None,
    verified_address: str | None = None,
) -> None:
    """What the register said; tells it by `customer.tax_id.updated`."""
    previous = {"verification": item["verification"]}
    item["verification"] = {
        "status": status,
        "verified_address": verified_address,
        "verified_name": verified_name,
    }
    if item["customer"] is not None:
        account.emit("customer.tax_id.updated", item, previous=previous)


def _create(call: Call, customer_id: str | None) -> JsonObject:
    kind, value = call.params["type"], call.params["value"]
    verified = kind in VERIFIED_TYPES
    pending = {"status": "pending", "verified_address": None, "verified_name": None}
    item: JsonObject = {
        "id": call.account.new_id("txi"),
        "object": "tax_id",
        "country": value[:2] if kind == "eu_vat" else _COUNTRIES.get(kind, kind[:2].upper()),
        "created": call.account.now(),
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "owner": {"type": "self"}
        if customer_id is None
        else {"customer": customer_id, "type": "customer"},
        "type": kind,
        "value": value,
        "verification": pending if verified else None,
    }
    call.objects("tax_id").add(item)
    if customer_id is not None:
        call.emit("customer.tax_id.created", item)
    if verified and not value.endswith(_PENDING_DIGITS):
        _verify_later(call.account, item)
    return item


def _verify_later(account: TwinAccount, item: JsonObject) -> None:
    passed = item["value"].endswith(_VERIFIED_DIGITS)

    def verify() -> None:
        if account.objects("tax_id").find(item["id"]) is None:
            return
        status = "verified" if passed else "unverified"
        name = "Test Business" if passed else None
        set_verification(account, item, status, name)

    surroundings = account.surroundings
    surroundings.clock.after(surroundings.settings.tax_verification_seconds, verify)
