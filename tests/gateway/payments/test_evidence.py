"""What must not be sent again is looked for in three places before silence means anything."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.operations.operation import KEY_HORIZON
from gateway.v1.payment_pb2 import CaptureMethod, OperationState, Payment, PaymentState
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import RefusedError
from tests.gateway.running import OpenShop

S = PaymentState
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
INTENTS, INTENT, REFUNDS = "/v1/payment_intents", "/v1/payment_intents/pi_[^/]+", "/v1/refunds"
EVENTS, MOVEMENTS = "/v1/events", "/v1/balance_transactions"
TOO_LATE = KEY_HORIZON + timedelta(hours=2)
# Few and quick requests, so that a source that fails is given up soon.
QUICK = {"answer_seconds": 0.5, "call_seconds": 4.0}


def fail(twin: Twin, *paths: str) -> list[str]:
    return [twin.add_fault(kind="error", method="GET", path=path) for path in paths]


def heal(twin: Twin, faults: list[str]) -> None:
    for fault in faults:
        twin.faults.clear(fault)


def posts(twin: Twin) -> list[tuple[str, str | None]]:
    return [(seen.path, seen.idempotency_key) for seen in twin.requests.matching("POST")]


def facts(payment: Payment) -> list[str]:
    return [f.kind for f in payment.booking.facts if f.kind != "fee_charged"]


async def asked(twin: Twin, path: str, times: int = 1) -> None:
    """Waits until a source was asked, so often."""

    def enough(seen: Any) -> bool:
        return sum((r.method, r.path) == ("GET", path) for r in seen) >= times

    async with asyncio.timeout(20):
        await twin.requests.wait_for(enough)


async def passing(clock: ManualClock, wait: Coroutine[Any, Any, Any]) -> None:
    """Waits while time goes by, so that what was put off becomes due."""
    task = asyncio.ensure_future(wait)
    while not task.done():
        clock.advance(timedelta(minutes=1))
        await asyncio.wait({task}, timeout=0.1)
    await task


async def charge_without_answer(
    open_shop: OpenShop, clock: ManualClock, dying: asyncio.Event
) -> Payment:
    """A charge whose process died before it could save what Stripe said."""
    async with open_shop(clock, webhooks=False, roles="api", **QUICK) as shop:
        payment = await shop.create()
    dying.clear()
    return payment


@pytest.mark.parametrize("broken", [(INTENTS,), (INTENTS, EVENTS)], ids=len)
async def test_a_charge_is_found_by_whatever_source_is_left(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event, broken: tuple[str, ...]
) -> None:
    clock = ManualClock(datetime.now(UTC))
    payment = await charge_without_answer(open_shop, clock, killed_before_saving)
    fail(twin, *broken)
    sent = posts(twin)
    clock.advance(TOO_LATE)
    async with open_shop(clock, webhooks=False, **QUICK) as shop:
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
        payment = await shop.get(payment.id)
    assert facts(payment) == ["hold_placed", "captured"]
    assert posts(twin) == sent
    assert len(twin.books()["default"]["charges"]) == 1


@pytest.mark.parametrize("broken", [INTENTS, EVENTS, MOVEMENTS])
async def test_a_source_that_fails_leaves_a_charge_unknown_and_its_hold_standing(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event, broken: str
) -> None:
    clock = ManualClock(datetime.now(UTC))
    twin.add_fault(kind="error", when="before", method="POST", path=INTENTS)
    payment = await charge_without_answer(open_shop, clock, killed_before_saving)
    twin.faults.clear()
    faults = fail(twin, broken)
    sent = posts(twin)
    clock.advance(TOO_LATE)
    async with open_shop(clock, webhooks=False, **QUICK) as shop:
        await asked(twin, MOVEMENTS)
        await asked(twin, broken, times=2)
        payment = await shop.get(payment.id)
        assert payment.state == S.PAYMENT_STATE_AUTHORIZING
        assert facts(payment) == ["hold_placed"]
        # Nothing else may begin: no new key, no other corridor, no cancellation.
        with pytest.raises(RefusedError) as refused:
            await shop.cancel(payment)
        assert refused.value.error.reason == "OPERATION_IN_PROGRESS"
        assert (await shop.create(request_id=payment.request_id)).id == payment.id
        assert posts(twin) == sent
        heal(twin, faults)
        await passing(clock, shop.watch_until(payment.id, S.PAYMENT_STATE_FAILED))
        payment = await shop.get(payment.id)
    assert payment.failure.code == "outcome_not_performed"
    assert facts(payment) == ["hold_placed", "hold_released"]
    assert posts(twin) == sent


@pytest.mark.parametrize("broken", [(REFUNDS,), (REFUNDS, EVENTS)], ids=len)
async def test_a_refund_is_found_by_whatever_source_is_left(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event, broken: tuple[str, ...]
) -> None:
    clock = ManualClock(datetime.now(UTC))
    payment = await captured_without_saving_the_refund(open_shop, clock, killed_before_saving)
    fail(twin, *broken)
    sent = posts(twin)
    clock.advance(TOO_LATE)
    async with open_shop(clock, webhooks=False, **QUICK) as shop:
        await shop.watch_for(payment.id, "refund_succeeded")
        payment = await shop.get(payment.id)
    assert payment.amount_refunded.minor_units == 300
    assert posts(twin) == sent
    assert [r["amount"] for r in twin.books()["default"]["refunds"]] == [300]


@pytest.mark.parametrize("broken", [REFUNDS, EVENTS, MOVEMENTS])
async def test_a_refund_begins_anew_only_when_all_sources_are_silent(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event, broken: str
) -> None:
    clock = ManualClock(datetime.now(UTC))
    twin.add_fault(kind="error", when="before", method="POST", path=REFUNDS)
    payment = await captured_without_saving_the_refund(open_shop, clock, killed_before_saving)
    twin.faults.clear()
    faults = fail(twin, broken)
    sent = posts(twin)
    clock.advance(TOO_LATE)
    async with open_shop(clock, webhooks=False, **QUICK) as shop:
        await asked(twin, MOVEMENTS)
        await asked(twin, broken, times=2)
        assert posts(twin) == sent
        heal(twin, faults)
        await passing(clock, shop.watch_for(payment.id, "refund_succeeded"))
    keys = {key for path, key in posts(twin)[len(sent) :]}
    assert len(keys) == 1
    assert not keys & {key for _, key in sent}
    assert [r["amount"] for r in twin.books()["default"]["refunds"]] == [300]


async def captured_without_saving_the_refund(
    open_shop: OpenShop, clock: ManualClock, dying: asyncio.Event
) -> Payment:
    dying.clear()
    async with open_shop(clock, webhooks=False, roles="api", **QUICK) as shop:
        payment = await shop.create()
        dying.set()
        await shop.refund(payment, 300)
    dying.clear()
    return payment


@pytest.mark.parametrize("action", ["capture", "cancel"])
async def test_the_end_of_an_intent_that_cannot_be_read_is_told_by_its_events(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event, action: str
) -> None:
    clock = ManualClock(datetime.now(UTC))
    payment = await authorized_without_saving(open_shop, clock, killed_before_saving, action)
    fail(twin, INTENT)
    sent = posts(twin)
    clock.advance(timedelta(days=3))
    async with open_shop(clock, webhooks=False, **QUICK) as shop:
        expected = S.PAYMENT_STATE_SUCCEEDED if action == "capture" else S.PAYMENT_STATE_CANCELED
        await shop.watch_until(payment.id, expected)
        payment = await shop.get(payment.id)
    assert facts(payment) == ["hold_placed", "captured" if action == "capture" else "hold_released"]
    assert posts(twin) == sent


@pytest.mark.parametrize("broken", [EVENTS, MOVEMENTS])
async def test_a_capture_begins_anew_only_when_all_sources_are_silent(
    open_shop: OpenShop, twin: Twin, killed_before_saving: asyncio.Event, broken: str
) -> None:
    clock = ManualClock(datetime.now(UTC))
    twin.add_fault(kind="error", when="before", method="POST", path=".*/capture")
    payment = await authorized_without_saving(open_shop, clock, killed_before_saving, "capture")
    twin.faults.clear()
    faults = fail(twin, broken)
    sent = posts(twin)
    clock.advance(TOO_LATE)
    async with open_shop(clock, webhooks=False, **QUICK) as shop:
        await asked(twin, MOVEMENTS)
        await asked(twin, broken, times=2)
        payment = await shop.get(payment.id)
        assert payment.state == S.PAYMENT_STATE_CAPTURING
        assert payment.operations[-1].state != OperationState.OPERATION_STATE_FAILED
        assert posts(twin) == sent
        heal(twin, faults)
        await passing(clock, shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED))
    assert [c["amount_captured"] for c in twin.books()["default"]["charges"]] == [2000]


async def authorized_without_saving(
    open_shop: OpenShop, clock: ManualClock, dying: asyncio.Event, action: str
) -> Payment:
    dying.clear()
    async with open_shop(clock, webhooks=False, roles="api", **QUICK) as shop:
        payment = await shop.create(capture_method=MANUAL)
        dying.set()
        await getattr(shop, action)(payment)
    dying.clear()
    return payment
