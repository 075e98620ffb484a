"""From Stripe's account, capabilities, bank accounts and persons to an `AccountSnapshot`. Pure.

What Stripe leaves out or sends as null is an empty value; words it may add are kept as text, or
become UNRECOGNIZED where they decide something.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from gateway.stripe_client.outcome import text_of
from gateway.v1 import merchant_pb2, merchant_requirements_pb2

MAX_FIELDS = 500
MAX_ALTERNATIVES = 200
MAX_ERRORS = 200
MAX_ITEMS = 100
MAX_PERSONS = 500
MAX_REASON_CHARACTERS = 1024

CAPABILITY_STATES = {
    "active": merchant_pb2.CAPABILITY_STATE_ACTIVE,
    "inactive": merchant_pb2.CAPABILITY_STATE_INACTIVE,
    "pending": merchant_pb2.CAPABILITY_STATE_PENDING,
    "unrequested": merchant_pb2.CAPABILITY_STATE_UNREQUESTED,
    "disabled": merchant_pb2.CAPABILITY_STATE_DISABLED,
}
EXTERNAL_ACCOUNT_STATES = {
    "new": merchant_pb2.EXTERNAL_ACCOUNT_STATE_NEW,
    "validated": merchant_pb2.EXTERNAL_ACCOUNT_STATE_VALIDATED,
    "verified": merchant_pb2.EXTERNAL_ACCOUNT_STATE_VERIFIED,
    "verification_failed": merchant_pb2.EXTERNAL_ACCOUNT_STATE_VERIFICATION_FAILED,
    "errored": merchant_pb2.EXTERNAL_ACCOUNT_STATE_ERRORED,
    "tokenized_account_number_deactivated": merchant_pb2.EXTERNAL_ACCOUNT_STATE_DEACTIVATED,
}
PERSON_STATES = {
    "unverified": merchant_pb2.PERSON_VERIFICATION_STATE_UNVERIFIED,
    "pending": merchant_pb2.PERSON_VERIFICATION_STATE_PENDING,
    "verified": merchant_pb2.PERSON_VERIFICATION_STATE_VERIFIED,
}
FIELD_LISTS = ("currently_due", "past_due", "eventually_due", "pending_verification")
ROLES = ("authorizer", "director", "executive", "legal_guardian", "owner", "representative")


def snapshot_of(
    account: Mapping[str, Any],
    capabilities: Sequence[Mapping[str, Any]],
    external_accounts: Sequence[Mapping[str, Any]],
    persons: Sequence[Mapping[str, Any]] | None,
    *,
    live_mode: bool,
    complete: bool,
) -> merchant_pb2.AccountSnapshot:
    """What Stripe says of an account, without sequence, times and hash.

    `complete` is False if Stripe had more capabilities, external accounts or persons than were
    fetched. `persons` is None if Stripe does not show them.
    """
    company = mapping_of(account, "company")
    seen = (persons or ())[:MAX_PERSONS]
    individual_id = _individual_id(account, seen)
    profile = mapping_of(account, "business_profile")
    payouts = mapping_of(mapping_of(account, "settings"), "payouts")
    return merchant_pb2.AccountSnapshot(
        charges_enabled=account.get("charges_enabled") is True,
        payouts_enabled=account.get("payouts_enabled") is True,
        details_submitted=account.get("details_submitted") is True,
        live_mode=live_mode,
        country_code=text_of(account, "country"),
        default_currency_code=text_of(account, "default_currency").upper(),
        business_type=text_of(account, "business_type"),
        company_name=text_of(company, "name"),
        business_name=text_of(profile, "name"),
        merchant_category_code=text_of(profile, "mcc"),
        requirements=requirements_of(mapping_of(account, "requirements")),
        future_requirements=requirements_of(mapping_of(account, "future_requirements")),
        capabilities=sorted(
            (_capability(item) for item in capabilities[:MAX_ITEMS]), key=lambda item: item.name
        ),
        external_accounts=sorted(
            (_external_account(item) for item in external_accounts[:MAX_ITEMS]),
            key=lambda item: item.id,
        ),
        payout_interval=text_of(mapping_of(payouts, "schedule"), "interval"),
        truncated=not complete
        or max(len(capabilities), len(external_accounts)) > MAX_ITEMS
        or len(persons or ()) > MAX_PERSONS,
        persons=sorted((_person(item, individual_id) for item in seen), key=lambda item: item.id),
        persons_withheld=persons is None,
    )


def requirements_of(values: Mapping[str, Any]) -> merchant_requirements_pb2.Requirements:
    """One requirements hash of Stripe; an empty one where Stripe has none."""
    found = merchant_requirements_pb2.Requirements(
        currently_due=_fields(values, "currently_due"),
        past_due=_fields(values, "past_due"),
        eventually_due=_fields(values, "eventually_due"),
        pending_verification=_fields(values, "pending_verification"),
        disabled_reason=text_of(values, "disabled_reason"),
        alternatives=[
            merchant_requirements_pb2.RequirementAlternative(
                original_fields_due=_fields(item, "original_fields_due"),
                alternative_fields_due=_fields(item, "alternative_fields_due"),
            )
            for item in mappings_of(values, "alternatives")[:MAX_ALTERNATIVES]
        ],
        errors=[
            merchant_requirements_pb2.RequirementError(
                code=text_of(item, "code"),
                reason=text_of(item, "reason")[:MAX_REASON_CHARACTERS],
                requirement=text_of(item, "requirement"),
            )
            for item in mappings_of(values, "errors")[:MAX_ERRORS]
        ],
        truncated=_is_cut(values),
    )
    deadline = values.get("current_deadline")
    if isinstance(deadline, int):
        found.current_deadline_time.FromSeconds(deadline)
    return found


def content_of(snapshot: merchant_pb2.AccountSnapshot) -> str:
    """The snapshot as canonical JSON: equal content, equal text."""
    values = json_format.MessageToDict(snapshot, preserving_proto_field_name=True)
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(content: str) -> bytes:
    """SHA-256 of what `content_of` gives."""
    return hashlib.sha256(content.encode()).digest()


def _capability(values: Mapping[str, Any]) -> merchant_pb2.Capability:
    return merchant_pb2.Capability(
        name=text_of(values, "id"),
        state=CAPABILITY_STATES.get(
            text_of(values, "status"), merchant_pb2.CAPABILITY_STATE_UNRECOGNIZED
        ),
        requested=values.get("requested") is True,
        requirements=requirements_of(mapping_of(values, "requirements")),
        future_requirements=requirements_of(mapping_of(values, "future_requirements")),
    )


def _external_account(values: Mapping[str, Any]) -> merchant_pb2.ExternalAccount:
    found = merchant_pb2.ExternalAccount(
        id=text_of(values, "id"),
        kind=text_of(values, "object"),
        country_code=text_of(values, "country"),
        currency_code=text_of(values, "currency").upper(),
        last4=text_of(values, "last4"),
        default_for_currency=values.get("default_for_currency") is True,
    )
    if found.kind == "card":
        # Stripe gives a debit card no status of its own.
        found.state = EXTERNAL_ACCOUNT_STATES.get(
            text_of(values, "status") or "new", merchant_pb2.EXTERNAL_ACCOUNT_STATE_UNRECOGNIZED
        )
        return found
    found.state = EXTERNAL_ACCOUNT_STATES.get(
        text_of(values, "status"), merchant_pb2.EXTERNAL_ACCOUNT_STATE_UNRECOGNIZED
    )
    found.requirements.CopyFrom(requirements_of(mapping_of(values, "requirements")))
    found.future_requirements.CopyFrom(requirements_of(mapping_of(values, "future_requirements")))
    return found


def _individual_id(account: Mapping[str, Any], persons: Sequence[Mapping[str, Any]]) -> str:
    """The person whose own business the account is; empty if it is nobody's."""
    if text_of(account, "business_type") != "individual":
        return ""
    said = text_of(mapping_of(account, "individual"), "id")
    return said or (text_of(persons[0], "id") if len(persons) == 1 else "")


def _person(values: Mapping[str, Any], individual_id: str) -> merchant_pb2.AccountPerson:
    """By id, roles and codes alone: what names somebody stays at Stripe."""
    verification = mapping_of(values, "verification")
    relationship = mapping_of(values, "relationship")
    said = (
        verification,
        mapping_of(verification, "document"),
        mapping_of(verification, "additional_document"),
    )
    return merchant_pb2.AccountPerson(
        id=text_of(values, "id"),
        roles=[role for role in ROLES if relationship.get(role) is True],
        verification_state=PERSON_STATES.get(
            text_of(verification, "status"), merchant_pb2.PERSON_VERIFICATION_STATE_UNRECOGNIZED
        ),
        verification_codes=sorted({text_of(one, "details_code") for one in said} - {""}),
        requirements=requirements_of(mapping_of(values, "requirements")),
        future_requirements=requirements_of(mapping_of(values, "future_requirements")),
        individual=bool(individual_id) and text_of(values, "id") == individual_id,
    )


def mapping_of(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A hash inside another; an empty one where there is none."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def mappings_of(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The hashes of a list inside a hash."""
    found = values.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _is_cut(values: Mapping[str, Any]) -> bool:
    """Whether a requirements hash has more than is kept of it."""
    alternatives = mappings_of(values, "alternatives")
    return (
        len(alternatives) > MAX_ALTERNATIVES
        or len(mappings_of(values, "errors")) > MAX_ERRORS
        or any(len(_all_fields(values, name)) > MAX_FIELDS for name in FIELD_LISTS)
        or any(
            len(_all_fields(item, name)) > MAX_FIELDS
            for item in alternatives
            for name in ("original_fields_due", "alternative_fields_due")
        )
    )


def _fields(values: Mapping[str, Any], name: str) -> list[str]:
    return sorted(_all_fields(values, name))[:MAX_FIELDS]


def _all_fields(values: Mapping[str, Any], name: str) -> set[str]:
    found = values.get(name)
    return {item for item in found if isinstance(item, str)} if isinstance(found, list) else set()
