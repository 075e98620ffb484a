"""Stripe's limits of load: https://docs.stripe.com/rate-limits, each answered with a 429.

Checked before the idempotency layer, so that the same key may be sent again.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.stripe_twin.errors import lock_timeout, rate_limited
from sandbox.stripe_twin.settings import TwinSettings

HOUR_SECONDS = 3_600
_INTENTS = "/v1/payment_intents/"


class Limits:
    """Counts what came in the second, or hour, that is going on."""

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self._second = 0
        self._in_second: Counter[tuple[str, ...]] = Counter()
        self._hour = 0
        self._in_hour: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._locked: set[str] = set()

    def admit(self, account: str, method: str, path: str, now: float) -> None:
        """Counts a request. Raises ApiError (429) if it is one too many."""
        settings = self._settings
        second = int(now)
        if second != self._second:
            self._second = second
            self._in_second.clear()
        self._count((account,), settings.requests_per_second, "global-rate")
        if settings.endpoint_requests_per_second is not None:
            endpoint = (account, method, path.split("/", 3)[2] if path.count("/") > 1 else path)
            self._count(endpoint, settings.endpoint_requests_per_second, "endpoint-rate")
        if method == "POST" and path.startswith(_INTENTS):
            self._count_update(path[len(_INTENTS) :].partition("/")[0], second // HOUR_SECONDS)

    @contextmanager
    def under_way(self, account: str, method: str, path: str) -> Iterator[None]:
        """Holds a place, and the lock of the object that a POST names, for as long as it lasts.

        Raises ApiError (429) if there is no place or another request holds the lock.
        """
        limit = self._settings.concurrent_requests
        if limit is not None and self._under_way[account] >= limit:
            raise rate_limited("global-concurrency")
        locked = self._settings.object_locks and method == "POST" and path.count("/") > 2
        name = "/".join(path.split("/", 4)[:4])
        if locked:
            if name in self._locked:
                raise lock_timeout()
            self._locked.add(name)
        self._under_way[account] += 1
        try:
            yield
        finally:
            self._under_way[account] -= 1
            if locked:
                self._locked.discard(name)

    def _count(self, what: tuple[str, ...], limit: int | None, reason: str) -> None:
        if limit is None:
            return
        self._in_second[what] += 1
        if self._in_second[what] > limit:
            raise rate_limited(reason)

    def _count_update(self, intent: str, hour: int) -> None:
        limit = self._settings.intent_updates_per_hour
        if limit is None:
            return
        if hour != self._hour:
            self._hour = hour
            self._in_hour.clear()
        self._in_hour[intent] += 1
        if self._in_hour[intent] > limit:
            raise rate_limited("resource-specific")
