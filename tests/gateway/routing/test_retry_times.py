"""Times of further attempts: which there are, how one is drawn, that the better hour is found."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.codec import dump, load
from gateway.routing.decision import MAX_CANDIDATES, chosen_again
from gateway.routing.features import FeatureSpace
from gateway.routing.health import HealthSettings
from gateway.routing.propensity import Exploration, uniform
from gateway.routing.retry_beliefs import DeclineKind, RetryBeliefs
from gateway.routing.retry_times import (
    BUCKET,
    CLOCKS,
    RetryTime,
    buckets_of_name,
    decide_time,
    times_between,
)
from gateway.routing.state import RoutingState, StateError, merge

NOW = datetime(2026, 11, 30, 9, 41, tzinfo=UTC)
DAY = timedelta(days=1)
SPACE = FeatureSpace()
EXPLORATION = Exploration()
FUNDS = DeclineKind.FUNDS

moments = st.timedeltas(-300 * DAY, 300 * DAY).map(lambda apart: NOW + apart)
regions = st.sampled_from([*CLOCKS, "OTHER"])


@given(
    moments,
    st.timedeltas(timedelta(0), 7 * DAY),
    st.timedeltas(timedelta(0), 7 * DAY),
    regions,
    st.integers(0, 999).map(lambda thousandths: thousandths / 1_000),
)
def test_times_are_within_what_is_allowed_and_one_in_each_bucket(
    declined: datetime, wait: timedelta, room: timedelta, region: str, spread: float
) -> None:
    earliest, latest = declined + wait, declined + wait + room
    times = times_between(earliest, latest, declined, region, FUNDS, spread)
    assert times[0].time == earliest
    assert 1 <= len(times) <= MAX_CANDIDATES
    assert all(earliest <= each.time <= latest for each in times)
    # By a clock on the wall: each is in a bucket of its own, and none is left out in between.
    wall = CLOCKS.get(region, timedelta(0))
    buckets = [
        ((each.time + wall).date().toordinal() * 24 + (each.time + wall).hour) // 4
        for each in times
    ]
    assert buckets == list(range(buckets[0], buckets[0] + len(times)))
    assert len({each.name for each in times}) == len(times)
    for each in times:
        found = buckets_of_name(each.name, region, FUNDS)
        assert found._replace(hour=each.buckets.hour) == each.buckets
        assert RetryTime(each.time, found).slots == each.slots
        assert each.buckets.day == ((each.time + wall).date() - (declined + wall).date()).days
    if len(times) < MAX_CANDIDATES:
        # Another bucket's time would be too late.
        assert latest - times[-1].time < 2 * BUCKET


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        buckets_of_name("backup", "EU", FUNDS)


def times(region: str = "EU", kind: DeclineKind = FUNDS) -> tuple[RetryTime, ...]:
    return times_between(NOW + DAY, NOW + 5 * DAY, NOW, region, kind, 0.5)


@given(st.integers(0, 2**63 - 1), st.integers(1, 16))
def test_the_choice_follows_from_its_record_and_shares_are_exact(seed: int, count: int) -> None:
    allowed = times()[:count]
    decision = decide_time(RetryBeliefs(), EXPLORATION, allowed, seed=seed)
    assert [score.corridor for score in decision.scores] == [each.name for each in allowed]
    assert math.fsum(score.propensity for score in decision.scores) == pytest.approx(1.0)
    assert chosen_again(decision) == decision.corridor == allowed[decision.rank].name
    assert decision.slots == allowed[decision.rank].slots
    assert decision.propensity == decision.scores[decision.rank].propensity
    # Before anything is seen the earliest is the best guess, and the others are within the cap.
    assert decision.scores[0].propensity >= 1.0 - EXPLORATION.max_share
    assert max(decision.scores, key=lambda score: score.value) is decision.scores[0]
    if count > 1:
        floor = min(EXPLORATION.min_share, EXPLORATION.max_share / (count - 1))
        assert min(score.propensity for score in decision.scores) >= floor - 1e-12


def test_the_learner_finds_the_better_hour_and_only_for_those_it_is_better_for() -> None:
    """A world where money comes in the evening of the second day, to accounts of one region."""
    draw = random.Random(7)
    beliefs = RetryBeliefs()

    def chance(time: RetryTime) -> float:
        evening = time.buckets.region == "EU" and time.buckets.hour >= 20
        return 0.75 if evening else 0.2

    followed, succeeded, by_rules = 0, 0, 0
    played = 1_200
    for number in range(played):
        region = "EU" if number % 2 else "US"
        allowed = times(region)[:9]
        decision = decide_time(beliefs, EXPLORATION, allowed, seed=draw.getrandbits(63))
        chosen = allowed[decision.rank]
        approved = draw.random() < chance(chosen)
        beliefs = beliefs.after(chosen.slots, decision.rank, approved=approved)
        if region == "EU" and number >= played - 400:
            followed += 1
            succeeded += approved
            by_rules += draw.random() < chance(allowed[0])
    assert beliefs.learned == played
    assert succeeded > by_rules + followed // 4
    best = {}
    for region in ("EU", "US"):
        decision = decide_time(beliefs, EXPLORATION, times(region)[:9], seed=1)
        best[region] = max(decision.scores, key=lambda score: score.propensity).corridor
    assert best["EU"].endswith("d20h")
    # Nothing is better there: it stays with what the rules do, or what is as good.
    us = decide_time(beliefs, EXPLORATION, times("US")[:9], seed=1)
    assert max(score.value for score in us.scores) < 0.45


def test_what_was_learnt_is_forgotten() -> None:
    late = times()[3]
    beliefs = RetryBeliefs()
    for _ in range(40):
        beliefs = beliefs.after(late.slots, 3, approved=True)
    learnt = beliefs.own.sum(late.slots.own)
    months = beliefs.faded(90 * DAY.total_seconds())
    mean, variance = months.own.sum(late.slots.own)
    prior = RetryBeliefs().own.sum(late.slots.own)
    assert learnt[0] > 1.0
    assert abs(mean) < learnt[0] / 20
    assert variance == pytest.approx(prior[1], rel=0.05)
    assert months.learned == beliefs.learned


def state_with(beliefs: RetryBeliefs) -> RoutingState:
    return replace(RoutingState.new(SPACE, ("a",), NOW.timestamp()), retries=beliefs)


def taught(seed: int, count: int, beliefs: RetryBeliefs | None = None) -> RetryBeliefs:
    found = beliefs or RetryBeliefs()
    for number in range(count):
        place = int(uniform(seed * 1_000 + number) * len(times()))
        found = found.after(times()[place].slots, place, approved=number % 3 == 0)
    return found


def test_beliefs_of_times_are_kept_with_the_state_and_merged_with_it() -> None:
    nothing = state_with(RetryBeliefs())
    # Before anything is learnt of times a state is written as by a release without them.
    assert b"retries" not in dump(nothing)
    assert load(dump(nothing), SPACE).retries == RetryBeliefs()
    base = state_with(taught(1, 20))
    again = load(dump(base), SPACE)
    assert again.retries.learned == 20
    assert again.retries.own.means == pytest.approx(base.retries.own.means)
    assert dump(again) == dump(base)
    one, other = (replace(base, retries=taught(seed, 5, base.retries)) for seed in (2, 3))
    merged = merge(base, [one, other], SPACE, HealthSettings())
    assert merged == merge(base, [one, other], SPACE, HealthSettings())
    assert merged.retries.learned == 30
    assert merge(base, [one], SPACE, HealthSettings()).retries == one.retries


def test_beliefs_of_other_features_are_left_and_damaged_ones_refused() -> None:
    raw = dump(state_with(taught(1, 3)))
    space = raw.split(b'"retries":')[1].split(b'"space":"')[1][:16]
    assert load(raw.replace(space, b"0" * 16), SPACE).retries == RetryBeliefs()
    damaged = raw.replace(b'"space":"' + space, b'"spice":"' + space)
    with pytest.raises(StateError, match="not of the form"):
        load(damaged, SPACE)
