"""The concurrency limit by itself: what latency does to it, and what cannot happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stripe_client.concurrency import (
    ConcurrencyPolicy,
    Latency,
    is_late,
    limit_after_answer,
    limit_after_drop,
)

POLICY = ConcurrencyPolicy()
SECONDS = st.floats(min_value=0.001, max_value=60)


def run(
    limit: float, latency: Latency, seconds: float, answers: int, *, use: float = 1.0
) -> tuple[float, Latency]:
    """So many answers after so long each, with this share of the limit in use."""
    for _ in range(answers):
        latency = latency.with_sample(seconds, POLICY)
        limit = limit_after_answer(limit, latency, int(limit * use), POLICY)
    return limit, latency


def test_it_grows_while_latency_is_steady() -> None:
    limit, _ = run(POLICY.initial, Latency(), 0.05, 300)
    assert limit == POLICY.max


def test_it_sinks_when_latency_rises_and_comes_back() -> None:
    limit, latency = run(POLICY.initial, Latency(), 0.05, 300)
    limit, latency = run(limit, latency, 1.0, 40)
    assert limit <= 4 * POLICY.queue
    limit, latency = run(limit, latency, 0.05, 300)
    assert limit == POLICY.max


def test_small_changes_are_tolerated() -> None:
    limit, latency = run(POLICY.initial, Latency(), 0.05, 300)
    limit, _ = run(limit, latency, 0.05 * POLICY.tolerance, 300)
    assert limit == POLICY.max


def test_below_calm_latency_nothing_lowers_it() -> None:
    limit, latency = run(POLICY.initial, Latency(), 0.002, 300)
    limit, latency = run(limit, latency, POLICY.calm_seconds * 0.99, 300)
    assert limit == POLICY.max
    limit, latency = run(limit, latency, 0.002, 1_000)
    limit, _ = run(limit, latency, POLICY.calm_seconds * 1.1, 40)
    assert limit < POLICY.initial


def test_what_is_not_used_says_nothing() -> None:
    limit, latency = run(POLICY.initial, Latency(), 0.05, 100, use=0.4)
    assert limit == POLICY.initial
    limit, _ = run(limit, latency, 5.0, 100, use=0.4)
    assert limit == POLICY.initial


def test_time_outs_that_are_steady_do_not_look_stable() -> None:
    """Netflix's issue 137: with time-outs as samples the limit would grow to its maximum."""
    limit = float(POLICY.max)
    for _ in range(20):
        limit = limit_after_drop(limit, POLICY)
    assert limit == POLICY.min


def test_answers_that_are_cut_short_are_late_only_beyond_what_is_usual() -> None:
    _, latency = run(POLICY.initial, Latency(), 0.05, 50)
    assert not is_late(latency, 0.09)
    assert is_late(latency, 0.11)
    assert not is_late(Latency(), 60.0)


@given(
    events=st.lists(st.one_of(st.none(), st.tuples(SECONDS, st.integers(0, 200))), max_size=200),
    minimum=st.integers(1, 10),
    span=st.integers(0, 100),
)
def test_it_stays_within_its_bounds(
    events: list[tuple[float, int] | None], minimum: int, span: int
) -> None:
    policy = ConcurrencyPolicy(initial=minimum, min=minimum, max=minimum + span)
    limit, latency = float(policy.initial), Latency()
    for event in events:
        before = limit
        if event is None:
            limit = limit_after_drop(limit, policy)
            assert limit <= before
        else:
            seconds, in_flight = event
            latency = latency.with_sample(seconds, policy)
            limit = limit_after_answer(limit, latency, in_flight, policy)
            # One sample never takes more than half of it, nor adds more than the queue.
            assert before * (1 - policy.smoothing / 2) <= limit <= before + policy.queue
        assert policy.min <= limit <= policy.max


@given(st.lists(SECONDS, min_size=1, max_size=100))
def test_latency_lies_among_its_samples(samples: list[float]) -> None:
    latency = Latency()
    for seconds in samples:
        latency = latency.with_sample(seconds, POLICY)
    assert min(samples) * 0.99 <= latency.short_seconds <= max(samples) * 1.01
    # The long run forgets slow times faster, never below what is now.
    assert latency.long_seconds <= max(samples) * 1.01
    assert latency.samples == len(samples)


@given(slower=st.floats(min_value=1.0, max_value=50.0))
def test_the_slower_the_lower(slower: float) -> None:
    limit, latency = run(POLICY.initial, Latency(), 0.1, 100)
    one, _ = run(limit, latency, 0.1 * slower, 5)
    more, _ = run(limit, latency, 0.1 * slower * 1.5, 5)
    assert more <= one


@pytest.mark.parametrize(
    "values",
    [
        {"min": 0},
        {"min": 50},
        {"max": 10},
        {"queue": 0},
        {"tolerance": 0.9},
        {"smoothing": 0.0},
        {"drop_ratio": 1.0},
        {"calm_seconds": -0.1},
        {"short_samples": 700},
    ],
)
def test_senseless_policies_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="concurrency limit"):
        ConcurrencyPolicy(**values)  # type: ignore[arg-type]
