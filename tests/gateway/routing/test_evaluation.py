"""Estimates of a candidate policy have known answers, and say no more than the log can say."""

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.evaluation import Evaluation, EvaluationSettings, evaluate
from gateway.routing.evaluation_log import (
    MAX_ACTIONS,
    EvaluationError,
    LoggedDecision,
    Option,
    RewardRange,
)

UNIT = 12
"""Propensities of exhaustive logs are so many parts of this."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """One context: by action the parts of UNIT of both policies, reward and prediction."""

    logging: tuple[int, ...]
    candidate: tuple[int, ...]
    rewards: tuple[float, ...]
    predicted: tuple[float, ...]

    @property
    def value(self) -> float:
        """What the candidate is worth here."""
        return sum(c * r for c, r in zip(self.candidate, self.rewards, strict=True)) / UNIT

    def log(self, context: int) -> list[LoggedDecision]:
        """Each action as often as it is drawn on average: nothing is left to chance."""
        options = tuple(
            Option(str(n), p / UNIT, c / UNIT, q)
            for n, (p, c, q) in enumerate(
                zip(self.logging, self.candidate, self.predicted, strict=True)
            )
        )
        return [
            LoggedDecision(f"{context}-{n}-{copy}", str(n), self.rewards[n], options)
            for n, parts in enumerate(self.logging)
            for copy in range(parts)
        ]


@st.composite
def parts(draw: st.DrawFn, actions: int, least: int) -> tuple[int, ...]:
    """UNIT in as many parts, each at least `least`."""
    cuts = sorted(
        draw(
            st.lists(
                st.integers(0, UNIT - least * actions), min_size=actions - 1, max_size=actions - 1
            )
        )
    )
    edges = [0, *cuts, UNIT - least * actions]
    return tuple(b - a + least for a, b in itertools.pairwise(edges))


@st.composite
def truths(draw: st.DrawFn, least: int = 1) -> Truth:
    actions = draw(st.integers(2, 4))
    rewards = st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * actions)
    return Truth(draw(parts(actions, least)), draw(parts(actions, 0)), draw(rewards), draw(rewards))


def whole_log(found: Sequence[Truth]) -> list[LoggedDecision]:
    return [logged for n, truth in enumerate(found) for logged in truth.log(n)]


# Three customers and four decisions; a/b are the actions.
#          customer  action  reward  propensity  candidate    w    q(own)  Σπq
#             1         a       1       1/2         1/4      1/2    1/2    5/8 = 1/4·1/2 + 3/4·2/3
#             1         b       0       1/4         1/2       2     1/4    3/8 = 1/2·1/2 + 1/2·1/4
#             2         a       1       4/5         2/5      1/2    3/4    3/5 = 2/5·3/4 + 3/5·1/2
#             3         b       1       1/2          1        2     1/2    1/2 = 0·1/4 + 1·1/2
WORKED = [
    LoggedDecision("1", "a", 1.0, (Option("a", 0.5, 0.25, 0.5), Option("b", 0.5, 0.75, 2 / 3)), 5),
    LoggedDecision("1", "b", 0.0, (Option("a", 0.75, 0.5, 0.5), Option("b", 0.25, 0.5, 0.25)), 9),
    LoggedDecision("2", "a", 1.0, (Option("a", 0.8, 0.4, 0.75), Option("b", 0.2, 0.6, 0.5)), 7),
    LoggedDecision("3", "b", 1.0, (Option("a", 0.5, 0.0, 0.25), Option("b", 0.5, 1.0, 0.5)), 6),
]


def test_a_worked_example() -> None:
    found = evaluate(WORKED)
    weights = [Fraction(1, 2), Fraction(2), Fraction(1, 2), Fraction(2)]
    rewards = [1, 0, 1, 1]
    weighted = sum(w * r for w, r in zip(weights, rewards, strict=True))
    assert weighted == 3
    assert found.ips.value == pytest.approx(float(weighted / 4))
    assert found.snips.value == pytest.approx(float(weighted / sum(weights)))
    assert found.logged.value == 0.75
    direct = [Fraction(5, 8), Fraction(3, 8), Fraction(3, 5), Fraction(1, 2)]
    own = [Fraction(1, 2), Fraction(1, 4), Fraction(3, 4), Fraction(1, 2)]
    corrected = [d + w * (r - q) for d, w, r, q in zip(direct, weights, rewards, own, strict=True)]
    assert corrected == [Fraction(7, 8), Fraction(-1, 8), Fraction(29, 40), Fraction(3, 2)]
    assert found.direct == pytest.approx(float(sum(direct) / 4))
    assert found.dr.value == pytest.approx(float(sum(corrected) / 4))
    # The same of the logging policy, whose weights are 1: 7/12, 7/16, 7/10, 3/8 and the residuals.
    expected = [Fraction(7, 12), Fraction(7, 16), Fraction(7, 10), Fraction(3, 8)]
    logging = [d + r - q for d, r, q in zip(expected, rewards, own, strict=True)]
    assert found.gain.value == pytest.approx(float(sum(corrected) / 4 - sum(logging) / 4))
    support = found.support
    assert (support.decisions, support.customers) == (4, 3)
    assert support.mean_weight == pytest.approx(1.25)
    # (Σw)² / Σw² = 25 / 8.5; by customer the weights are 5/2, 1/2 and 2.
    assert support.effective_customers == pytest.approx(25 / float(Fraction(21, 2)))
    # Σ π²/p by decision: 1/8 + 9/8, 1/3 + 1, 1/5 + 9/5, 2.
    squares = Fraction(5, 4) + Fraction(4, 3) + 2 + 2
    assert support.effective_decisions == pytest.approx(float(16 / squares))
    assert (support.max_weight, support.max_weight_share) == (2.0, 0.4)
    assert (support.lost_share, support.unseen_share, support.clipped) == (0.0, 0.0, 0)
    assert (found.first_s, found.last_s) == (5, 9)


def test_errors_are_those_of_customers() -> None:
    found = evaluate(WORKED)
    # w·r − 3/4 by customer: 1/2 − 3/2, 1/2 − 3/4, 2 − 3/4 of 2, 1 and 1 decisions.
    residuals = [Fraction(-1), Fraction(-1, 4), Fraction(5, 4)]
    assert sum(residuals) == 0
    variance = sum(r * r for r in residuals) / 2
    assert found.ips.error == pytest.approx(
        math.sqrt(float(variance)) / math.sqrt(3) / float(Fraction(4, 3))
    )


def test_figures_that_another_package_publishes() -> None:
    """The worked example of offline-evaluation 0.0.6 (PyPI), "Evaluating a new fraud policy with
    IPS": {'expected_reward_logging_policy': 2.5, 'expected_reward_new_policy': -37.5}.

    A shop blocks what is likelier fraud than 0.05, and tries out a tenth; the candidate blocks only
    what is likelier than 0.10.
    """
    rows = [(0.08, "blocked", 0.9, 0), (0.03, "allowed", 0.9, 20)]
    rows += [(0.01, "allowed", 0.9, 10), (0.09, "allowed", 0.1, -20)]
    log = []
    for number, (fraud, action, propensity, reward) in enumerate(rows):
        other = "allowed" if action == "blocked" else "blocked"
        allowed = 0.1 if fraud > 0.1 else 0.9
        candidate = {"allowed": allowed, "blocked": 1 - allowed}
        options = (
            Option(action, propensity, candidate[action]),
            Option(other, 1 - propensity, candidate[other]),
        )
        log.append(LoggedDecision(str(number), action, float(reward), options))
    found = evaluate(log, EvaluationSettings(RewardRange(-20.0, 20.0)))
    assert found.logged.value == pytest.approx(2.5)
    assert found.ips.value == pytest.approx(-37.5)
    # Its own weights are 1/9, 1, 1 and 9, so self-normalised -150 / (100 / 9).
    assert found.snips.value == pytest.approx(-13.5)


@given(st.lists(truths(), min_size=1, max_size=4))
def test_nothing_is_biased(found: list[Truth]) -> None:
    """Over all that can be drawn, as often as it is, weights average 1 and estimates the truth."""
    evaluation = evaluate(whole_log(found))
    value = sum(truth.value for truth in found) / len(found)
    assert evaluation.support.mean_weight == pytest.approx(1.0)
    assert evaluation.ips.value == pytest.approx(value, abs=1e-9)
    assert evaluation.snips.value == pytest.approx(value, abs=1e-9)
    # Whatever the model says.
    assert evaluation.dr.value == pytest.approx(value, abs=1e-9)
    assert evaluation.gain.value == pytest.approx(value - evaluation.logged.value, abs=1e-9)
    for estimate in (evaluation.ips, evaluation.snips, evaluation.dr):
        assert estimate.interval.low - 1e-9 <= value <= estimate.interval.high + 1e-9


@st.composite
def chance_logs(draw: st.DrawFn) -> list[LoggedDecision]:
    """Some of what can be drawn, by chance, of few customers."""
    log = whole_log(draw(st.lists(truths(), min_size=1, max_size=4)))
    chosen = draw(st.lists(st.sampled_from(log), min_size=4, max_size=20))
    return [logged._replace(customer=str(n % 4)) for n, logged in enumerate(chosen)]


@given(chance_logs())
def test_the_self_normalized_estimate_is_within_what_was_seen(log: list[LoggedDecision]) -> None:
    found = evaluate(log)
    if found.support.mean_weight > 0.0:
        rewards = [logged.reward for logged in log]
        assert min(rewards) - 1e-9 <= found.snips.value <= max(rewards) + 1e-9
    for estimate in (found.logged, found.ips, found.snips, found.dr):
        assert 0.0 <= estimate.interval.low <= estimate.interval.high <= 1.0


@given(chance_logs())
def test_a_model_that_is_right_needs_no_correction(log: list[LoggedDecision]) -> None:
    right = [
        logged._replace(
            options=tuple(
                option._replace(
                    predicted=logged.reward if option.action == logged.action else option.predicted
                )
                for option in logged.options
            )
        )
        for logged in log
    ]
    found = evaluate(right)
    assert found.dr.value == pytest.approx(found.direct)


@given(chance_logs())
def test_without_a_model_it_is_inverse_propensity_scoring(log: list[LoggedDecision]) -> None:
    bare = [
        logged._replace(options=tuple(o._replace(predicted=0.0) for o in logged.options))
        for logged in log
    ]
    found = evaluate(bare)
    assert found.dr.value == pytest.approx(found.ips.value)
    assert found.dr.interval == pytest.approx(found.ips.interval)


@given(chance_logs())
def test_the_logging_policy_itself_gains_nothing(log: list[LoggedDecision]) -> None:
    same = [
        logged._replace(options=tuple(o._replace(candidate=o.propensity) for o in logged.options))
        for logged in log
    ]
    found = evaluate(same)
    assert found.ips.value == found.snips.value == pytest.approx(found.logged.value)
    assert found.gain.value == pytest.approx(0.0, abs=1e-12)
    assert found.gain.interval == pytest.approx((0.0, 0.0), abs=1e-9)
    assert found.support.effective_decisions == pytest.approx(len(log))
    assert found.support.max_weight == pytest.approx(1.0)


@given(chance_logs(), st.randoms(use_true_random=False))
def test_the_order_of_a_log_does_not_matter(
    log: list[LoggedDecision], order: random.Random
) -> None:
    shuffled = list(log)
    order.shuffle(shuffled)
    first, second = evaluate(log), evaluate(shuffled)
    for name in ("logged", "ips", "snips", "dr", "gain"):
        mine, other = getattr(first, name), getattr(second, name)
        assert mine.value == pytest.approx(other.value, abs=1e-9)
        assert mine.interval == pytest.approx(other.interval, abs=1e-6)


@given(
    st.lists(truths(least=0), min_size=1, max_size=4),
    st.sampled_from([1.0, 1.5, 4.0, math.inf]),
)
def test_what_is_lost_is_worth_anything(found: list[Truth], limit: float) -> None:
    """With weights clipped, or actions without a chance, intervals still have the truth in them."""
    evaluation = evaluate(whole_log(found), EvaluationSettings(max_weight=limit))
    value = sum(truth.value for truth in found) / len(found)
    lost = Fraction(0)
    for truth in found:
        for logging, candidate in zip(truth.logging, truth.candidate, strict=True):
            if logging == 0:
                lost += Fraction(candidate, UNIT * len(found))
            elif limit < math.inf and candidate > Fraction(limit) * logging:
                lost += (candidate - Fraction(limit) * logging) / (UNIT * len(found))
    assert evaluation.support.lost_share == pytest.approx(float(lost), abs=1e-9)
    assert evaluation.support.mean_weight == pytest.approx(1.0 - float(lost), abs=1e-9)
    assert evaluation.support.max_weight <= limit
    for estimate in (evaluation.ips, evaluation.snips, evaluation.dr):
        assert estimate.interval.low - 1e-9 <= value <= estimate.interval.high + 1e-9
        assert estimate.interval.width >= min(float(lost), 1.0) * 0.999 - 1e-9


def test_clipping_is_stated() -> None:
    found = evaluate(WORKED, EvaluationSettings(max_weight=1.5))
    assert (found.support.clipped, found.support.max_weight) == (2, 1.5)
    # Of b: 1/2 − 3/8, 3/5 − 3/10, 1 − 3/4; and of the first, 3/4 on 1/2, nothing.
    lost = (Fraction(1, 8) + Fraction(3, 10) + Fraction(1, 4)) / 4
    assert found.support.lost_share == pytest.approx(float(lost))
    assert found.ips.value == pytest.approx((0.5 + 0.5 + 1.5) / 4)


def test_weights_that_were_not_drawn_count_against_support() -> None:
    """Propensities know of a weight of 100 that a small log has not seen yet."""
    options = (Option("a", 0.995, 0.5), Option("b", 0.005, 0.5))
    log = [LoggedDecision(str(n), "a", 1.0, options) for n in range(100)]
    support = evaluate(log).support
    assert support.effective_customers == pytest.approx(100)
    assert support.effective_decisions == pytest.approx(100 / (0.25 / 0.995 + 0.25 / 0.005))
    assert (support.unseen, support.unseen_share) == (("b",), 0.5)


def test_a_candidate_that_would_never_have_done_it_is_worth_anything() -> None:
    options = (Option("a", 1.0, 0.0, 0.5), Option("b", 0.0, 1.0, 0.5))
    found = evaluate([LoggedDecision(str(n), "a", 1.0, options) for n in range(50)])
    for estimate in (found.ips, found.snips, found.dr):
        assert estimate.interval == (0.0, 1.0)
    assert (found.support.effective, found.support.lost_share) == (0.0, 1.0)


def copies(log: list[LoggedDecision], times: int, *, others: bool) -> list[LoggedDecision]:
    return [
        logged._replace(customer=f"{logged.customer}/{copy}" if others else logged.customer)
        for logged in log
        for copy in range(times)
    ]


def test_decisions_of_one_customer_are_no_other_evidence() -> None:
    log = [
        logged._replace(customer=f"{logged.customer}/{n}") for n in range(30) for logged in WORKED
    ]
    once = evaluate(log)
    again, others = evaluate(copies(log, 4, others=False)), evaluate(copies(log, 4, others=True))
    assert again.dr.error == pytest.approx(once.dr.error)
    assert again.support.effective_customers == pytest.approx(once.support.effective_customers)
    assert others.dr.error == pytest.approx(once.dr.error / 2, rel=0.02)
    assert others.snips.interval.width < again.snips.interval.width


def test_equal_rewards_are_not_certain() -> None:
    """When 100 of 100 succeeded, 1 − 3.7/100 is still believed (the rule of three, both sides)."""
    options = (Option("a", 0.5, 0.5, 1.0), Option("b", 0.5, 0.5, 1.0))
    log = [LoggedDecision(str(n), "ab"[n % 2], 1.0, options) for n in range(100)]
    found = evaluate(log)
    for estimate in (found.logged, found.ips, found.snips, found.dr):
        assert estimate.interval == pytest.approx((1.0 - math.log(40) / 100, 1.0))


def test_few_heavy_weights_that_all_succeeded_are_not_certain() -> None:
    """Of 2,000 decisions ten have the weight 100, and all ten succeeded: one in three might not."""
    options = (Option("a", 0.995, 0.5, 0.9), Option("b", 0.005, 0.5, 0.9))
    log = [
        LoggedDecision(str(n), "b" if n < 10 else "a", float(n % 10 < 9 or n < 10), options)
        for n in range(2_000)
    ]
    found = evaluate(log)
    second, fourth = (0.995 * (0.5 / 0.995) ** n + 0.005 * 100.0**n for n in (2, 4))
    left = math.log(40) * math.sqrt(fourth / second) / 2_000
    assert left == pytest.approx(0.5 * math.log(40) / 10, rel=0.01)
    assert found.dr.interval.low == pytest.approx(found.dr.value - left)
    assert found.gain.interval.low <= found.gain.value - 0.9 * left


def test_looks_share_the_confidence() -> None:
    one, ten = evaluate(WORKED), evaluate(WORKED, EvaluationSettings(looks=10))
    assert ten.settings.confidence_each == pytest.approx(0.995)
    assert ten.logged.interval.width >= one.logged.interval.width
    assert EvaluationSettings(looks=1_000).confidence_each == pytest.approx(0.99995)


def broken(**changes: Any) -> LoggedDecision:
    return WORKED[0]._replace(**changes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (broken(reward=1.0001), "reward: 1.0001 is not within 0 and 1"),
        (broken(reward=math.nan), "reward: nan is not within 0 and 1"),
        (broken(options=()), "0 options, 1 to 16"),
        (broken(options=WORKED[0].options * 8 + (Option("c", 0, 0),)), "17 options, 1 to 16"),
        (broken(action="c"), "c was chosen and is no option"),
        (broken(options=(Option("a", 0.5, 1.0), Option("a", 0.5, 0.0))), "a: an option twice"),
        (
            broken(options=(Option("a", 1.0, 1.0), Option("b", 0.0, 0.0), Option("b", 0.0, 0.0))),
            "an option twice",
        ),
        (broken(options=(Option("a", 0.0, 0.5), Option("b", 1.0, 0.5))), "with propensity 0"),
        (broken(options=(Option("a", 0.5, 0.5), Option("b", 0.4, 0.5))), "propensities sum to 0.9"),
        (broken(options=(Option("a", 0.5, 0.5), Option("b", 0.5, 0.4))), "sum to 0.9"),
        (broken(options=(Option("a", -0.5, 0.5), Option("b", 1.5, 0.5))), "a: propensity: -0.5"),
        (broken(options=(Option("a", 0.5, math.nan), Option("b", 0.5, 1))), "a: candidate: nan"),
        (broken(options=(Option("a", 0.5, 0.5, math.inf), Option("b", 0.5, 0.5))), "predicted"),
    ],
)
def test_a_decision_that_cannot_be(wrong: LoggedDecision, message: str) -> None:
    with pytest.raises(EvaluationError, match="decision 3: .*" + message.replace(".", r"\.")):
        evaluate([WORKED[1], WORKED[2], wrong])


def test_as_many_options_as_may_be() -> None:
    options = tuple(Option(str(n), 1 / MAX_ACTIONS, 1 / MAX_ACTIONS) for n in range(MAX_ACTIONS))
    log = [LoggedDecision(str(n), str(n), 1.0, options) for n in range(MAX_ACTIONS)]
    assert evaluate(log).ips.value == pytest.approx(1.0)


def test_one_customer_is_not_enough() -> None:
    with pytest.raises(EvaluationError, match="1 customers, at least 2"):
        evaluate(WORKED[:2])
    with pytest.raises(EvaluationError, match="0 customers, at least 2"):
        evaluate([])
    assert isinstance(evaluate(WORKED[1:3]), Evaluation)


def test_no_more_decisions_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routing.evaluation_log.MAX_DECISIONS", 4)
    evaluate(WORKED)
    with pytest.raises(EvaluationError, match="more than 4 decisions"):
        evaluate([*WORKED, WORKED[0]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence": 0.49},
        {"confidence": 1.0},
        {"looks": 0},
        {"looks": 1_001},
        {"max_weight": 0.99},
        {"max_weight": math.nan},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EvaluationSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_rewards_that_are_no_range(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="no range"):
        RewardRange(low, high)
