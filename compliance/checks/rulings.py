"""What people have decided about one movement of money, and what of its findings that covers. Pure.

An approval is about one movement as it was shown: its ids and amount, who takes part and by which
profile, and what was found. Anything else is found again. What denies is covered by nothing, and
an approval is no evidence: what only evidence can answer is not covered either.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from compliance.checks.findings import Code, Finding, Verdict

# Owners beyond those that a check can cover are screened all the same; no evidence is missing.
TOO_MANY_OWNERS = "too many owners"


class Ruling(StrEnum):
    """How a case was decided."""

    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    # Nobody decided in time.
    EXPIRED = "EXPIRED"


class WayOut(StrEnum):
    """What ends a finding that leads to REVIEW."""

    APPROVAL = "APPROVAL"
    # Its match is cleared or confirmed.
    MATCH = "MATCH"
    # The subject's record is created or changed.
    RECORD = "RECORD"
    # The identity is checked.
    IDENTITY = "IDENTITY"
    # Evidence comes by itself, or by being fetched or loaded.
    EVIDENCE = "EVIDENCE"
    # Stripe gets what it wants.
    STRIPE = "STRIPE"


# Every other code is a matter of judgement. (What ends it; which RPC does.)
NOT_BY_APPROVAL: dict[Code, tuple[WayOut, str]] = {
    Code.MERCHANT_UNKNOWN: (WayOut.RECORD, "compliance.v1.SubjectService/CreateSubject"),
    Code.CUSTOMER_UNKNOWN: (WayOut.RECORD, "compliance.v1.SubjectService/CreateSubject"),
    Code.SUBJECT_MISMATCH: (WayOut.RECORD, "compliance.v1.SubjectService/UpdateSubject"),
    Code.MERCHANT_MATCH_OPEN: (WayOut.MATCH, "compliance.v1.ScreeningService/ClearMatch"),
    Code.OWNER_MATCH_OPEN: (WayOut.MATCH, "compliance.v1.ScreeningService/ClearMatch"),
    Code.CUSTOMER_MATCH_OPEN: (WayOut.MATCH, "compliance.v1.ScreeningService/ClearMatch"),
    Code.SCREENING_PENDING: (WayOut.EVIDENCE, "compliance.v1.ScreeningService/LoadSanctionsList"),
    Code.LIST_MISSING: (WayOut.EVIDENCE, "compliance.v1.ScreeningService/LoadSanctionsList"),
    Code.LIST_STALE: (WayOut.EVIDENCE, "compliance.v1.ScreeningService/LoadSanctionsList"),
    Code.KYC_INCOMPLETE: (WayOut.IDENTITY, "compliance.v1.SubjectService/SetKycState"),
    Code.KYC_EXPIRED: (WayOut.IDENTITY, "compliance.v1.SubjectService/SetKycState"),
    Code.IDENTITY_UNVERIFIED: (
        WayOut.IDENTITY,
        "compliance.v1.VerificationService/CreateVerification",
    ),
    Code.IDENTITY_STALE: (
        WayOut.IDENTITY,
        "compliance.v1.VerificationService/CreateVerification",
    ),
    Code.SNAPSHOT_MISSING: (
        WayOut.EVIDENCE,
        "compliance.v1.RequirementService/RefreshAccountSnapshot",
    ),
    Code.SNAPSHOT_STALE: (
        WayOut.EVIDENCE,
        "compliance.v1.RequirementService/RefreshAccountSnapshot",
    ),
    Code.REQUIREMENTS_PAST_DUE: (
        WayOut.STRIPE,
        "gateway.v1.MerchantService/CreateOnboardingLink",
    ),
}
# What these say is the policy's own words: another version may have others under the same name.
OF_A_POLICY_VERSION = frozenset({Code.POLICY_RULE_REVIEW, Code.POLICY_RULE_BROKEN})
_APPROVAL = (WayOut.APPROVAL, "compliance.v1.CaseService/ApproveCase")
# A figure moves on while people look at it: so much of what they saw is still what they saw, and
# one more always is.
MAX_GROWTH_PERCENT = 150


@dataclass(frozen=True)
class Movement:
    """The movement that a case is about, as it was asked for. The amount is in minor units.

    Not the corridor: a payment that fails over to another one is the same payment.
    """

    kind: str
    reference_id: str
    merchant_id: str
    customer_id: str
    currency_code: str
    amount_minor: int
    connected_account_id: str
    country_codes: tuple[str, ...]
    payment_method_type: str
    # Where it is known; it may become so between two checks, and another corridor has another one.
    card_fingerprint: str = field(default="", compare=False)


@dataclass(frozen=True)
class Participant:
    """Who takes part, by which version of the profile (name, birth date, country)."""

    subject_id: str
    role: str
    profile_revision: int


@dataclass(frozen=True)
class Scope:
    """All that a case is about: whoever approves it approves this and nothing else."""

    movement: Movement
    participants: tuple[Participant, ...]
    # Those that led to REVIEW.
    findings: tuple[Finding, ...]
    # The policy whose own rules found some of them; empty if none did.
    policy_version: str = ""


@dataclass(frozen=True)
class RulingFacts:
    """A decided case, as a check goes by it. `deciders` are names in client certificates."""

    case_id: str
    ruling: Ruling
    decide_time: datetime
    deciders: tuple[str, ...]
    scope: Scope


def way_out_of(finding: Finding) -> tuple[WayOut, str]:
    """What ends a finding that leads to REVIEW, and the RPC that does it."""
    if finding.code is Code.SCREENING_PENDING and finding.detail == TOO_MANY_OWNERS:
        return _APPROVAL
    return NOT_BY_APPROVAL.get(finding.code, _APPROVAL)


def is_a_matter_of_judgement(finding: Finding) -> bool:
    """Whether a person may approve the movement in spite of the finding."""
    return finding.alone is Verdict.REVIEW and way_out_of(finding)[0] is WayOut.APPROVAL


def is_as_seen(finding: Finding, seen: Iterable[Finding]) -> bool:
    """Whether it is one of those that were seen, with a figure that is not much worse."""
    return any(
        replace(finding, measured=before.measured) == before
        and finding.measured
        <= max(before.measured * MAX_GROWTH_PERCENT // 100, before.measured + 1)
        for before in seen
    )


def is_same(scope: "Scope", seen: "Scope") -> bool:
    """Whether a scope is what was seen before, but for figures that are not much worse."""
    return (
        replace(scope, findings=()) == replace(seen, findings=())
        and len(scope.findings) == len(seen.findings)
        and all(is_as_seen(finding, seen.findings) for finding in scope.findings)
    )


def is_covered(
    finding: Finding,
    ruling: RulingFacts | None,
    movement: Movement,
    participants: tuple[Participant, ...],
    policy_version: str,
) -> bool:
    """Whether somebody approved this very movement in spite of this very finding."""
    if ruling is None or ruling.ruling is not Ruling.APPROVED:
        return False
    return (
        is_a_matter_of_judgement(finding)
        and is_as_seen(finding, ruling.scope.findings)
        and movement == ruling.scope.movement
        and participants == ruling.scope.participants
        and (
            finding.code not in OF_A_POLICY_VERSION or policy_version == ruling.scope.policy_version
        )
    )


def not_approvable(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that stand against an approval."""
    return tuple(found for found in findings if not is_a_matter_of_judgement(found))
