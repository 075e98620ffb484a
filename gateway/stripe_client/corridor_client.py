"""The client to one corridor: its SDK client, its token buckets, its breakers."""

import contextlib
from collections.abc import AsyncIterator, Callable

import stripe

from gateway.stripe_client import telemetry
from gateway.stripe_client.breaker import EndpointBreaker
from gateway.stripe_client.call import Priority
from gateway.stripe_client.concurrency import ConcurrencyLimit
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.http_client import StripeHttpClient
from gateway.stripe_client.limiter import ObjectBudget, TokenBucket
from gateway.stripe_client.pace import Pace

ACCOUNT_BUCKET = "account"
# Groups of endpoints are named in code, so their number is bounded; this catches a mistake.
MAX_ENDPOINT_GROUPS = 64


class CorridorClient:
    """Open it inside the event loop, and close it."""

    def __init__(
        self,
        corridor: Corridor,
        monotonic: Callable[[], float],
        on_breaker_change: Callable[[str, EndpointBreaker, str, str], None] | None = None,
    ) -> None:
        self.name = corridor.name
        telemetry.corridor_known(self.name)
        self.is_live = corridor.is_live
        self.in_group = False
        """Whether its breakers ask for the lease to probe."""
        self.terms = corridor.terms
        self.region = corridor.region
        self.request_timeout_seconds = corridor.request_timeout_seconds
        self._corridor = corridor
        self._monotonic = monotonic
        self._on_breaker_change = on_breaker_change
        self._http = StripeHttpClient(
            max_connections=corridor.max_connections,
            connect_timeout_seconds=corridor.connect_timeout_seconds,
        )
        self.client = stripe.StripeClient(
            corridor.api_key.get_secret_value(),
            base_addresses={
                "api": corridor.api_base,
                "connect": corridor.api_base,
                "files": files_base(corridor.api_base),
                "meter_events": corridor.api_base,
            },
            http_client=self._http,
            # One retry loop, ours: the SDK's knows neither the deadline nor the breaker.
            max_network_retries=0,
        )
        self.concurrency = ConcurrencyLimit(corridor.concurrency, monotonic)
        self.pace = Pace(corridor.slow_seconds, monotonic)
        self.objects = ObjectBudget(corridor.object_changes_per_hour, monotonic)
        self._account_bucket = TokenBucket(ACCOUNT_BUCKET, corridor.rate, monotonic)
        self._buckets: dict[str, TokenBucket] = {}
        self._breakers: dict[str, EndpointBreaker] = {}

    @property
    def breakers(self) -> list[EndpointBreaker]:
        """The breakers in use, sorted by name."""
        return [self._breakers[name] for name in sorted(self._breakers)]

    @property
    def buckets(self) -> list[TokenBucket]:
        """The token buckets in use: the account's, then by name."""
        return [self._account_bucket, *(self._buckets[name] for name in sorted(self._buckets))]

    def breaker(self, endpoint_group: str) -> EndpointBreaker:
        """The breaker of a group of endpoints."""
        breaker = self._breakers.get(endpoint_group)
        if breaker is None:
            _check_bound(len(self._breakers), endpoint_group)
            breaker = EndpointBreaker(
                endpoint_group, self._corridor.breaker, self._monotonic, self._breaker_changed
            )
            if self.in_group:
                breaker.join_group()
            self._breakers[endpoint_group] = breaker
        return breaker

    def token_wait_seconds(self, bucket: str, priority: Priority) -> float:
        """How long a request that asks now waits for its token."""
        return max(
            self._account_bucket.wait_seconds(priority),
            self._bucket(bucket).wait_seconds(priority),
        )

    @contextlib.asynccontextmanager
    async def token(self, bucket: str, priority: Priority) -> AsyncIterator[None]:
        """Books a token and counts who waits for it inside; a wait that is broken off gives the
        token back."""
        taken = (self._account_bucket, self._bucket(bucket))
        for each in taken:
            each.book(priority)
            each.waiting += 1
        try:
            yield
        except BaseException:
            self.give_back_token(bucket)
            raise
        finally:
            for each in taken:
                each.waiting -= 1

    def give_back_token(self, bucket: str) -> None:
        """The request was not sent after all."""
        self._account_bucket.give_back()
        self._bucket(bucket).give_back()

    def slow_down(self) -> None:
        """Stripe has said that we are too fast."""
        self._account_bucket.drain()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close_async()

    def _bucket(self, name: str) -> TokenBucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            _check_bound(len(self._buckets), name)
            bucket = TokenBucket(name, self._corridor.endpoint_rate(name), self._monotonic)
            self._buckets[name] = bucket
        return bucket

    def _breaker_changed(self, breaker: EndpointBreaker, old: str, new: str) -> None:
        telemetry.breaker_changed(self.name, breaker.name, old, new)
        if self._on_breaker_change is not None:
            self._on_breaker_change(self.name, breaker, old, new)


def files_base(api_base: str) -> str:
    """Where files are uploaded: Stripe has a host of its own for them, what stands for Stripe has
    not. https://docs.stripe.com/file-upload"""
    return stripe.DEFAULT_UPLOAD_API_BASE if api_base == stripe.DEFAULT_API_BASE else api_base


def _check_bound(groups: int, endpoint_group: str) -> None:
    if groups >= MAX_ENDPOINT_GROUPS:
        raise ValueError(f"too many groups of endpoints: {endpoint_group}")
