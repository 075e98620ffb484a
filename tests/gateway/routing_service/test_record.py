"""What is written of a decision is enough to draw it again, and says how likely it was."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.decision import Decision, Method, chosen_again, decide
from gateway.routing.features import Context
from gateway.routing.state import RoutingState
from gateway.routing_service.record import (
    Circumstances,
    decision_of,
    place_of,
    propensity_of,
    rank_of,
    row_of,
    slots_in,
)
from gateway.routing_service.steps import Arm, Mode
from gateway.routing_service.terms import SPACE, RoutingTerms
from gateway.stripe_client.failover import Candidate, Excluded, Route

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
NAMES = ("home", "second", "third")
STATE = RoutingState.new(SPACE, NAMES, NOW.timestamp())
CONTEXT = Context("EU", "OTHER", "OTHER", "EUR", 2_000, 12, False, 0, False)
CANDIDATES = (
    *(Candidate(name, Route(name, "pm_1")) for name in NAMES),
    Candidate("fourth", None, Excluded.TERMS),
)
GIVEN = Circumstances(
    mode=Mode.STAGED,
    share=0.25,
    model_version="f" * 64,
    policy_hash=RoutingTerms().digest,
    space_hash=STATE.space_hash,
    decide_time=NOW,
)


def decided(seed: int, names: tuple[str, ...] = NAMES) -> Decision:
    policy = RoutingTerms().policy_of("")
    held = {"home": 0.3}
    return decide(policy, STATE, CONTEXT, names, seed=seed, now_s=NOW.timestamp(), discounts=held)


def kept(decision: Decision, arm: Arm = Arm.ROUTED) -> Any:
    """As the database gives it back."""
    row = row_of("pay_1", "m_1", decision, arm, CONTEXT, CANDIDATES, GIVEN)
    row["decide_time"] = None
    return SimpleNamespace(**json.loads(json.dumps(row)))


@given(st.integers(0, 2**63 - 1), st.sampled_from(Arm))
@settings(max_examples=40)
def test_a_decision_follows_from_its_row_alone(seed: int, arm: Arm) -> None:
    decision = decided(seed)
    row = kept(decision, arm)
    assert decision_of(row) == decision
    assert [score.discount for score in decision_of(row).scores] == [0.3, 0.0, 0.0]
    assert chosen_again(decision_of(row)) == row.action
    assert row.corridor == (row.action if arm is Arm.ROUTED else "home")
    assert NAMES[rank_of(row)] == row.corridor
    assert row.explored is (arm is Arm.ROUTED and decision.explored)


def test_a_row_says_what_was_excluded_and_with_what_it_was_decided() -> None:
    row = kept(decided(1))
    assert row.excluded == [{"corridor": "fourth", "reason": "TERMS"}]
    assert (row.mode, row.share, row.region, row.network) == ("STAGED", 0.25, "EU", "OTHER")
    assert row.policy_hash == RoutingTerms().digest != RoutingTerms(max_share=0.1).digest
    assert len(row.features_hash) == 16


@given(st.integers(0, 2**63 - 1), st.sampled_from(Arm))
@settings(max_examples=40)
def test_payment_methods_of_one_corridor_are_told_apart(seed: int, arm: Arm) -> None:
    """With another card the payment has other features: what was charged is what is learnt from."""
    names = ("home", "second", "home")
    other = replace(CONTEXT, network="VISA", funding="DEBIT")
    methods = [Method(0, CONTEXT), Method(0, CONTEXT), Method(1, other)]
    decision = decide(
        RoutingTerms().policy_of(""),
        STATE,
        CONTEXT,
        names,
        seed=seed,
        now_s=NOW.timestamp(),
        methods=methods,
    )
    candidates = [
        Candidate(name, Route(name, f"pm_{method.number}"), method=method.number)
        for name, method in zip(names, methods, strict=True)
    ]
    made = row_of("pay_1", "m_1", decision, arm, CONTEXT, candidates, GIVEN, methods)
    row = SimpleNamespace(**json.loads(json.dumps({**made, "decide_time": None})))
    assert decision_of(row).scores == decision.scores
    assert decision_of(row).rank == decision.rank
    place = rank_of(row)
    assert place == (decision.rank if arm is Arm.ROUTED else 0)
    assert (row.corridor, row.method) == (names[place], methods[place].number)
    assert row.propensity == propensity_of(decision, place, GIVEN.share)
    assert row.network == methods[place].context.network
    assert slots_in(row.slots) == SPACE.slots(methods[place].context)
    assert [slots_in(each) for each in row.slots["each"]] == [
        SPACE.slots(method.context) for method in methods
    ]
    assert sum(score.propensity for score in decision.scores) == pytest.approx(1.0)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.95])
def test_propensities_of_what_was_done_sum_to_one(share: float) -> None:
    decision = decided(3)
    shares = [propensity_of(decision, place, share) for place in range(len(NAMES))]
    assert sum(shares) == pytest.approx(1.0)
    if share == 0.0:
        assert shares == [1.0, 0.0, 0.0]


def test_propensities_are_how_often_corridors_are_used() -> None:
    """An independent count: arms drawn by chance, choices by seed."""
    share, draws = 0.5, 4_000
    counts: Counter[str] = Counter()
    for seed in range(draws):
        arm = Arm.ROUTED if seed % 2 else Arm.RULES
        decision = decided(seed * 2_654_435_761 % 2**63)
        counts[decision.scores[place_of(decision, arm)].corridor] += 1
    for place, name in enumerate(NAMES):
        expected = propensity_of(decided(1), place, share)
        spread = (expected * (1 - expected) / draws) ** 0.5
        assert abs(counts[name] / draws - expected) < 4 * spread + 1e-9
