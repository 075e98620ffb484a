"""A history made of a few calm minutes teaches foresight what is usual, and nothing else."""

from dataclasses import replace

import pytest

from gateway.foresight.actions import NEUTRAL, Bounds
from gateway.foresight.alarm import AlarmTerms
from gateway.foresight.model import built_in_model
from gateway.foresight.objective import Objective
from gateway.foresight.signals import Minute
from gateway.foresight.standing import Terms, step
from sandbox.demo.restoring import history, learnt

UNTIL = 29_934_400
LEARNING = 600
TERMS = Terms(Objective(latency_p95_ms=400.0), built_in_model(), AlarmTerms(), Bounds(), LEARNING)
CALM = [
    Minute(
        UNTIL + number,
        calls=12,
        latency_p50_ms=30.0 + number,
        latency_p95_ms=50.0 + number,
        latency_p99_ms=60.0,
        webhook_lag_s=0.5,
        webhook_gap_share=0.0,
        event_loop_lag_ms=0.5,
    )
    for number in range(3)
]


def test_a_history_is_like_what_was_seen_and_ends_before_the_next_minute() -> None:
    made = list(history(CALM, LEARNING, UNTIL, seed=1))
    assert [minute.minute for minute in made] == list(range(UNTIL - LEARNING, UNTIL))
    assert made == list(history(CALM, LEARNING, UNTIL, seed=1))
    assert made != list(history(CALM, LEARNING, UNTIL, seed=2))
    assert {minute.calls for minute in made} == {12}
    assert {minute.pool_wait_ms for minute in made} == {None}
    mean = sum(minute.latency_p95_ms or 0.0 for minute in made) / LEARNING
    assert mean == pytest.approx(51.0, rel=0.02)


def test_a_corridor_that_was_restored_is_foreseen_as_one_that_has_run() -> None:
    standing = learnt(history(CALM, LEARNING, UNTIL, seed=1), TERMS)
    assert standing.has_learnt(TERMS)
    assert not standing.alarm.stands
    assert standing.posture == NEUTRAL
    assert standing.incident is None
    # One that is calm stays so, and a ramp is seen before it breaks what is promised.
    for number in range(40):
        slow = max(0, number - 20) * 24.0
        seen = replace(
            CALM[number % 3],
            minute=UNTIL + number,
            latency_p50_ms=30.0 + slow,
            latency_p95_ms=50.0 + slow,
            latency_p99_ms=60.0 + slow,
        )
        standing, forecast, _ = step(standing, seen, TERMS)
        if number <= 20:
            assert not standing.alarm.stands
        if standing.alarm.stands or forecast.broken:
            break
    assert standing.alarm.stands
    assert forecast.broken == ()
    assert standing.posture.discount > 0
