"""The evidence of a decision, with its age: pure, from the facts alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance.checks.ages import is_too_old
from compliance.checks.facts import CheckFacts
from compliance.checks.identity import proofs
from compliance.checks.identity_rules import is_asked_for
from compliance.checks.policy import Policy

FRESH, AGING, STALE, MISSING = "FRESH", "AGING", "STALE", "MISSING"


@dataclass(frozen=True)
class Evidence:
    """One piece; see Evidence in decision.proto. Words are those of the contract's enums."""

    kind: str
    state: str
    about: str
    version: str
    observed_time: datetime | None
    age: timedelta | None


def evidence_of(facts: CheckFacts, policy: Policy) -> tuple[Evidence, ...]:
    """Every piece that the rules used or missed, in a fixed order."""
    return (
        *_subjects(facts),
        *_account(facts, policy),
        *_lists(facts, policy),
        *_screenings(facts),
        *_rates(facts, policy),
        *_identities(facts, policy),
    )


def _subjects(facts: CheckFacts) -> Iterator[Evidence]:
    if facts.merchant is None:
        yield _missing("MERCHANT", facts.merchant_id)
    if facts.customer is None and facts.customer_id:
        yield _missing("CUSTOMER", facts.customer_id)
    for subject in facts.subjects:
        yield _piece(
            facts, subject.role, FRESH, subject.subject_id, subject.revision, subject.update_time
        )


def _account(facts: CheckFacts, policy: Policy) -> Iterator[Evidence]:
    expected, account = facts.expected_account_id, facts.account
    if not expected:
        return
    if account is None or account.connected_account_id != expected:
        yield _missing("ACCOUNT_SNAPSHOT", expected)
        return
    stale = is_too_old(account.fetch_time, facts.as_of, policy.snapshot_max_age)
    yield _piece(
        facts,
        "ACCOUNT_SNAPSHOT",
        STALE if stale else FRESH,
        expected,
        account.content_hash,
        account.fetch_time,
    )


def _lists(facts: CheckFacts, policy: Policy) -> Iterator[Evidence]:
    for item in facts.lists:
        if item.confirm_time is None:
            yield _missing("SANCTIONS_LIST", item.list)
            continue
        if is_too_old(item.confirm_time, facts.as_of, policy.list_max_age):
            state = STALE
        elif is_too_old(item.confirm_time, facts.as_of, policy.list_warn_age):
            state = AGING
        else:
            state = FRESH
        yield _piece(facts, "SANCTIONS_LIST", state, item.list, item.version, item.confirm_time)


def _screenings(facts: CheckFacts) -> Iterator[Evidence]:
    for subject in facts.subjects:
        for item in facts.lists:
            found = next((s for s in subject.screenings if s.list == item.list), None)
            if found is None:
                yield _missing("SCREENING", subject.subject_id)
                continue
            current = (
                found.list_version >= item.version
                and found.profile_revision == subject.profile_revision
            )
            yield _piece(
                facts,
                "SCREENING",
                FRESH if current else STALE,
                subject.subject_id,
                found.list_version,
                found.screen_time,
            )


def _rates(facts: CheckFacts, policy: Policy) -> Iterator[Evidence]:
    rates = facts.rates
    if rates is None:
        return
    stale = policy.has_old_rates(rates, facts.as_of)
    yield _piece(
        facts,
        "PAYMENT_OUTCOMES",
        STALE if stale else FRESH,
        facts.merchant_id,
        f"{rates.epoch}/{rates.sequence}",
        rates.follow_time,
    )


def _identities(facts: CheckFacts, policy: Policy) -> Iterator[Evidence]:
    """Verifications that count, and those that are wanted and missing."""
    asked = [one for one in policy.verification_requirements if is_asked_for(one, facts, policy)]
    for subject in facts.subjects:
        wanted = [one for one in asked if one.subject_kind == subject.role]
        found = proofs(subject.verifications)
        if not found:
            if wanted:
                yield _missing("IDENTITY", subject.subject_id)
            continue
        verify_time, newest = found[0]
        stale = any(
            all(
                is_too_old(time, facts.as_of, one.max_age)
                for time, _ in proofs(subject.verifications, one.type)
            )
            for one in wanted
        )
        yield _piece(
            facts,
            "IDENTITY",
            STALE if stale else FRESH,
            subject.subject_id,
            newest.session_id,
            verify_time,
        )


def _piece(
    facts: CheckFacts, kind: str, state: str, about: str, version: int | str, observed: datetime
) -> Evidence:
    age = max(facts.as_of - observed, timedelta(0))
    return Evidence(str(kind), state, about, str(version), observed, age)


def _missing(kind: str, about: str) -> Evidence:
    return Evidence(kind, MISSING, about, "", None, None)
