"""Persons: who owns, represents and directs a connected account, and what is wanted of each.

What a person lacks is in the person's `requirements` by its own name (`dob.day`) and in the
account's after the person's id (`person_….dob.day`). The individual of an account is a person, too,
whose fields the account names `individual.…`. https://docs.stripe.com/api/persons/object
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, masked, merge_metadata
from sandbox.stripe_twin.documents import check_files, documents_of_person, take_in
from sandbox.stripe_twin.errors import account_invalid, permission_denied
from sandbox.stripe_twin.requirements import empty_person_requirements, provided_paths, work_out
from sandbox.stripe_twin.store import JsonObject

_ROLES = ("authorizer", "director", "executive", "legal_guardian", "owner", "representative")
_TAKEN_OVER = (
    "address",
    "address_kana",
    "address_kanji",
    "email",
    "first_name",
    "first_name_kana",
    "first_name_kanji",
    "full_name_aliases",
    "gender",
    "last_name",
    "last_name_kana",
    "last_name_kanji",
    "maiden_name",
    "nationality",
    "phone",
    "political_exposure",
    "registered_address",
)


def create_person(call: Call) -> JsonObject:
    """POST /v1/accounts/{id}/persons."""
    connected = _owner(call)
    person = _new_person(connected)
    connected.objects("person").add(person)
    _apply(connected, person, call.params)
    connected.emit("person.created", person, call.origin)
    return person


def retrieve_person(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}/persons/{person}."""
    return _owner(call).objects("person").get(call.path["person"], "person")


def list_persons(call: Call) -> JsonObject:
    """GET /v1/accounts/{id}/persons by relationship, newest first."""
    connected = _owner(call)
    if connected.persons_withheld:
        raise permission_denied("Your platform may not list the persons of this account.")
    wanted = call.params.get("relationship", {})
    return connected.objects("person").page(
        f"/v1/accounts/{connected.account_id}/persons",
        call.params,
        lambda person: all(
            person["relationship"][name] is value for name, value in wanted.items() if value
        ),
    )


def update_person(call: Call) -> JsonObject:
    """POST /v1/accounts/{id}/persons/{person}."""
    connected = _owner(call)
    person = connected.objects("person").get(call.path["person"], "person")
    given = documents_of_person(person["id"], call.params)
    check_files(connected, given)
    before = {**person}
    _apply(connected, person, call.params)
    take_in(connected, _account_of(connected), given)
    previous = {name: value for name, value in before.items() if person[name] != value}
    connected.emit("person.updated", person, call.origin, previous)
    return person


def delete_person(call: Call) -> JsonObject:
    """DELETE /v1/accounts/{id}/persons/{person}."""
    connected = _owner(call)
    persons = connected.objects("person")
    person = persons.get(call.path["person"], "person")
    persons.remove(person["id"])
    connected.person_provided.pop(person["id"], None)
    _work_out(connected)
    connected.emit("person.deleted", person, call.origin)
    return {"id": person["id"], "object": "person", "deleted": True}


def take_individual(connected: TwinAccount, given: dict[str, Any]) -> None:
    """What an account's own parameters say of its individual, who is a person of it."""
    person = connected.objects("person").find(connected.individual_id)
    if person is None:
        person = _new_person(connected)
        person["relationship"]["representative"] = True
        connected.individual_id = person["id"]
        connected.objects("person").add(person)
    _describe(connected, person, given)


def _new_person(connected: TwinAccount) -> JsonObject:
    return {
        "id": connected.new_id("person"),
        "object": "person",
        "account": connected.account_id,
        "created": connected.now(),
        "dob": {"day": None, "month": None, "year": None},
        "future_requirements": empty_person_requirements(),
        "id_number_provided": False,
        "metadata": {},
        "relationship": {
            **dict.fromkeys(_ROLES, False),
            "percent_ownership": None,
            "title": None,
        },
        "requirements": empty_person_requirements(),
        "ssn_last_4_provided": False,
        "verification": {
            "additional_document": _no_document(),
            "details": None,
            "details_code": None,
            "document": _no_document(),
            "status": "unverified",
        },
    }


def _no_document() -> JsonObject:
    return {"back": None, "details": None, "details_code": None, "front": None}


def _apply(connected: TwinAccount, person: JsonObject, params: dict[str, Any]) -> None:
    _describe(connected, person, params)
    _work_out(connected)


def _describe(connected: TwinAccount, person: JsonObject, params: dict[str, Any]) -> None:
    """Takes over what is given; numbers of documents are never shown again."""
    for name in _TAKEN_OVER:
        if name in params:
            person[name] = params[name] if params[name] != "" else None
    for name in ("dob", "relationship"):
        if isinstance(params.get(name), dict):
            person[name] = {**person[name], **params[name]}
    for name in ("id_number", "ssn_last_4"):
        if name in params:
            person[f"{name}_provided"] = True
    for name, document in params.get("verification", {}).items():
        person["verification"][name] = {**person["verification"][name], **document}
    merge_metadata(person, params.get("metadata"))
    given = connected.person_provided.setdefault(person["id"], set())
    given |= provided_paths({name: value for name, value in params.items() if name != "metadata"})


def _work_out(connected: TwinAccount) -> None:
    work_out(connected, _account_of(connected))


def _account_of(connected: TwinAccount) -> JsonObject:
    platform = connected.platform or connected
    return platform.objects("account").get(connected.account_id)


def _owner(call: Call) -> TwinAccount:
    platform = call.account.platform or call.account
    connected = platform.connected.get(call.path["id"])
    if connected is None:
        raise account_invalid(masked(platform.secret_key), call.path["id"])
    return connected
