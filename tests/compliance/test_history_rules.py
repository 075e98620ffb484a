"""Limits on the history: right at their edges, monotone, approved as far as they were seen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.cases.case import scope_of
from compliance.checks.canonical import dumps, loads
from compliance.checks.facts import CheckFacts, CheckKind
from compliance.checks.findings import OF_HISTORY, Code, Finding, Verdict
from compliance.checks.history import HistoryFacts, Scope, Window
from compliance.checks.history_limits import HistoryLimit, Measure
from compliance.checks.policy import BUILT_IN, Policy
from compliance.checks.rules import evaluate, verdict_of
from compliance.checks.rulings import MAX_GROWTH_PERCENT, Ruling, RulingFacts
from tests.compliance.check_facts import AS_OF, any_facts, histories, payment

DAY = timedelta(days=1)
NONE = (0, 0, 0, 0)
# Minor units of EUR in the built-in policy.
REVIEW_LIMIT = 1_000_000


def before(scope: Scope = Scope.CUSTOMER, **changes: Any) -> HistoryFacts:
    """Nothing before, but for the changes."""
    customers = NONE if scope is Scope.CARD else ()
    nothing = HistoryFacts(scope, NONE, NONE, NONE, NONE, customers)
    return replace(nothing, **changes)


def only(limit: HistoryLimit, near_limit_percent: int = 85) -> Policy:
    return replace(BUILT_IN, history_limits=(limit,), near_limit_percent=near_limit_percent)


def found(facts: CheckFacts, policy: Policy) -> list[tuple[Code, int]]:
    return [
        (item.code, item.measured) for item in evaluate(facts, policy) if item.code in OF_HISTORY
    ]


def at(window: Window, figure: int) -> tuple[int, ...]:
    return tuple(figure if window is other else 0 for other in Window)


@pytest.mark.parametrize("window", Window)
@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (Scope.CUSTOMER, Code.CUSTOMER_VELOCITY),
        (Scope.MERCHANT, Code.MERCHANT_VELOCITY),
        (Scope.CARD, Code.CARD_VELOCITY),
    ],
)
def test_how_many_payments(scope: Scope, code: Code, window: Window) -> None:
    policy = only(HistoryLimit(Measure.COUNT, scope, 10, "REVIEW", window))
    for counts, expected in ((9, []), (10, [(code, 11)])):
        facts = payment(history=(before(scope, counts=at(window, counts)),))
        assert found(facts, policy) == expected
    assert found(payment(), policy) == []


@pytest.mark.parametrize(
    ("measure", "code"),
    [
        (Measure.AMOUNT, Code.CUSTOMER_VELOCITY),
        (Measure.CUMULATIVE_AMOUNT, Code.CUMULATIVE_AMOUNT),
    ],
)
def test_how_much_in_percent_of_the_review_limit(measure: Measure, code: Code) -> None:
    policy = only(HistoryLimit(measure, Scope.CUSTOMER, 200, "REVIEW", Window.DAY))
    for total, expected in ((2 * REVIEW_LIMIT, []), (2 * REVIEW_LIMIT + 1, [(code, 201)])):
        amounts = at(Window.DAY, total - 1_000)
        facts = payment(history=(before(amounts_minor=amounts),))
        assert found(facts, policy) == expected
    # In a currency without limits people look anyway.
    many = before(amounts_minor=(2**60,) * 4)
    assert found(payment(currency_code="XAU", history=(many,)), policy) == []


@pytest.mark.parametrize(
    ("amount", "near_before", "expected"),
    [
        (850_000, 2, [(Code.STRUCTURING, 3)]),
        (850_000, 1, []),
        (849_999, 9, []),
        (1_000_000, 2, [(Code.STRUCTURING, 3)]),
        # Over the limit people look at it anyway.
        (1_000_001, 9, []),
    ],
)
def test_several_just_under_the_limit(amount: int, near_before: int, expected: list[Any]) -> None:
    policy = only(HistoryLimit(Measure.NEAR_LIMIT_COUNT, Scope.CUSTOMER, 2, "REVIEW", Window.WEEK))
    history = before(near_counts=at(Window.WEEK, near_before))
    assert found(payment(amount_minor=amount, history=(history,)), policy) == expected


@pytest.mark.parametrize(
    ("since", "amount", "expected"),
    [
        (180 * DAY, 200_000, []),
        (181 * DAY, 200_000, [(Code.DORMANT_ACCOUNT_WAKES, 181)]),
        (181 * DAY - timedelta(microseconds=1), 200_000, []),
        # 20 percent, rounded up.
        (181 * DAY, 190_001, [(Code.DORMANT_ACCOUNT_WAKES, 181)]),
        (181 * DAY, 190_000, []),
        (None, 900_000, []),
    ],
)
def test_who_pays_again_after_a_long_time(
    since: timedelta | None, amount: int, expected: list[Any]
) -> None:
    policy = only(HistoryLimit(Measure.DORMANT_DAYS, Scope.CUSTOMER, 180, "REVIEW", at_least=20))
    last = None if since is None else AS_OF - since
    facts = payment(amount_minor=amount, history=(before(last_time=last),))
    assert found(facts, policy) == expected


@pytest.mark.parametrize(
    ("amount", "payments", "expected"),
    [
        (10_000, 5, []),
        (10_001, 5, [(Code.AMOUNT_OUT_OF_PROFILE, 1_001)]),
        (900_000, 4, []),
        (900_000, 0, []),
    ],
)
def test_an_amount_far_over_the_average(amount: int, payments: int, expected: list[Any]) -> None:
    limit = HistoryLimit(Measure.AVERAGE_PERCENT, Scope.CUSTOMER, 1_000, "ALLOW", Window.MONTH, 5)
    history = before(
        currency_counts=at(Window.MONTH, payments), amounts_minor=at(Window.MONTH, payments * 1_000)
    )
    assert found(payment(amount_minor=amount, history=(history,)), only(limit)) == expected


def test_many_customers_of_one_card() -> None:
    policy = only(HistoryLimit(Measure.CUSTOMERS, Scope.CARD, 4, "DENY", Window.WEEK))
    for others, customer, expected in (
        (4, "customer-1", [(Code.CARD_OF_MANY_CUSTOMERS, 5)]),
        (3, "customer-1", []),
        (4, "", []),
        (5, "", [(Code.CARD_OF_MANY_CUSTOMERS, 5)]),
    ):
        history = before(Scope.CARD, other_customers=at(Window.WEEK, others))
        facts = payment(customer_id=customer, history=(history,))
        assert found(facts, policy) == expected


@pytest.mark.parametrize("outcome", ["ALLOW", "REVIEW", "DENY"])
def test_what_follows_is_the_policys_to_say(outcome: str) -> None:
    policy = only(HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 0, outcome, Window.HOUR))
    facts = payment(history=(before(),))
    assert verdict_of(evaluate(facts, policy)) is Verdict[outcome]
    (finding,) = evaluate(facts, policy)
    assert (finding.detail, finding.measured) == ("COUNT CUSTOMER 1h over 0", 1)


def test_of_transfers_and_payouts_nothing_is_counted() -> None:
    policy = only(HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 0, "DENY", Window.HOUR))
    for kind in (CheckKind.TRANSFER, CheckKind.PAYOUT):
        assert found(payment(kind=kind, history=(before(),)), policy) == []


@given(any_facts, st.lists(histories, max_size=3), st.data())
def test_more_before_never_makes_a_verdict_better(
    facts: CheckFacts, drawn: list[HistoryFacts], data: st.DataObject
) -> None:
    """Of every measure but the two of what is unusual."""
    policy = replace(
        BUILT_IN,
        history_limits=tuple(
            limit
            for limit in BUILT_IN.history_limits
            if limit.measure not in (Measure.DORMANT_DAYS, Measure.AVERAGE_PERCENT)
        ),
    )

    def grown(figures: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(figure + data.draw(st.sampled_from([0, 1, 9, 2**40])) for figure in figures)

    more = tuple(
        replace(
            history,
            counts=grown(history.counts),
            amounts_minor=grown(history.amounts_minor),
            near_counts=grown(history.near_counts),
            other_customers=grown(history.other_customers),
        )
        for history in drawn
    )
    less_found = verdict_of(evaluate(replace(facts, history=tuple(drawn)), policy))
    assert verdict_of(evaluate(replace(facts, history=more), policy)) >= less_found


@pytest.mark.parametrize(
    ("seen", "now", "is_covered"),
    [
        *((20, 20, True), (20, 30, True), (20, 31, False), (20, 12, True)),
        # One more is always what was seen.
        *((11, 16, True), (11, 17, False)),
    ],
)
def test_an_approval_covers_a_figure_that_is_not_much_worse(
    seen: int, now: int, is_covered: bool
) -> None:
    policy = only(HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 10, "REVIEW", Window.HOUR))
    assert MAX_GROWTH_PERCENT == 150

    def facts(count: int, **changes: Any) -> CheckFacts:
        return payment(history=(before(counts=(count - 1, 0, 0, 0)),), **changes)

    shown = facts(seen)
    scope = scope_of(shown, evaluate(shown, policy), policy.version)
    ruling = RulingFacts("case_1", Ruling.APPROVED, AS_OF, ("ann.example",), scope)
    verdict = verdict_of(evaluate(facts(now, ruling=ruling), policy))
    assert verdict is (Verdict.ALLOW if is_covered else Verdict.REVIEW)
    # Another limit is another finding, and what denies is never covered.
    stricter = only(HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 9, "REVIEW", Window.HOUR))
    denying = only(HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 10, "DENY", Window.HOUR))
    assert verdict_of(evaluate(facts(seen, ruling=ruling), stricter)) is Verdict.REVIEW
    assert verdict_of(evaluate(facts(seen, ruling=ruling), denying)) is Verdict.DENY


def test_the_smallest_figure_may_be_one_more_and_no_more() -> None:
    policy = only(HistoryLimit(Measure.COUNT, Scope.CUSTOMER, 0, "REVIEW", Window.HOUR))
    shown = payment(history=(before(),))
    scope = scope_of(shown, evaluate(shown, policy), policy.version)
    ruling = RulingFacts("case_1", Ruling.APPROVED, AS_OF, ("ann.example",), scope)
    for others, expected in ((1, Verdict.ALLOW), (2, Verdict.REVIEW)):
        facts = payment(history=(before(counts=(others, 0, 0, 0)),), ruling=ruling)
        assert verdict_of(evaluate(facts, policy)) is expected


def test_findings_of_before_are_read_as_they_were() -> None:
    stored = '{"approved":false,"code":31,"detail":"1000000","subject_id":""}'
    assert loads(stored, Finding) == Finding(Code.AMOUNT_OVER_REVIEW_LIMIT, "", "1000000")
    new = Finding(Code.STRUCTURING, "c", "x", outcome="DENY", measured=3)
    assert loads(dumps(new), Finding) == new


def test_built_in_limits_are_said_once_each() -> None:
    limits = BUILT_IN.history_limits
    assert len({(limit.name, limit.outcome) for limit in limits}) == len(limits)
    assert {limit.measure for limit in limits} == set(Measure)
