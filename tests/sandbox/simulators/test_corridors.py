"""The corridor simulator: the same world for a seed, and a world that is as its page says."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from sandbox.simulators.corridors import faults, rules
from sandbox.simulators.corridors.baselines import SlidingWindowUcb, WindowHedging
from sandbox.simulators.corridors.faults import FaultsError, read_faults
from sandbox.simulators.corridors.play import Answer, Payment, Played, Seen, payments_of, play
from sandbox.simulators.corridors.world import (
    NETWORKS,
    REGIONS,
    TIMEOUT_S,
    Settings,
    World,
    make_world,
)

SMALL = Settings(payments=3_000)
EXAMPLE = Path(faults.__file__).with_name("faults.example.toml")


class First:
    """Takes the first corridor that it may take, and keeps what it sees."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.chosen_at: list[float] = []

    def choose(self, payment: Payment) -> int:
        self.chosen_at.append(payment.time_s)
        return payment.allowed[0]

    def see(self, seen: Seen) -> None:
        assert not self.seen or seen.time_s >= self.seen[-1].time_s
        self.seen.append(seen)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(1_001, SMALL)


def test_a_seed_is_a_world(world: World) -> None:
    again, other = make_world(1_001, SMALL), make_world(1_002, SMALL)
    for field in fields(World):
        one, two = getattr(world, field.name), getattr(again, field.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, two), field.name
    assert world.faults == again.faults
    assert not np.array_equal(world.approval, other.approval)


def test_probabilities_are_probabilities(world: World) -> None:
    for chances in (world.approval, world.technical, world.timeout_share, world.customer_error):
        assert chances.min() >= 0.0
        assert chances.max() <= 1.0
    assert world.allowed.any(axis=1).all()
    assert (np.diff(world.contexts.time_s) >= 0).all()


def test_the_oracle_is_never_beaten_and_the_table_not_by_other_tables(world: World) -> None:
    rows = np.arange(world.settings.payments)
    best = world.success[rows, rules.oracle(world).chosen]
    table = world.success[rows, rules.best_fixed_table(world).chosen]
    operators = world.success[rows, play(world, rules.OperatorsRules(world)).chosen]
    assert (best >= table).all()
    assert (best >= operators).all()
    assert best.mean() > table.mean()
    assert (table >= 0).all()
    for corridor in range(world.settings.corridors):
        everywhere = world.allowed[:, corridor]
        assert table[everywhere].mean() >= world.success[everywhere, corridor].mean() - 0.02


def test_outcomes_come_as_often_as_their_chances() -> None:
    world = make_world(7, Settings(payments=20_000, no_difference=True))
    chooser = First()
    played = play(world, chooser)
    answers = [seen.answer for seen in chooser.seen if not seen.later]
    rows = np.arange(20_000)
    expected = world.success[rows, played.chosen].mean()
    assert answers.count(Answer.APPROVED) / len(answers) == pytest.approx(expected, abs=0.01)
    errors = (world.customer_error * 0.997).mean()
    assert answers.count(Answer.CUSTOMER_ERROR) / len(answers) == pytest.approx(errors, abs=0.005)


def test_a_time_out_is_noticed_after_a_minute_and_known_later(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(
        '[[incident]]\ncorridor = 0\nshape = "HARD"\neffect = "TIMEOUT"\nstart_s = 0\n'
        "duration_s = 86400\nseverity = 1.0\n"
    )
    world = make_world(3, replace(SMALL, faults_file=file))
    chooser = First()
    play(world, chooser)
    unknown = [seen for seen in chooser.seen if seen.answer is Answer.UNKNOWN]
    assert len(unknown) > 100
    assert all(seen.time_s == seen.payment.time_s + TIMEOUT_S for seen in unknown[:-50])
    later = {seen.payment.number: seen for seen in chooser.seen if seen.later}
    assert all(
        later[seen.payment.number].answer is Answer.TECHNICAL_FAILURE
        for seen in unknown
        if seen.payment.number in later
    )


def test_delayed_and_missing_outcomes() -> None:
    chooser = First()
    play(make_world(3, replace(SMALL, delay_median_s=180.0, missing_share=0.15)), chooser)
    pending = [seen for seen in chooser.seen if seen.answer is Answer.PENDING]
    told = [seen for seen in chooser.seen if seen.later and seen.latency_s < TIMEOUT_S]
    assert len(pending) > 2_000
    assert len(told) / len(pending) == pytest.approx(0.85, abs=0.03)
    delays = np.array([s.time_s - s.payment.time_s - s.latency_s for s in told])
    assert np.median(delays) == pytest.approx(180.0, rel=0.15)


def test_no_difference_is_none() -> None:
    world = make_world(3, replace(SMALL, no_difference=True))
    allowed = world.success[world.allowed]
    rows = np.where(world.allowed, world.success, np.nan)
    assert np.nanmax(np.nanmax(rows, axis=1) - np.nanmin(rows, axis=1)) == pytest.approx(0.0)
    assert allowed.mean() > 0.8
    assert world.faults.incidents == ()


def test_two_corridors_only() -> None:
    world = make_world(3, replace(SMALL, corridors=2))
    assert world.success.shape == (3_000, 2)


def test_a_shift_stays_and_an_incident_passes(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(
        '{"shift": [{"corridor": 1, "start_s": 50000, "log_odds": -2, "region": "EU"}], "incident":'
        ' [{"corridor": 2, "shape": "RAMP", "effect": "DECLINE", "start_s": 20000, "ramp_s": 5000,'
        ' "duration_s": 20000, "severity": 0.8, "network": "VISA"}]}'
    )
    shifted = make_world(3, replace(SMALL, faults_file=file))
    file.write_text("{}")
    calm = make_world(3, replace(SMALL, faults_file=file))
    time_s, region = calm.contexts.time_s, calm.contexts.region
    lower = shifted.approval[:, 1] < calm.approval[:, 1] - 1e-9
    assert (lower == ((time_s >= 50_000) & (region == REGIONS.index("EU")))).all()
    kept = shifted.approval[:, 2] / calm.approval[:, 2]
    visa = calm.contexts.network == NETWORKS.index("VISA")
    full = visa & (time_s >= 25_000) & (time_s < 40_000)
    assert kept[full] == pytest.approx(0.2)
    half = visa & (time_s >= 22_000) & (time_s < 23_000)
    assert kept[half].mean() == pytest.approx(0.6, abs=0.08)
    assert kept[~visa | (time_s >= 40_000) | (time_s < 20_000)] == pytest.approx(1.0)


def test_a_chooser_that_leaves_what_is_allowed(world: World) -> None:
    class Wrong(First):
        def choose(self, payment: Payment) -> int:
            return 99

    with pytest.raises(ValueError, match="corridor 99 is not allowed"):
        play(world, Wrong())


def test_scores(world: World) -> None:
    best, table = rules.oracle(world), rules.best_fixed_table(world)
    assert rules.score(world, best, table).gap_closed == pytest.approx(1.0)
    assert rules.score(world, best, table).incident_regret == pytest.approx(0.0)
    assert rules.score(world, table, table).gap_closed == pytest.approx(0.0)
    assert rules.score(world, table, table).worst_hour == 0.0
    worst = Played(np.where(world.allowed, world.success, 2.0).argmin(axis=1))
    assert rules.score(world, worst, best).worst_hour < 0.0


def test_operators_leave_corridors_that_fail_and_come_back(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(
        "".join(
            f'[[incident]]\ncorridor = {c}\nshape = "HARD"\neffect = "{effect}"\n'
            "start_s = 3600\nduration_s = 3600\nseverity = 1.0\n"
            for c, effect in ((0, "TIMEOUT"), (2, "ERROR"))
        )
    )
    world = make_world(3, Settings(payments=6_000, length_s=10_800.0, faults_file=file))
    chosen = play(world, rules.OperatorsRules(world)).chosen
    time_s, free = world.contexts.time_s, world.allowed.sum(axis=1) > 3
    share = [
        (chosen[free & (time_s >= low) & (time_s < low + 3_000)] == 0).mean()
        for low in (600.0, 4_200.0, 7_800.0)
    ]
    assert share[0] > 0.1
    assert share[1] < 0.4 * share[0]
    assert share[2] > 0.8 * share[0]


@pytest.mark.parametrize("make", [SlidingWindowUcb, lambda: WindowHedging(1)])
def test_baselines_learn_which_corridor_works(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "faults.toml"
    file.write_text(
        "".join(f"[[shift]]\ncorridor = {c}\nstart_s = 0\nlog_odds = -4\n" for c in (0, 1, 2, 3, 4))
    )
    world = make_world(3, Settings(payments=8_000, faults_file=file))
    chosen = play(world, make()).chosen[4_000:]
    may = world.allowed[4_000:, 5]
    assert (chosen[may] == 5).mean() > 0.75


def read(path: Path) -> faults.Faults:
    return read_faults(path, corridors=6, regions=REGIONS, networks=NETWORKS, length_s=172_800.0)


def test_the_example_of_a_file_of_faults() -> None:
    found = read(EXAMPLE)
    assert [incident.shape for incident in found.incidents] == ["HARD", "RAMP"]
    assert found.shifts[0].log_odds == -0.8
    make_world(3, replace(SMALL, faults_file=EXAMPLE))


INCIDENT = {
    "corridor": 0,
    "shape": "HARD",
    "effect": "ERROR",
    "start_s": 0,
    "duration_s": 60,
    "severity": 1,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corridor": 6}, "incident 1: corridor: 6 is not within 0 and 5"),
        ({"corridor": True}, "incident 1: corridor: a whole number"),
        ({"corridor": 1.5}, "incident 1: corridor: a whole number"),
        ({"shape": "SOFT"}, "incident 1: shape: 'SOFT' is none of HARD, PARTIAL, RAMP"),
        ({"effect": 5}, "incident 1: effect: 5 is none of"),
        ({"start_s": -1}, "incident 1: start_s: -1 is not within"),
        ({"duration_s": 0}, "incident 1: duration_s: 0 is not within"),
        ({"severity": 1.01}, "incident 1: severity: 1.01 is not within 0 and 1"),
        ({"severity": "1"}, "incident 1: severity: a number is wanted"),
        ({"region": "MOON"}, "incident 1: region: 'MOON' is none of"),
        ({"ramp_s": 5}, "incident 1: ramp_s: only a RAMP has one"),
        ({"shape": "RAMP"}, "incident 1: ramp_s: missing"),
        ({"shape": "RAMP", "ramp_s": 61}, "incident 1: ramp_s: 61 is not within 1 and 60"),
        ({"speed": 1}, "incident 1: speed: unknown key"),
        ({"severity": None}, "incident 1: severity: a number is wanted, not None"),
    ],
)
def test_an_incident_that_cannot_be(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    import json

    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"incident": [{**INCIDENT, **change}]}))
    with pytest.raises(FaultsError, match=message):
        read(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("faults.yaml", "", "neither .toml nor .json"),
        ("faults.json", "{", "faults.json: "),
        ("faults.toml", "= 5", "faults.toml: "),
        ("faults.json", "[]", "an object"),
        ("faults.json", '{"fault": []}', "unknown 'fault'"),
        ("faults.json", '{"shift": {}}', "shift: a list"),
        ("faults.json", '{"shift": [5]}', "shift: a list"),
        ("faults.json", '{"shift": [{"corridor": 1, "start_s": 5}]}', "shift 1: log_odds: missing"),
        (
            "faults.json",
            '{"shift": [{"corridor": 1, "start_s": 5, "log_odds": 6}]}',
            "shift 1: log_odds: 6 is not within -5 and 5",
        ),
        ("faults.json", '{"shift": [' + "{}," * 1_000 + "{}]}", "1001 entries, at most 1000"),
        ("faults.json", " " * 1_000_001, "1000001 bytes"),
    ],
)
def test_a_file_that_is_not_of_the_form(name: str, text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(FaultsError, match=message):
        read(file)


@pytest.mark.parametrize(
    "wrong",
    [
        {"payments": 0},
        {"corridors": 1},
        {"corridors": 21},
        {"missing_share": 1.0},
        {"length_s": 1.0},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]


def test_payments_show_nothing_of_the_truth(world: World) -> None:
    payment = payments_of(world)[0]
    assert [field.name for field in fields(payment)] == [
        "number",
        "time_s",
        "region",
        "network",
        "funding",
        "currency",
        "amount_minor",
        "recurring",
        "velocity",
        "retry",
        "allowed",
    ]
