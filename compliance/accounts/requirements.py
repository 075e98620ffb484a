"""Stripe's requirement lists as one list: each field once, with the worst that is said of it.

`past_due ⊆ currently_due ⊆ eventually_due`, and `pending_verification` beside them; an account has
such lists for itself and for each capability, person and bank account, now and in future. What is
pending counts against the deadline, since Stripe wants fields submitted and verified by then.

At their `current_deadline`, future requirements become the requirements: what is currently due or
pending in them counts from then on, possibly as past due at once; what is only eventually due in
them is so afterwards, too, and has no date. Any one of a field's alternatives resolves it:
https://docs.stripe.com/api/accounts/object#account_object-future_requirements-current_deadline
https://docs.stripe.com/api/accounts/object#account_object-requirements-alternatives
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

# RequirementState of the contract.
EVENTUALLY_DUE, PENDING_VERIFICATION, CURRENTLY_DUE, PAST_DUE = 1, 2, 3, 4
# Risk items can only be answered on Stripe's pages:
# https://docs.stripe.com/connect/handling-api-verification
HOSTED_ONLY_PREFIX = "interv_"
NO_DEADLINE = None


@dataclass(frozen=True)
class RequirementLists:
    """One requirements hash of Stripe; `capability` is empty for the account's own.

    `alternatives` are pairs of (original fields, alternative fields), `errors` pairs of (field,
    code). In future lists `deadline_time` is when they begin to count.
    """

    capability: str
    future: bool
    currently_due: Sequence[str]
    past_due: Sequence[str]
    eventually_due: Sequence[str]
    pending_verification: Sequence[str]
    deadline_time: datetime | None
    alternatives: Sequence[tuple[Sequence[str], Sequence[str]]]
    errors: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Requirement:
    """One thing that Stripe wants; see Requirement in requirement.proto."""

    field: str
    severity: int
    deadline_time: datetime | None
    capabilities: tuple[str, ...]
    error_codes: tuple[str, ...]
    future: bool
    # All fields of all alternatives.
    alternative_fields: tuple[str, ...]
    hosted_only: bool
    # Each alternative by itself: all its fields together resolve the field. Requirements of earlier
    # releases do not say which belong together, nor whose field it is.
    alternatives: tuple[tuple[str, ...], ...] = ()
    person_id: str = ""


def merge(lists: Iterable[RequirementLists]) -> tuple[Requirement, ...]:
    """All that is wanted, the worst first, then by deadline and name."""
    said: dict[str, list[Requirement]] = {}
    for one in lists:
        for requirement in _fields_of(one):
            said.setdefault(requirement.field, []).append(requirement)
    merged = [_merge_field(requirements) for requirements in said.values()]
    pending = {item.field for item in merged if item.severity == PENDING_VERIFICATION}
    return tuple(sorted((_answered(item, pending) for item in merged), key=_order))


def of_owner(lists: RequirementLists, owner: str) -> RequirementLists:
    """Lists of a person or a bank account in the account's words.

    `verification.document` of person_1 is `person_1.verification.document`; what says so already
    stays as it is.
    """

    def named(fields: Sequence[str]) -> tuple[str, ...]:
        return tuple(_owned(field, owner) for field in fields)

    return replace(
        lists,
        currently_due=named(lists.currently_due),
        past_due=named(lists.past_due),
        eventually_due=named(lists.eventually_due),
        pending_verification=named(lists.pending_verification),
        alternatives=[(named(one), named(other)) for one, other in lists.alternatives],
        errors=[(_owned(field, owner), code) for field, code in lists.errors],
    )


def is_of(field: str, owner: str) -> bool:
    """Whether a field is a person's or a bank account's."""
    return field == owner or field.startswith(f"{owner}.")


def _owned(field: str, owner: str) -> str:
    return field if is_of(field, owner) else f"{owner}.{field}"


def earliest_deadline(requirements: Iterable[Requirement]) -> datetime | None:
    """When the first requirement is due; None if no deadline is set."""
    return min(
        (item.deadline_time for item in requirements if item.deadline_time is not None),
        default=None,
    )


def _fields_of(lists: RequirementLists) -> Iterable[Requirement]:
    severities: dict[str, int] = {}
    for severity, fields in (
        (EVENTUALLY_DUE, lists.eventually_due),
        (PENDING_VERIFICATION, lists.pending_verification),
        (CURRENTLY_DUE, lists.currently_due),
        (PAST_DUE, lists.past_due),
    ):
        for field in fields:
            # What future lists call due is not due before they begin to count.
            worst = EVENTUALLY_DUE if lists.future else severity
            severities[field] = max(worst, severities.get(field, worst))
    # What is only eventually due in future stays so when the rest begins to count.
    announced = {*lists.currently_due, *lists.past_due, *lists.pending_verification}
    for field, severity in severities.items():
        has_deadline = field in announced if lists.future else severity >= PENDING_VERIFICATION
        alternatives = [
            tuple(sorted(set(fields)))
            for originals, fields in lists.alternatives
            if field in originals
        ]
        yield Requirement(
            field=field,
            severity=severity,
            deadline_time=lists.deadline_time if has_deadline else NO_DEADLINE,
            capabilities=(lists.capability,) if lists.capability else (),
            error_codes=tuple(code for about, code in lists.errors if about == field),
            future=lists.future and has_deadline and lists.deadline_time is not None,
            alternative_fields=_union(alternatives),
            hosted_only=field.startswith(HOSTED_ONLY_PREFIX),
            alternatives=_distinct(alternatives),
        )


def _merge_field(said: Sequence[Requirement]) -> Requirement:
    severity = max(item.severity for item in said)
    return Requirement(
        field=said[0].field,
        severity=severity,
        deadline_time=earliest_deadline(said),
        capabilities=_union(item.capabilities for item in said),
        error_codes=_union(item.error_codes for item in said),
        future=severity == EVENTUALLY_DUE and any(item.future for item in said),
        alternative_fields=_union(item.alternative_fields for item in said),
        hosted_only=said[0].hosted_only,
        alternatives=_distinct(one for item in said for one in item.alternatives),
    )


def _answered(item: Requirement, pending: set[str]) -> Requirement:
    """What is due and has an alternative that is wholly being verified waits for that.

    It is Stripe's turn, until the same deadline. What is past due stays so: Stripe has acted on it.
    """
    if item.severity != CURRENTLY_DUE or not any(
        pending.issuperset(alternative) for alternative in item.alternatives
    ):
        return item
    return replace(item, severity=PENDING_VERIFICATION)


def _distinct(groups: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Each alternative once; one without fields resolves nothing."""
    return tuple(sorted({group for group in groups if group}))


def _union(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({item for group in groups for item in group}))


def _order(requirement: Requirement) -> tuple[int, bool, float, str]:
    deadline = requirement.deadline_time
    return (
        -requirement.severity,
        deadline is None,
        deadline.timestamp() if deadline else 0.0,
        requirement.field,
    )
