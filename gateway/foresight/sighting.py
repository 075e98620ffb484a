"""What one process saw of a corridor in a minute, and the minute that several of them make.

Latencies are counted in buckets that grow by a twentieth, so that the quantiles of many processes
are those of their sum, a fortieth of the value off at most. Where processes saw the same thing,
such as the latency of the database, the worst is told.

A process that changes an object at Stripe and the one that takes in the event about it may be two.
Both write down marks of objects, of many the smallest, so that what has not come can be told from
samples of the same objects.
"""

import hashlib
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


MARK_BYTES = 4
# The smallest marks that are kept of a minute; each object has several events, and what came is
# of other calls' objects as well.
MOST_PROMISED, MOST_CAME = 100, 400


class SightingError(ValueError):
    """A sighting that cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one process saw; `None` is what it could not see.

    Counts are of requests that ended in the minute, `latencies` of those that change something, by
    bucket. `webhook_lag_s` is the sum over `webhooks` events. `promised` are marks of objects that
    calls have changed, of which events will tell, `came` those of events that came, both the
    smallest and in order. The others are as `Minute` has them.
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
    promised: tuple[int, ...] = ()
    came: tuple[int, ...] = ()
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
        for marks, most in ((self.promised, MOST_PROMISED), (self.came, MOST_CAME)):
            if len(marks) > most or list(marks) != sorted(set(marks)):
                raise SightingError(f"marks are at most {most}, in order")
            if not all(type(mark) is int and 0 <= mark < 256**MARK_BYTES for mark in marks):
                raise SightingError(f"a mark is no number of {MARK_BYTES} bytes")
        for name in ("webhook_lag_s", *WORST):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise SightingError(f"{name} must be a number from 0")


CALLS = tuple(each.name for each in fields(Sighting))[:7]
WORST = tuple(each.name for each in fields(Sighting))[-4:]


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


def mark_of(object_id: str) -> int:
    """The mark of an object: a number that says nothing of its id."""
    return int.from_bytes(hashlib.sha256(object_id.encode()).digest()[:MARK_BYTES], "big")


def smallest(marks: Iterable[int], most: int) -> tuple[int, ...]:
    """The smallest of marks, at most so many, in order."""
    return tuple(sorted(set(marks))[:most])


def gap_share(promised: Iterable[Sighting], came: Iterable[Sighting]) -> float | None:
    """Which share of what was promised has not come; `None` if nothing was.

    Where a process kept only some of the marks of what came, larger ones than those say nothing.
    """
    arrived = list(came)
    known = min(
        (one.came[-1] for one in arrived if len(one.came) == MOST_CAME), default=256**MARK_BYTES
    )
    wanted = {mark for one in promised for mark in one.promised if mark <= known}
    if not wanted:
        return None
    return len(wanted.difference(*(one.came for one in arrived))) / len(wanted)


def write_sighting(sighting: Sighting) -> dict[str, Any]:
    """A sighting as JSON, without what is as it is by itself."""
    told = asdict(sighting)
    told["latencies"] = {str(bucket): count for bucket, count in sighting.latencies.items()}
    return {name: value for name, value in told.items() if value not in (0, 0.0, None, {}, ())}


def read_sighting(told: Any) -> Sighting:
    """What `write_sighting` wrote, also where a later release writes more. Raises `SightingError`
    for anything else."""
    if not isinstance(told, dict):
        raise SightingError("not an object")
    known = {name: told[name] for name in (each.name for each in fields(Sighting)) if name in told}
    try:
        latencies = {int(bucket): count for bucket, count in known.get("latencies", {}).items()}
        marks = {name: tuple(known.get(name, ())) for name in ("promised", "came")}
        return Sighting(**{**known, "latencies": latencies, **marks})
    except SightingError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise SightingError(f"not a sighting: {error!r}") from error


def merged(
    minute: int,
    sightings: Iterable[Sighting],
    queue_age_s: float | None = None,
    webhook_gap_share: float | None = None,
) -> Minute:
    """The minute that processes saw together; how old the queue is, and what has not come of what
    was promised before, are not seen by one alone."""
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
        webhook_gap_share=webhook_gap_share,
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
