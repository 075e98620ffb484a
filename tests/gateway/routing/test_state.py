"""A state is written down and read again, named by its hash, and merged of replicas."""

import itertools
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from gateway.routing.attribution import CallResult, Ending, attribute
from gateway.routing.codec import MAX_STATE_BYTES, content_hash, dump, load
from gateway.routing.decision import Lesson, Policy, decide, learn_from
from gateway.routing.features import Context, FeatureSpace, Vocabulary
from gateway.routing.health import prognosis
from gateway.routing.state import (
    FADE_EVERY_S,
    MAX_CORRIDORS,
    RoutingState,
    StateError,
    merge,
    not_ahead,
)

POLICY = Policy()
SPACE = POLICY.space
NAMES = ("a", "b")
NEW = RoutingState.new(SPACE, NAMES, 0.0)
RESULTS = (
    CallResult(Ending.SUCCEEDED),
    CallResult(Ending.DECLINED, decline_code="do_not_honor"),
    CallResult(Ending.DECLINED, "processing_error"),
)


def context(source: random.Random, region: str = "") -> Context:
    regions = SPACE.vocabulary.region
    return Context(
        region or source.choice(regions), "VISA", "DEBIT", "EUR", 4_200, 13, False, 0, False
    )


def taught(seed: int, count: int, state: RoutingState = NEW, corridor: str = "") -> RoutingState:
    source = random.Random(seed)
    for n in range(count):
        result = source.choices(RESULTS, (90, 10, 2))[0]
        payment = context(source)
        told = Lesson(
            payment.region,
            payment.network,
            SPACE.slots(payment),
            corridor or source.choice(NAMES),
            0,
            attribute(result),
            1.0,
        )
        state = learn_from(POLICY, state, told, now_s=state.time_s + n * 0.1)
    return state


def test_it_is_read_as_it_was_written() -> None:
    state = taught(1, 50)
    raw = dump(state)
    again = load(raw, SPACE)
    assert dump(again) == raw
    assert content_hash(dump(again)) == content_hash(raw)
    first = decide(POLICY, again, context(random.Random(3)), NAMES, seed=5, now_s=10.0)
    second = decide(
        POLICY, load(dump(again), SPACE), context(random.Random(3)), NAMES, seed=5, now_s=10.0
    )
    assert first == second


def test_the_hash_is_of_what_is_believed() -> None:
    assert content_hash(dump(NEW)) == content_hash(dump(RoutingState.new(SPACE, NAMES[::-1], 0.0)))
    assert content_hash(dump(NEW)) != content_hash(dump(taught(1, 1)))


def changed(path: tuple[str | int, ...], value: object) -> bytes:
    data: Any = json.loads(dump(taught(1, 20)))
    found = data
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not of the form"),
        (b"{}", "not of the form"),
        (changed(("form",), "x"), "form"),
        (changed(("space",), "x"), "space"),
        (changed(("common", "means"), []), "common"),
        (changed(("common", "means", 0), "1"), "common"),
        (changed(("corridors", "a", "own", "variances", 3), 0.0), "not positive"),
        (changed(("corridors", "a", "own", "means", 3), None), "not a number"),
        (changed(("corridors", "a", "chains", "all", "levels"), [1, 1, 1]), "levels"),
        (changed(("corridors", "a", "chains", "all", "levels"), [0.1]), "levels"),
        (changed(("corridors", "a"), 5), "not of the form"),
        (changed(("time_s",), True), "time_s"),
        (b" " * (MAX_STATE_BYTES + 1), "bytes"),
    ],
)
def test_bytes_that_are_no_state(raw: bytes, message: str) -> None:
    with pytest.raises(StateError, match=message):
        load(raw, SPACE)


def test_a_state_of_other_features() -> None:
    with pytest.raises(StateError, match="features"):
        load(dump(NEW), FeatureSpace(Vocabulary(region=("EU",))))


def test_too_many_corridors() -> None:
    names = [str(n) for n in range(MAX_CORRIDORS)]
    assert len(RoutingState.new(SPACE, names, 0.0).corridors) == MAX_CORRIDORS
    with pytest.raises(StateError, match="at most"):
        RoutingState.new(SPACE, [*names, "one more"], 0.0)


def test_what_a_clock_that_was_ahead_believed_ends_and_is_forgotten_all_the_same() -> None:
    a_year, an_hour = 365 * 86_400.0, 3_600.0
    failed = Lesson(
        "EU", "VISA", SPACE.slots(context(random.Random(1))), "a", 0,
        attribute(CallResult(Ending.UNKNOWN)), timed_out=True,
    )  # fmt: skip
    state = taught(1, 30)
    for _ in range(6):
        state = learn_from(POLICY, state, failed, now_s=a_year)

    def incident(known: RoutingState, now_s: float) -> float:
        return prognosis(known.corridors["a"].health, "EU", "VISA", now_s, POLICY.health).incident

    # As it was: by its own times it would stand for a year.
    assert incident(state, 12 * an_hour) > 0.5
    mended = not_ahead(state, 0.0)
    assert mended.time_s == 0.0
    assert incident(mended, 0.0) == incident(state, 0.0)
    assert incident(mended, 12 * an_hour) < 0.1
    later = learn_from(POLICY, mended, replace(failed, corridor="b"), now_s=12 * an_hour)
    assert later.time_s == 12 * an_hour
    # Clocks that are a little apart change nothing.
    assert not_ahead(state, a_year) is state
    assert not_ahead(state, a_year - FADE_EVERY_S) is state
    assert not_ahead(state, a_year - FADE_EVERY_S - 1.0) is not state


def test_merging_one_replica_is_that_replica() -> None:
    base = taught(1, 30)
    replica = taught(2, 30, base)
    merged = merge(base, [replica], SPACE, POLICY.health)
    assert merged.corridors["a"].own == replica.corridors["a"].own
    assert merged.common == replica.common
    assert merged.learned == replica.learned


def test_merging_is_the_same_in_any_order() -> None:
    base = taught(1, 30)
    replicas = [taught(seed, 40, base) for seed in (2, 3, 4)]
    merged = [
        dump(merge(base, order, SPACE, POLICY.health)) for order in itertools.permutations(replicas)
    ]
    reference = load(merged[0], SPACE)
    for raw in merged[1:]:
        other = load(raw, SPACE)
        assert other.learned == reference.learned == base.learned + 120
        for name in NAMES:
            assert other.corridors[name].own.means == pytest.approx(
                reference.corridors[name].own.means, abs=1e-9
            )


def test_what_two_replicas_saw_of_different_corridors_is_kept_of_both() -> None:
    first, second = taught(2, 60, NEW, "a"), taught(3, 60, NEW, "b")
    merged = merge(NEW, [first, second], SPACE, POLICY.health)
    assert merged.corridors["a"].own == first.corridors["a"].own
    assert merged.corridors["b"].own == second.corridors["b"].own


def test_two_replicas_know_more_than_one() -> None:
    first, second = taught(2, 200, NEW, "a"), taught(3, 200, NEW, "a")
    merged = merge(NEW, [first, second], SPACE, POLICY.health)
    pairs = zip(
        merged.corridors["a"].own.variances, first.corridors["a"].own.variances, strict=True
    )
    assert all(both <= one for both, one in pairs)
    both_saw_failures = merged.corridors["a"].health.chains["all"]
    assert 0.0 <= both_saw_failures.incident <= 1.0


def test_states_that_do_not_fit_together() -> None:
    with pytest.raises(StateError, match="corridors"):
        merge(NEW, [RoutingState.new(SPACE, ("a",), 0.0)], SPACE, POLICY.health)
    later = RoutingState.new(SPACE, NAMES, 100.0)
    with pytest.raises(StateError, match="older"):
        merge(later, [NEW], SPACE, POLICY.health)
