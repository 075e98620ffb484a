"""A decision stays within its candidates, follows from its record, and what is learnt is right."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.attribution import CallResult, Ending, attribute
from gateway.routing.decision import (
    MAX_CANDIDATES,
    CandidatesError,
    Decision,
    Lesson,
    Method,
    Policy,
    chosen_again,
    decide,
    learn_from,
)
from gateway.routing.features import Context
from gateway.routing.health import InFlight
from gateway.routing.objective import Aim, CorridorCosts, Objective
from gateway.routing.propensity import Exploration
from gateway.routing.state import RoutingState

POLICY = Policy()
CONTEXT = Context("EU", "VISA", "DEBIT", "EUR", 4_200, 13, False, 0, False)
NAMES = ("a", "b", "c")
NEW = RoutingState.new(POLICY.space, NAMES, 0.0)
GREEDY = replace(POLICY, exploration=Exploration(max_share=0.0))

SUCCEEDED = CallResult(Ending.SUCCEEDED)
DECLINED = CallResult(Ending.DECLINED, decline_code="do_not_honor")
WRONG_CVC = CallResult(Ending.DECLINED, decline_code="incorrect_cvc")
BLOCKED = CallResult(Ending.DECLINED, outcome_type="blocked")
UNKNOWN = CallResult(Ending.UNKNOWN)
FAILED = CallResult(Ending.DECLINED, "processing_error")


def lesson(result: CallResult, corridor: str = "a", rank: int = 0) -> Lesson:
    return Lesson(
        CONTEXT.region,
        CONTEXT.network,
        POLICY.space.slots(CONTEXT),
        corridor,
        rank,
        attribute(result),
        latency_s=None if result is UNKNOWN else 1.0,
        timed_out=result is UNKNOWN,
    )


def taught(results: list[tuple[CallResult, str]], policy: Policy = POLICY) -> RoutingState:
    state = NEW
    for n, (result, corridor) in enumerate(results):
        state = learn_from(policy, state, lesson(result, corridor), now_s=float(n))
    return state


def test_it_begins_as_the_rules() -> None:
    for order in (("a", "b", "c"), ("c", "a", "b")):
        decision = decide(GREEDY, NEW, CONTEXT, order, seed=1, now_s=0.0)
        assert decision.corridor == order[0]
        assert decision.propensity == 1.0


def test_it_leaves_the_rules_for_evidence() -> None:
    results = [(DECLINED, "a"), (SUCCEEDED, "b")] * 60
    assert decide(GREEDY, taught(results), CONTEXT, NAMES, seed=1, now_s=120.0).corridor == "b"


def test_the_less_was_learnt_the_more_evidence_it_takes_to_leave_the_rules() -> None:
    seen = taught([(DECLINED, "a"), (SUCCEEDED, "b")] * 2)

    def best(learned: int) -> Decision:
        return decide(GREEDY, replace(seen, learned=learned), CONTEXT, NAMES, seed=1, now_s=120.0)

    assert best(4).corridor == "a"
    assert best(50_000).corridor == "b"
    # It is taken off what is believed of all others, and a record shows it.
    fresh, old = best(0).scores, best(1_000_000).scores
    assert fresh[0] == old[0]._replace(propensity=1.0)
    assert all(new.approval < known.approval for new, known in zip(fresh[1:], old[1:], strict=True))
    assert POLICY.caution(5_000) == POLICY.caution(0) / 2


def test_it_leaves_a_corridor_that_fails() -> None:
    results = [(SUCCEEDED, "a")] * 50 + [(FAILED, "a")] * 3
    assert decide(GREEDY, taught(results), CONTEXT, NAMES, seed=1, now_s=53.0).corridor == "b"


def test_it_leaves_a_corridor_whose_calls_hang() -> None:
    state = taught([(SUCCEEDED, "a")] * 50)
    calls = {"a": [InFlight("a", "EU", "VISA", 50.0 + n) for n in range(5)]}
    early = decide(GREEDY, state, CONTEXT, NAMES, seed=1, now_s=55.5, in_flight=calls)
    late = decide(GREEDY, state, CONTEXT, NAMES, seed=1, now_s=75.0, in_flight=calls)
    assert (early.corridor, late.corridor) == ("a", "b")


def test_it_leaves_a_corridor_that_is_discounted_and_comes_back() -> None:
    state = taught([(SUCCEEDED, "a"), (SUCCEEDED, "b")] * 20)

    def decided(**discounts: float) -> Decision:
        return decide(GREEDY, state, CONTEXT, NAMES, seed=1, now_s=40.0, discounts=discounts)

    usual = decide(GREEDY, state, CONTEXT, NAMES, seed=1, now_s=40.0)
    assert usual.corridor == "a"
    assert decided() == decided(a=0.0) == decided(elsewhere=0.5) == usual
    held = decided(a=0.2)
    assert held.corridor == "b"
    assert [score.discount for score in held.scores] == [0.2, 0.0, 0.0]
    assert held.scores[0].value == pytest.approx(usual.scores[0].value * 0.8)
    assert held.scores[0].value_spread == pytest.approx(usual.scores[0].value_spread * 0.8)
    assert held.scores[1:] == tuple(
        before._replace(propensity=after.propensity)
        for before, after in zip(usual.scores[1:], held.scores[1:], strict=True)
    )
    # All alike are as before: nobody is left without a corridor.
    assert decided(a=0.2, b=0.2, c=0.2).corridor == "a"


def test_a_discount_makes_no_loss_smaller() -> None:
    """Where a success costs more than it brings, doubting it is no reason to go there."""
    dear = replace(
        GREEDY,
        objective=Objective(Aim.EXPECTED_VALUE, 0.1, {"a": CorridorCosts(success_fee_share=0.5)}),
    )
    values = [
        decide(dear, NEW, CONTEXT, NAMES, seed=1, now_s=0.0, discounts=discounts).scores[0].value
        for discounts in ({}, {"a": 0.5})
    ]
    assert values[0] == values[1] < 0


@pytest.mark.parametrize("discount", [-0.01, 1.0, float("nan")])
def test_what_is_no_discount_is_refused(discount: float) -> None:
    with pytest.raises(CandidatesError, match="discount"):
        decide(POLICY, NEW, CONTEXT, NAMES, seed=1, now_s=0.0, discounts={"a": discount})


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True),
    st.lists(
        st.tuples(st.sampled_from([SUCCEEDED, DECLINED, UNKNOWN, FAILED]), st.sampled_from("abcd")),
        max_size=15,
    ),
    st.integers(0, 2**64 - 1),
)
def test_never_outside_the_candidates(
    candidates: list[str], results: list[tuple[CallResult, str]], seed: int
) -> None:
    decision = decide(POLICY, taught(results), CONTEXT, candidates, seed=seed, now_s=100.0)
    assert decision.corridor in candidates
    assert [score.corridor for score in decision.scores] == candidates
    assert sum(score.propensity for score in decision.scores) == pytest.approx(1.0)
    assert decision.propensity == decision.scores[candidates.index(decision.corridor)].propensity
    assert decision.corridor == candidates[decision.rank]
    assert chosen_again(decision) == decision.corridor


def test_propensities_are_how_often_corridors_are_chosen() -> None:
    state = taught([(DECLINED, "a"), (SUCCEEDED, "b"), (SUCCEEDED, "c"), (UNKNOWN, "c")] * 3)
    decisions = [
        decide(POLICY, state, CONTEXT, NAMES, seed=seed, now_s=20.0) for seed in range(3_000)
    ]
    recorded = {decision.corridor: decision.propensity for decision in decisions}
    assert recorded == {score.corridor: score.propensity for score in decisions[0].scores}
    counted = Counter(decision.corridor for decision in decisions)
    for score in decisions[0].scores:
        expected = score.propensity
        deviation = (expected * (1 - expected) / len(decisions)) ** 0.5
        assert counted[score.corridor] / len(decisions) == pytest.approx(
            expected, abs=4 * deviation
        )


@pytest.mark.parametrize("candidates", [(), ("a", "a"), tuple(map(str, range(MAX_CANDIDATES + 1)))])
def test_candidates_that_nothing_can_be_chosen_from(candidates: tuple[str, ...]) -> None:
    with pytest.raises(CandidatesError):
        decide(POLICY, NEW, CONTEXT, candidates, seed=1, now_s=0.0)


def test_as_many_candidates_as_may_be() -> None:
    names = tuple(map(str, range(MAX_CANDIDATES)))
    assert decide(POLICY, NEW, CONTEXT, names, seed=1, now_s=0.0).corridor in names


@pytest.mark.parametrize(
    ("result", "is_of_the_corridor", "is_of_the_issuer"),
    [
        (SUCCEEDED, True, True),
        (DECLINED, True, True),
        (WRONG_CVC, True, False),
        (BLOCKED, False, False),
        (UNKNOWN, True, False),
        (FAILED, True, False),
        (CallResult(Ending.SUCCEEDED, was_unknown=True), False, True),
        (CallResult(Ending.DECLINED, "processing_error", was_unknown=True), False, False),
    ],
)
def test_what_an_outcome_moves(
    result: CallResult, is_of_the_corridor: bool, is_of_the_issuer: bool
) -> None:
    state = learn_from(POLICY, NEW, lesson(result), now_s=1.0)
    before, after = NEW.corridors["a"], state.corridors["a"]
    moved = after.health.chains.keys()
    assert ("all" in moved) == is_of_the_corridor
    assert ("refusals all" in moved) == is_of_the_issuer
    assert (after.own != before.own) == is_of_the_issuer
    assert (state.common != NEW.common) == is_of_the_issuer
    assert {name: state.corridors[name] for name in "bc"} == {
        name: NEW.corridors[name] for name in "bc"
    }


def test_it_leaves_a_corridor_whose_issuers_decline_all_and_the_model_hardly_learns_of_it() -> None:
    well = taught([(SUCCEEDED, "a")] * 80)
    slots = POLICY.space.slots(CONTEXT)
    ill, moves = well, []
    for n in range(8):
        after = learn_from(POLICY, ill, lesson(DECLINED), now_s=80.0 + n)
        moves.append(
            sum(
                old.sum(places)[0] - new.sum(places)[0]
                for old, new, places in (
                    (ill.common, after.common, slots.common),
                    (ill.corridors["a"].own, after.corridors["a"].own, slots.own),
                )
            )
        )
        ill = after
    assert moves[0] > 0
    assert moves[-1] < moves[0] / 5
    decision = decide(GREEDY, ill, CONTEXT, NAMES, seed=1, now_s=88.0)
    assert decision.corridor == "b"
    (score,) = [score for score in decision.scores if score.corridor == "a"]
    assert score.incident > 0.9
    assert score.approval < 0.2
    assert score.technical_failure < 0.1


def test_nothing_is_learnt_of_what_is_pending() -> None:
    pending = replace(lesson(SUCCEEDED), pending=True)
    assert learn_from(POLICY, NEW, pending, now_s=1.0) is NEW


def test_learning_in_vain_of_a_corridor_that_is_new() -> None:
    state = learn_from(POLICY, NEW, lesson(SUCCEEDED, "z"), now_s=1.0)
    assert "z" in state.corridors
    assert "z" not in NEW.corridors


def test_fees_and_disputes_decide_where_money_counts() -> None:
    costs = {"a": CorridorCosts(success_fee_share=0.03, dispute_share=0.01)}
    money = Objective(Aim.EXPECTED_VALUE, margin_share=0.2, costs=costs)
    assert decide(GREEDY, NEW, CONTEXT, NAMES, seed=1, now_s=0.0).corridor == "a"
    by_money = replace(GREEDY, objective=money)
    assert decide(by_money, NEW, CONTEXT, NAMES, seed=1, now_s=0.0).corridor == "b"


def test_expected_value_to_the_cent() -> None:
    costs = CorridorCosts(5.0, 10.0, 0.02, 0.01, 1_500.0, 0.5)
    objective = Objective(Aim.EXPECTED_VALUE, margin_share=0.25, costs={"a": costs})
    decision = decide(replace(GREEDY, objective=objective), NEW, CONTEXT, ("a",), seed=1, now_s=0.0)
    (score,) = decision.scores
    success = score.approval * (1 - score.technical_failure)
    minor = success * (0.25 * 4_200 - 10 - 0.02 * 4_200 - 0.01 * (1_500 + 0.5 * 4_200)) - 5
    assert score.value * 0.25 * 4_200 == pytest.approx(minor)


@pytest.mark.parametrize(
    "wrong",
    [{"success_fee_share": 1.1}, {"dispute_share": -0.1}, {"attempt_fee_minor": float("inf")}],
)
def test_costs_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CorridorCosts(**wrong)


def test_a_margin_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="margin_share"):
        Objective(margin_share=0.0)


def test_it_tries_again_what_it_has_not_seen_for_long() -> None:
    results = [(SUCCEEDED, "a"), (DECLINED, "b"), (SUCCEEDED, "b")] * 100
    state, source = taught(results), random.Random(2)

    def share_of_b(state: RoutingState, now_s: float) -> float:
        decision = decide(POLICY, state, CONTEXT, ("a", "b"), seed=1, now_s=now_s)
        return decision.scores[1].propensity

    before, day_s = share_of_b(state, 300.0), 86_400.0
    for n in range(3_000):
        result = SUCCEEDED if source.random() < 0.9 else DECLINED
        state = learn_from(POLICY, state, lesson(result, "a"), now_s=300.0 + n * 4 * day_s / 3_000)
    assert share_of_b(state, 300.0 + 4 * day_s) > 1.5 * before


def test_a_card_that_is_approved_more_often_is_worth_more_in_the_same_corridor() -> None:
    debit, credit = CONTEXT, replace(CONTEXT, funding="CREDIT", network="AMEX")
    state = NEW
    for number in range(60):
        result, context = (SUCCEEDED, credit) if number % 2 else (DECLINED, debit)
        said = replace(lesson(result), slots=POLICY.space.slots(context), network=context.network)
        state = learn_from(POLICY, state, said, now_s=float(number))
    methods = [Method(0, debit), Method(0, debit), Method(1, credit)]
    decision = decide(GREEDY, state, debit, ("a", "b", "a"), seed=1, now_s=60.0, methods=methods)
    assert (decision.corridor, decision.method, decision.rank) == ("a", 1, 2)
    assert decision.slots == POLICY.space.slots(credit)
    assert [(score.corridor, score.method) for score in decision.scores] == [
        ("a", 0), ("b", 0), ("a", 1)
    ]  # fmt: skip
    # Of one payment method each it is as without any.
    plain = decide(POLICY, state, debit, ("a", "b"), seed=9, now_s=60.0)
    assert plain == decide(
        POLICY, state, debit, ("a", "b"), seed=9, now_s=60.0, methods=methods[:2]
    )
    with pytest.raises(CandidatesError, match="twice"):
        decide(
            POLICY, state, debit, ("a", "a"), seed=9, now_s=60.0, methods=[methods[0], methods[1]]
        )
