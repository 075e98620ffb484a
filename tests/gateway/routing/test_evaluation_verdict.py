"""A candidate is promoted if all speaks for it, and refused with a sentence and figures if not."""

import random
from statistics import NormalDist

import pytest

from gateway.routing.evaluation import Evaluation, EvaluationSettings, evaluate
from gateway.routing.evaluation_log import LoggedDecision, Option
from gateway.routing.evaluation_verdict import (
    PromotionBounds,
    Reason,
    Verdict,
    detectable_gain,
    judge,
)

LAX = PromotionBounds(
    min_effective=0.0,
    min_carrying=0.0,
    max_unseen_share=1.0,
    max_lost_share=1.0,
    max_weight=1e9,
    max_weight_share=1.0,
)


def drawn_log(
    seed: int,
    count: int,
    candidate: float,
    *,
    rewards: tuple[float, float] = (0.6, 0.9),
    propensity: float = 0.5,
    written: float | None = None,
) -> list[LoggedDecision]:
    """Two actions; `candidate` and `propensity` are of the second, `written` what the log says."""
    draw = random.Random(seed)
    said = propensity if written is None else written
    options = (
        Option("a", 1 - said, 1 - candidate, rewards[0]),
        Option("b", said, candidate, rewards[1]),
    )
    log = []
    for number in range(count):
        action = int(draw.random() < propensity)
        reward = float(draw.random() < rewards[action])
        log.append(LoggedDecision(str(number), "ab"[action], reward, options, 100.0 + number))
    return log


def reasons(verdict: Verdict) -> list[Reason]:
    return [refusal.reason for refusal in verdict.refusals]


def test_a_better_candidate_is_accepted() -> None:
    found = evaluate(drawn_log(1, 2_000, 0.9))
    verdict = judge(found, trained_until_s=99.9)
    assert verdict.accepted
    assert verdict.refusals == ()
    # True gain: 0.4 · 0.3.
    assert found.gain.interval.low < 0.12 < found.gain.interval.high
    assert verdict.detectable_gain < 0.12
    assert verdict.decisions_needed is not None
    assert verdict.decisions_needed < 2_000


def test_a_worse_one_is_refused() -> None:
    verdict = judge(evaluate(drawn_log(1, 2_000, 0.1)))
    assert reasons(verdict) == [Reason.WORSE]
    assert verdict.decisions_needed is None
    assert verdict.refusals[0].sentence.endswith("it is worse.")


def test_one_that_is_the_same_is_refused() -> None:
    verdict = judge(evaluate(drawn_log(1, 2_000, 0.5)))
    assert reasons(verdict) == [Reason.INTERVALS_OVERLAP]
    assert "97" not in verdict.power_sentence
    assert "95.000% confidence" in verdict.refusals[0].sentence


def test_intervals_have_to_be_apart_by_what_is_set() -> None:
    found = evaluate(drawn_log(1, 2_000, 0.9))
    apart = found.dr.interval.low - found.logged.interval.high
    assert apart > 0.0
    assert judge(found, PromotionBounds(min_gain=apart * 0.999)).accepted
    verdict = judge(found, PromotionBounds(min_gain=apart * 1.001))
    assert reasons(verdict) == [Reason.INTERVALS_OVERLAP]
    assert "not apart by more than" in verdict.refusals[0].sentence


def test_the_gain_alone_is_not_enough() -> None:
    """The gain's interval may be above 0 while the two intervals overlap: that is refused."""
    found = evaluate(drawn_log(4, 2_000, 0.6))
    assert found.gain.interval.low > 0.0
    assert reasons(judge(found)) == [Reason.INTERVALS_OVERLAP]


@pytest.mark.parametrize(("bound", "refused"), [(1.001, True), (0.999, False)])
def test_thin_support(bound: float, refused: bool) -> None:
    found = evaluate(drawn_log(1, 1_500, 0.9))
    verdict = judge(found, PromotionBounds(min_effective=bound * found.support.effective))
    assert (Reason.THIN_SUPPORT in reasons(verdict)) is refused
    if refused:
        sentence = verdict.refusals[0].sentence
        assert f"as {found.support.effective:.0f} of its own" in sentence
        assert "1500 decisions of 1500 customers" in sentence


@pytest.mark.parametrize(("bound", "refused"), [(1.001, True), (0.999, False)])
def test_few_decisions_that_carry_all(bound: float, refused: bool) -> None:
    """A hundredth of decisions with weight 30: they are all that is uncertain."""
    found = evaluate(drawn_log(3, 3_000, 0.3, rewards=(0.6, 0.95), propensity=0.01))
    light, heavy = 0.7 / 0.99, 30.0
    second, fourth = (0.99 * light**n + 0.01 * heavy**n for n in (2, 4))
    assert found.support.carrying == pytest.approx(3_000 * second**2 / fourth)
    verdict = judge(
        found, PromotionBounds(min_effective=0.0, min_carrying=bound * found.support.carrying)
    )
    assert (Reason.THIN_SUPPORT in reasons(verdict)) is refused
    if refused:
        assert f"{found.support.carrying:.0f} of them carry" in verdict.refusals[0].sentence


def test_the_least_effective_sample() -> None:
    assert PromotionBounds().min_carrying == 100.0
    assert PromotionBounds().min_effective == 400.0
    assert reasons(judge(evaluate(drawn_log(1, 600, 0.9)))) == [Reason.THIN_SUPPORT]


def test_an_action_that_was_never_logged() -> None:
    def with_c(share: float) -> Evaluation:
        options = (
            Option("a", 0.4999, 0.0),
            Option("b", 0.5, 1.0 - share, 0.9),
            Option("c", 0.0001, share),
        )
        log = [logged._replace(options=options) for logged in drawn_log(1, 2_000, 0.9)]
        return evaluate(log)

    assert Reason.NEVER_LOGGED not in reasons(judge(with_c(0.001)))
    verdict = judge(with_c(0.02))
    assert Reason.NEVER_LOGGED in reasons(verdict)
    sentence = next(r.sentence for r in verdict.refusals if r.reason is Reason.NEVER_LOGGED)
    assert "choose c for 2.00% of decisions" in sentence


def test_mass_without_a_chance() -> None:
    options = (Option("a", 0.5, 0.0, 0.6), Option("b", 0.5, 0.98, 0.9), Option("c", 0.0, 0.02))
    found = evaluate([x._replace(options=options) for x in drawn_log(1, 2_000, 0.9)])
    assert reasons(judge(found))[:2] == [Reason.NEVER_LOGGED, Reason.LOST_MASS]
    assert judge(found, PromotionBounds(max_unseen_share=0.021, max_lost_share=0.021)).accepted


def test_mass_that_is_clipped() -> None:
    log = drawn_log(1, 2_000, 0.9)
    found = evaluate(log, EvaluationSettings(max_weight=1.7))
    assert Reason.LOST_MASS in reasons(judge(found))
    assert "weighs more than 1.7" in judge(found).refusals[0].sentence
    assert Reason.LOST_MASS not in reasons(judge(evaluate(log)))


def test_one_decision_that_decides() -> None:
    found = evaluate(drawn_log(2, 2_000, 0.9, propensity=0.02))
    # 0.9 / 0.02.
    assert found.support.max_weight == pytest.approx(45.0)
    refused = judge(found, PromotionBounds(max_weight=44.9, min_effective=0.0, min_carrying=0.0))
    assert Reason.HEAVY_WEIGHT in reasons(refused)
    assert "weight of 45.0" in refused.refusals[0].sentence
    assert Reason.HEAVY_WEIGHT in reasons(judge(found))
    share = found.support.max_weight_share
    assert Reason.HEAVY_WEIGHT not in reasons(
        judge(found, PromotionBounds(max_weight=45.1, max_weight_share=share * 1.001))
    )


@pytest.mark.parametrize("written", [0.2, 0.4, 0.6, 0.8])
def test_propensities_that_were_not_drawn_from(written: float) -> None:
    verdict = judge(evaluate(drawn_log(1, 4_000, 0.9, written=written)), LAX)
    assert reasons(verdict)[0] is Reason.WRONG_WEIGHTS
    assert "right propensities make it 1.0000" in verdict.refusals[0].sentence


def test_right_propensities_are_seldom_suspected() -> None:
    """One in a thousand by WEIGHTS_CONFIDENCE; none of these fifty."""
    for seed in range(50):
        found = evaluate(drawn_log(seed, 300, 0.9, propensity=0.3))
        assert Reason.WRONG_WEIGHTS not in reasons(judge(found, LAX))


def test_a_candidate_that_learnt_from_the_log() -> None:
    found = evaluate(drawn_log(1, 2_000, 0.9))
    assert judge(found, trained_until_s=99.999).accepted
    verdict = judge(found, trained_until_s=100.0)
    assert reasons(verdict) == [Reason.TRAINED_ON_LOG]
    assert "until 100" in verdict.refusals[0].sentence


def test_a_candidate_fitted_to_luck_is_refused_on_the_log_and_on_another() -> None:
    """Where nothing differs, what was best on a log is worth no more on the next."""
    log = drawn_log(9, 2_000, 0.9, rewards=(0.75, 0.75))
    raw = {
        name: sum(x.reward for x in log if x.action == name) / sum(x.action == name for x in log)
        for name in "ab"
    }
    best = float(raw["b"] > raw["a"])
    same = evaluate(drawn_log(9, 2_000, best, rewards=(0.75, 0.75)))
    other = evaluate(drawn_log(10, 2_000, best, rewards=(0.75, 0.75)))
    assert Reason.TRAINED_ON_LOG in reasons(judge(same, trained_until_s=2_100.0))
    assert not judge(other, trained_until_s=99.0).accepted


def test_what_would_be_detected() -> None:
    found = evaluate(drawn_log(1, 2_000, 0.9))
    expected = (
        (found.dr.value - found.dr.interval.low)
        + (found.logged.interval.high - found.logged.value)
        + NormalDist().inv_cdf(0.8) * found.gain.error
    )
    assert detectable_gain(found, PromotionBounds()) == pytest.approx(expected)
    assert detectable_gain(found, PromotionBounds(min_gain=0.1)) == pytest.approx(expected + 0.1)
    assert detectable_gain(found, PromotionBounds(power=0.95)) > expected
    verdict = judge(found)
    assert verdict.decisions_needed == pytest.approx(2_000 * (expected / found.gain.value) ** 2)
    assert verdict.power_sentence.startswith(
        f"With 2000 decisions a gain of {expected:.4f} would be shown with probability 0.8"
    )


def test_a_larger_log_detects_less() -> None:
    small, large = (evaluate(drawn_log(1, count, 0.9)) for count in (1_000, 4_000))
    ratio = judge(small).detectable_gain / judge(large).detectable_gain
    assert ratio == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"power": 0.49},
        {"power": 1.0},
        {"max_unseen_share": -0.1},
        {"max_lost_share": 1.1},
        {"max_weight_share": float("nan")},
        {"min_effective": -1.0},
        {"min_carrying": -1.0},
        {"max_weight": -1.0},
        {"min_gain": -0.1},
        {"mean_weight_slack": -1e-9},
    ],
)
def test_bounds_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PromotionBounds(**wrong)
