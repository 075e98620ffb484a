"""What one process saw of a corridor in a minute, and the minute that several of them make.

Latencies are counted in buckets that grow by a twentieth, so that the quantiles of many processes
are those of their sum, a fortieth of the value off at most. Where processes saw the same thing,
such as the latency of the database, the worst is told.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gateway.foresight.signals import Minute

GROWTH = 1.05
MOST_LATENCY_MS = 600_000.0
MOST_BUCKET = math.ceil(math.log(MOST_LATENCY_MS) / math.log(GROWTH))
# More than any process sends in a minute; what says more was not written by one.
MOST_COUNTED = 10_000_000


class SightingError(ValueError):
    """A sighting that cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one process saw; `None` is what it could not see.

    Counts are of requests that ended in the minute, `latencies` of those that change something, by
    bucket. `webhook_lag_s` is the sum over `webhooks` events; the others are as `Minute` has them.
    """

    calls: int = 0
    errors: int = 0
    timeouts: int = 0
    rate_limited: int = 0
    issuer_declines: int = 0
    fraud_declines: int = 0
    funds_declines: int = 0
    latencies: Mapping[int, int] = field(default_factory=dict)
    webhooks: int = 0
    webhook_lag_s: float = 0.0
    in_flight_age_s: float | None = None
    event_loop_lag_ms: float | None = None
    pool_wait_ms: float | None = None
    database_latency_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuses what no process can have seen."""
        counts = [getattr(self, name) for name in (*CALLS, "webhooks")]
        counts += [*self.latencies.values()]
        if not all(type(count) is int and 0 <= count <= MOST_COUNTED for count in counts):
            raise SightingError(f"a count is no number from 0 to {MOST_COUNTED}")
        if sum(counts[1:7]) > self.calls:
            raise SightingError("more calls failed or were declined than ended")
        if not all(0 <= bucket <= MOST_BUCKET for bucket in self.latencies):
            raise SightingError(f"a bucket of latency is none from 0 to {MOST_BUCKET}")
        for name in ("webhook_lag_s", *WORST):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise SightingError(f"{name} must be a number from 0")


CALLS = tuple(each.name for each in fields(Sighting))[:7]
WORST = tuple(each.name for each in fields(Sighting))[10:]


def bucket_of(latency_ms: float) -> int:
    """The bucket of a latency: `n` holds what is above 1.05ⁿ⁻¹ and at most 1.05ⁿ milliseconds."""
    if latency_ms <= 1:
        return 0
    return min(math.ceil(math.log(latency_ms) / math.log(GROWTH)), MOST_BUCKET)


def quantile(latencies: Mapping[int, int], share: float) -> float | None:
    """The latency in milliseconds that so large a share of calls has at most; `None` without any.

    It is the middle of its bucket.
    """
    total = sum(latencies.values())
    if not total:
        return None
    wanted = share * total
    passed = 0
    for bucket in sorted(latencies):
        passed += latencies[bucket]
        if passed >= wanted:
            return (GROWTH**bucket + (GROWTH ** (bucket - 1) if bucket else 0.0)) / 2
    raise AssertionError("the last bucket holds all that there is")


def write_sighting(sighting: Sighting) -> dict[str, Any]:
    """A sighting as JSON, without what is as it is by itself."""
    told = asdict(sighting)
    told["latencies"] = {str(bucket): count for bucket, count in sighting.latencies.items()}
    return {name: value for name, value in told.items() if value not in (0, 0.0, None, {})}


def read_sighting(told: Any) -> Sighting:
    """What `write_sighting` wrote, also where a later release writes more. Raises `SightingError`
    for anything else."""
    if not isinstance(told, dict):
        raise SightingError("not an object")
    known = {name: told[name] for name in (each.name for each in fields(Sighting)) if name in told}
    try:
        latencies = {int(bucket): count for bucket, count in known.get("latencies", {}).items()}
        return Sighting(**{**known, "latencies": latencies})
    except SightingError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise SightingError(f"not a sighting: {error!r}") from error


def merged(minute: int, sightings: Iterable[Sighting], queue_age_s: float | None = None) -> Minute:
    """The minute that processes saw together; `queue_age_s` is the database's."""
    seen = list(sightings)
    latencies: dict[int, int] = {}
    for one in seen:
        for bucket, count in one.latencies.items():
            latencies[bucket] = latencies.get(bucket, 0) + count
    webhooks = sum(one.webhooks for one in seen)
    counted: dict[str, Any] = {name: sum(getattr(one, name) for one in seen) for name in CALLS}
    worst: dict[str, Any] = {name: _worst(getattr(one, name) for one in seen) for name in WORST}
    return Minute(
        minute=minute,
        **counted,
        **worst,
        latency_p50_ms=quantile(latencies, 0.5),
        latency_p95_ms=quantile(latencies, 0.95),
        latency_p99_ms=quantile(latencies, 0.99),
        webhook_lag_s=sum(one.webhook_lag_s for one in seen) / webhooks if webhooks else None,
        queue_age_s=queue_age_s,
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
