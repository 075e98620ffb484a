"""What Stripe still wants to know of a connected account, and what that switches off.

A short but real list per business type: https://docs.stripe.com/connect/required-verification-information.
A test can replace all of it by the admin API, after which the twin leaves the account alone.
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.store import JsonObject

_ALWAYS = (
    "business_profile.mcc",
    "business_profile.url",
    "business_type",
    "external_account",
    "tos_acceptance.date",
    "tos_acceptance.ip",
)
_ORGANISATION = ("company.address.line1", "company.name", "company.phone", "company.tax_id")
_BY_TYPE: dict[str | None, tuple[str, ...]] = {
    "company": _ORGANISATION,
    "government_entity": _ORGANISATION,
    "non_profit": _ORGANISATION,
    "individual": (
        "individual.address.line1",
        "individual.dob.day",
        "individual.dob.month",
        "individual.dob.year",
        "individual.email",
        "individual.first_name",
        "individual.id_number",
        "individual.last_name",
    ),
}
# What is wanted of each person of a company, and of who represents it besides.
_OF_PERSONS = ("dob.day", "dob.month", "dob.year", "email", "first_name", "last_name")
_OF_REPRESENTATIVES = ("id_number",)
_INDIVIDUAL = "individual."


def empty_requirements() -> JsonObject:
    """Requirements, or future requirements, with nothing in them."""
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }


def empty_person_requirements() -> JsonObject:
    """The same of a person, who has no deadline of their own: the account's counts."""
    return {
        name: value
        for name, value in empty_requirements().items()
        if name not in ("current_deadline", "disabled_reason")
    }


def missing_fields(account: JsonObject, provided: set[str]) -> list[str]:
    """The fields that a new account has not given yet; `provided` are dotted paths."""
    wanted = _ALWAYS + _BY_TYPE.get(account["business_type"], ())
    return sorted(field for field in wanted if field not in provided)


def work_out(connected: TwinAccount, account: JsonObject) -> None:
    """Works out anew what is due, unless a test has set it."""
    if not connected.overridden:
        missing = missing_fields(account, connected.provided)
        missing += _missing_of_persons(connected, missing)
        apply_missing(account, list(connected.objects("capability")), missing)


def apply_missing(account: JsonObject, capabilities: list[JsonObject], missing: list[str]) -> None:
    """Sets what follows from the missing fields for the account and its requested capabilities."""
    complete = not missing
    account["requirements"] = _due(missing)
    account["charges_enabled"] = account["payouts_enabled"] = complete and bool(capabilities)
    account["details_submitted"] = complete
    for capability in capabilities:
        if capability["requested"]:
            capability["status"] = "active" if complete else "inactive"
            capability["requirements"] = _due(missing)
    account["capabilities"] = {
        capability["id"]: capability["status"]
        for capability in capabilities
        if capability["requested"]
    }


def verify_persons(connected: TwinAccount) -> None:
    """Stripe has verified every person, and wants nothing more of them."""
    for person in connected.objects("person"):
        person["requirements"] = empty_person_requirements()
        person["verification"]["status"] = "verified"


def _missing_of_persons(connected: TwinAccount, of_account: list[str]) -> list[str]:
    """Sets what each person lacks; what the account lacks by them, by the account's names."""
    missing: list[str] = []
    for person in connected.objects("person"):
        if person["id"] == connected.individual_id:
            lacked = [
                field.removeprefix(_INDIVIDUAL)
                for field in of_account
                if field.startswith(_INDIVIDUAL)
            ]
        else:
            representative = person["relationship"]["representative"]
            wanted = _OF_PERSONS + (_OF_REPRESENTATIVES if representative else ())
            provided = connected.person_provided.get(person["id"], set())
            lacked = sorted(field for field in wanted if field not in provided)
            missing += [f"{person['id']}.{field}" for field in lacked]
        person["requirements"] = {
            **empty_person_requirements(),
            "currently_due": lacked,
            "eventually_due": list(lacked),
            "past_due": list(lacked),
        }
        person["verification"]["status"] = "unverified" if lacked else "verified"
    return sorted(missing)


def provided_paths(params: dict[str, Any], prefix: str = "") -> set[str]:
    """The dotted paths of everything that a request gave."""
    paths: set[str] = set()
    for name, value in params.items():
        path = f"{prefix}{name}"
        paths.add(path)
        if isinstance(value, dict):
            paths |= provided_paths(value, f"{path}.")
    return paths


def _due(missing: list[str]) -> JsonObject:
    # A new account has never been enabled, so what it lacks is past due from the start.
    due = empty_requirements()
    if missing:
        due |= {
            "currently_due": list(missing),
            "disabled_reason": "requirements.past_due",
            "eventually_due": list(missing),
            "past_due": list(missing),
        }
    return due
