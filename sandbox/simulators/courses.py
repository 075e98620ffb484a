"""What simulators simulate as courses of the Stripe twin's accounts, so that the real engine can be
driven through it.

The degradation simulator has minutes of signals: those that Stripe's side of a corridor makes
(latency, technical failures, declines, lag of webhooks) become points; what only our side makes
(event loop, database, queues) is the real engine's own. The corridor simulator has truths by
payment: a course has their means over intervals, since a twin's account does not know the region
and network that a simulated payment came from.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from gateway.foresight.signals import Minute
from sandbox.simulators.corridors.world import World
from sandbox.stripe_twin.courses import Course, Point

ISSUER, FRAUD, FUNDS = "generic_decline", "fraudulent", "insufficient_funds"
CUSTOMERS_OWN = "incorrect_cvc"
SECONDS_A_MINUTE = 60.0
MAX_SHARE = 0.999


def course_of_minutes(
    minutes: Sequence[Minute], seed: int, *, slower: float = 1.0, hang_seconds: float = 60.0
) -> Course:
    """A service of the degradation simulator, minute by minute from the first one given.

    Latencies are divided by `slower`: where minutes pass in seconds, answers must not take as long
    as in the simulation; objectives have to be divided alike. Raises ValueError for minutes that
    are not in order.
    """
    first = minutes[0].minute
    points = [
        Point(
            at_seconds=(seen.minute - first) * SECONDS_A_MINUTE,
            latency_p50_ms=(seen.latency_p50_ms or 0.0) / slower,
            latency_p95_ms=max(seen.latency_p95_ms or 0.0, seen.latency_p50_ms or 0.0) / slower,
            rate_limited=_share(seen.rate_limited, seen),
            errors=_share(seen.errors, seen),
            timeouts=_share(seen.timeouts, seen),
            declines={
                ISSUER: _share(seen.issuer_declines, seen),
                FRAUD: _share(seen.fraud_declines, seen),
                FUNDS: _share(seen.funds_declines, seen),
            },
            webhook_lag_seconds=seen.webhook_lag_s or 0.0,
        )
        for seen in minutes
    ]
    return Course(seed=seed, points=points, hang_seconds=hang_seconds)


def course_of_corridor(
    world: World,
    corridor: int,
    *,
    step_s: float = 300.0,
    slower: float = 1.0,
    hang_seconds: float = 60.0,
) -> Course:
    """A corridor of the corridor simulator: means over the payments of each interval that may take
    it. An interval without any goes on as the one before."""
    points = [
        _mean_point(world, corridor, np.flatnonzero(inside), at_s, slower)
        for at_s, inside in _intervals(world, corridor, step_s)
    ]
    return Course(seed=world.seed, points=points, hang_seconds=hang_seconds)


def _intervals(
    world: World, corridor: int, step_s: float
) -> Iterator[tuple[float, npt.NDArray[np.bool_]]]:
    time_s = world.contexts.time_s
    for number in range(int(np.ceil(world.settings.length_s / step_s))):
        at_s = number * step_s
        inside = (time_s >= at_s) & (time_s < at_s + step_s) & world.allowed[:, corridor]
        if inside.any():
            yield at_s, inside


def _mean_point(
    world: World,
    corridor: int,
    payments: npt.NDArray[np.int64],
    at_s: float,
    slower: float,
) -> Point:
    technical = world.technical[payments, corridor]
    timeouts = technical * world.timeout_share[payments, corridor]
    latency_p50, latency_p95 = np.quantile(world.latency_s[payments, corridor], (0.5, 0.95))
    # The customer's own errors come first, and the issuer is asked about the rest.
    own = float(world.customer_error[payments].mean())
    declined = 1.0 - float(world.approval[payments, corridor].mean())
    return Point(
        at_seconds=at_s,
        latency_p50_ms=float(latency_p50) * 1_000 / slower,
        latency_p95_ms=float(latency_p95) * 1_000 / slower,
        errors=float((technical - timeouts).mean()),
        timeouts=float(timeouts.mean()),
        declines={CUSTOMERS_OWN: own, ISSUER: (1.0 - own) * declined},
    )


def _share(count: int, seen: Minute) -> float:
    return min(count / seen.calls, MAX_SHARE) if seen.calls else 0.0
