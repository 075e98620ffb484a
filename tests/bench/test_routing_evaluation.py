"""The evaluation benchmark: its worlds are worth what they say, and its line says all."""

from statistics import fmean

import pytest

from bench import routing_evaluation
from bench.evaluation_worlds import best_of, confounded, leaning, make_bandit, play_shadow
from bench.routing_evaluation import Sizes, evaluation_line, run_seed, share_interval

SMALL = Sizes(
    runs=4,
    bandit_customers=60,
    shadow_payments=400,
    shadow_customers=60,
    verdicts=2,
    verdict_customers=80,
    thin_customers=20,
    rivals=2,
    rival_customers=60,
)


def test_the_interval_of_a_share() -> None:
    # Wilson 1927, as in Newcombe 1998, table I: 81 of 263.
    assert share_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert share_interval(0, 20)[0] == pytest.approx(0.0, abs=1e-12)


def test_the_bandit_is_worth_what_it_says() -> None:
    bandit = make_bandit(1_001)
    log = bandit.log(7, 8_000, bandit.logging)
    # Standard error of some 12,000 rewards of 8,000 customers: 0.005.
    assert fmean(x.reward for x in log) == pytest.approx(bandit.value(bandit.logging), abs=0.02)
    assert bandit.value(best_of(bandit.rewards)) > bandit.value(bandit.logging)
    assert bandit.log(7, 50, bandit.logging) == bandit.log(7, 50, bandit.logging)
    assert leaning(bandit.logging, best_of(bandit.rewards), 0.0) == bandit.logging


def test_what_only_looks_better_by_hand() -> None:
    bandit, candidate = confounded()
    # Always the first: (0.82 + 0.48) / 2. Logged: 0.8 · 0.82 + 0.2 · 0.9, 0.2 · 0.48 + 0.8 · 0.58.
    assert bandit.value(candidate) == pytest.approx(0.65)
    assert bandit.value(bandit.logging) == pytest.approx((0.836 + 0.56) / 2)
    log = bandit.log(1, 3_000, candidate)
    first = fmean(x.reward for x in log if x.action == "0")
    second = fmean(x.reward for x in log if x.action == "1")
    # 0.8 · 0.82 + 0.2 · 0.48 = 0.752, and 0.2 · 0.9 + 0.8 · 0.58 = 0.644.
    assert first == pytest.approx(0.752, abs=0.03)
    assert second == pytest.approx(0.644, abs=0.03)


def test_routing_in_the_shadow_is_written_down_as_it_is() -> None:
    shadow = play_shadow(1_001, 400)
    assert sum(map(len, shadow.customers)) == 400
    assert max(map(len, shadow.customers)) <= 4
    rules, routing = shadow.values()
    log = shadow.log(3, 1_500)
    assert fmean(x.reward for x in log) == pytest.approx(rules, abs=0.05)
    assert 0.0 < routing < 1.0


def test_a_line_says_all_that_has_a_target() -> None:
    line = evaluation_line([run_seed(seed, SMALL) for seed in (1_001, 1_002)])
    assert line["runs"] == 8
    assert set(line["by_seed"]) == {1_001, 1_002}
    assert line["value"] == min(line["coverage"].values())
    assert len(line["coverage"]) == len(line["coverage_by_chance"]) == 8
    assert line["verdicts"]["thin"]["refusals"]["THIN_SUPPORT"] == 4
    assert line["verdicts"]["looks_better"]["accepted"] == 0.0
    assert {"detectable_gain_pp", "stated_power"} <= line["verdicts"]["better"].keys()
    assert line["missed_targets"] == len(line["missed"])


async def test_seeds_may_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert routing_evaluation.OWN_SEEDS == (1, 2)
    monkeypatch.setenv("SEEDS", "a")
    with pytest.raises(ValueError, match="SEEDS"):
        await routing_evaluation.measure()
