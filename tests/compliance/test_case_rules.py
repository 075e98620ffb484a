"""What becomes of a case, as pure rules: checks that find it again, people, and time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.cases.case import (
    CaseChange,
    CaseEventKind,
    CaseState,
    Checked,
    ReviewCase,
    after_check,
    approved,
    approved_once,
    four_eyes_limits,
    needs_two,
    overdue,
    refused,
    scope_of,
)
from compliance.checks.facts import CheckFacts, Role
from compliance.checks.findings import Code, Verdict
from compliance.checks.policy import BUILT_IN
from compliance.checks.rules import evaluate, verdict_of
from compliance.checks.rulings import Ruling
from tests.compliance.check_facts import AS_OF, account, payment, subject

OPEN_FOR = timedelta(hours=96)
MINUTE = timedelta(minutes=1)


def checked(facts: CheckFacts, **changes: Any) -> Checked:
    findings = evaluate(facts, BUILT_IN)
    found = Checked(
        verdict_of(findings),
        scope_of(facts, findings, BUILT_IN.version),
        facts.as_of,
        decision_id="dec_1",
    )
    return replace(found, **changes)


def large(**changes: Any) -> CheckFacts:
    return payment(**{"amount_minor": 1_000_001, "reference_id": "pay-1", **changes})


def after(case: ReviewCase | None, found: Checked, ruling: str = "") -> tuple[CaseChange, ...]:
    return after_check(case, ruling, found, "case_2", OPEN_FOR)


def opened(facts: CheckFacts) -> ReviewCase:
    (change,) = after(None, checked(facts))
    assert change.event is CaseEventKind.OPENED
    return change.case


def test_a_review_opens_one_case() -> None:
    case = opened(large())
    assert (case.state, case.revision, case.decision_id) == (CaseState.OPEN, 1, "dec_1")
    assert case.expire_time == AS_OF + OPEN_FOR
    assert [found.code for found in case.scope.findings] == [Code.AMOUNT_OVER_REVIEW_LIMIT]
    assert after(None, checked(payment())) == ()
    denied = checked(payment(customer=subject(Role.CUSTOMER, state="BLOCKED")))
    assert denied.verdict is Verdict.DENY
    assert after(None, denied) == ()


def test_the_same_found_again_is_the_same_case() -> None:
    case = opened(large())
    (change,) = after(case, checked(large(as_of=AS_OF + MINUTE), decision_id="dec_2"))
    assert change.event is None
    assert change.case == replace(case, decision_id="dec_2", check_time=AS_OF + MINUTE)


def test_another_finding_is_another_revision_that_nobody_has_approved() -> None:
    first = approved_once(opened(large()), "ann.example", "fine").case
    restricted = large(as_of=AS_OF + MINUTE, account=account(disabled_reason="under_review"))
    (change,) = after(first, checked(restricted))
    assert (change.event, change.is_new_scope) == (CaseEventKind.CHANGED, True)
    assert (change.case.revision, change.case.first_approver) == (2, "")
    # So is one finding less, and another profile.
    (back,) = after(change.case, checked(large(as_of=AS_OF + 2 * MINUTE)))
    renamed = subject(profile_revision=4, revision=4)
    (other,) = after(back.case, checked(large(as_of=AS_OF + 3 * MINUTE, merchant=renamed)))
    assert (back.case.revision, other.case.revision) == (3, 4)


def test_a_check_that_took_longer_than_a_later_one_changes_nothing() -> None:
    case = opened(large())
    earlier = large(as_of=AS_OF - MINUTE, account=account(disabled_reason="under_review"))
    assert after(case, checked(earlier)) == ()


def test_another_amount_supersedes_the_case_and_opens_another() -> None:
    case = opened(large())
    old, new = after(case, checked(large(amount_minor=2_000_000, as_of=AS_OF + MINUTE)))
    assert (old.case.case_id, old.case.state) == (case.case_id, CaseState.SUPERSEDED)
    assert (new.case.case_id, new.case.revision, new.event) == ("case_2", 1, CaseEventKind.OPENED)


def test_a_look_at_a_case_that_was_decided_meanwhile_says_nothing_of_the_next_one() -> None:
    """It was begun before, and finds what the ruling lets pass."""
    case = opened(large())
    late = checked(payment(), decision_id="", looked_case_id="case_1")
    assert late.verdict is Verdict.ALLOW
    assert after(replace(case, case_id="case_2"), late) == ()
    (change,) = after(replace(case, case_id="case_1"), late)
    assert change.case.state is CaseState.CLEARED


def test_a_look_opens_nothing_and_leaves_new_findings_to_a_check() -> None:
    def look(facts: CheckFacts) -> Checked:
        return checked(facts, decision_id="")

    assert after(None, look(large())) == ()
    case = opened(large())
    restricted = {"account": account(disabled_reason="under_review")}
    assert after(case, look(large(as_of=AS_OF + MINUTE))) == ()
    assert after(case, look(large(as_of=AS_OF + MINUTE, **restricted))) == ()
    # One finding less is a new revision; the time of the last check stays.
    both = opened(large(**restricted))
    (change,) = after(both, look(large(as_of=AS_OF + MINUTE)))
    assert (change.event, change.case.revision) == (CaseEventKind.CHANGED, 2)
    assert (change.case.check_time, change.case.decision_id) == (AS_OF, "dec_1")
    (cleared,) = after(case, look(large(amount_minor=1, as_of=AS_OF + MINUTE)))
    assert cleared.case.state is CaseState.CLEARED


def test_a_case_whose_cause_is_gone_is_cleared_and_one_that_is_denied_superseded() -> None:
    case = opened(large())
    (cleared,) = after(case, checked(large(amount_minor=1, as_of=AS_OF + MINUTE)))
    assert (cleared.case.state, cleared.case.ruling) == (CaseState.CLEARED, None)
    blocked = subject(state="BLOCKED")
    (denied,) = after(case, checked(large(merchant=blocked, as_of=AS_OF + MINUTE)))
    assert (denied.case.state, denied.case.ruling) == (CaseState.SUPERSEDED, None)


def test_a_check_that_did_not_know_of_a_decision_opens_nothing_anew() -> None:
    assert after(None, checked(large()), ruling="case_1") == ()
    (opened_again,) = after(None, checked(large(), ruling_case_id="case_1"), ruling="case_1")
    assert opened_again.event is CaseEventKind.OPENED


def test_who_decided_is_in_the_ruling() -> None:
    case = approved_once(opened(large()), "ann.example", "fine").case
    ruling = approved(case, "bob.example", "fine", AS_OF).case.ruling
    assert ruling is not None
    assert (ruling.ruling, ruling.deciders) == (Ruling.APPROVED, ("ann.example", "bob.example"))
    assert ruling.scope == case.scope
    no = refused(case, "bob.example", "no", AS_OF).case.ruling
    assert no is not None
    assert (no.ruling, no.deciders) == (Ruling.REFUSED, ("bob.example",))
    late = overdue(case, case.expire_time).case.ruling
    assert late is not None
    assert (late.ruling, late.deciders) == (Ruling.EXPIRED, ())


def test_a_case_that_nobody_asks_about_ends_without_a_ruling() -> None:
    case = opened(large())
    ended = overdue(case, case.expire_time - timedelta(microseconds=1)).case
    assert (ended.state, ended.ruling) == (CaseState.CLEARED, None)


@pytest.mark.parametrize(
    ("currency", "amount", "two"),
    [
        ("EUR", 5_000_000, False),
        ("EUR", 5_000_001, True),
        ("JPY", 7_500_000, False),
        ("JPY", 7_500_001, True),
        # No policy says what is much in it.
        ("XAU", 1, True),
        # As the operator said.
        ("USD", 100, False),
        ("USD", 101, True),
    ],
)
def test_four_eyes_from_the_limit_of_the_currency_on(currency: str, amount: int, two: bool) -> None:
    limits = four_eyes_limits(BUILT_IN, {"USD": 100})
    scope = scope_of(payment(currency_code=currency, amount_minor=amount), (), "")
    assert needs_two(scope, limits) is two


_findings = st.sampled_from(
    [
        large(),
        large(account=account(disabled_reason="under_review")),
        large(amount_minor=2_000_000),
        large(amount_minor=1),
        large(merchant=subject(state="BLOCKED")),
    ]
)


@given(st.lists(_findings, max_size=8))
def test_however_it_is_checked_a_movement_has_one_open_case(checks: list[CheckFacts]) -> None:
    cases: dict[str, ReviewCase] = {}
    for number, facts in enumerate(checks):
        found = checked(replace(facts, as_of=AS_OF + number * MINUTE))
        open_case = next((c for c in cases.values() if c.state is CaseState.OPEN), None)
        for change in after_check(open_case, "", found, f"case_{number}", OPEN_FOR):
            cases[change.case.case_id] = change.case
        waiting = [case for case in cases.values() if case.state is CaseState.OPEN]
        assert len(waiting) == (found.verdict is Verdict.REVIEW)
        assert all(case.scope == found.scope for case in waiting)
