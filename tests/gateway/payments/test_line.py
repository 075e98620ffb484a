"""The line in front of a corridor that works again: fast, and in the order of the payments."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from compliance.v1 import compliance_service_pb2 as compliance_pb
from gateway.payments.queue import MAX_CHECK_AGE_SECONDS, MAX_CHECKED_AHEAD
from gateway.v1.payment_pb2 import Payment, PaymentState, UnavailablePolicy
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop

S = PaymentState
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE
# Long enough for all that are checked ahead to meet there.
CHECK_SECONDS = 0.3
PAYMENTS = 2 + 2 * MAX_CHECKED_AHEAD


class SlowCompliance(FakeCompliance):
    """Takes its time, and does as it is told when it is asked about certain payments."""

    def __init__(self) -> None:
        super().__init__()
        self.check_seconds = 0.0
        self.fails_once: set[str] = set()
        self.closes_at = ""
        self.closing: Shop | None = None
        self.closed = asyncio.Event()
        self.charges: Callable[[], int] = int
        # How many had been charged when compliance was asked about a payment for the last time.
        self.charged_before_check: dict[str, int] = {}
        self._under_way = 0
        self.most_under_way = 0

    def times_checked(self, payment: Payment) -> int:
        """How often compliance was asked about a payment, each time as a new question."""
        return len({each.request_id for each in self.requests if each.payment_id == payment.id})

    async def CheckPayment(
        self, request: compliance_pb.CheckPaymentRequest, context: Any
    ) -> compliance_pb.CheckPaymentResponse:
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            if request.payment_id == self.closes_at and not self.closed.is_set():
                assert self.closing is not None
                await self.closing.close_corridor()
                self.closed.set()
            await asyncio.sleep(self.check_seconds)
        finally:
            self._under_way -= 1
        if request.payment_id in self.fails_once:
            self.fails_once.remove(request.payment_id)
            await context.abort(grpc.StatusCode.INTERNAL, "not now")
        self.charged_before_check[request.payment_id] = self.charges()
        return await super().CheckPayment(request, context)


@pytest.fixture
async def compliance() -> AsyncIterator[SlowCompliance]:
    fake = SlowCompliance()
    await fake.start()
    yield fake
    await fake.stop()


async def stand_in_line(
    shop: Shop, compliance: SlowCompliance, count: int = PAYMENTS
) -> list[Payment]:
    """Payments that wait for the corridor, which is closed, sorted as they must be charged."""
    await shop.close_corridor()
    waiting = [await shop.create(unavailable_policy=QUEUE) for _ in range(count)]
    assert {payment.state for payment in waiting} == {S.PAYMENT_STATE_QUEUED}
    # The first was checked before it was known that the corridor is closed.
    compliance.requests.clear()
    # By the time at which they were asked for; those of one moment by their ids.
    return sorted(waiting, key=lambda payment: (payment.create_time.ToNanoseconds(), payment.id))


async def all_charged(shop: Shop, payments: list[Payment]) -> None:
    await shop.open_corridor()
    await asyncio.gather(
        *(shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED) for payment in payments)
    )


def in_order_at(twin: Twin) -> list[str]:
    """The payments in the order in which Stripe was asked to charge them."""
    return [
        intent["metadata"]["engine_payment_id"]
        for intent in twin.books()["default"]["payment_intents"]
    ]


async def test_some_are_checked_ahead_and_each_once(
    open_shop: OpenShop, twin: Twin, compliance: SlowCompliance
) -> None:
    async with open_shop() as shop:
        payments = await stand_in_line(shop, compliance)
        compliance.check_seconds = CHECK_SECONDS
        await all_charged(shop, payments)
    assert in_order_at(twin) == [payment.id for payment in payments]
    assert compliance.most_under_way == MAX_CHECKED_AHEAD
    assert {compliance.times_checked(payment) for payment in payments} == {1}


async def test_nobody_passes_one_that_could_not_be_checked(
    open_shop: OpenShop, twin: Twin, compliance: SlowCompliance
) -> None:
    async with open_shop() as shop:
        payments = await stand_in_line(shop, compliance)
        compliance.fails_once = {payments[4].id}
        await all_charged(shop, payments)
    assert in_order_at(twin) == [payment.id for payment in payments]
    # Those behind it had been checked with it; their answers were not kept until it got through.
    asked_anew = [payment for payment in payments[5:] if compliance.times_checked(payment) > 1]
    assert asked_anew
    assert len(asked_anew) < MAX_CHECKED_AHEAD


async def test_what_was_checked_when_the_corridor_closed_waits_and_is_checked_anew(
    open_shop: OpenShop, twin: Twin, compliance: SlowCompliance
) -> None:
    async with open_shop() as shop:
        payments = await stand_in_line(shop, compliance)
        compliance.closing, compliance.closes_at = shop, payments[4].id
        compliance.check_seconds = CHECK_SECONDS
        await shop.open_corridor()
        await shop.watch_until(payments[0].id, S.PAYMENT_STATE_SUCCEEDED)
        await compliance.closed.wait()

        # The check that closed the corridor is answered after it; before that, all wait anyway.
        async def answered() -> set[str]:
            return {each.payment_id for each in compliance.requests}

        await poll(answered, lambda ids: payments[4].id in ids)

        # One that had begun when it closed may still be told that it is, and go back by itself.
        async def states() -> set[int]:
            return {(await shop.get(payment.id)).state for payment in payments}

        at_rest = {S.PAYMENT_STATE_SUCCEEDED, S.PAYMENT_STATE_QUEUED}
        await poll(states, lambda found: found == at_rest)
        checked = {each.payment_id for each in compliance.requests}
        waiting = [payment for payment in payments if payment.id not in in_order_at(twin)]
        ahead = [payment for payment in waiting if payment.id in checked]
        assert ahead
        await all_charged(shop, payments)
    assert in_order_at(twin) == [payment.id for payment in payments]
    assert all(compliance.times_checked(payment) > 1 for payment in ahead)


async def test_no_check_grows_old_while_the_pace_is_kept(
    open_shop: OpenShop, twin: Twin, compliance: SlowCompliance, tmp_path: Path
) -> None:
    account = twin.account()
    corridors = tmp_path / "corridors.json"
    rate = {"per_second": 2.0, "burst": 4.0}
    corridors.write_text(
        json.dumps(
            [
                {
                    "name": "default",
                    "api_key": account.secret_key,
                    "api_base": twin.url,
                    "webhook_secrets": [account.webhook_secret],
                    "endpoint_rates": {"payment_intents": rate},
                }
            ]
        )
    )
    compliance.charges = lambda: len(in_order_at(twin))
    async with open_shop(stripe_corridors_file=corridors) as shop:
        payments = await stand_in_line(shop, compliance, MAX_CHECKED_AHEAD + 1)
        await shop.open_corridor()
        for payment in payments:
            await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    assert in_order_at(twin) == [payment.id for payment in payments]
    # Those whose turn was too far were put back, and asked about when it came.
    assert any(compliance.times_checked(payment) > 1 for payment in payments)
    # Nothing was checked for the last time seconds ahead of its turn: no more were charged after a
    # check, before the payment itself, than the burst and what goes out while a check is fresh.
    most = int(rate["burst"] + rate["per_second"] * MAX_CHECK_AGE_SECONDS)
    for place, payment in enumerate(payments):
        assert place - compliance.charged_before_check[payment.id] <= most
    assert compliance.charged_before_check[payments[-1].id] > 0
