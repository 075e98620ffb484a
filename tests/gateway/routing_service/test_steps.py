"""How much routing is allowed: who follows it, what must be shown for more, when it falls back."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing_service.steps import (
    LADDER,
    MIN_ARM_OUTCOMES,
    MIN_SHADOW_OUTCOMES,
    SHARES,
    Arm,
    ArmCount,
    Evidence,
    Mode,
    Step,
    arm_of,
    must_fall_back,
    next_step,
    problem_with_promotion,
    seed_of,
    share_of,
)

MARGIN = 0.02


def evidence(rules: tuple[int, int], routed: tuple[int, int], learned: int = 0) -> Evidence:
    return Evidence(ArmCount(*rules), ArmCount(*routed), learned)


def test_only_staged_routing_is_followed_and_never_by_all() -> None:
    for step in Step:
        assert share_of(Mode.OFF, step) == share_of(Mode.SHADOW, step) == 0.0
        assert share_of(Mode.STAGED, step) == SHARES[step]
    assert list(SHARES.values()) == sorted(SHARES.values())
    assert SHARES[Step.SHADOW] == 0.0
    assert SHARES[Step.FULL] < 1.0


def test_the_ladder_has_an_end() -> None:
    assert [next_step(step) for step in LADDER] == [*LADDER[1:], None]


def test_payments_keep_their_arm_when_the_share_grows() -> None:
    ids = [f"pay_{number}" for number in range(4_000)]
    before: set[str] = set()
    for step in LADDER:
        routed = {name for name in ids if arm_of(name, SHARES[step]) is Arm.ROUTED}
        assert before <= routed
        # Four standard deviations of a count by chance.
        share = SHARES[step]
        assert abs(len(routed) / len(ids) - share) <= 4 * math.sqrt(share * (1 - share) / len(ids))
        before = routed


def test_the_arm_says_nothing_of_the_choice() -> None:
    """Were the seed and the arm drawn by one number, routed payments would draw low ones only."""
    routed = [f"pay_{n}" for n in range(4_000) if arm_of(f"pay_{n}", 0.05) is Arm.ROUTED]
    low = sum(seed_of(name) < 2**62 for name in routed)
    assert abs(low / len(routed) - 0.5) < 4 * 0.5 / math.sqrt(len(routed))
    assert all(0 <= seed_of(name) < 2**63 for name in routed)


@pytest.mark.parametrize(
    ("learned", "refused"), [(MIN_SHADOW_OUTCOMES - 1, True), (MIN_SHADOW_OUTCOMES, False)]
)
def test_the_first_step_needs_a_model_that_has_learnt(learned: int, refused: bool) -> None:
    problem = problem_with_promotion(Step.SHADOW, evidence((0, 0), (0, 0), learned), MARGIN)
    assert (problem is not None) is refused


@pytest.mark.parametrize("step", [Step.FIRST, Step.SECOND])
@pytest.mark.parametrize(
    ("rules", "routed", "word"),
    [
        ((10_000, 9_000), (MIN_ARM_OUTCOMES - 1, MIN_ARM_OUTCOMES - 1), "needed"),
        ((MIN_ARM_OUTCOMES - 1, MIN_ARM_OUTCOMES - 1), (10_000, 9_000), "needed"),
        ((10_000, 9_000), (10_000, 8_750), "may do worse"),
        # As good, but nobody can say so yet.
        ((10_000, 9_000), (MIN_ARM_OUTCOMES, 180), "may do worse"),
        ((10_000, 9_000), (10_000, 8_990), None),
        ((10_000, 9_000), (MIN_ARM_OUTCOMES, MIN_ARM_OUTCOMES), None),
    ],
)
def test_more_needs_evidence_of_both_arms(
    step: Step, rules: tuple[int, int], routed: tuple[int, int], word: str | None
) -> None:
    problem = problem_with_promotion(step, evidence(rules, routed), MARGIN)
    assert (problem is None) if word is None else (problem is not None and word in problem)


@pytest.mark.parametrize(
    ("rules", "routed", "falls"),
    [
        ((10_000, 9_000), (10_000, 8_500), True),
        # Worse, and within the margin.
        ((10_000, 9_000), (10_000, 8_900), False),
        # Much worse, of too few.
        ((10_000, 9_000), (MIN_ARM_OUTCOMES - 1, 0), False),
        ((10_000, 9_000), (MIN_ARM_OUTCOMES, 100), True),
        ((10_000, 9_000), (10_000, 9_500), False),
    ],
)
def test_routing_falls_back_when_it_is_certain(
    rules: tuple[int, int], routed: tuple[int, int], falls: bool
) -> None:
    assert must_fall_back(evidence(rules, routed), MARGIN) is falls


@given(
    st.integers(0, 2_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(0, 2_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
)
def test_what_falls_back_is_never_promoted(rules: tuple[int, int], routed: tuple[int, int]) -> None:
    found = evidence(rules, routed)
    low, high = found.interval
    assert low < high
    turned = evidence(routed, rules).interval
    assert math.isclose(turned[0], -high, abs_tol=1e-12)
    if must_fall_back(found, MARGIN):
        assert problem_with_promotion(Step.FIRST, found, MARGIN) is not None


def test_the_interval_covers_the_truth() -> None:
    """Simulated arms of a known difference: about 95 of 100 intervals hold it."""
    drawn = random.Random(7)
    held = 0
    for _ in range(400):
        arms = [sum(drawn.random() < chance for _ in range(300)) for chance in (0.9, 0.85)]
        low, high = evidence((300, arms[0]), (300, arms[1])).interval
        held += low <= -0.05 <= high
    assert 0.91 <= held / 400 <= 0.99
