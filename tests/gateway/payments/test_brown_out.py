"""A Stripe that becomes slower and slower: every caller is answered, and nobody is charged twice.

How fast they are answered over a real ramp, with and without the protection, is measured by
`python -m bench.brown_out` and stands in docs/stripe-client.md; here the ramp is short, and what is
asserted does not depend on how fast the machine is.
"""

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway.stripe_client.call import Priority
from gateway.stripe_client.concurrency import GUARANTEED
from gateway.v1.corridor_service_pb2 import GetCorridorHealthRequest
from gateway.v1.corridor_service_pb2_grpc import CorridorServiceStub
from gateway.v1.payment_pb2 import Payment, PaymentState, UnavailablePolicy
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.running import OpenShop

S = PaymentState
POLICIES = (
    UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE,
    UnavailablePolicy.UNAVAILABLE_POLICY_FAIL_FAST,
)
ENDS = (S.PAYMENT_STATE_SUCCEEDED, S.PAYMENT_STATE_FAILED)
# Seconds that one request takes, each for so many payments.
RAMP = (0.05, 0.2, 0.8, 2.0, 5.0, 5.0)
PAYMENTS_PER_STEP = 8
# From this step on nobody waits for Stripe.
SLOW_STEP = 4
CALLERS = 4
# What is unknown is asked about less and less often; nobody waits for that in earnest.
SETTLE_SECONDS = 120.0
RATE, BURST = 20, 5
MOST_UNDER_WAY = 16
CORRIDOR = {
    "name": "default",
    "breaker": {
        "window_seconds": 5,
        "min_calls": 5,
        "slow_seconds": 1.5,
        "open_seconds": 1.0,
        "probes": 1,
    },
    "concurrency": {"initial": 8, "min": 2, "max": MOST_UNDER_WAY},
    "endpoint_rates": {"payment_intents": {"per_second": RATE, "burst": BURST}},
    "request_timeout_seconds": 8.0,
}


def opened() -> float:
    """How often the breaker of payments has opened."""
    labels = {"corridor": "default", "endpoint_group": "payment_intents", "to": "open"}
    return REGISTRY.get_sample_value("gateway_stripe_breaker_transitions_total", labels) or 0.0


async def _opened() -> float:
    return opened()


class Ramp:
    """Sends payments while the twin becomes slower."""

    def __init__(self, shop: Shop, twin: Twin) -> None:
        self.shop = shop
        self.twin = twin
        self.numbers = itertools.count()
        self.answered: list[Payment] = []
        self.refused: list[str] = []
        self.waited_for: list[Payment] = []
        self.most_under_way = 0

    async def run(self) -> None:
        """Callers who each send the next payment when the last one was answered."""
        await asyncio.gather(*(self._caller() for _ in range(CALLERS)))

    async def _caller(self) -> None:
        for number in self.numbers:
            step, place = divmod(number, PAYMENTS_PER_STEP)
            if step == len(RAMP):
                return
            if place == 0:
                self.twin.faults.clear()
                self.twin.add_fault(kind="latency", seconds=RAMP[step])
            try:
                payment = await self.shop.create(unavailable_policy=POLICIES[number % 2])
            except RefusedError as refused:
                self.refused.append(refused.error.reason)
            else:
                self.answered.append(payment)
                if step >= SLOW_STEP and payment.state == S.PAYMENT_STATE_SUCCEEDED:
                    self.waited_for.append(payment)
            await self._look()

    async def _look(self) -> None:
        answer = await CorridorServiceStub(self.shop.channel).GetCorridorHealth(
            GetCorridorHealthRequest()
        )
        places = answer.corridors[0].concurrency
        under_way = (
            places.customer_present_in_flight
            + places.off_session_in_flight
            + places.background_in_flight
        )
        self.most_under_way = max(self.most_under_way, under_way)


@pytest.fixture
def corridors(twin: Twin, tmp_path: Path) -> Path:
    account = twin.account()
    keys = {
        "api_key": account.secret_key,
        "api_base": twin.url,
        "webhook_secrets": [account.webhook_secret],
    }
    path = tmp_path / "corridors.json"
    path.write_text(json.dumps([{**CORRIDOR, **keys}]), encoding="utf-8")
    return path


async def test_a_brown_out_keeps_nobody_waiting_and_charges_everybody_once(
    open_shop: OpenShop, twin: Twin, corridors: Path
) -> None:
    before = opened()
    async with open_shop(
        stripe_corridors_file=corridors, call_seconds=10.0, compliance_timeout_seconds=30.0
    ) as shop:
        ramp = Ramp(shop, twin)
        await ramp.run()

        # Calls that are late count while they are under way, at the latest when they end.
        await poll(_opened, lambda times: times > before, SETTLE_SECONDS)
        assert ramp.waited_for == [], "answered only when Stripe had answered"
        assert ramp.most_under_way <= MOST_UNDER_WAY + sum(GUARANTEED.values())
        # Who may wait waits, who may not is told at once; before the breaker opened, both were
        # answered while Stripe was still at work.
        assert set(ramp.refused) == {"CORRIDOR_UNAVAILABLE"}
        states = Counter(payment.state for payment in ramp.answered)
        assert states[S.PAYMENT_STATE_QUEUED] > 0
        assert states[S.PAYMENT_STATE_AUTHORIZING] > 0
        assert set(states) <= {
            S.PAYMENT_STATE_RECEIVED,
            S.PAYMENT_STATE_AUTHORIZING,
            S.PAYMENT_STATE_QUEUED,
            S.PAYMENT_STATE_SUCCEEDED,
            # Refused between the moment of its answer and that of reading it.
            S.PAYMENT_STATE_FAILED,
        }

        now = [await shop.get(payment.id) for payment in ramp.answered]
        queued = [p for p in now if p.state == S.PAYMENT_STATE_QUEUED]
        in_order = sorted(queued, key=lambda p: (p.create_time.ToNanoseconds(), p.id))
        in_line = [p.id for p in in_order]
        sent_before = len(changes_of(twin))
        twin.faults.clear()
        await asyncio.gather(
            *(shop.watch_until(p.id, *ENDS, seconds=SETTLE_SECONDS) for p in ramp.answered)
        )
        ends = [await shop.get(payment.id) for payment in ramp.answered]
    # Who was answered before anything was sent may have failed since, if he did not want to wait.
    failed = {p.id for p in ends if p.state == S.PAYMENT_STATE_FAILED}
    assert not [p for p in ends if p.id in failed and p.unavailable_policy == POLICIES[0]]
    intents = twin.books()["default"]["payment_intents"]
    charged = [intent["metadata"]["engine_payment_id"] for intent in intents]
    assert len(set(charged)) == len(charged)
    assert set(charged) == {p.id for p in ends} - failed
    assert [payment_id for payment_id in charged if payment_id in in_line] == in_line
    times = changes_of(twin)[sent_before:]
    for index, first in enumerate(times):
        for count, last in enumerate(times[index:], start=1):
            # The twin notes a request when it has come, which may be a little late.
            assert count <= BURST + (last - first + 0.2) * RATE + len(Priority)


def changes_of(twin: Twin) -> list[float]:
    """When the changes of PaymentIntents came."""
    return [
        seen.time
        for seen in twin.requests.seen
        if seen.method == "POST" and seen.path.startswith("/v1/payment_intents")
    ]
