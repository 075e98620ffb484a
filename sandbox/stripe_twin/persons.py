"""Persons of a connected account: https://docs.stripe.com/api/persons."""

from typing import Any

from sandbox.stripe_twin.calls import Call
from sandbox.stripe_twin.connected_accounts import find_account, merged
from sandbox.stripe_twin.documents import check_files, documents_of_person, take_in
from sandbox.stripe_twin.store import JsonObject

_TEXTS = ("email", "first_name", "last_name", "phone")
_DESCRIBING = ("address", "dob", "relationship", "verification")


def create_person(call: Call) -> JsonObject:
    """POST /v1/accounts/{account}/persons."""
    connected, account = find_account(call, call.path["account"])
    person = {
        "id": connected.new_id("person"),
        "object": "person",
        "account": account["id"],
        "created": connected.now(),
        "metadata": {},
        "verification": {
            "additional_document": _no_document(),
            "details": None,
            "details_code": None,
            "document": _no_document(),
            "status": "unverified",
        },
    }
    _apply(person, call.params)
    connected.objects("person").add(person)
    connected.emit("person.created", person, call.origin)
    return person


def retrieve_person(call: Call) -> JsonObject:
    """GET /v1/accounts/{account}/persons/{person}."""
    connected, _ = find_account(call, call.path["account"])
    return connected.objects("person").get(call.path["person"], "person")


def list_persons(call: Call) -> JsonObject:
    """GET /v1/accounts/{account}/persons."""
    connected, account = find_account(call, call.path["account"])
    return connected.objects("person").page(f"/v1/accounts/{account['id']}/persons", call.params)


def update_person(call: Call) -> JsonObject:
    """POST /v1/accounts/{account}/persons/{person}."""
    connected, account = find_account(call, call.path["account"])
    person = connected.objects("person").get(call.path["person"], "person")
    given = documents_of_person(person["id"], call.params)
    check_files(connected, given)
    _apply(person, call.params)
    take_in(connected, account, given)
    connected.emit("person.updated", person, call.origin, {})
    return person


def _no_document() -> JsonObject:
    return {"back": None, "details": None, "details_code": None, "front": None}


def _apply(person: JsonObject, params: dict[str, Any]) -> None:
    for name in _TEXTS:
        if name in params:
            person[name] = params[name]
    for name in _DESCRIBING:
        if name in params:
            person[name] = merged(person.get(name) or {}, params[name])
