"""Answers that get lost, and processes that die between "Stripe acted" and "we saved"."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from gateway.limits import LIMITS
from gateway.operations.operation import KEY_HORIZON, MAX_REQUEST_LIFETIME
from gateway.v1.payment_pb2 import CaptureMethod, OperationState, Payment, PaymentState
from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.running import OpenShop

S = PaymentState
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
PATIENCE_SECONDS = 20.0
# An answer is lost once in each of these ways, and Stripe has acted.
LOST_ANSWERS: list[dict[str, Any]] = [
    {"kind": "reset", "when": "after", "count": 1},
    {"kind": "error", "when": "after", "status": 500, "stored": False, "count": 1},
    {"kind": "error", "when": "after", "status": 503, "stored": False, "count": 2},
    {"kind": "proxy", "when": "after", "status": 403, "body": {"error": None}, "count": 1},
]
NOT_ACTED: list[dict[str, Any]] = [
    {"kind": "reset", "when": "before", "count": 1},
    {"kind": "error", "when": "before", "status": 502, "count": 2},
    {"kind": "rate_limit", "count": 1},
    {"kind": "lock_timeout", "count": 1},
]


def books(twin: Twin) -> dict[str, Any]:
    found: dict[str, Any] = twin.books()["default"]
    return found


async def settled(shop: Shop, payment: Payment) -> Payment:
    """The payment once nothing about it is open."""
    return await poll(
        lambda: shop.get(payment.id),
        lambda found: all(operation.HasField("end_time") for operation in found.operations),
        PATIENCE_SECONDS,
    )


@pytest.mark.parametrize("fault", LOST_ANSWERS + NOT_ACTED)
async def test_a_lost_answer_makes_one_charge_and_one_hold(
    shop: Shop, twin: Twin, fault: dict[str, Any]
) -> None:
    twin.add_fault(**fault, path="/v1/payment_intents", method="POST")
    payment = await settled(shop, await shop.create())
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert len(books(twin)["charges"]) == 1
    facts = [f.kind for f in payment.booking.facts if f.kind != "fee_charged"]
    assert facts == ["hold_placed", "captured"]
    posts = twin.requests.matching("POST", "/v1/payment_intents")
    assert len(posts) >= 2
    assert len({post.idempotency_key for post in posts}) == 1


@pytest.mark.parametrize("fault", LOST_ANSWERS)
async def test_a_lost_answer_to_a_capture_captures_once(
    shop: Shop, twin: Twin, fault: dict[str, Any]
) -> None:
    payment = await shop.create(capture_method=MANUAL)
    twin.add_fault(**fault, path=".*/capture")
    payment = await settled(shop, await shop.capture(payment, 1200))
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert payment.amount_captured.minor_units == 1200
    assert [c["amount_captured"] for c in books(twin)["charges"]] == [1200]


@pytest.mark.parametrize("fault", LOST_ANSWERS)
async def test_a_lost_answer_to_a_refund_refunds_once(
    shop: Shop, twin: Twin, fault: dict[str, Any]
) -> None:
    payment = await shop.create()
    twin.add_fault(**fault, path="/v1/refunds")
    payment = await settled(shop, (await shop.refund(payment, 300)).payment)
    assert payment.amount_refunded.minor_units == 300
    assert [r["amount"] for r in books(twin)["refunds"]] == [300]


# A caller who is answered after 3 s, for whom a machine that stands still for long is in time, too.
PATIENCE_SECONDS = 40.0
IN_TIME = replace(LIMITS, answer_reserve_seconds=PATIENCE_SECONDS - 3)


async def test_the_caller_is_answered_in_time_and_the_charge_goes_on(
    open_shop: OpenShop, twin: Twin
) -> None:
    # Nothing but the caller's time ends the wait before it is over.
    longer = 2 * PATIENCE_SECONDS
    async with open_shop(webhooks=False, limits=IN_TIME, answer_seconds=longer) as shop:
        fault = twin.add_fault(kind="hang", when="after", path="/v1/payment_intents", method="POST")
        payment = await shop.create(timeout=PATIENCE_SECONDS)
        assert payment.state == S.PAYMENT_STATE_AUTHORIZING
        with pytest.raises(RefusedError) as refused:
            await shop.cancel(payment)
        assert refused.value.error.reason == "OPERATION_IN_PROGRESS"
        assert refused.value.error.retry_delay is not None
        again = await shop.create(timeout=PATIENCE_SECONDS, request_id=payment.request_id)
        assert (again.id, again.state) == (payment.id, payment.state)
        twin.faults.clear(fault)
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    assert len(books(twin)["charges"]) == 1


async def test_a_webhook_tells_before_a_slow_answer_does(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="hang", when="after", path="/v1/payment_intents", method="POST")
    payment = await shop.create(timeout=10.0)
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert payment.operations[-1].state == OperationState.OPERATION_STATE_RUNNING
    twin.faults.clear()
    payment = await settled(shop, payment)
    assert payment.operations[-1].state == OperationState.OPERATION_STATE_SUCCEEDED
    assert len(books(twin)["charges"]) == 1
    facts = [f.kind for f in payment.booking.facts if f.kind != "fee_charged"]
    assert facts == ["hold_placed", "captured"]


async def test_a_process_that_dies_before_saving_is_found_out_by_the_next(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock, answer_seconds=0.5, roles="api") as shop:
        payment = await shop.create()
        assert payment.state == S.PAYMENT_STATE_AUTHORIZING
    assert len(books(twin)["charges"]) == 1
    killed_before_saving.clear()
    clock.advance(timedelta(minutes=1))
    async with open_shop(clock) as shop:
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
        payment = await settled(shop, await shop.get(payment.id))
        again = await shop.create(request_id=payment.request_id)
    assert again.id == payment.id
    assert len(books(twin)["charges"]) == 1
    facts = [f.kind for f in payment.booking.facts if f.kind != "fee_charged"]
    assert facts == ["hold_placed", "captured"]


@pytest.mark.parametrize("later", [timedelta(minutes=30), KEY_HORIZON + timedelta(hours=2)])
@pytest.mark.parametrize("acted", [True, False])
async def test_what_is_too_old_to_be_sent_again_is_looked_for(
    open_shop: OpenShop,
    twin: Twin,
    killed_before_saving: asyncio.Event,
    later: timedelta,
    acted: bool,
) -> None:
    clock = ManualClock(datetime.now(UTC))
    # Webhooks would tell as well.
    open_without_webhooks = partial(open_shop, clock, webhooks=False)
    if not acted:
        twin.add_fault(kind="error", when="before", status=500, path="/v1/payment_intents")
    async with open_without_webhooks(answer_seconds=0.5, roles="api", call_seconds=1.0) as shop:
        payment = await shop.create()
    twin.faults.clear()
    killed_before_saving.clear()
    clock.advance(later)
    sent_before = len(twin.requests.matching("POST"))
    async with open_without_webhooks(roles="api,worker") as shop:
        expected = S.PAYMENT_STATE_SUCCEEDED if acted else S.PAYMENT_STATE_FAILED
        await shop.watch_until(payment.id, expected)
        payment = await shop.get(payment.id)
    assert len(twin.requests.matching("POST")) == sent_before
    assert len(books(twin)["charges"]) == int(acted)
    facts = [f.kind for f in payment.booking.facts if f.kind != "fee_charged"]
    assert facts == ["hold_placed", "captured" if acted else "hold_released"]
    if not acted:
        assert payment.failure.code == "outcome_not_performed"


@pytest.mark.parametrize("path", ["/v1/payment_intents", ".*/capture", "/v1/refunds"])
async def test_a_failure_that_stripe_keeps_is_found_out_at_once(
    shop: Shop, twin: Twin, path: str
) -> None:
    """Stripe acted, and its endpoint failed afterwards: the key brings that failure for a day."""
    twin.add_fault(kind="error", when="after", status=500, stored=True, count=1, path=path)
    # Nobody else tells.
    twin.webhooks.pause()
    payment = await settled(shop, await shop.create(capture_method=MANUAL))
    payment = await settled(shop, await shop.capture(payment, 1500))
    assert payment.amount_captured.minor_units == 1500
    await shop.refund(payment, 300)
    payment = await settled(shop, await shop.get(payment.id))
    assert payment.amount_refunded.minor_units == 300
    assert all(operation.send_count == 1 for operation in payment.operations)
    assert len(books(twin)["refunds"]) == len(books(twin)["charges"]) == 1


async def test_finding_out_may_take_longer_than_one_call(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event
) -> None:
    clock = ManualClock(datetime.now(UTC))
    twin.add_fault(kind="error", when="before", status=500, path="/v1/payment_intents")
    async with open_shop(
        clock, webhooks=False, answer_seconds=0.5, roles="api", call_seconds=1.0
    ) as shop:
        payment = await shop.create()
    twin.faults.clear()
    killed_before_saving.clear()
    clock.advance(timedelta(minutes=30))
    # Three sources, each of which takes most of a call's time.
    twin.add_fault(kind="latency", seconds=0.6, method="GET")
    async with open_shop(
        clock, webhooks=False, roles="api,worker", call_seconds=1.0, lease_seconds=1.5
    ) as shop:
        # The clock stands still: whatever is put off never comes again.
        await shop.watch_until(payment.id, S.PAYMENT_STATE_FAILED)
        payment = await shop.get(payment.id)
    assert payment.failure.code == "outcome_not_performed"
    assert books(twin)["charges"] == []


async def test_nothing_proves_silence_too_early(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event
) -> None:
    clock = ManualClock(datetime.now(UTC))
    twin.add_fault(kind="error", when="before", status=500, path="/v1/payment_intents")
    async with open_shop(clock, answer_seconds=0.5, roles="api", call_seconds=1.0) as shop:
        payment = await shop.create()
    killed_before_saving.clear()
    clock.advance(MAX_REQUEST_LIFETIME - timedelta(minutes=1))
    async with open_shop(clock, roles="api,worker") as shop:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await twin.requests.wait_for(
                lambda seen: any(
                    (request.method, request.path) == ("GET", "/v1/payment_intents")
                    for request in seen
                )
            )
        payment = await shop.get(payment.id)
    assert payment.state == S.PAYMENT_STATE_AUTHORIZING
    assert [f.kind for f in payment.booking.facts] == ["hold_placed"]
    assert payment.operations[-1].state in (
        OperationState.OPERATION_STATE_UNKNOWN,
        OperationState.OPERATION_STATE_RUNNING,
    )


async def test_a_capture_whose_process_died_is_done_once(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event
) -> None:
    clock = ManualClock(datetime.now(UTC))
    killed_before_saving.clear()
    async with open_shop(clock, answer_seconds=2.0, roles="api") as shop:
        payment = await shop.create(capture_method=MANUAL)
        killed_before_saving.set()
        payment = await shop.capture(payment, 900)
        assert payment.state == S.PAYMENT_STATE_CAPTURING
    killed_before_saving.clear()
    clock.advance(timedelta(minutes=1))
    async with open_shop(clock) as shop:
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
        payment = await shop.get(payment.id)
    assert payment.amount_captured.minor_units == 900
    assert [c["amount_captured"] for c in books(twin)["charges"]] == [900]
