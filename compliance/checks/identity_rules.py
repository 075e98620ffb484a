"""Rules over verifications by Stripe Identity: whoever has to be is verified, and lately. Pure.

Less verification never makes a verdict better: what is missing and what is too old have the same
outcome, and every requirement finds by itself.
"""

from collections.abc import Iterator

from compliance.checks.ages import is_too_old
from compliance.checks.facts import CheckFacts, CheckKind, Role, SubjectFacts
from compliance.checks.findings import Code, Finding
from compliance.checks.identity import VerificationRequirement, proofs
from compliance.checks.policy import Policy


def identities_are_verified(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """Who the policy wants to be verified is."""
    for requirement in policy.verification_requirements:
        if not is_asked_for(requirement, facts, policy):
            continue
        for subject in _concerned(requirement, facts):
            code = _lacks(requirement, subject, facts)
            if code is not None:
                subject_id = subject.subject_id if subject else _asked_for_as(requirement, facts)
                yield Finding(code, subject_id, requirement.name, outcome=requirement.outcome)


def is_asked_for(requirement: VerificationRequirement, facts: CheckFacts, policy: Policy) -> bool:
    """Whether this movement is one that asks for it. Only payments have customers."""
    if requirement.subject_kind == Role.CUSTOMER and facts.kind is not CheckKind.PAYMENT:
        return False
    limits = policy.limits_of(facts.currency_code)
    # How much it is nobody can say without limits.
    if limits is None:
        return True
    return 100 * facts.amount_minor > requirement.over_percent * limits.review_over_minor


def _concerned(
    requirement: VerificationRequirement, facts: CheckFacts
) -> Iterator[SubjectFacts | None]:
    """Who has to be verified; None for one that is not known. A closed owner has left."""
    if requirement.subject_kind == Role.OWNER:
        yield from (owner for owner in facts.owners if owner.state != "CLOSED")
    elif requirement.subject_kind == Role.MERCHANT:
        yield facts.merchant
    else:
        yield facts.customer


def _asked_for_as(requirement: VerificationRequirement, facts: CheckFacts) -> str:
    is_merchant = requirement.subject_kind == Role.MERCHANT
    return facts.merchant_id if is_merchant else facts.customer_id


def _lacks(
    requirement: VerificationRequirement, subject: SubjectFacts | None, facts: CheckFacts
) -> Code | None:
    found = proofs(subject.verifications, requirement.type) if subject is not None else ()
    if not found:
        return Code.IDENTITY_UNVERIFIED
    is_fresh = any(
        not is_too_old(verify_time, facts.as_of, requirement.max_age) for verify_time, _ in found
    )
    return None if is_fresh else Code.IDENTITY_STALE
