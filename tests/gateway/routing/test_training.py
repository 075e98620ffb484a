"""A model is fitted to a window of decisions: what it finds, leaves alone and refuses."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import pytest

from gateway.routing.approval import chance_of
from gateway.routing.codec import content_hash, dump, load, trained_on
from gateway.routing.decision import Policy, decide
from gateway.routing.features import HOUR_S, Context
from gateway.routing.propensity import Exploration
from gateway.routing.state import advance
from gateway.routing.training import (
    MIN_CORRIDOR_OUTCOMES,
    MIN_DECISIONS,
    MIN_HELD_OUT,
    MIN_OF_EACH,
    Example,
    Problem,
    Trained,
    TrainingRefusedError,
    TrainingSettings,
    Window,
    train,
)

POLICY = Policy(exploration=Exploration(max_share=0.0))
SPACE = POLICY.space
CORRIDORS = ("a", "b")
# Before anything is seen the first is believed better: by the second half of these it is not.
APPROVED = {
    ("EU", "VISA"): (0.9, 0.7),
    ("US", "VISA"): (0.6, 0.9),
    ("EU", "AMEX"): (0.55, 0.8),
    ("US", "AMEX"): (0.85, 0.6),
}
START_S, STEP_S = 1_000_000.0, 20.0
COUNT = 2_400
END_S = START_S + COUNT * STEP_S
WINDOW = Window(START_S, END_S)


def context(region: str, network: str) -> Context:
    return Context(region, network, "CREDIT", "EUR", 4_000, 12, False, 0, False)


def example(number: int, corridor: str, approved: bool | None, kind: tuple[str, str]) -> Example:
    return Example(
        name=f"pay_{number:05}",
        time_s=START_S + number * STEP_S,
        corridor=corridor,
        rank=CORRIDORS.index(corridor),
        candidates=CORRIDORS,
        slots=SPACE.slots(context(*kind)),
        propensity=0.5,
        incident=0.0,
        believed=0.8,
        approved=approved,
    )


@cache
def log(count: int = COUNT) -> tuple[Example, ...]:
    draw = random.Random(3)
    examples = []
    for number in range(count):
        kind, corridor = draw.choice(list(APPROVED)), draw.choice(CORRIDORS)
        approved = draw.random() < APPROVED[kind][CORRIDORS.index(corridor)]
        examples.append(example(number, corridor, approved, kind))
    return tuple(examples)


def trained(examples: Sequence[Example], **values: float) -> Trained:
    return train(examples, WINDOW, CORRIDORS, "some code", POLICY, TrainingSettings(**values))


@cache
def once() -> Trained:
    return trained(log())


def changed(which: Callable[[Example], bool], **values: object) -> list[Example]:
    return [replace(each, **values) if which(each) else each for each in log()]  # type: ignore[arg-type]


def is_held_out(each: Example) -> bool:
    return each.time_s >= START_S + 0.8 * COUNT * STEP_S


def means(result: Trained) -> list[float]:
    state = result.state
    return [*state.common.means, *(m for c in CORRIDORS for m in state.corridors[c].own.means)]


def test_the_better_corridor_of_each_kind_is_found() -> None:
    state = once().state
    for kind, chances in APPROVED.items():
        slots = SPACE.slots(context(*kind))
        found = [
            chance_of(
                state.common, state.corridors[c].own, slots.common, slots.own, POLICY.offset(n)
            )
            for n, c in enumerate(CORRIDORS)
        ]
        assert found == pytest.approx(chances, abs=0.08)
        decision = decide(POLICY, state, context(*kind), CORRIDORS, seed=1, now_s=END_S)
        assert decision.corridor == CORRIDORS[chances.index(max(chances))]


def test_the_same_window_gives_the_same_bytes_in_any_order() -> None:
    shuffled = list(log())
    random.Random(9).shuffle(shuffled)
    again = trained(shuffled)
    assert again.raw == once().raw
    assert trained(log()[1:]).raw != once().raw
    other = train(log(), WINDOW, CORRIDORS, "other code", POLICY)
    assert content_hash(other.raw) != content_hash(once().raw)
    assert other.state == once().state


def test_it_is_written_with_what_it_was_trained_on() -> None:
    told = trained_on(once().raw)
    assert told is not None
    fitted = sum(not is_held_out(each) for each in log())
    assert (told["start_s"], told["end_s"]) == (START_S, END_S)
    assert (told["code_version"], told["corridors"]) == ("some code", ["a", "b"])
    assert (told["decisions"], told["fitted"]) == (COUNT, fitted)
    assert told["held_from_s"] == START_S + fitted * STEP_S
    assert told["settings"] == {
        "held_out_share": 0.2,
        "half_life_s": 72 * HOUR_S,
        "max_weight": 20.0,
    }
    held = told["held_out"]
    assert held["outcomes"] == COUNT - fitted
    assert held["log_loss"] < held["base_log_loss"] < held["online_log_loss"] + 0.02
    assert held["expected"] == pytest.approx(held["approved"], abs=0.05)
    assert trained_on(dump(once().state)) is None


def test_what_is_held_out_is_not_seen_and_only_judged() -> None:
    turned = [
        replace(each, approved=not each.approved) if is_held_out(each) else each for each in log()
    ]
    other = trained(turned)
    assert other.state == once().state
    assert other.state.time_s < START_S + 0.8 * COUNT * STEP_S
    mine, theirs = other.provenance["held_out"], once().provenance["held_out"]
    assert mine["log_loss"] > theirs["log_loss"]
    assert mine["approved"] == pytest.approx(1.0 - theirs["approved"])


def test_losses_are_counted_here_again() -> None:
    held = [each for each in log() if is_held_out(each)]
    fitted = [each for each in log() if not is_held_out(each)]
    base = (1 + sum(bool(each.approved) for each in fitted)) / (2 + len(fitted))
    approved = sum(bool(each.approved) for each in held)
    told = once().provenance["held_out"]
    for chance, key in ((base, "base_log_loss"), (0.8, "online_log_loss")):
        loss = approved * math.log(chance) + (len(held) - approved) * math.log(1.0 - chance)
        assert told[key] == pytest.approx(-loss / len(held))


def test_an_outcome_counts_by_how_unlikely_its_choice_was_up_to_a_limit() -> None:
    # Alike for all payments of a corridor, it says nothing.
    alike = [replace(each, propensity=0.1 if each.corridor == "b" else 0.9) for each in log()]
    assert means(trained(alike)) == pytest.approx(means(once()), abs=1e-9)

    def sent_on_belief(share: float) -> list[Example]:
        """Of a corridor's kinds of payments, one was sent there hardly ever."""
        return changed(
            lambda each: each.corridor == "b" and each.slots == SPACE.slots(context("EU", "VISA")),
            propensity=share,
        )

    rare, rarer = trained(sent_on_belief(0.05)), trained(sent_on_belief(0.001))
    assert rare.state == rarer.state
    assert rare.state != trained(sent_on_belief(0.1)).state
    # A higher limit lets it count more.
    assert trained(sent_on_belief(0.001), max_weight=40.0).state != rarer.state


def test_what_an_incident_did_teaches_nothing() -> None:
    during = [each.name for each in log() if 500 <= int(each.name[4:]) < 700]
    turned = changed(lambda each: each.name in during, approved=False, incident=1.0)
    unturned = changed(lambda each: each.name in during, incident=1.0)
    assert trained(turned).state == trained(unturned).state
    assert trained(turned).state != once().state


def test_what_is_old_counts_less() -> None:
    declined_early = changed(lambda each: int(each.name[4:]) < 800, approved=False)
    quick = trained(declined_early, half_life_s=HOUR_S)
    slow = trained(declined_early, half_life_s=1_000 * HOUR_S)
    assert quick.provenance["held_out"]["expected"] > 0.1 + slow.provenance["held_out"]["expected"]


def test_technical_failures_are_decisions_but_no_outcomes_of_issuers() -> None:
    failed = changed(lambda each: int(each.name[4:]) % 10 == 0, approved=None)
    told = trained(failed).provenance
    assert told["decisions"] == COUNT
    assert told["fitted"] < 0.91 * 0.8 * COUNT


def test_what_is_of_the_moment_is_left_as_it_begins() -> None:
    own = once().state.corridors["a"].own
    quick = [slot for slot, life in enumerate(SPACE.own.half_lives_s) if life < 4 * HOUR_S]
    assert quick
    for slot, (mean, variance) in enumerate(zip(own.means, own.variances, strict=True)):
        if slot in quick:
            assert mean == 0.0
            assert variance == pytest.approx(SPACE.own.variances[slot])
        assert 0.0 < variance <= SPACE.own.variances[slot] * (1.0 + 1e-9)
    assert not once().state.corridors["a"].health.chains


def test_who_learns_on_goes_back_to_it() -> None:
    """A prior: forgetting ends at its means, and not at nothing."""
    raw = once().raw
    begun = load(raw, SPACE)
    assert begun.prior is not None
    assert begun.prior.version == content_hash(raw)
    later = advance(begun, SPACE, END_S + 30 * 24 * HOUR_S)
    assert later.corridors["b"].own.means == pytest.approx(begun.corridors["b"].own.means)
    assert later.common.means == pytest.approx(begun.common.means)
    assert later.corridors["b"].own.variances == pytest.approx(SPACE.own.variances, rel=1e-3)
    moved = replace(
        begun,
        common=replace(begun.common, means=tuple([m + 1.0 for m in begun.common.means])),
    )
    week = advance(moved, SPACE, begun.time_s + 7 * 24 * HOUR_S)
    left = [
        after - before for after, before in zip(week.common.means, begun.common.means, strict=True)
    ]
    assert left == pytest.approx([0.5] * len(left))
    # It is written down with what is learnt, and read again.
    again = load(dump(later), SPACE)
    assert again.prior == begun.prior
    assert dump(again) == dump(later)


@pytest.mark.parametrize(("count", "refused"), [(MIN_DECISIONS - 1, True), (MIN_DECISIONS, False)])
def test_too_few_decisions(count: int, refused: bool) -> None:
    if not refused:
        assert trained(log()[:count]).provenance["decisions"] == count
        return
    with pytest.raises(
        TrainingRefusedError, match=f"^{count} decisions .* {MIN_DECISIONS}"
    ) as error:
        trained(log()[:count])
    assert error.value.problem is Problem.TOO_FEW_DECISIONS


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (("a", "b", "c"), "c can be chosen now and could not be then"),
        (("a",), "b could be chosen then and cannot be now"),
        (("a", "c"), "b could be chosen then and cannot be now; c can be chosen now"),
    ],
)
def test_other_corridors(now: tuple[str, ...], said: str) -> None:
    with pytest.raises(TrainingRefusedError, match=said) as error:
        train(log(), WINDOW, now, "some code", POLICY)
    assert error.value.problem is Problem.OTHER_CORRIDORS


def fitted_numbers() -> list[int]:
    return [n for n, each in enumerate(log()) if not is_held_out(each)]


@pytest.mark.parametrize("missing", [0, 1])
def test_too_few_outcomes_at_a_corridor(missing: int) -> None:
    at_b = iter([n for n in fitted_numbers() if log()[n].corridor == "b"])
    kept = {next(at_b) for _ in range(MIN_CORRIDOR_OUTCOMES - missing)}
    few = [
        replace(each, corridor="a") if each.corridor == "b" and n not in kept else each
        for n, each in enumerate(log())
    ]
    edge(
        few,
        missing,
        f"decided {MIN_CORRIDOR_OUTCOMES - 1} payments at b .* {MIN_CORRIDOR_OUTCOMES}",
    )


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize(("wanted", "word"), [(True, "approved"), (False, "declined")])
def test_too_few_of_each_outcome(missing: int, wanted: bool, word: str) -> None:
    of_kind = [n for n in fitted_numbers() if log()[n].approved is wanted]
    kept = set(of_kind[: MIN_OF_EACH - missing])
    few = [
        replace(each, approved=not wanted) if n not in kept else each
        for n, each in enumerate(log())
    ]
    edge(few, missing, f"issuers {word} {MIN_OF_EACH - 1} payments .* {MIN_OF_EACH}")


@pytest.mark.parametrize("missing", [0, 1])
def test_too_few_outcomes_held_out(missing: int) -> None:
    held = iter([n for n, each in enumerate(log()) if is_held_out(each)])
    kept = {next(held) for _ in range(MIN_HELD_OUT - missing)}
    few = [
        replace(each, approved=None) if is_held_out(each) and n not in kept else each
        for n, each in enumerate(log())
    ]
    edge(few, missing, f"decided {MIN_HELD_OUT - 1} payments of the part .* {MIN_HELD_OUT}")


def edge(examples: list[Example], missing: int, said: str) -> None:
    """One too few is refused, and just enough is not."""
    if not missing:
        trained(examples)
        return
    with pytest.raises(TrainingRefusedError, match=said) as error:
        trained(examples)
    assert error.value.problem is Problem.TOO_FEW_OUTCOMES


def test_all_of_one_moment_is_too_few() -> None:
    """Nothing came before what is held out."""
    with pytest.raises(TrainingRefusedError) as error:
        trained([replace(each, time_s=START_S) for each in log()])
    assert error.value.problem is Problem.TOO_FEW_OUTCOMES


@pytest.mark.parametrize(
    "values",
    [{"held_out_share": 0.0}, {"held_out_share": 1.0}, {"half_life_s": 0.0}, {"max_weight": 0.9}],
)
def test_settings_that_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TrainingSettings(**values)


def test_provenance_is_json() -> None:
    assert json.loads(once().raw)["training"] == dict(once().provenance)
