"""Customers and what they are listed with: https://docs.stripe.com/api/customers."""

from typing import Any

from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import invalid_request, missing
from sandbox.stripe_twin.lists import parse_query, search_page
from sandbox.stripe_twin.payment_methods import (
    detach,
    ensure_attachable,
    page_of_methods,
    resolve_payment_method,
)
from sandbox.stripe_twin.store import JsonObject

_DESCRIBING = (
    "address",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)
_SEARCHED = frozenset({"created", "email", "name", "phone"})


def create_customer(call: Call) -> JsonObject:
    """POST /v1/customers, with `payment_method` also attaching one."""
    params = call.params
    customer: JsonObject = {
        "id": call.account.new_id("cus"),
        "object": "customer",
        "address": None,
        "balance": params.get("balance", 0),
        "created": call.account.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": None,
        "invoice_prefix": call.account.shared.identifiers.token(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": params.get("next_invoice_sequence", 1),
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    customer |= _described(params)
    merge_metadata(customer, params.get("metadata"))
    method = None
    if "payment_method" in params:
        name = params["payment_method"]
        method = resolve_payment_method(call.account, name, "payment_method", 400)
        ensure_attachable(call.account, method, customer["id"])
        method["customer"] = customer["id"]
    _choose_default(call, customer)
    call.objects("customer").add(customer)
    call.emit("customer.created", customer)
    if method is not None:
        call.emit("payment_method.attached", method)
    return customer


def retrieve_customer(call: Call) -> JsonObject:
    """GET /v1/customers/{id}; a deleted one is a stub that says so."""
    identifier = call.path["id"]
    if identifier in call.account.deleted_customers:
        return _deleted(identifier)
    return call.objects("customer").get(identifier)


def update_customer(call: Call) -> JsonObject:
    """POST /v1/customers/{id}: what describes the customer, and the default payment method."""
    customer = call.objects("customer").get(call.path["id"])
    changed = _described(call.params)
    if "balance" in call.params:
        changed["balance"] = call.params["balance"]
    previous = {name: customer[name] for name in changed}
    customer.update(changed)
    if "metadata" in call.params:
        previous["metadata"] = customer["metadata"]
        merge_metadata(customer, call.params["metadata"])
    if "invoice_settings" in call.params:
        previous["invoice_settings"] = customer["invoice_settings"]
        _choose_default(call, customer)
    call.emit("customer.updated", customer, previous)
    return customer


def delete_customer(call: Call) -> JsonObject:
    """DELETE /v1/customers/{id}: for good, and its payment methods are detached."""
    customer = call.objects("customer").get(call.path["id"])
    identifier: str = customer["id"]
    for method in list(call.objects("payment_method")):
        if method["customer"] == identifier:
            detach(call.account, method, call.origin)
    call.objects("customer").remove(identifier)
    call.account.deleted_customers.add(identifier)
    call.emit("customer.deleted", customer)
    return _deleted(identifier)


def list_customers(call: Call) -> JsonObject:
    """GET /v1/customers by email and created."""
    email = call.params.get("email")
    return call.objects("customer").page(
        "/v1/customers", call.params, lambda customer: email in (None, customer["email"])
    )


def search_customers(call: Call) -> JsonObject:
    """GET /v1/customers/search by email, name, phone, created and metadata."""
    query = parse_query(call.params["query"], _SEARCHED)
    found = [customer for customer in call.objects("customer") if query(customer)]
    return search_page("/v1/customers/search", found, call.params)


def list_customer_methods(call: Call) -> JsonObject:
    """GET /v1/customers/{customer}/payment_methods."""
    customer = call.objects("customer").get(call.path["customer"], "customer")
    return page_of_methods(call, f"/v1/customers/{customer['id']}/payment_methods", customer["id"])


def retrieve_customer_method(call: Call) -> JsonObject:
    """GET /v1/customers/{customer}/payment_methods/{payment_method}."""
    customer = call.objects("customer").get(call.path["customer"], "customer")
    method = call.objects("payment_method").get(call.path["payment_method"], "payment_method")
    if method["customer"] != customer["id"]:
        raise missing("payment_method", method["id"], "payment_method")
    return method


def _described(params: dict[str, Any]) -> JsonObject:
    email = params.get("email")
    if email and "@" not in email:
        raise invalid_request(
            f"Invalid email address: {email}", code="email_invalid", param="email"
        )
    return {
        name: params[name] if params[name] != "" else None for name in _DESCRIBING if name in params
    }


def _choose_default(call: Call, customer: JsonObject) -> None:
    given = call.params.get("invoice_settings", {})
    chosen = given.get("default_payment_method")
    if chosen:
        method = call.objects("payment_method").get(chosen, "payment_method", 400)
        if method["customer"] != customer["id"]:
            raise invalid_request(
                f"The customer does not have a payment method with the ID {chosen}. The payment "
                "method must be attached to the customer.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
    if given:
        settings = {name: value if value != "" else None for name, value in given.items()}
        customer["invoice_settings"] = {**customer["invoice_settings"], **settings}


def _deleted(identifier: str) -> JsonObject:
    return {"id": identifier, "object": "customer", "deleted": True}
