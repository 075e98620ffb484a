"""StripeClient over a scripted Stripe, with a clock and waits that the test controls."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.stripe_client.breaker import BreakerPolicy
from gateway.stripe_client.call import CorridorMode, RetryPolicy
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridor_client import CorridorClient
from gateway.stripe_client.corridors import Corridor
from runtime.clock import ManualClock
from tests.gateway.stripe_client.scripted_stripe import ScriptedStripe, running_scripted_stripe

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Modes:
    """Modes without a database."""

    mode: CorridorMode = CorridorMode.OPEN

    def mode_of(self, _corridor: str) -> CorridorMode:
        return self.mode


@dataclass
class Bench:
    """StripeClient and everything a test turns to see what they do."""

    stripe_client: StripeClient
    calls: StripeCalls
    modes: Modes
    clock: ManualClock
    waits: list[float] = field(default_factory=list)


OpenBench = Callable[..., Any]


@asynccontextmanager
async def bench(
    url: str, retry: RetryPolicy | None = None, **corridor: Any
) -> AsyncIterator[Bench]:
    """StripeClient to one corridor; a wait advances the clock instead of taking time."""
    clock = ManualClock(START)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(timedelta(seconds=seconds))

    def monotonic() -> float:
        return (clock.now() - START).total_seconds()

    settings = Corridor(
        name="default",
        api_key=SecretStr("sk_test_bench"),
        api_base=url,
        webhook_secrets=(SecretStr("whsec_bench"),),
        **corridor,
    )
    client = CorridorClient(settings, monotonic)
    modes = Modes()
    calls = StripeCalls(
        {"default": client},
        "default",
        modes,
        retry=retry,
        monotonic=monotonic,
        sleep=sleep,
        uniform=lambda: 0.5,
    )
    try:
        yield Bench(StripeClient(calls), calls, modes, clock, waits)
    finally:
        await client.close()


ONE_ATTEMPT = RetryPolicy(max_attempts=1)
PATIENT_BREAKER = BreakerPolicy(min_calls=1000, slow_seconds=0.5)


@pytest.fixture
async def stripe_server() -> AsyncIterator[ScriptedStripe]:
    async with running_scripted_stripe() as server:
        yield server
