"""Who has to be verified by Stripe Identity: at the edges, of the right person, and monotone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.ages import MAX_CLOCK_SKEW
from compliance.checks.canonical import dumps, loads
from compliance.checks.evidence import evidence_of
from compliance.checks.expressions import NEVER_DAYS, values_of
from compliance.checks.facts import CheckFacts, CheckKind, Role
from compliance.checks.findings import Code, Finding, Verdict
from compliance.checks.identity import VerificationFacts, VerificationRequirement
from compliance.checks.policy import BUILT_IN, Policy
from compliance.checks.rules import evaluate, verdict_of
from compliance.checks.rulings import WayOut, is_a_matter_of_judgement, way_out_of
from compliance.policies.document import (
    MAX_VERIFICATION_REQUIREMENTS,
    document_of,
    policy_of,
)
from compliance.v1 import decision_pb2, policy_pb2, policy_service_pb2, subject_pb2
from compliance.validation import VALIDATOR
from compliance.verifications.verification import Verification, identity_of
from tests.compliance.check_facts import AS_OF, any_facts, payment, subject, verifications

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
# Minor units of EUR in the built-in policy.
REVIEW_LIMIT = 1_000_000
IDENTITY = (Code.IDENTITY_UNVERIFIED, Code.IDENTITY_STALE)


def proof(age: timedelta = DAY, **changes: Any) -> VerificationFacts:
    """A verification of a document that counts, but for the changes."""
    good = VerificationFacts(
        verification_id="vfn_1",
        session_id="vs_1",
        type="DOCUMENT",
        state="VERIFIED",
        error_code="",
        with_selfie=True,
        counts=True,
        verify_time=AS_OF - age,
        update_time=AS_OF - age,
    )
    return replace(good, **changes)


def wanted(role: Role = Role.CUSTOMER, **changes: Any) -> Policy:
    one = VerificationRequirement(role, 365 * DAY, "REVIEW")
    return replace(BUILT_IN, verification_requirements=(replace(one, **changes),))


def by(*proofs: VerificationFacts, role: Role = Role.CUSTOMER, **changes: Any) -> CheckFacts:
    """A payment in which one has these verifications."""
    who = subject(role, verifications=proofs)
    place: dict[Role, dict[str, Any]] = {
        Role.CUSTOMER: {"customer": who},
        Role.MERCHANT: {"merchant": who},
        Role.OWNER: {"owners": (who,)},
    }
    return payment(**{**place[role], **changes})


def found(facts: CheckFacts, policy: Policy) -> list[Code]:
    return [item.code for item in evaluate(facts, policy) if item.code in IDENTITY]


UNVERIFIED, STALE = [Code.IDENTITY_UNVERIFIED], [Code.IDENTITY_STALE]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("proofs", "expected"),
    [
        ((), UNVERIFIED),
        ((proof(),), []),
        ((proof(365 * DAY),), []),
        ((proof(365 * DAY + MICROSECOND),), STALE),
        ((proof(-MAX_CLOCK_SKEW),), []),
        ((proof(-MAX_CLOCK_SKEW - MICROSECOND),), STALE),
        ((proof(400 * DAY), proof(verification_id="vfn_2")), []),
        ((proof(state="REQUIRES_INPUT", counts=False, verify_time=None),), UNVERIFIED),
        # Redacted.
        ((proof(counts=False),), UNVERIFIED),
        ((proof(400 * DAY), proof(counts=False)), STALE),
    ],
)
def test_how_long_a_verification_counts(
    role: Role, proofs: tuple[VerificationFacts, ...], expected: list[Code]
) -> None:
    assert found(by(*proofs, role=role), wanted(role)) == expected


@pytest.mark.parametrize(
    ("percent", "amount", "expected"),
    [
        (0, 1, UNVERIFIED),
        (50, REVIEW_LIMIT // 2, []),
        (50, REVIEW_LIMIT // 2 + 1, UNVERIFIED),
        (100, REVIEW_LIMIT, []),
    ],
)
def test_from_which_amount_on(percent: int, amount: int, expected: list[Code]) -> None:
    policy = wanted(over_percent=percent)
    assert found(payment(amount_minor=amount), policy) == expected
    # Without limits of the currency it is asked for whatever the amount.
    assert found(payment(amount_minor=amount, currency_code="XAU"), policy) == UNVERIFIED


def test_one_type_may_be_wanted() -> None:
    number = proof(type="ID_NUMBER")
    assert found(by(number), wanted(type="DOCUMENT")) == UNVERIFIED
    assert found(by(number), wanted(type="ID_NUMBER")) == []
    assert found(by(number, proof(400 * DAY)), wanted(type="DOCUMENT")) == STALE
    assert found(by(number), wanted()) == []


def test_who_it_is_asked_of() -> None:
    # A payment without a customer is one whose customer nobody has verified.
    assert found(payment(customer_id="", customer=None), wanted()) == UNVERIFIED
    for kind in (CheckKind.TRANSFER, CheckKind.PAYOUT):
        assert found(payment(kind=kind), wanted()) == []
        assert found(payment(kind=kind), wanted(Role.MERCHANT)) == UNVERIFIED
    assert found(payment(merchant=None), wanted(Role.MERCHANT)) == UNVERIFIED
    owners = wanted(Role.OWNER)
    assert found(payment(), owners) == []
    left = subject(Role.OWNER, state="CLOSED", subject_id="owner-2")
    verified = subject(Role.OWNER, verifications=(proof(),))
    assert found(payment(owners=(verified, left)), owners) == []
    missing = subject(Role.OWNER, subject_id="owner-3")
    assert found(payment(owners=(verified, left, missing)), owners) == UNVERIFIED


@pytest.mark.parametrize("outcome", Verdict)
def test_what_follows_is_the_policys_to_say(outcome: Verdict) -> None:
    policy = wanted(outcome=outcome.name)
    for facts in (payment(), by(proof(400 * DAY))):
        assert verdict_of(evaluate(facts, policy)) is outcome
    for code in IDENTITY:
        finding = Finding(code, "customer-1", "CUSTOMER within 365 days")
        assert way_out_of(finding)[0] is WayOut.IDENTITY
        # An approval is no evidence.
        assert not is_a_matter_of_judgement(finding)


def test_nothing_is_asked_for_by_the_built_in_policy() -> None:
    assert BUILT_IN.verification_requirements == ()
    assert found(payment(customer_id="", customer=None), BUILT_IN) == []


requirements = st.builds(
    VerificationRequirement,
    subject_kind=st.sampled_from([role.value for role in Role]),
    max_age=st.sampled_from([DAY, 30 * DAY, 3_660 * DAY]),
    outcome=st.sampled_from(["ALLOW", "REVIEW", "DENY"]),
    over_percent=st.sampled_from([0, 1, 100, 1_000_000]),
    type=st.sampled_from(["", "DOCUMENT", "ID_NUMBER"]),
)
policies = st.lists(requirements, max_size=3).map(
    lambda some: replace(BUILT_IN, verification_requirements=tuple(some))
)


def verdict(facts: CheckFacts, policy: Policy) -> Verdict:
    return verdict_of(evaluate(facts, policy))


def everybody(facts: CheckFacts, change: Any) -> CheckFacts:
    """The same with the verifications of everybody changed."""

    def changed(who: Any) -> Any:
        return None if who is None else replace(who, verifications=change(who.verifications))

    return replace(
        facts,
        merchant=changed(facts.merchant),
        customer=changed(facts.customer),
        owners=tuple(changed(owner) for owner in facts.owners),
    )


@given(any_facts, policies, st.integers(0, 1))
def test_one_verification_less_never_makes_a_verdict_better(
    facts: CheckFacts, policy: Policy, place: int
) -> None:
    less = everybody(facts, lambda known: (*known[:place], *known[place + 1 :]))
    assert verdict(less, policy) >= verdict(facts, policy)
    none = everybody(facts, lambda _known: ())
    assert verdict(none, policy) >= verdict(less, policy)


@given(any_facts, policies, verifications)
def test_one_verification_more_never_makes_a_verdict_worse(
    facts: CheckFacts, policy: Policy, more: VerificationFacts
) -> None:
    assert verdict(everybody(facts, lambda known: (*known, more)), policy) <= verdict(facts, policy)


@given(any_facts, policies)
def test_what_is_redacted_or_canceled_is_as_if_it_were_not_there(
    facts: CheckFacts, policy: Policy
) -> None:
    redacted = everybody(facts, lambda known: tuple(replace(one, counts=False) for one in known))
    none = everybody(facts, lambda _known: ())
    assert evaluate(redacted, policy) == evaluate(none, policy)


@given(any_facts, policies, requirements)
def test_one_requirement_more_never_makes_a_verdict_better(
    facts: CheckFacts, policy: Policy, more: VerificationRequirement
) -> None:
    stricter = replace(policy, verification_requirements=(*policy.verification_requirements, more))
    assert verdict(facts, stricter) >= verdict(facts, policy)


@given(any_facts, policies, st.integers(0, 2**53))
def test_a_larger_amount_never_makes_a_verdict_better(
    facts: CheckFacts, policy: Policy, more: int
) -> None:
    larger = replace(facts, amount_minor=facts.amount_minor + more)
    assert verdict(larger, policy) >= verdict(facts, policy)


@given(any_facts, policies)
def test_facts_policies_and_documents_come_back_as_they_were(
    facts: CheckFacts, policy: Policy
) -> None:
    assert loads(dumps(facts), CheckFacts) == facts
    assert loads(dumps(policy), Policy) == policy
    assert policy_of(policy.version, document_of(policy)) == policy


def test_facts_of_before_know_no_verifications() -> None:
    stored = dumps(payment()).replace(',"verifications":[]', "")
    assert "verifications" not in stored
    assert loads(stored, CheckFacts) == payment()


def pieces(facts: CheckFacts, policy: Policy) -> list[tuple[str, str, str]]:
    return [
        (item.state, item.about, item.version)
        for item in evidence_of(facts, policy)
        if item.kind == "IDENTITY"
    ]


def test_evidence_with_its_age() -> None:
    assert pieces(payment(), BUILT_IN) == []
    assert pieces(payment(), wanted()) == [("MISSING", "customer-1", "")]
    fresh = [("FRESH", "customer-1", "vs_1")]
    assert pieces(by(proof()), BUILT_IN) == fresh
    assert pieces(by(proof()), wanted()) == fresh
    assert pieces(by(proof(400 * DAY)), wanted()) == [("STALE", "customer-1", "vs_1")]
    assert pieces(by(proof(400 * DAY)), BUILT_IN) == fresh
    # What is there is not what is wanted.
    assert pieces(by(proof(type="ID_NUMBER")), wanted(type="DOCUMENT")) == [
        ("STALE", "customer-1", "vs_1")
    ]
    [piece] = [one for one in evidence_of(by(proof()), wanted()) if one.kind == "IDENTITY"]
    assert piece.age == DAY


def test_expressions_know_the_days() -> None:
    names = ("merchant_identity_days", "customer_identity_days", "owner_identity_days")
    values = values_of(payment())
    assert [values[name] for name in names] == [NEVER_DAYS, NEVER_DAYS, 0]
    old, new = proof(30 * DAY - MICROSECOND), proof(3 * DAY)
    owners = (
        subject(Role.OWNER, verifications=(old,)),
        subject(Role.OWNER, verifications=(new,)),
        subject(Role.OWNER, state="CLOSED"),
    )
    facts = replace(by(old, new), owners=owners)
    assert [values_of(facts)[name] for name in names] == [NEVER_DAYS, 3, 29]
    assert values_of(by(proof(-30 * DAY)))["customer_identity_days"] == 0


def kept(number: int, **changes: Any) -> Verification:
    good = Verification(
        verification_id=f"vfn_{number}",
        subject_id="ada",
        type="DOCUMENT",
        state="VERIFIED",
        error_code="",
        redaction="",
        with_selfie=False,
        stripe_session_id=f"vs_{number}",
        verify_time=AS_OF + timedelta(hours=number),
        create_time=AS_OF + timedelta(minutes=number),
        update_time=AS_OF,
        sequence=number,
    )
    return replace(good, **changes)


def test_of_a_subject_the_newest_proofs_and_the_last_attempt_are_known() -> None:
    waiting = {"state": "REQUIRES_INPUT", "verify_time": None}
    several = [
        kept(1, type="ID_NUMBER"),
        kept(2),
        kept(3),
        kept(4, redaction="PROCESSING"),
        kept(5, **waiting),
        kept(6, error_code="document_expired", **waiting),
    ]
    known = [(one.verification_id, one.counts) for one in identity_of(several)]
    assert known == [("vfn_1", True), ("vfn_3", True), ("vfn_6", False)]
    assert identity_of(reversed(several)) == identity_of(several)
    assert [one.verification_id for one in identity_of(several[:3])] == ["vfn_1", "vfn_3"]
    assert identity_of([]) == ()


def requirement(**changes: Any) -> policy_pb2.VerificationRequirement:
    fields: dict[str, Any] = {
        "subject_kind": subject_pb2.SUBJECT_KIND_CUSTOMER,
        "max_age": Duration(seconds=86_400),
        "outcome": decision_pb2.VERDICT_REVIEW,
    }
    return policy_pb2.VerificationRequirement(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, None),
        ({"subject_kind": 0}, "subject_kind"),
        ({"subject_kind": 9}, "subject_kind"),
        ({"type": 9}, "type"),
        ({"max_age": Duration(seconds=86_399)}, "max_age"),
        ({"max_age": Duration(seconds=3_660 * 86_400)}, None),
        ({"max_age": Duration(seconds=3_660 * 86_400 + 1)}, "max_age"),
        ({"max_age": None}, "max_age"),
        ({"over_percent": -1}, "over_percent"),
        ({"over_percent": 1_000_000}, None),
        ({"over_percent": 1_000_001}, "over_percent"),
        ({"outcome": 0}, "outcome"),
    ],
)
def test_documents_are_checked(changes: dict[str, Any], field: str | None) -> None:
    expected = [] if field is None else [f"document.verification_requirements[0].{field}"]
    assert violations([requirement(**changes)]) == expected


def violations(several: list[policy_pb2.VerificationRequirement]) -> list[str]:
    document = document_of(BUILT_IN)
    document.verification_requirements.extend(several)
    request = policy_service_pb2.CreatePolicyVersionRequest(
        request_id="r-1", policy_version="own-1", document=document
    )
    return [violation.field for violation in VALIDATOR.violations(request)]


def test_each_requirement_once_and_no_more_than_can_be() -> None:
    assert violations([requirement(), requirement()]) == ["document.verification_requirements"]
    most = [requirement(over_percent=n) for n in range(MAX_VERIFICATION_REQUIREMENTS + 1)]
    assert violations(most[1:]) == []
    assert violations(most) == ["document.verification_requirements"]
