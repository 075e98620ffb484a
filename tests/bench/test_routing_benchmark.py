"""The routing benchmark: which seeds it plays, what its line says, and that it plays the same."""

import pytest

from bench import routing
from bench.routing import PUBLIC_SEEDS, gap_line, play_seed, seeds
from bench.routing_chooser import LearningRouting
from sandbox.simulators.corridors.play import play
from sandbox.simulators.corridors.world import Settings, make_world

SMALL = Settings(payments=400)


def test_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEEDS", raising=False)
    assert seeds() == PUBLIC_SEEDS == tuple(range(1, 11))
    monkeypatch.setenv("SEEDS", "11, 12")
    assert seeds() == (11, 12)


@pytest.mark.parametrize("wrong", ["a", "1,,2", "-1", ",".join(["1"] * 1_001)])
def test_seeds_that_cannot_be(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDS", wrong)
    with pytest.raises(ValueError, match="SEEDS"):
        seeds()


def test_a_line_says_all_that_has_a_target() -> None:
    played = [play_seed(SMALL, seed, baselines=True) for seed in (1_001, 1_002)]
    line = gap_line("gap_closed", played)
    assert line["worst"] == min(line["by_seed"].values()) <= line["value"]
    assert line["gap_pp"] > 0
    assert line["worst_hour_pp"] <= 0.0
    assert line["incident_regret_per_1000"] > 0
    assert {"ucb_gap_closed", "window_gap_closed", "operators_rules"} <= line.keys()


def test_a_world_is_played_the_same_way_again() -> None:
    world = make_world(1_001, Settings(payments=300, delay_median_s=60.0, missing_share=0.1))
    first, second = LearningRouting(world), LearningRouting(world)
    assert (play(world, first).chosen == play(world, second).chosen).all()
    assert first.state == second.state
    assert first.state.learned > 0


async def test_the_cost_of_a_decision_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "DECISIONS", 50)
    monkeypatch.setattr(routing, "WARM_UP", Settings(payments=60, length_s=14_400.0))
    line = await routing.measure_decision()
    assert line["value"] >= line["p50_us"] > 0
    assert line["state_bytes"] > 1_000
