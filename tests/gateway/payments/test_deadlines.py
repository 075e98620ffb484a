"""States that end by time."""

from datetime import UTC, datetime, timedelta

import pytest

from compliance.v1.decision_pb2 import Verdict
from gateway.v1.payment_pb2 import CaptureMethod, PaymentMethod, PaymentState
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError
from tests.gateway.running import OpenShop

S = PaymentState


async def test_an_authorisation_is_warned_of_and_then_expires(
    open_shop: OpenShop, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        payment = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        end = payment.capture_before_time.ToDatetime(UTC)
        clock.advance(end - clock.now() - timedelta(hours=23))
        await shop.watch_for(payment.id, "capture_window_closing")
        assert (await shop.get(payment.id)).state == S.PAYMENT_STATE_AUTHORIZED
        clock.advance(timedelta(hours=23, seconds=1))
        events = await shop.watch_until(payment.id, S.PAYMENT_STATE_EXPIRED)
        payment = await shop.get(payment.id)
        with pytest.raises(RefusedError) as refused:
            await shop.capture(payment)
        assert refused.value.error.reason == "INVALID_PAYMENT_STATE"
    assert events[-1].transition == "expired"
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["status"] == "canceled"


async def test_stripe_lets_an_authorisation_go_by_itself(open_shop: OpenShop, twin: Twin) -> None:
    async with open_shop() as shop:
        payment = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        twin.advance(seconds=timedelta(days=8).total_seconds())
        events = await shop.watch_until(payment.id, S.PAYMENT_STATE_EXPIRED)
    assert events[-1].transition == "expired"


async def test_a_customer_who_never_acts(open_shop: OpenShop, twin: Twin) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock, action_hours=1.0) as shop:
        payment = await shop.create(
            payment_method=PaymentMethod(token="pm_card_threeDSecure2Required")
        )
        clock.advance(timedelta(hours=2))
        await shop.watch_until(payment.id, S.PAYMENT_STATE_EXPIRED)
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["status"] == "canceled"


async def test_a_review_that_nobody_does(
    open_shop: OpenShop, twin: Twin, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock, review_hours=1.0) as shop:
        payment = await shop.create()
        clock.advance(timedelta(hours=2))
        await shop.watch_until(payment.id, S.PAYMENT_STATE_EXPIRED)
    assert not twin.requests.matching("POST")


async def test_a_clock_that_jumps_ahead_ends_the_hold_at_stripe_and_in_the_books(
    open_shop: OpenShop, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        payment = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        # Over the warning and the deadline at once.
        clock.advance(timedelta(days=40))
        events = await shop.watch_until(payment.id, S.PAYMENT_STATE_EXPIRED)
        payment = await shop.get(payment.id)
    assert "capture_window_closing" not in [event.transition for event in events]
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["status"] == "canceled"


async def test_a_clock_that_jumps_back_ends_nothing(open_shop: OpenShop, twin: Twin) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        payment = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        end = payment.capture_before_time.ToDatetime(UTC)
        clock.advance(end - clock.now() - timedelta(hours=2))
        await shop.watch_for(payment.id, "capture_window_closing")
        clock.advance(timedelta(days=-4))
        captured = await shop.capture(payment)
        assert captured.state == S.PAYMENT_STATE_SUCCEEDED
        # The deadline of a payment that was captured in time means nothing any more.
        clock.advance(timedelta(days=10))
        other = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        clock.advance(timedelta(days=10))
        await shop.watch_until(other.id, S.PAYMENT_STATE_EXPIRED)
        assert (await shop.get(payment.id)).state == S.PAYMENT_STATE_SUCCEEDED
    statuses = sorted(i["status"] for i in twin.books()["default"]["payment_intents"])
    assert statuses == ["canceled", "succeeded"]
