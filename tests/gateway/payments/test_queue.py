"""Stripe or compliance cannot be reached: fail at once, or wait in the queue, as asked."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.v1.payment_pb2 import Payment, PaymentState, UnavailablePolicy
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, fresh
from tests.gateway.running import OpenShop

S = PaymentState
MOST_PAYMENTS = 10
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE


async def queued(shop: Shop, **fields: Any) -> Payment:
    payment = await shop.create(unavailable_policy=QUEUE, **fields)
    assert payment.state == S.PAYMENT_STATE_QUEUED
    return payment


async def test_without_stripe_a_payment_fails_at_once_and_can_be_repeated(
    open_shop: OpenShop, twin: Twin
) -> None:
    async with open_shop() as shop:
        await shop.close_corridor()
        request_id = fresh()
        with pytest.raises(RefusedError) as refused:
            await shop.create(request_id=request_id)
        error = refused.value.error
        assert (error.code.name, error.reason) == ("UNAVAILABLE", "CORRIDOR_UNAVAILABLE")
        assert error.retry_delay is not None
        assert error.metadata["not_sent_reason"] == "CORRIDOR_CLOSED"
        assert error.message.startswith("operators have closed the corridor")
        failed = await shop.get(error.metadata["payment_id"])
        assert failed.state == S.PAYMENT_STATE_FAILED
        assert failed.failure.not_sent_reason == "CORRIDOR_CLOSED"
        assert [f.kind for f in failed.booking.facts] == ["hold_placed", "hold_released"]
        await shop.open_corridor()
        payment = await shop.create(request_id=request_id)
        assert payment.id == failed.id
        assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert len(twin.books()["default"]["charges"]) == 1


async def test_without_compliance_nothing_is_charged(
    shop: Shop, twin: Twin, compliance: FakeCompliance
) -> None:
    await compliance.stop()
    request_id = fresh()
    with pytest.raises(RefusedError) as refused:
        await shop.create(request_id=request_id)
    assert refused.value.error.reason == "COMPLIANCE_UNAVAILABLE"
    assert not twin.requests.matching("POST")
    waiting = await queued(shop)
    assert waiting.queue.reason == "compliance_unavailable"
    await compliance.start()
    await shop.watch_until(waiting.id, S.PAYMENT_STATE_SUCCEEDED)
    payment = await shop.create(request_id=request_id)
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED


async def test_the_line_drains_in_order(open_shop: OpenShop, twin: Twin) -> None:
    async with open_shop() as shop:
        await shop.close_corridor()
        first = await queued(shop)
        others = [await queued(shop) for _ in range(5)]
        assert first.queue.reason == "corridor_unavailable"
        assert [p.queue.position for p in others] == [2, 3, 4, 5, 6]
        assert {p.queue.reason for p in others} == {"queue_ahead"}
        await shop.open_corridor()
        waiting = [first, *others]
        await asyncio.gather(
            *(shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED) for payment in waiting)
        )
    charged = [
        intent["metadata"]["engine_payment_id"]
        for intent in twin.books()["default"]["payment_intents"]
    ]
    assert charged == [payment.id for payment in waiting]


async def test_the_line_goes_on_in_another_process(open_shop: OpenShop, twin: Twin) -> None:
    async with open_shop() as shop:
        await shop.close_corridor()
        payments = [await queued(shop) for _ in range(3)]
    async with open_shop() as shop:
        await shop.open_corridor()
        for payment in payments:
            await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    assert len(twin.books()["default"]["charges"]) == 3


async def test_a_waiting_payment_is_canceled_and_never_charged(
    open_shop: OpenShop, twin: Twin
) -> None:
    async with open_shop() as shop:
        await shop.close_corridor()
        first, second, third = [await queued(shop) for _ in range(3)]
        canceled = await shop.cancel(second)
        assert canceled.state == S.PAYMENT_STATE_CANCELED
        assert (await shop.get(third.id)).queue.position == 2
        await shop.open_corridor()
        await shop.watch_until(first.id, S.PAYMENT_STATE_SUCCEEDED)
        await shop.watch_until(third.id, S.PAYMENT_STATE_SUCCEEDED)
    charged = [
        intent["metadata"]["engine_payment_id"]
        for intent in twin.books()["default"]["payment_intents"]
    ]
    assert charged == [first.id, third.id]


async def test_a_waiting_payment_expires_at_its_deadline(open_shop: OpenShop, twin: Twin) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        await shop.close_corridor()
        payment = await queued(shop, queue_timeout=Duration(seconds=60))
        assert payment.queue.expire_time.ToDatetime(UTC) == payment.create_time.ToDatetime(
            UTC
        ) + timedelta(seconds=60)
        clock.advance(timedelta(seconds=61))
        await shop.watch_until(payment.id, S.PAYMENT_STATE_EXPIRED)
        await shop.open_corridor()
        with pytest.raises(RefusedError):
            await shop.cancel(payment)
    assert not twin.books()["default"]["charges"]


async def test_a_full_line_takes_nobody(open_shop: OpenShop, twin: Twin) -> None:
    async with open_shop(max_queue_length=2) as shop:
        await shop.close_corridor()
        await queued(shop)
        await queued(shop)
        with pytest.raises(RefusedError) as refused:
            await shop.create(unavailable_policy=QUEUE)
        assert refused.value.error.reason == "QUEUE_FULL"
        assert refused.value.error.code.name == "RESOURCE_EXHAUSTED"


async def test_an_open_breaker_queues_until_stripe_works_again(
    open_shop: OpenShop, twin: Twin, tmp_path: Path
) -> None:
    account = twin.account()
    corridors = tmp_path / "corridors.json"
    corridors.write_text(
        json.dumps(
            [
                {
                    "name": "default",
                    "api_key": account.secret_key,
                    "api_base": twin.url,
                    "webhook_secrets": [account.webhook_secret],
                    "breaker": {"min_calls": 3, "open_seconds": 1.0, "probes": 1},
                }
            ]
        )
    )
    async with open_shop(stripe_corridors_file=corridors, call_seconds=2.0) as shop:
        twin.add_fault(kind="error", when="before", status=500, path="/v1/payment_intents")
        # The first ones open the breaker; one that comes as a probe stays undecided, too.
        waiting: list[Payment] = []
        while not any(payment.state == S.PAYMENT_STATE_QUEUED for payment in waiting):
            assert len(waiting) < MOST_PAYMENTS
            waiting.append(await shop.create(unavailable_policy=QUEUE, timeout=3.0))
        assert waiting[0].state == S.PAYMENT_STATE_AUTHORIZING
        twin.faults.clear()
        for payment in waiting:
            await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    assert len(twin.books()["default"]["charges"]) == len(waiting)
