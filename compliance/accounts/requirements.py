"""Stripe's requirement lists as one list: each field once, with the worst that is said of it.

`past_due ⊆ currently_due ⊆ eventually_due`, and `pending_verification` beside them; an account has
such lists for itself and for each capability, now and in future. What is pending counts against the
deadline, since Stripe wants fields submitted and verified by then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    alternative_fields: tuple[str, ...]
    hosted_only: bool


def merge(lists: Iterable[RequirementLists]) -> tuple[Requirement, ...]:
    """All that is wanted, the worst first, then by deadline and name."""
    said: dict[str, list[Requirement]] = {}
    for one in lists:
        for requirement in _fields_of(one):
            said.setdefault(requirement.field, []).append(requirement)
    merged = (_merge_field(requirements) for requirements in said.values())
    return tuple(sorted(merged, key=_order))


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
    for field, severity in severities.items():
        has_deadline = lists.future or severity >= PENDING_VERIFICATION
        yield Requirement(
            field=field,
            severity=severity,
            deadline_time=lists.deadline_time if has_deadline else NO_DEADLINE,
            capabilities=(lists.capability,) if lists.capability else (),
            error_codes=tuple(code for about, code in lists.errors if about == field),
            future=lists.future and lists.deadline_time is not None,
            alternative_fields=tuple(
                alternative
                for originals, alternatives in lists.alternatives
                if field in originals
                for alternative in alternatives
            ),
            hosted_only=field.startswith(HOSTED_ONLY_PREFIX),
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
    )


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
