"""Documents that answer a requirement: given as files, pending until somebody has looked at them.

https://docs.stripe.com/connect/handling-api-verification says how they are attached, and the SDK's
parameters which purpose each has. A test plays who looks at them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.errors import invalid_request, missing
from sandbox.stripe_twin.external_accounts import external_account_list
from sandbox.stripe_twin.store import JsonObject

_WANTED = ("currently_due", "past_due", "eventually_due")
_IDENTITY, _COMPANY, _OTHER = "identity_document", "additional_verification", "account_requirement"


@dataclass(frozen=True, slots=True)
class Given:
    """One file that a request gives: what Stripe calls the requirement, and the parameter."""

    field: str
    param: str
    purpose: str
    file_id: str


def documents_of_account(params: dict[str, Any]) -> list[Given]:
    """The files of `POST /v1/accounts/{id}`."""
    found = list(_files(params.get("documents"), "documents", "documents"))
    for owner, purpose in (("individual", _IDENTITY), ("company", _COMPANY)):
        verification = (params.get(owner) or {}).get("verification")
        place = f"{owner}[verification]"
        found += _sides(verification, f"{owner}.verification", place, purpose)
    return found


def documents_of_person(person_id: str, params: dict[str, Any]) -> list[Given]:
    """The files of `POST /v1/accounts/{id}/persons/{person}`."""
    return [
        *_files(params.get("documents"), f"{person_id}.documents", "documents"),
        *_sides(params.get("verification"), f"{person_id}.verification", "verification", _IDENTITY),
    ]


def check_files(connected: TwinAccount, given: list[Given]) -> None:
    """Raises ApiError (400) for a file that is not there, or that is for something else."""
    owners = [connected] + ([connected.platform] if connected.platform else [])
    for one in given:
        found = next(
            (item for owner in owners if (item := owner.objects("file").find(one.file_id))), None
        )
        if found is None:
            raise missing("file", one.file_id, one.param, 400)
        if found["purpose"] != one.purpose:
            raise invalid_request(
                f"The file {one.file_id} has the purpose {found['purpose']}; it has to be "
                f"{one.purpose}.",
                param=one.param,
            )


def take_in(connected: TwinAccount, item: JsonObject, given: list[Given]) -> None:
    """What was given is looked at from now on, where it was wanted."""
    for field in dict.fromkeys(one.field for one in given):
        for owner in _owners(connected, item):
            lists = owner["requirements"]
            if any(field in lists[name] for name in _WANTED):
                owner["requirements"] = {
                    **lists,
                    **{name: _without(lists[name], field) for name in _WANTED},
                    "errors": [one for one in lists["errors"] if one["requirement"] != field],
                    "pending_verification": [*lists["pending_verification"], field],
                }


def decide(connected: TwinAccount, item: JsonObject, field: str, error: str | None) -> JsonObject:
    """Plays who looks at a document: nothing more is wanted, or the same again with an error.

    Raises ValueError if there is nothing to be looked at.
    """
    if field not in item["requirements"]["pending_verification"]:
        raise ValueError(f"{field} is not being verified")
    before = {**item, "external_accounts": external_account_list(connected)}
    for owner in _owners(connected, item):
        lists = owner["requirements"]
        if field not in lists["pending_verification"]:
            continue
        after = {**lists, "pending_verification": _without(lists["pending_verification"], field)}
        if error is not None:
            reason = {"code": error, "reason": "The document was refused.", "requirement": field}
            after["errors"] = [*lists["errors"], reason]
            after["currently_due"] = [*lists["currently_due"], field]
            after["eventually_due"] = [*lists["eventually_due"], field]
        owner["requirements"] = after
    view = {**item, "external_accounts": external_account_list(connected)}
    previous = {name: value for name, value in before.items() if view[name] != value}
    connected.emit("account.updated", view, previous=previous)
    return view


def _owners(connected: TwinAccount, item: JsonObject) -> Iterator[JsonObject]:
    yield item
    yield from connected.objects("capability")


def _files(documents: Any, field: str, param: str) -> Iterator[Given]:
    for name, given in (documents or {}).items():
        for position, file_id in enumerate(given.get("files") or []):
            yield Given(
                f"{field}.{name}.files", f"{param}[{name}][files][{position}]", _OTHER, file_id
            )


def _sides(verification: Any, field: str, param: str, purpose: str) -> Iterator[Given]:
    for name in ("document", "additional_document"):
        for side, file_id in ((verification or {}).get(name) or {}).items():
            yield Given(f"{field}.{name}", f"{param}[{name}][{side}]", purpose, file_id)


def _without(fields: list[str], field: str) -> list[str]:
    return [one for one in fields if one != field]
