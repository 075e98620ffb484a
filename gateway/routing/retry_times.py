"""Which of the times that are allowed a declined payment is tried again at. Pure.

What is allowed is said by whoever asks: from the earliest time, which is what the rules would do,
to the latest. In between there is one time in each bucket of hours, as the customer's day has them.
The choice is drawn as that of corridors is: shares of Thompson sampling that are computed, floored
and capped (propensity.py), by a seed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from gateway.routing.approval import expected_approval
from gateway.routing.decision import MAX_CANDIDATES, Decision, Score
from gateway.routing.features import HOUR_BUCKET_HOURS, Slots
from gateway.routing.propensity import Exploration, Value, draw, propensities
from gateway.routing.retry_beliefs import (
    DeclineKind,
    RetryBeliefs,
    TimeBuckets,
    offset,
    slots_of,
)

BUCKET = timedelta(hours=HOUR_BUCKET_HOURS)
CLOCKS: Mapping[str, timedelta] = MappingProxyType(
    {
        region: timedelta(hours=hours)
        for region, hours in (
            ("EU", 1), ("UK", 0), ("US", -6), ("CA", -5), ("LATAM", -4), ("APAC", 8), ("MEA", 3),
        )
    }
)  # fmt: skip
"""What a clock in the middle of a region shows more than UTC, in winter: coarse as the buckets."""


class RetryTime(NamedTuple):
    """A time for another attempt."""

    time: datetime
    buckets: TimeBuckets

    @property
    def name(self) -> str:
        """By day and bucket of hours, "1d08h": no two of a choice have the same."""
        hour = self.buckets.hour // HOUR_BUCKET_HOURS * HOUR_BUCKET_HOURS
        return f"{self.buckets.day}d{hour:02}h"

    @property
    def slots(self) -> Slots:
        """Where it is in both tables."""
        return slots_of(self.buckets)


def buckets_of_name(name: str, region: str, kind: DeclineKind) -> TimeBuckets:
    """What a time of that name is to the model. Raises ValueError for another text."""
    day, _, hour = name.removesuffix("h").partition("d")
    return TimeBuckets(region, kind, int(hour), int(day))


def times_between(
    earliest: datetime,
    latest: datetime,
    declined: datetime,
    region: str,
    kind: DeclineKind,
    spread: float,
) -> tuple[RetryTime, ...]:
    """The earliest time, and one in each bucket of hours after it up to the latest, MAX_CANDIDATES
    in all at most.

    `spread`, from 0 to below 1, is where in its bucket each of the later ones is: payments that
    prefer the same hours do not all come at their beginning.
    """
    clock = CLOCKS.get(region, timedelta(0))

    def at(time: datetime) -> RetryTime:
        local = time + clock
        day = (local.date() - (declined + clock).date()).days
        return RetryTime(time, TimeBuckets(region, kind, local.hour, day))

    local = earliest + clock
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = midnight + (local - midnight) // BUCKET * BUCKET - clock
    found = [at(earliest)]
    for number in range(1, MAX_CANDIDATES):
        time = begins + (number + spread) * BUCKET
        if time > latest:
            break
        found.append(at(time))
    return tuple(found)


def decide_time(
    beliefs: RetryBeliefs, exploration: Exploration, times: Sequence[RetryTime], *, seed: int
) -> Decision:
    """Chooses one of the times, the first of which the rules would do; at least one, and
    MAX_CANDIDATES at most. The scores have their names where those of corridors have corridors."""
    assert 1 <= len(times) <= MAX_CANDIDATES, "there is the earliest, and not too many"
    values, approvals, slots = [], [], []
    for rank, time in enumerate(times):
        found = time.slots
        mean, variance = beliefs.own.sum(found.own)
        common_mean, common_variance = beliefs.common.sum(found.common)
        approval = expected_approval(offset(rank) + common_mean + mean, variance + common_variance)
        # What is uncertain for all times alike decides nothing.
        spread = approval * (1.0 - approval) * variance**0.5
        values.append(Value(approval, spread))
        approvals.append(approval)
        slots.append(found)
    shares = propensities(values, exploration)
    chosen = draw(shares, seed)
    return Decision(
        corridor=times[chosen].name,
        propensity=shares[chosen],
        seed=seed,
        scores=tuple(
            [
                Score(time.name, approval, 0.0, 0.0, value.mean, value.spread, share)
                for time, approval, value, share in zip(
                    times, approvals, values, shares, strict=True
                )
            ]
        ),
        slots=slots[chosen],
        rank=chosen,
    )
