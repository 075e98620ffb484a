"""Courses say of an account what the simulators say of a corridor."""

import numpy as np
import pytest

from gateway.foresight.signals import Minute
from sandbox.simulators.corridors.world import Settings, make_world
from sandbox.simulators.courses import course_of_corridor, course_of_minutes
from sandbox.simulators.degradation.world import world

DAY = 1_440


def test_a_service_becomes_a_course_minute_by_minute() -> None:
    (service,) = world(3, services=1, days=7).services
    minutes = list(service.minutes())[DAY : DAY + 120]
    course = course_of_minutes(minutes, seed=3, slower=4.0)
    assert [point.at_seconds for point in course.points] == [60.0 * n for n in range(120)]
    for seen, point in zip(minutes, course.points, strict=True):
        assert point.latency_p50_ms * 4 == pytest.approx(seen.latency_p50_ms)
        assert point.latency_p95_ms * 4 == pytest.approx(seen.latency_p95_ms)
        assert point.webhook_lag_seconds == seen.webhook_lag_s
        told = (point.errors, point.timeouts, point.rate_limited, *point.declines.values())
        counted = (
            seen.errors,
            seen.timeouts,
            seen.rate_limited,
            seen.issuer_declines,
            seen.fraud_declines,
            seen.funds_declines,
        )
        assert [share * seen.calls for share in told] == pytest.approx(counted)


def test_a_minute_in_which_nothing_was_seen_has_nothing() -> None:
    (point,) = course_of_minutes([Minute(5, 0)], seed=1).points
    assert (point.at_seconds, point.errors, point.latency_p95_ms) == (0.0, 0.0, 0.0)


def test_a_corridor_becomes_the_means_of_its_payments() -> None:
    simulated = make_world(5, Settings(payments=4_000, corridors=2))
    course = course_of_corridor(simulated, 1, step_s=3_600.0, slower=10.0)
    taken = simulated.allowed[:, 1]
    hours = simulated.contexts.time_s // 3_600
    assert [point.at_seconds for point in course.points] == [
        3_600.0 * hour for hour in np.unique(hours[taken])
    ]
    for point in course.points:
        inside = taken & (hours == point.at_seconds // 3_600)
        technical = simulated.technical[inside, 1].mean()
        assert point.errors + point.timeouts == pytest.approx(technical)
        own, issuer = point.declines["incorrect_cvc"], point.declines["generic_decline"]
        assert own == pytest.approx(simulated.customer_error[inside].mean())
        approved = (1 - own) * simulated.approval[inside, 1].mean()
        assert 1 - own - issuer == pytest.approx(approved)
        median = np.median(simulated.latency_s[inside, 1])
        assert point.latency_p50_ms == pytest.approx(median * 1_000 / 10)
