"""What routing writes down is what evaluation takes; models are fitted on other customers."""

import pytest

from gateway.routing.decision import CandidatesError, Policy, decide
from gateway.routing.evaluation import evaluate
from gateway.routing.evaluation_log import (
    EvaluationError,
    LoggedDecision,
    Option,
    candidate_shares,
    logged_decision,
    shares_of_order,
)
from gateway.routing.evaluation_model import SHRINKAGE, cross_fitted
from gateway.routing.features import Context
from gateway.routing.propensity import Exploration
from gateway.routing.state import RoutingState

CONTEXT = Context("EU", "VISA", "CREDIT", "EUR", 4_200, 12, False, 0, False)
NAMES = ("acct_1", "acct_2", "acct_3")


def test_a_decision_and_one_of_the_shadow() -> None:
    policy, shadow = Policy(), Policy(exploration=Exploration(max_share=0.3, max_cost=0.1))
    state = RoutingState.new(policy.space, NAMES, 0.0)
    log = []
    for seed in range(20):
        taken = decide(policy, state, CONTEXT, NAMES, seed=seed, now_s=0.0)
        other = decide(shadow, state, CONTEXT, NAMES, seed=seed, now_s=0.0)
        logged = logged_decision(
            taken, candidate_shares(other), customer=str(seed), reward=1.0, time_s=5.0
        )
        assert (logged.action, logged.time_s) == (taken.corridor, 5.0)
        for option, score, theirs in zip(logged.options, taken.scores, other.scores, strict=True):
            assert option == (score.corridor, score.propensity, theirs.propensity, score.value)
        log.append(logged)
    assert evaluate(log).support.lost_share == 0.0


def test_a_candidate_that_does_not_know_a_corridor_never_takes_it() -> None:
    policy = Policy()
    state = RoutingState.new(policy.space, NAMES, 0.0)
    taken = decide(policy, state, CONTEXT, NAMES, seed=1, now_s=0.0)
    logged = logged_decision(taken, {"acct_2": 1.0}, customer="c", reward=0.0, time_s=0.0)
    assert [option.candidate for option in logged.options] == [0.0, 1.0, 0.0]
    with pytest.raises(EvaluationError, match="acct_9 could not be chosen"):
        logged_decision(taken, {"acct_9": 1.0}, customer="c", reward=0.0, time_s=0.0)


def test_shares_of_rules() -> None:
    shares = shares_of_order(["c", "a", "b"], {"a", "b"}, 0.1)
    assert shares == {"a": 0.9, "b": 0.1}
    assert list(shares_of_order(["c", "a", "b"], "abc", 0.2).values()) == [0.8, 0.1, 0.1]
    assert shares_of_order(["c", "a"], {"a"}, 0.1) == {"a": 1.0}
    with pytest.raises(CandidatesError, match="none of the order"):
        shares_of_order(["c"], {"a"}, 0.1)
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="share"):
            shares_of_order(["c"], {"c"}, share)


def log_of(rows: list[tuple[str, str, float]]) -> list[LoggedDecision]:
    options = (Option("a", 0.5, 0.5), Option("b", 0.5, 0.5))
    return [LoggedDecision(customer, action, reward, options) for customer, action, reward in rows]


def test_what_a_model_expects_by_hand() -> None:
    """Two customers in different parts: each is expected what the other one did."""
    log = log_of([("x", "a", 1.0), ("x", "a", 1.0), ("w", "b", 0.0)])
    fitted = cross_fitted(log, ["s", "s", "s"], folds=2)
    # Of x, only w is known: the mean is 0 and so is everything.
    assert [option.predicted for option in fitted[0].options] == [0.0, 0.0]
    # Of w, x: the mean is 1, and a's means are drawn to it, in which they are already.
    assert [option.predicted for option in fitted[2].options] == [1.0, 1.0]


def test_means_are_drawn_to_wider_ones() -> None:
    known = [(f"k{n}", "a" if n % 2 else "b", float(n % 2)) for n in range(40)]
    log = log_of([*known, ("x", "a", 0.0)])
    parts = cross_fitted(log, ["s"] * 40 + ["t"], folds=100)
    mine = parts[-1]
    seen = [row for row, p in zip(log, parts, strict=True) if p.customer != "x"]
    assert len(seen) == 40
    # Nobody of another segment counts but in the action's mean, drawn to the mean of all.
    count = sum(row.action == "a" for row in seen)
    action = (count * 1.0 + SHRINKAGE * 0.5) / (count + SHRINKAGE)
    assert mine.options[0].predicted == pytest.approx(action, abs=0.03)


def test_no_customer_knows_its_own_rewards() -> None:
    rows = [(f"c{n % 7}", "ab"[n % 2], float(n % 3 == 0)) for n in range(60)]
    before = cross_fitted(log_of(rows), ["s"] * 60)
    for customer in ("c0", "c3"):
        other = [(c, a, 1.0 - r if c == customer else r) for c, a, r in rows]
        after = cross_fitted(log_of(other), ["s"] * 60)
        for first, second in zip(before, after, strict=True):
            if first.customer == customer:
                assert first.options == second.options
        assert [x.options for x in before] != [x.options for x in after]


@pytest.mark.parametrize("folds", [1, 101])
def test_errors(folds: int) -> None:
    with pytest.raises(EvaluationError, match="folds"):
        cross_fitted(log_of([("x", "a", 1.0)]), ["s"], folds=folds)
    with pytest.raises(EvaluationError, match="1 decisions and 0 segments"):
        cross_fitted(log_of([("x", "a", 1.0)]), [])
