"""What is written of a decision is enough to draw it again, and says how likely it was."""

import json
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.decision import Decision, chosen_again, decide
from gateway.routing.features import Context
from gateway.routing.state import RoutingState
from gateway.routing_service.record import (
    Circumstances,
    corridor_of,
    decision_of,
    propensity_of,
    rank_of,
    row_of,
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


@pytest.mark.parametrize("share", [0.0, 0.05, 0.95])
def test_propensities_of_what_was_done_sum_to_one(share: float) -> None:
    decision = decided(3)
    shares = [propensity_of(decision, name, share) for name in NAMES]
    assert sum(shares) == pytest.approx(1.0)
    if share == 0.0:
        assert shares == [1.0, 0.0, 0.0]


def test_propensities_are_how_often_corridors_are_used() -> None:
    """An independent count: arms drawn by chance, choices by seed."""
    share, draws = 0.5, 4_000
    counts: Counter[str] = Counter()
    for seed in range(draws):
        arm = Arm.ROUTED if seed % 2 else Arm.RULES
        counts[corridor_of(decided(seed * 2_654_435_761 % 2**63), arm)] += 1
    for name in NAMES:
        expected = propensity_of(decided(1), name, share)
        spread = (expected * (1 - expected) / draws) ** 0.5
        assert abs(counts[name] / draws - expected) < 4 * spread + 1e-9
