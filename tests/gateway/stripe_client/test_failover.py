"""Where a payment may be charged instead: only after what certainly was no charge."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stripe_client.failover import (
    ACCOUNT_REFUSED,
    MAX_HOPS,
    Charge,
    Elsewhere,
    Excluded,
    Route,
    Terms,
    reason_to_leave,
)
from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass

HOME = Route("eu", "pm_eu", "cus_eu")
THERE = Route("us", "pm_us", "cus_us")


def charge(**values: Any) -> Charge:
    return Charge(
        **{"payment_id": "pay_1", "currency": "EUR", "country": "", "home": HOME, **values}
    )


def elsewhere(*terms: Terms, closed: frozenset[str] = frozenset()) -> Elsewhere:
    return Elsewhere({each.corridor: each for each in terms}, lambda name: name not in closed)


TO_US = Terms("eu", failover_to=("us",))
SHARED = Terms("eu", failover_to=("us",), shares_tokens_with=frozenset({"us"}))


@pytest.mark.parametrize("outcome_class", OutcomeClass)
@pytest.mark.parametrize("status", [0, 400, 401, 402, 403, 404, 409, 429, 500])
def test_only_what_certainly_was_no_charge_may_be_left(
    outcome_class: OutcomeClass, status: int
) -> None:
    outcome = Outcome(
        outcome_class,
        failure=Failure(http_status=status),
        not_sent_reason=NotSentReason.BREAKER_OPEN
        if outcome_class is OutcomeClass.NOT_SENT
        else None,
    )
    expected = ""
    if outcome_class is OutcomeClass.NOT_SENT:
        expected = "BREAKER_OPEN"
    elif outcome_class is OutcomeClass.REJECTED and status in (401, 403):
        expected = ACCOUNT_REFUSED
    assert reason_to_leave(outcome) == expected


@pytest.mark.parametrize("reason", NotSentReason)
def test_neither_contention_nor_what_we_lack_is_the_corridors_fault(
    reason: NotSentReason,
) -> None:
    outcome = Outcome(OutcomeClass.NOT_SENT, not_sent_reason=reason)
    stays = reason in (
        NotSentReason.OBJECT_LOCKED,
        NotSentReason.DEADLINE,
        NotSentReason.OWN_SHORTAGE,
    )
    assert bool(reason_to_leave(outcome)) is not stays


def test_a_token_goes_where_it_is_shared_whoever_says_so() -> None:
    there = Route("us", "pm_eu", "cus_eu")
    assert elsewhere(SHARED, Terms("us")).next_route(charge(), ["eu"]) == there
    said_there = Terms("us", shares_tokens_with=frozenset({"eu"}))
    assert elsewhere(TO_US, said_there).next_route(charge(), ["eu"]) == there


def test_a_token_that_is_not_usable_there_goes_nowhere() -> None:
    assert elsewhere(TO_US, Terms("us")).next_route(charge(), ["eu"]) is None


def test_the_clients_own_token_for_there_is_used() -> None:
    named = charge(alternatives=(THERE,))
    assert elsewhere(TO_US, Terms("us")).next_route(named, ["eu"]) == THERE
    assert elsewhere(SHARED, Terms("us")).next_route(named, ["eu"]) == THERE


def test_a_connected_account_does_not_move_with_a_shared_token() -> None:
    home = Route("eu", "pm_eu", "", "acct_1")
    assert elsewhere(SHARED, Terms("us")).next_route(charge(home=home), ["eu"]) is None
    there = Route("us", "pm_us", "", "acct_2")
    found = elsewhere(SHARED, Terms("us")).next_route(
        charge(home=home, alternatives=(there,)), ["eu"]
    )
    assert found == there


def test_what_operators_did_not_declare_is_not_used() -> None:
    named = charge(alternatives=(THERE,))
    assert elsewhere(Terms("eu"), Terms("us")).next_route(named, ["eu"]) is None
    assert elsewhere(TO_US).next_route(named, ["eu"]) is None
    assert elsewhere(Terms("us")).next_route(named, ["eu"]) is None


def test_closed_and_tried_corridors_are_passed_over() -> None:
    named = charge(alternatives=(THERE,))
    assert elsewhere(TO_US, Terms("us"), closed=frozenset({"us"})).next_route(named, ["eu"]) is None
    assert elsewhere(TO_US, Terms("us")).next_route(named, ["us", "eu"]) is None


def test_currencies_and_countries_are_kept() -> None:
    named = charge(alternatives=(THERE,))
    for there, usable in (
        (Terms("us", currencies=frozenset({"USD"})), False),
        (Terms("us", currencies=frozenset({"USD", "EUR"})), True),
        (Terms("us", countries=frozenset({"US"})), False),
    ):
        assert (elsewhere(TO_US, there).next_route(named, ["eu"]) is not None) is usable
    american = charge(alternatives=(THERE,), country="US")
    assert elsewhere(TO_US, Terms("us", countries=frozenset({"US"}))).next_route(american, ["eu"])


def test_so_many_corridors_are_tried_and_no_more() -> None:
    names = [f"c{number}" for number in range(MAX_HOPS + 2)]
    home = Terms("eu", failover_to=tuple(names), shares_tokens_with=frozenset(names))
    there = elsewhere(home, *(Terms(name) for name in names))
    tried = ["eu"]
    while (route := there.next_route(charge(), tried)) is not None:
        assert route.corridor not in tried
        tried.append(route.corridor)
    assert len(tried) == MAX_HOPS + 1


def test_the_lowest_priority_goes_first() -> None:
    home = Terms("eu", failover_to=("a", "b"), shares_tokens_with=frozenset({"a", "b"}))
    there = elsewhere(home, Terms("a", priority=2), Terms("b", priority=1))
    first = there.next_route(charge(), ["eu"])
    assert first is not None
    assert first.corridor == "b"
    second = there.next_route(charge(), ["b", "eu"])
    assert second is not None
    assert second.corridor == "a"


@given(st.integers(min_value=1, max_value=20))
def test_weights_share_payments_out(weight: int) -> None:
    home = Terms("eu", failover_to=("a", "b"), shares_tokens_with=frozenset({"a", "b"}))
    there = elsewhere(home, Terms("a", weight=weight), Terms("b"))
    drawn: Counter[str] = Counter()
    for number in range(2_000):
        route = there.next_route(charge(payment_id=f"pay_{number}"), ["eu"])
        assert route is not None
        drawn[route.corridor] += 1
    assert drawn["a"] / 2_000 == pytest.approx(weight / (weight + 1), abs=0.05)


def test_a_payment_draws_the_same_again() -> None:
    home = Terms("eu", failover_to=("a", "b"), shares_tokens_with=frozenset({"a", "b"}))
    there = elsewhere(home, Terms("a"), Terms("b"))
    assert there.next_route(charge(), ["eu"]) == there.next_route(charge(), ["eu"])


def candidates(found: Elsewhere, limit: int = 16, **values: Any) -> list[tuple[str, str | None]]:
    return [(each.corridor, each.excluded) for each in found.candidates(charge(**values), limit)]


def test_candidates_are_what_failover_may_use_and_the_payments_own() -> None:
    names = ("us", "uk", "ca", "br", "jp")
    home = Terms("eu", failover_to=names, shares_tokens_with=frozenset({"us", "uk", "br", "jp"}))
    others = (
        Terms("us", priority=2),
        Terms("uk", priority=1),
        Terms("ca"),
        Terms("br", currencies=frozenset({"BRL"})),
        Terms("jp"),
    )
    found = elsewhere(home, *others, closed=frozenset({"jp"}))
    assert candidates(found) == [
        ("eu", None),
        ("uk", None),
        ("us", None),
        ("ca", Excluded.NO_TOKEN),
        ("br", Excluded.TERMS),
        ("jp", Excluded.UNAVAILABLE),
    ]
    assert candidates(found, limit=2)[:2] == [("eu", None), ("uk", None)]
    assert ("us", Excluded.TOO_MANY) in candidates(found, limit=2)
    # Its own one cannot be used either.
    shut = elsewhere(home, *others, closed=frozenset({"eu", "jp"}))
    assert candidates(shut)[:3] == [("uk", None), ("us", None), ("eu", Excluded.UNAVAILABLE)]
    assert candidates(elsewhere(Terms("us"))) == []


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
    st.sets(st.integers(0, 5)),
    st.text("abc", min_size=1, max_size=4),
)
def test_candidates_are_in_the_order_of_failover(
    priorities: list[int], closed: set[int], shared: set[int], payment_id: str
) -> None:
    """Going from one to the next as failover does visits the same corridors in the same order."""
    names = tuple(f"c{number}" for number in range(len(priorities)))
    home = Terms(
        "eu", failover_to=names, shares_tokens_with=frozenset(f"c{number}" for number in shared)
    )
    others = [Terms(n, priority=p) for n, p in zip(names, priorities, strict=True)]
    found = elsewhere(home, *others, closed=frozenset(f"c{number}" for number in closed))
    asked = charge(payment_id=payment_id)
    usable = [each.corridor for each in found.candidates(asked, 16) if each.route is not None]
    visited = ["eu"]
    while len(visited) <= MAX_HOPS and (route := found.next_route(asked, visited)) is not None:
        visited.append(route.corridor)
    assert visited == usable[: MAX_HOPS + 1]


SECOND, THIRD = Route("eu", "pm_eu_2"), Route("us", "pm_us_2")


def test_each_payment_method_for_a_corridor_is_a_candidate_and_the_first_goes_by_the_rules() -> (
    None
):
    named = charge(alternatives=(SECOND, THERE, THIRD))
    there = elsewhere(TO_US, Terms("us"))
    found = there.candidates(named, 16)
    assert [(each.route, each.method) for each in found] == [
        (HOME, 0), (THERE, 0), (SECOND, 1), (THIRD, 1)
    ]  # fmt: skip
    assert there.next_route(named, ["eu"]) == THERE
    # Where it goes on the first one counts.
    assert [each.route for each in there.others(named, ["eu"], 16)] == [THERE]
    # A corridor that may not be used has no payment method that may be.
    closed = elsewhere(TO_US, Terms("us"), closed=frozenset({"eu"}))
    routes = [each.route for each in closed.candidates(named, 16)]
    assert routes == [THERE, THIRD, None]
    # The limit is of all.
    limited = there.candidates(named, 3)
    assert [(each.corridor, each.excluded) for each in limited] == [
        ("eu", None), ("us", None), ("eu", None), ("us", Excluded.TOO_MANY)
    ]  # fmt: skip


def test_who_receives_the_money_does_not_change_with_what_is_charged() -> None:
    home = Route("eu", "pm_eu", "", "acct_1")
    there = Route("us", "pm_us", "", "acct_2")
    named = charge(
        home=home,
        alternatives=(
            Route("eu", "pm_eu_2", "", "acct_9"),
            there,
            Route("us", "pm_us_2", "", "acct_1"),
            Route("us", "pm_us_3", "", "acct_2"),
        ),
    )
    found = elsewhere(TO_US, Terms("us")).candidates(named, 16)
    assert [each.route for each in found] == [home, there, Route("us", "pm_us_3", "", "acct_2")]
