"""Limits on rates of disputes and refunds: right at their edges, monotone, approved as seen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.cases.case import scope_of
from compliance.checks.canonical import dumps, loads
from compliance.checks.evidence import Evidence, evidence_of
from compliance.checks.expressions import FACTS, MAX_INT, values_of
from compliance.checks.facts import CheckFacts, CheckKind
from compliance.checks.findings import OF_RATES, Code, Verdict
from compliance.checks.policy import BUILT_IN, Policy
from compliance.checks.rate_limits import RateLimit, RateMeasure
from compliance.checks.rates import RateFacts, RateWindow, rate_facts
from compliance.checks.rules import evaluate, verdict_of
from compliance.checks.rulings import Ruling, RulingFacts
from tests.compliance.check_facts import AS_OF, any_facts, any_rates, payment, rates

DAY = timedelta(days=1)
MEASURES = list(RateMeasure)


def only(*limits: RateLimit, **changes: Any) -> Policy:
    return replace(BUILT_IN, rate_limits=limits, **changes)


def found(facts: CheckFacts, policy: Policy) -> list[tuple[Code, str, int]]:
    return [
        (item.code, item.detail, item.measured)
        for item in evaluate(facts, policy)
        if item.code in OF_RATES
    ]


@pytest.mark.parametrize("window", RateWindow)
@pytest.mark.parametrize(
    ("measure", "figure", "code"),
    [
        (RateMeasure.CHARGEBACKS, "disputes", Code.CHARGEBACK_RATE),
        (RateMeasure.REFUNDS, "refunds", Code.REFUND_RATE),
        (RateMeasure.REFUNDED_AMOUNT, "refunded_minor", Code.REFUND_RATE),
    ],
)
def test_what_a_limit_is_compared_with(
    measure: RateMeasure, figure: str, code: Code, window: RateWindow
) -> None:
    policy = only(RateLimit(measure, window, 200, 100, "REVIEW"))
    for count, expected in ((2, []), (3, [(code, f"{measure} {window} over 200", 300)])):
        facts = payment(rates=rates(window, **{figure: count}))
        assert found(facts, policy) == expected
        # It is about the merchant, and only about payments.
        assert [item.subject_id for item in evaluate(facts, policy)] == ["merchant-1"] * len(
            expected
        )
        for kind in (CheckKind.TRANSFER, CheckKind.PAYOUT):
            assert found(replace(facts, kind=kind), policy) == []
    other = next(one for one in RateWindow if one is not window)
    assert found(payment(rates=rates(other, **{figure: 9})), policy) == []


def test_a_rate_is_rounded_up_so_that_a_limit_is_passed_by_any_part_of_a_basis_point() -> None:
    policy = only(RateLimit(RateMeasure.CHARGEBACKS, RateWindow.MONTH, 75, 1, "REVIEW"))
    for disputes, payments, expected in ((3, 400, []), (3, 399, [76]), (1, 1, [10_000])):
        facts = payment(rates=rates(disputes=disputes, payments=payments))
        assert [measured for _, _, measured in found(facts, policy)] == expected


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_is_judged_before_enough_payments_have_succeeded(measure: RateMeasure) -> None:
    policy = only(RateLimit(measure, RateWindow.MONTH, 0, 200, "DENY"))
    figures = {"disputes": 99, "refunds": 99, "refunded_minor": 99}
    for payments, count in ((199, 0), (200, 1), (0, 0)):
        assert len(found(payment(rates=rates(payments=payments, **figures)), policy)) == count
    # Nor is an amount without any in the payment's currency.
    nothing = payment(rates=rates(payments=200, captured_minor=0, **figures))
    assert len(found(nothing, policy)) == (measure is not RateMeasure.REFUNDED_AMOUNT)


@pytest.mark.parametrize("outcome", Verdict)
def test_the_limit_says_what_follows(outcome: Verdict) -> None:
    limit = RateLimit(RateMeasure.CHARGEBACKS, RateWindow.MONTH, 100, 100, outcome.name)
    bad = payment(rates=rates(disputes=2))
    assert verdict_of(evaluate(bad, only(limit))) is outcome
    warning = replace(limit, over_bp=50, outcome="REVIEW")
    verdicts = [
        verdict_of(evaluate(payment(rates=rates(disputes=n)), only(warning, limit))).name
        for n in (0, 1, 2)
    ]
    assert verdicts == ["ALLOW", "REVIEW", max(outcome, Verdict.REVIEW).name]


def test_the_built_in_policy_notes_and_stops_nobody() -> None:
    worst = rates(payments=200, disputes=200, refunds=200, refunded_minor=10**6)
    noted = evaluate(payment(rates=worst), BUILT_IN)
    assert {item.code for item in noted} == set(OF_RATES)
    assert len(noted) == len(BUILT_IN.rate_limits)
    assert verdict_of(noted) is Verdict.ALLOW
    # Half of what the networks call excessive, as the table of docs/compliance.md has it.
    for disputes, codes in ((15, []), (16, [Code.CHARGEBACK_RATE] * 2)):
        facts = payment(rates=rates(payments=2_000, disputes=disputes))
        assert [item.code for item in evaluate(facts, BUILT_IN)] == codes
    assert {limit.measure for limit in BUILT_IN.rate_limits} == set(RateMeasure)


@pytest.mark.parametrize("outcome", ["", "ALLOW", "REVIEW", "DENY"])
def test_figures_that_are_not_known_or_too_old_lead_to_what_the_policy_says(outcome: str) -> None:
    policy = only(unknown_rates_outcome=outcome)
    cases = [
        (None, "not known"),
        (timedelta(hours=24), None),
        (timedelta(hours=24, microseconds=1), "too old"),
        (timedelta(hours=-2), None),
    ]
    for age, detail in cases:
        known = None if age is None else replace(rates(), follow_time=AS_OF - age)
        findings = evaluate(payment(rates=known), policy)
        assert [item.detail for item in findings] == ([detail] if outcome and detail else [])
        expected = Verdict[outcome] if outcome and detail else Verdict.ALLOW
        assert verdict_of(findings) is expected
    forever = replace(policy, rates_max_age=None)
    assert evaluate(payment(rates=None), forever) == ()
    assert BUILT_IN.unknown_rates_outcome == ""


def test_figures_that_are_too_old_are_judged_all_the_same() -> None:
    limit = RateLimit(RateMeasure.CHARGEBACKS, RateWindow.MONTH, 0, 1, "DENY")
    old = replace(rates(disputes=1), follow_time=AS_OF - 300 * DAY)
    policy = only(limit, unknown_rates_outcome="ALLOW")
    assert [detail for _, detail, _ in found(payment(rates=old), policy)] == [
        "CHARGEBACKS 30d over 0",
        "too old",
    ]


def test_the_evidence_says_how_far_the_feed_was_followed() -> None:
    def pieces(facts: CheckFacts) -> list[Evidence]:
        return [piece for piece in evidence_of(facts, BUILT_IN) if piece.kind == "PAYMENT_OUTCOMES"]

    assert pieces(payment()) == []
    for age, state in ((24 * 60, "FRESH"), (24 * 60 + 1, "STALE")):
        seen = AS_OF - timedelta(minutes=age)
        known = replace(rates(), follow_time=seen, epoch=3)
        assert pieces(payment(rates=known)) == [
            Evidence("PAYMENT_OUTCOMES", state, "merchant-1", "3/7", seen, AS_OF - seen)
        ]


any_limits = st.lists(
    st.builds(
        RateLimit,
        measure=st.sampled_from(RateMeasure),
        window=st.sampled_from([window.value for window in RateWindow]),
        over_bp=st.sampled_from([0, 1, 75, 10_000, 1_000_000]),
        at_least=st.sampled_from([1, 200, 1_000_000]),
        outcome=st.sampled_from([verdict.name for verdict in Verdict]),
    ),
    max_size=4,
).map(tuple)


@given(any_facts, any_rates, any_limits, st.sampled_from(["", "REVIEW"]), st.data())
def test_more_disputes_and_refunds_never_make_a_verdict_better(
    facts: CheckFacts,
    drawn: RateFacts,
    limits: tuple[RateLimit, ...],
    unknown: str,
    data: st.DataObject,
) -> None:
    policy = only(*limits, unknown_rates_outcome=unknown)

    def grown(figures: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(figure + data.draw(st.sampled_from([0, 1, 9, 2**40])) for figure in figures)

    more = replace(
        drawn,
        refunds=grown(drawn.refunds),
        refunded_minor=grown(drawn.refunded_minor),
        disputes=grown(drawn.disputes),
        disputed_minor=grown(drawn.disputed_minor),
    )
    less_found = verdict_of(evaluate(replace(facts, rates=drawn), policy))
    assert verdict_of(evaluate(replace(facts, rates=more), policy)) >= less_found
    # Nor does one limit more, or figures that get older.
    stricter = only(
        *limits,
        RateLimit(RateMeasure.REFUNDS, RateWindow.WEEK, 1, 1, "REVIEW"),
        unknown_rates_outcome=unknown,
    )
    assert verdict_of(evaluate(replace(facts, rates=drawn), stricter)) >= less_found
    older = replace(drawn, follow_time=drawn.follow_time - DAY)
    assert verdict_of(evaluate(replace(facts, rates=older), policy)) >= less_found


@given(any_facts, any_rates)
def test_the_canonical_form_of_facts_reads_as_it_was(facts: CheckFacts, drawn: RateFacts) -> None:
    with_rates = replace(facts, rates=drawn)
    again = loads(dumps(with_rates), CheckFacts)
    assert again == with_rates
    assert dumps(again) == dumps(with_rates)
    assert '"rates":null' in dumps(replace(facts, rates=None))


@pytest.mark.parametrize(
    ("seen", "now", "is_covered"), [(200, 300, True), (200, 301, False), (200, 120, True)]
)
def test_an_approval_covers_a_rate_that_has_moved_a_little(
    seen: int, now: int, is_covered: bool
) -> None:
    limit = RateLimit(RateMeasure.CHARGEBACKS, RateWindow.MONTH, 100, 1, "REVIEW")

    def facts(disputes: int, **changes: Any) -> CheckFacts:
        return payment(rates=rates(payments=10_000, disputes=disputes), **changes)

    shown = facts(seen)
    scope = scope_of(shown, evaluate(shown, only(limit)), BUILT_IN.version)
    ruling = RulingFacts("case_1", Ruling.APPROVED, AS_OF, ("ann.example",), scope)
    verdict = verdict_of(evaluate(facts(now, ruling=ruling), only(limit)))
    assert verdict is (Verdict.ALLOW if is_covered else Verdict.REVIEW)
    # Another limit is another finding, and what denies is never covered.
    stricter, denying = replace(limit, over_bp=90), replace(limit, outcome="DENY")
    assert verdict_of(evaluate(facts(seen, ruling=ruling), only(stricter))) is Verdict.REVIEW
    assert verdict_of(evaluate(facts(seen, ruling=ruling), only(denying))) is Verdict.DENY


def test_what_expressions_know_of_rates() -> None:
    names = [name for name in FACTS if name.endswith(("_7d", "_90d"))]
    known = values_of(payment(rates=rates(RateWindow.QUARTER, disputes=2, refunds=2**70)))
    assert known["merchant_disputes_90d"] == 2
    assert known["merchant_disputes_30d"] == 0
    assert known["merchant_chargeback_bp_90d"] == 200
    assert known["merchant_succeeded_30d"] == 100
    assert known["merchant_refunds_90d"] == known["merchant_refund_bp_90d"] == MAX_INT
    assert known["merchant_rates_age_minutes"] == 0
    unknown = values_of(payment(rates=None))
    assert [unknown[name] for name in names if "_bp_" in name] == [-1] * 6
    assert unknown["merchant_disputes_7d"] == 0
    assert unknown["merchant_rates_age_minutes"] == -1
    none_yet = values_of(payment(rates=rates(payments=0)))
    assert none_yet["merchant_chargeback_bp_30d"] == -1


def test_numbers_are_of_all_currencies_and_amounts_of_the_payments_own() -> None:
    figures = {
        "EUR": [[1, 2, 3], [10, 20, 30], [0, 1, 1], [0, 5, 5], [0, 0, 1], [0, 0, 9]],
        "JPY": [[4, 5, 6], [70, 80, 90], [0, 0, 0], [0, 0, 0], [2, 2, 2], [8, 8, 8]],
    }
    row = {"day": "2026-11-22", "follow_time": 0, "epoch": 1, "sequence": 2, "figures": figures}
    euro = rate_facts(row, "EUR")
    assert (euro.payments, euro.refunds, euro.disputes) == ((5, 7, 9), (0, 1, 1), (2, 2, 3))
    assert euro.captured_minor == (10, 20, 30)
    assert euro.refunded_minor == (0, 5, 5)
    assert euro.disputed_minor == (0, 0, 9)
    other = rate_facts(row, "USD")
    assert (other.payments, other.captured_minor) == ((5, 7, 9), (0, 0, 0))
    nobody = rate_facts({**row, "day": "", "figures": {}}, "EUR")
    assert nobody.payments == nobody.disputed_minor == (0, 0, 0)
