"""Sightings of several processes make one minute, whose quantiles are those of all their calls."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.foresight.sighting import (
    CALLS,
    GROWTH,
    MARK_BYTES,
    MOST_BUCKET,
    MOST_CAME,
    MOST_COUNTED,
    MOST_LATENCY_MS,
    MOST_PROMISED,
    WORST,
    Sighting,
    SightingError,
    bucket_of,
    gap_share,
    mark_of,
    merged,
    quantile,
    read_sighting,
    smallest,
    write_sighting,
)

LATENCIES = st.lists(st.floats(0.01, MOST_LATENCY_MS), min_size=1, max_size=60)
MARKS = st.sets(st.integers(0, 256**MARK_BYTES - 1), max_size=5)
AGE = st.none() | st.floats(0, 1e6)


def counted(latencies: list[float]) -> dict[int, int]:
    found: dict[int, int] = {}
    for latency in latencies:
        found[bucket_of(latency)] = found.get(bucket_of(latency), 0) + 1
    return found


@st.composite
def sightings(draw: st.DrawFn) -> Sighting:
    kinds: dict[str, Any] = {name: draw(st.integers(0, 9)) for name in CALLS[1:]}
    worst: dict[str, Any] = {name: draw(AGE) for name in WORST}
    latencies = draw(st.lists(st.floats(1, 30_000), max_size=9))
    return Sighting(
        calls=sum(kinds.values()) + draw(st.integers(0, 9)),
        **kinds,
        latencies=counted(latencies),
        webhooks=draw(st.integers(0, 3)),
        webhook_lag_s=draw(st.floats(0, 900)),
        promised=smallest(draw(MARKS), MOST_PROMISED),
        came=smallest(draw(MARKS), MOST_CAME),
        **worst,
    )


@settings(max_examples=60)
@given(LATENCIES, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_within_its_bucket(latencies: list[float], share: float) -> None:
    exact = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
    found = quantile(counted(latencies), share)
    assert found is not None
    assert found == pytest.approx(max(exact, 0.5), rel=GROWTH - 1, abs=1)


def test_buckets_at_their_edges() -> None:
    assert [bucket_of(each) for each in (0, 1, 1.000_1, GROWTH, 1e9)] == [0, 0, 1, 1, MOST_BUCKET]
    assert quantile({}, 0.5) is None
    assert quantile({3: 1, 9: 99}, 0.01) == pytest.approx((GROWTH**3 + GROWTH**2) / 2)


@settings(max_examples=60)
@given(st.lists(sightings(), min_size=1, max_size=4), st.none() | st.floats(0, 99))
def test_many_make_the_minute_that_one_would_have_seen(
    seen: list[Sighting], queue_age_s: float | None
) -> None:
    minute = merged(77, seen, queue_age_s)
    assert merged(77, list(reversed(seen)), queue_age_s).calls == minute.calls
    for name in CALLS:
        assert getattr(minute, name) == sum(getattr(one, name) for one in seen)
    together: dict[int, int] = {}
    for one in seen:
        for bucket, count in one.latencies.items():
            together[bucket] = together.get(bucket, 0) + count
    assert minute.latency_p95_ms == quantile(together, 0.95)
    for name in WORST:
        values = [getattr(one, name) for one in seen if getattr(one, name) is not None]
        assert getattr(minute, name) == (max(values) if values else None)
    webhooks = sum(one.webhooks for one in seen)
    assert (minute.webhook_lag_s is None) == (webhooks == 0)
    assert (minute.queue_age_s, minute.webhook_gap_share) == (queue_age_s, None)


@settings(max_examples=60)
@given(sightings())
def test_a_sighting_goes_through_json_and_more_of_a_later_release_is_left_out(
    seen: Sighting,
) -> None:
    told = json.loads(json.dumps(write_sighting(seen)))
    again = read_sighting({**told, "of_a_later_release": [1]})
    for name in (*CALLS, "latencies", "webhooks", "webhook_lag_s", "promised", "came"):
        assert getattr(again, name) == getattr(seen, name)
    # Nothing and nought are told apart only where that matters: in neither is anything wrong.
    for name in WORST:
        assert (getattr(again, name) or 0.0) == (getattr(seen, name) or 0.0)


def test_what_was_promised_and_has_not_come_is_told_from_samples() -> None:
    ids = [f"pi_{number}" for number in range(2_000)]
    calls = [
        Sighting(promised=smallest(map(mark_of, part), MOST_PROMISED))
        for part in (ids[:900], ids[900:])
    ]
    assert gap_share(calls, []) == 1.0
    assert gap_share([], calls) is None
    # All have come, at two others, among events about other objects.
    others = [f"ch_{number}" for number in range(5_000)]
    came = [
        Sighting(came=smallest(map(mark_of, part), MOST_CAME))
        for part in (ids[::2] + others[::2], ids[1::2] + others[1::2])
    ]
    assert gap_share(calls, came) == 0.0
    # One of two was lost.
    lost = Sighting(came=smallest(map(mark_of, ids[::2]), MOST_CAME))
    share = gap_share(calls, [lost])
    assert share is not None
    assert 0.35 < share < 0.65
    few = Sighting(promised=(1, 2, 9))
    assert gap_share([few], [Sighting(came=(2,))]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ([], "not an object"),
        ({"calls": -1}, "count"),
        ({"calls": MOST_COUNTED + 1}, "count"),
        ({"calls": "9"}, "count"),
        ({"calls": True}, "count"),
        ({"calls": 1, "errors": 1, "timeouts": 1}, "more calls failed"),
        ({"latencies": {"x": 1}}, "not a sighting"),
        ({"latencies": [1]}, "not a sighting"),
        ({"latencies": {str(MOST_BUCKET + 1): 1}}, "bucket"),
        ({"pool_wait_ms": -0.1}, "pool_wait_ms"),
        ({"pool_wait_ms": math.nan}, "pool_wait_ms"),
        ({"in_flight_age_s": "1"}, "in_flight_age_s"),
        ({"promised": [2, 1]}, "in order"),
        ({"came": [1, 1]}, "in order"),
        ({"promised": list(range(MOST_PROMISED + 1))}, "at most"),
        ({"came": [-1]}, "mark"),
        ({"came": [256**MARK_BYTES]}, "mark"),
        ({"came": 1}, "not a sighting"),
    ],
)
def test_what_no_process_can_have_seen_is_refused(told: Any, wrong: str) -> None:
    with pytest.raises(SightingError, match=wrong):
        read_sighting(told)
    assert read_sighting({"calls": MOST_COUNTED}).calls == MOST_COUNTED
