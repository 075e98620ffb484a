"""From Stripe's v2 account to the requirements and capabilities of an `AccountSnapshot`. Pure.

A v2 account lists each requirement once, with who has to act, how pressing it is and which
capabilities it restricts; a v1 account has lists for the account and each capability. Both are the
same account, and the snapshot has one form: v1's lists, with Stripe's v2 names of fields as they
came. Shapes and meanings: stripe-python 16.1, `stripe.v2.core.Account`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from gateway.merchants.snapshot import (
    MAX_ALTERNATIVES,
    MAX_ERRORS,
    MAX_FIELDS,
    MAX_ITEMS,
    MAX_REASON_CHARACTERS,
    mapping_of,
    mappings_of,
)
from gateway.stripe_client.outcome import text_of
from gateway.v1 import merchant_pb2, merchant_requirements_pb2

CONFIGURATIONS = ("customer", "merchant", "recipient")
# v1's names of capabilities that v2 names otherwise; what only v2 has keeps its name.
V1_NAMES = {
    "ach_debit_payments": "us_bank_account_ach_payments",
    "stripe_balance.stripe_transfers": "transfers",
}
STATES = {
    "active": merchant_pb2.CAPABILITY_STATE_ACTIVE,
    "pending": merchant_pb2.CAPABILITY_STATE_PENDING,
    "rejected": merchant_pb2.CAPABILITY_STATE_DISABLED,
    "restricted": merchant_pb2.CAPABILITY_STATE_INACTIVE,
    "unsupported": merchant_pb2.CAPABILITY_STATE_INACTIVE,
}
# If two configurations have a capability, the account can do what either lets it do.
_BEST_FIRST = (
    merchant_pb2.CAPABILITY_STATE_ACTIVE,
    merchant_pb2.CAPABILITY_STATE_PENDING,
    merchant_pb2.CAPABILITY_STATE_INACTIVE,
    merchant_pb2.CAPABILITY_STATE_DISABLED,
    merchant_pb2.CAPABILITY_STATE_UNRECOGNIZED,
)
_LISTS = {
    "past_due": ("past_due", "currently_due", "eventually_due"),
    "currently_due": ("currently_due", "eventually_due"),
    "eventually_due": ("eventually_due",),
}
_PERSON = "person_"


def with_v2(
    snapshot: merchant_pb2.AccountSnapshot, account: Mapping[str, Any]
) -> merchant_pb2.AccountSnapshot:
    """The snapshot with requirements and capabilities as the v2 account has them.

    What both forms say of a person is in the v2 entries, which name the person. Whether Stripe lets
    the account charge and pay out, and where to, is v1's to say, but a closed account does neither.
    What Stripe does not show of the v2 account is as v1 has it.
    """
    merged = merchant_pb2.AccountSnapshot()
    merged.CopyFrom(snapshot)
    merged.from_v2 = True
    if account.get("closed") is True:
        merged.charges_enabled = merged.payouts_enabled = False
    capabilities = {item.name: item for item in merged.capabilities}
    for name, state in _capabilities(account):
        known = capabilities.setdefault(name, merchant_pb2.Capability(name=name))
        known.state, known.requested = state, True
    for part in ("requirements", "future_requirements"):
        said = account.get(part)
        if not isinstance(said, Mapping):
            # Not shown is not met: what v1 wants stands.
            continue
        _take_over(getattr(merged, part), said)
        for person in merged.persons:
            person.ClearField(part)
        for item in capabilities.values():
            _take_over(getattr(item, part), said, item.name)
    found = sorted(capabilities.values(), key=lambda item: item.name)
    merged.truncated = merged.truncated or len(found) > MAX_ITEMS
    del merged.capabilities[:]
    merged.capabilities.extend(found[:MAX_ITEMS])
    return merged


def _take_over(
    requirements: merchant_requirements_pb2.Requirements,
    values: Mapping[str, Any],
    capability: str = "",
) -> None:
    """Lets v2 say what is wanted; why Stripe has stopped something stays v1's word."""
    reason = requirements.disabled_reason
    requirements.CopyFrom(requirements_of_v2(values, capability))
    requirements.disabled_reason = reason


def requirements_of_v2(
    values: Mapping[str, Any], capability: str = ""
) -> merchant_requirements_pb2.Requirements:
    """One requirements hash of a v2 account as v1's lists: all of it, or what restricts one
    capability, by how pressing it is for that.

    What waits for Stripe is being verified, whatever its deadline.
    """
    lists: dict[str, set[str]] = {name: set() for name in (*_LISTS, "pending_verification")}
    errors: list[merchant_requirements_pb2.RequirementError] = []
    for entry in mappings_of(values, "entries"):
        field, statuses = _field(entry), list(_statuses(entry, capability))
        if not field or not statuses:
            continue
        if text_of(entry, "awaiting_action_from") == "stripe":
            lists["pending_verification"].add(field)
        else:
            for status in statuses:
                # A word of next year is wanted now rather than never.
                for name in _LISTS.get(status, _LISTS["currently_due"]):
                    lists[name].add(field)
        errors += [
            merchant_requirements_pb2.RequirementError(
                code=text_of(error, "code"),
                reason=text_of(error, "description")[:MAX_REASON_CHARACTERS],
                requirement=field,
            )
            for error in mappings_of(entry, "errors")
        ]
    alternatives = []
    for alternative in mappings_of(values, "alternatives"):
        originals = _all_fields(mappings_of(alternative, "original_entries"))
        for option in mappings_of(alternative, "options"):
            entries = mappings_of(option, "entries")
            alternatives.append((originals, _all_fields(entries)))
            # What is handed in instead of something that concerns us is being verified.
            if not capability or any(
                originals_of & set(originals) for originals_of in lists.values()
            ):
                lists["pending_verification"] |= {
                    _field(entry)
                    for entry in entries
                    if text_of(entry, "awaiting_action_from") == "stripe"
                } - {""}
    known = set().union(*lists.values())
    kept = [
        (originals, fields)
        for originals, fields in sorted(alternatives)
        if fields and known & set(originals)
    ]
    found = merchant_requirements_pb2.Requirements(
        currently_due=sorted(lists["currently_due"])[:MAX_FIELDS],
        past_due=sorted(lists["past_due"])[:MAX_FIELDS],
        eventually_due=sorted(lists["eventually_due"])[:MAX_FIELDS],
        pending_verification=sorted(lists["pending_verification"])[:MAX_FIELDS],
        # Sorted, so that another order is no change.
        errors=sorted(errors, key=lambda error: (error.requirement, error.code, error.reason))[
            :MAX_ERRORS
        ],
        alternatives=[
            merchant_requirements_pb2.RequirementAlternative(
                original_fields_due=originals[:MAX_FIELDS],
                alternative_fields_due=fields[:MAX_FIELDS],
            )
            for originals, fields in kept[:MAX_ALTERNATIVES]
        ],
        truncated=len(kept) > MAX_ALTERNATIVES
        or len(errors) > MAX_ERRORS
        or any(len(fields) > MAX_FIELDS for fields in (*lists.values(), *chain(*kept))),
    )
    deadline = _time(mapping_of(mapping_of(values, "summary"), "minimum_deadline").get("time"))
    if deadline is not None:
        found.current_deadline_time.FromDatetime(deadline)
    return found


def _statuses(entry: Mapping[str, Any], capability: str) -> Iterator[str]:
    """How pressing an entry is, for all of the account or for one capability."""
    if not capability:
        yield text_of(mapping_of(entry, "minimum_deadline"), "status")
        return
    for restricted in mappings_of(mapping_of(entry, "impact"), "restricts_capabilities"):
        name = text_of(restricted, "capability")
        if V1_NAMES.get(name, name) == capability:
            yield text_of(mapping_of(restricted, "deadline"), "status")


def _field(entry: Mapping[str, Any]) -> str:
    """Stripe's name of a requirement, after the person whom it refers to."""
    field, reference = text_of(entry, "description"), mapping_of(entry, "reference")
    person = text_of(reference, "resource")
    about_person = text_of(reference, "type") == "person" and person.startswith(_PERSON)
    if not field or not about_person or field.startswith(_PERSON):
        return field
    return f"{person}.{field}"


def _all_fields(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({_field(entry) for entry in entries} - {""})


def _capabilities(
    account: Mapping[str, Any],
) -> Iterator[tuple[str, merchant_pb2.CapabilityState.ValueType]]:
    """The capabilities that any configuration has, each once."""
    states: dict[str, list[merchant_pb2.CapabilityState.ValueType]] = {}
    for configuration in CONFIGURATIONS:
        configured = mapping_of(mapping_of(account, "configuration"), configuration)
        for path, status in _leaves(mapping_of(configured, "capabilities"), ""):
            state = STATES.get(status, merchant_pb2.CAPABILITY_STATE_UNRECOGNIZED)
            states.setdefault(V1_NAMES.get(path, path), []).append(state)
    for name, seen in states.items():
        yield name, min(seen, key=_BEST_FIRST.index)


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Capabilities by their dotted names, one level of groups deep: (name, status)."""
    for name, value in values.items():
        if not isinstance(value, Mapping):
            continue
        if isinstance(value.get("status"), str):
            yield f"{prefix}{name}", value["status"]
        elif not prefix:
            yield from _leaves(value, f"{name}.")


def _time(value: Any) -> datetime | None:
    """A time of RFC 3339; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
