"""What people decided covers what they saw, never what denies; no REVIEW is without a way out."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.cases.case import scope_of
from compliance.checks.canonical import dumps, loads
from compliance.checks.decision import DecisionRecord, decide, replay
from compliance.checks.facts import CheckFacts, ListFacts, Role
from compliance.checks.findings import OF_HISTORY, OF_RATES, Code, Finding, Verdict, severity
from compliance.checks.history import HistoryFacts, Scope, Window
from compliance.checks.history_limits import HistoryLimit, Measure
from compliance.checks.policy import BUILT_IN, Policy, PolicyRule
from compliance.checks.rate_limits import RateLimit, RateMeasure
from compliance.checks.rates import RateWindow
from compliance.checks.rules import RULES, evaluate, verdict_of
from compliance.checks.rulings import (
    NOT_BY_APPROVAL,
    TOO_MANY_OWNERS,
    Ruling,
    RulingFacts,
    WayOut,
    is_a_matter_of_judgement,
    way_out_of,
)
from compliance.rights import RIGHTS
from gateway.rights import RIGHTS as GATEWAY_RIGHTS
from tests.compliance.check_facts import (
    AS_OF,
    SDN,
    account,
    any_facts,
    payment,
    rates,
    subject,
)

OVER_REVIEW_LIMIT = 1_000_001
REVIEWS = [code for code in Code if severity(code) is Verdict.REVIEW]
LATER = AS_OF + timedelta(minutes=5)


def ruled(
    facts: CheckFacts, ruling: Ruling = Ruling.APPROVED, policy: Policy = BUILT_IN
) -> RulingFacts:
    """What somebody decides who sees these facts."""
    scope = scope_of(facts, evaluate(facts, policy), policy.version)
    return RulingFacts("case_1", ruling, AS_OF, ("ann.example", "bob.example"), scope)


def again(facts: CheckFacts, ruling: RulingFacts, **changes: Any) -> CheckFacts:
    """The same movement checked after that, with changes."""
    return replace(facts, ruling=ruling, **changes)


def verdict(facts: CheckFacts, policy: Policy = BUILT_IN) -> Verdict:
    return verdict_of(evaluate(facts, policy))


def large(**changes: Any) -> CheckFacts:
    return payment(amount_minor=OVER_REVIEW_LIMIT, reference_id="pay-1", **changes)


def test_what_is_approved_may_happen_and_is_still_found() -> None:
    facts = large()
    assert verdict(facts) is Verdict.REVIEW
    approved = evaluate(again(facts, ruled(facts)), BUILT_IN)
    (found,) = approved
    assert (found.code, found.approved) == (Code.AMOUNT_OVER_REVIEW_LIMIT, True)
    assert verdict_of(approved) is Verdict.ALLOW


# What is asked for or found otherwise is not what was approved.
OTHERWISE: dict[str, dict[str, Any]] = {
    "one minor unit more": {"amount_minor": OVER_REVIEW_LIMIT + 1},
    "another currency": {"currency_code": "USD"},
    "another payment": {"reference_id": "pay-2"},
    "another customer": {"customer_id": "x", "customer": subject(Role.CUSTOMER, subject_id="x")},
    "no customer": {"customer_id": "", "customer": None},
    "another merchant": {
        "merchant_id": "x",
        "merchant": subject(subject_id="x"),
    },
    "another connected account": {"connected_account_id": "acct_1"},
    "another country": {"country_codes": ("DE", "FR")},
    "another way to pay": {"payment_method_type": "sepa_debit"},
    "another name of the merchant": {"merchant": subject(revision=4, profile_revision=4)},
    "another owner": {"owners": (subject(Role.OWNER),)},
    "a new match": {"customer": subject(Role.CUSTOMER, open_match_ids=("mat_1",))},
    "a new list that nobody was screened against": {"lists": (ListFacts(SDN, 8, AS_OF),)},
    "a list that is too old": {"lists": (ListFacts(SDN, 7, AS_OF - timedelta(days=3)),)},
    "no account": {"account": None},
}


@pytest.mark.parametrize("changes", OTHERWISE.values(), ids=OTHERWISE)
def test_an_approval_covers_no_more_than_it_says(changes: dict[str, Any]) -> None:
    facts = large()
    ruling = ruled(facts)
    assert verdict(again(facts, ruling)) is Verdict.ALLOW
    assert verdict(again(facts, ruling, **changes)) >= Verdict.REVIEW


def test_another_limit_is_another_finding() -> None:
    facts = large()
    lower = replace(
        BUILT_IN,
        limits=tuple(
            replace(limits, review_over_minor=limits.review_over_minor - 1)
            for limits in BUILT_IN.limits
        ),
    )
    assert verdict(again(facts, ruled(facts)), lower) is Verdict.REVIEW


def test_another_corridor_and_a_later_time_are_the_same_payment() -> None:
    facts = large()
    elsewhere = again(
        facts,
        ruled(facts),
        corridor="second",
        merchant=subject(corridor="second"),
        as_of=LATER,
    )
    assert verdict(elsewhere) is Verdict.ALLOW


@pytest.mark.parametrize("ruling", [Ruling.REFUSED, Ruling.EXPIRED])
def test_what_was_refused_or_decided_by_nobody_is_denied_whatever_changes(ruling: Ruling) -> None:
    facts = large()
    for changes in ({}, {"amount_minor": 1}, {"merchant": None}):
        after = again(facts, ruled(facts, ruling), **changes)
        assert verdict(after) is Verdict.DENY
        codes = [found.code for found in evaluate(after, BUILT_IN)]
        assert Code[f"CASE_{ruling}"] in codes


@given(any_facts, st.sampled_from(Ruling), st.booleans())
def test_no_ruling_takes_a_denial_away(facts: CheckFacts, ruling: Ruling, exactly: bool) -> None:
    before = verdict(facts)
    given_ruling = ruled(facts if exactly else payment(amount_minor=OVER_REVIEW_LIMIT), ruling)
    after = evaluate(again(facts, given_ruling), BUILT_IN)
    if before is Verdict.DENY or ruling is not Ruling.APPROVED:
        assert verdict_of(after) is Verdict.DENY
    for found in after:
        assert not found.approved or is_a_matter_of_judgement(found)
    if verdict_of(after) < before:
        reviewed = [found for found in after if found.alone is Verdict.REVIEW]
        assert set(reviewed) == {replace(f, approved=True) for f in given_ruling.scope.findings}


@given(any_facts, st.sampled_from(Code), st.sampled_from(["", "merchant-1"]), st.text(max_size=3))
def test_with_a_ruling_one_more_finding_never_makes_a_verdict_better(
    facts: CheckFacts, code: Code, subject_id: str, detail: str
) -> None:
    ruled_facts = again(facts, ruled(facts))

    def one_more(_facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
        yield Finding(code, subject_id, detail)

    more = evaluate(ruled_facts, BUILT_IN, (*RULES, one_more))
    assert verdict_of(more) >= verdict(ruled_facts)
    assert verdict_of(more) is max(found.verdict for found in more)


@pytest.mark.parametrize("code", [code for code in Code if severity(code) is not Verdict.REVIEW])
def test_only_a_review_can_be_approved(code: Code) -> None:
    assert Finding(code, approved=True).verdict is severity(code)
    assert not is_a_matter_of_judgement(Finding(code))


def one_finding(code: Code) -> CheckFacts:
    """Facts whose only finding has this code, which somebody may approve."""
    facts = {
        Code.AMOUNT_OVER_REVIEW_LIMIT: large(),
        Code.CURRENCY_NOT_COVERED: payment(currency_code="XAU"),
        Code.PAYER_UNIDENTIFIED: payment(customer_id="", customer=None, amount_minor=100_001),
        Code.NAME_NOT_COMPARABLE: payment(customer=incomparable()),
        Code.DISABLED_REASON_UNKNOWN: payment(account=account(disabled_reason="brand.new")),
        Code.ACCOUNT_RESTRICTED: payment(account=account(disabled_reason="under_review")),
        Code.SCREENING_PENDING: payment(owners_truncated=True),
        **{code: of_history(code) for code in OF_HISTORY},
        **{code: payment(rates=rates(disputes=3, refunds=3)) for code in OF_RATES},
    }
    return facts[code]


def of_history(code: Code) -> CheckFacts:
    """A payment that follows on others, of which one limit of `OWN_LIMITS` finds too much."""
    scope = OWN_LIMITS[code].scope
    figures = (3, 3, 3, 3)
    history = HistoryFacts(
        scope,
        counts=figures,
        currency_counts=figures,
        amounts_minor=(900,) * 4,
        near_counts=figures,
        other_customers=figures if scope is Scope.CARD else (),
        last_time=AS_OF - timedelta(days=9),
    )
    return payment(history=(history,))


OWN_LIMITS = {
    Code.CUSTOMER_VELOCITY: HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 3, "REVIEW", Window.HOUR),
    Code.MERCHANT_VELOCITY: HistoryLimit(Measure.COUNT, Scope.MERCHANT, 3, "REVIEW", Window.DAY),
    Code.CARD_VELOCITY: HistoryLimit(Measure.AMOUNT, Scope.CARD, 0, "REVIEW", Window.DAY),
    Code.STRUCTURING: HistoryLimit(
        Measure.NEAR_LIMIT_COUNT, Scope.CUSTOMER, 2, "REVIEW", Window.WEEK
    ),
    Code.CUMULATIVE_AMOUNT: HistoryLimit(
        Measure.CUMULATIVE_AMOUNT, Scope.CUSTOMER, 0, "REVIEW", Window.MONTH
    ),
    Code.DORMANT_ACCOUNT_WAKES: HistoryLimit(Measure.DORMANT_DAYS, Scope.MERCHANT, 8, "REVIEW"),
    Code.AMOUNT_OUT_OF_PROFILE: HistoryLimit(
        Measure.AVERAGE_PERCENT, Scope.CUSTOMER, 300, "REVIEW", Window.MONTH, 3
    ),
    Code.CARD_OF_MANY_CUSTOMERS: HistoryLimit(
        Measure.CUSTOMERS, Scope.CARD, 3, "REVIEW", Window.WEEK
    ),
}


OWN_RATE_LIMITS = {
    Code.CHARGEBACK_RATE: RateLimit(RateMeasure.CHARGEBACKS, RateWindow.MONTH, 200, 1, "REVIEW"),
    Code.REFUND_RATE: RateLimit(RateMeasure.REFUNDS, RateWindow.WEEK, 200, 1, "REVIEW"),
}


def with_rate_limit(limit: RateLimit) -> Policy:
    """The built-in policy with one limit on rates."""
    return replace(BUILT_IN, rate_limits=(limit,))


def with_limit(limit: HistoryLimit) -> Policy:
    """The built-in policy with one limit on the history; every amount is near the review limit."""
    return replace(BUILT_IN, history_limits=(limit,), near_limit_percent=0)


def with_rule(expression: str) -> Policy:
    """The built-in policy with a rule of somebody's own."""
    return replace(BUILT_IN, version="own-1", rules=(PolicyRule("own", expression, "REVIEW"),))


OWN_RULES = {
    Code.POLICY_RULE_REVIEW: with_rule("amount_minor > 0"),
    Code.POLICY_RULE_BROKEN: with_rule("1 / (amount_minor - 1000) > 0"),
}


def incomparable() -> Any:
    known = subject(Role.CUSTOMER)
    (screening,) = known.screenings
    return replace(known, screenings=(replace(screening, is_comparable=False),))


@pytest.mark.parametrize("code", REVIEWS)
def test_no_review_is_without_a_way_out(code: Code) -> None:
    way_out, method = way_out_of(Finding(code, detail=TOO_MANY_OWNERS))
    if way_out is WayOut.APPROVAL:
        policy = OWN_RULES.get(code, BUILT_IN)
        if code in OWN_LIMITS:
            policy = with_limit(OWN_LIMITS[code])
        if code in OWN_RATE_LIMITS:
            policy = with_rate_limit(OWN_RATE_LIMITS[code])
        facts = payment() if code in OWN_RULES else one_finding(code)
        assert {found.code for found in evaluate(facts, policy)} == {code}
        assert verdict(facts, policy) is Verdict.REVIEW
        approved = again(facts, ruled(facts, policy=policy))
        assert verdict(approved, policy) is Verdict.ALLOW
        # What a policy's own rule says may be another thing in its next version.
        later = replace(policy, version="later")
        still = Verdict.REVIEW if code in OWN_RULES else Verdict.ALLOW
        assert verdict(approved, later) is still
    service, name = method.split("/")
    assert name in {**RIGHTS, **GATEWAY_RIGHTS}[service]


def test_an_approval_is_no_evidence() -> None:
    for code in NOT_BY_APPROVAL:
        assert severity(code) is Verdict.REVIEW
        assert not is_a_matter_of_judgement(Finding(code, "merchant-1", "another detail"))
    facts = large(lists=())
    approved = again(facts, ruled(facts))
    assert {found.code: found.approved for found in evaluate(approved, BUILT_IN)} == {
        Code.LIST_MISSING: False,
        Code.AMOUNT_OVER_REVIEW_LIMIT: True,
    }
    assert verdict(approved) is Verdict.REVIEW


@given(any_facts, st.sampled_from(Ruling))
def test_a_decision_with_a_ruling_replays_bit_for_bit(facts: CheckFacts, ruling: Ruling) -> None:
    record = decide(
        again(facts, ruled(facts, ruling)),
        BUILT_IN,
        decision_id="dec_1",
        request_id="req-1",
        reference_id="pay-1",
        record_time=AS_OF,
    )
    stored = loads(dumps(record), DecisionRecord)
    assert stored == record
    replayed, findings, identical = replay(stored, BUILT_IN)
    assert (replayed.name, findings, identical) == (record.verdict, record.findings, True)


def test_the_page_names_the_way_out_of_each_review() -> None:
    page = Path(__file__).parents[2].joinpath("docs/cases.md").read_text(encoding="utf-8")
    for code in REVIEWS:
        _, method = way_out_of(Finding(code))
        (line,) = [line for line in page.splitlines() if f"`{code.name}`" in line]
        assert f"`{method.split('/')[1]}`" in line
