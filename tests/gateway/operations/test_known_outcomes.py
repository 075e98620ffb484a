"""Nobody is refused because of an answer that is known already: an event has told it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from compliance.v1.decision_pb2 import Verdict
from gateway.v1 import payout_service_pb2 as payouts
from gateway.v1.payment_pb2 import CaptureMethod, OperationState, PaymentState
from gateway.v1.payout_pb2 import PayoutState
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, euros, fresh
from tests.gateway.payouts.treasury import MERCHANT, Treasury
from tests.gateway.running import OpenShop

MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
INTENTS = "/v1/payment_intents"


@pytest.mark.parametrize("command", ["cancel", "capture"])
async def test_a_payment_whose_answer_hangs_goes_on_once_its_event_is_in(
    open_shop: OpenShop, twin: Twin, command: str
) -> None:
    async with open_shop() as shop:
        twin.add_fault(kind="hang", when="after", path=INTENTS, method="POST")
        payment = await shop.create(timeout=20.0, capture_method=MANUAL)
        assert payment.state == PaymentState.PAYMENT_STATE_AUTHORIZED
        assert payment.operations[-1].state == OperationState.OPERATION_STATE_RUNNING
        after = await getattr(shop, command)(payment)
        ends = {
            "cancel": PaymentState.PAYMENT_STATE_CANCELED,
            "capture": PaymentState.PAYMENT_STATE_SUCCEEDED,
        }
        assert after.state == ends[command]
        twin.faults.clear()
        # What the answer says when it comes is dropped: the operation has ended.
        assert [operation.state for operation in after.operations] == [
            OperationState.OPERATION_STATE_SUCCEEDED
        ] * 3
        assert len(twin.books()["default"]["charges"]) == 1


async def test_while_the_outcome_is_unknown_nothing_else_begins(
    open_shop: OpenShop, twin: Twin
) -> None:
    async with open_shop(webhooks=False) as shop:
        fault = twin.add_fault(kind="hang", when="after", path=INTENTS, method="POST")
        payment = await shop.create(timeout=5.0, capture_method=MANUAL)
        with pytest.raises(RefusedError) as refused:
            await shop.cancel(payment)
        assert refused.value.error.reason == "OPERATION_IN_PROGRESS"
        twin.faults.clear(fault)
        await shop.watch_until(payment.id, PaymentState.PAYMENT_STATE_AUTHORIZED)
        assert (await shop.cancel(payment)).state == PaymentState.PAYMENT_STATE_CANCELED


async def test_a_payout_whose_answer_hangs_is_canceled_once_its_event_is_in(
    open_shop: OpenShop, twin: Twin
) -> None:
    async with open_shop() as shop:
        treasury = await Treasury.open(shop, twin)
        twin.add_fault(kind="hang", when="after", path="/v1/payouts", method="POST")
        request = payouts.CreatePayoutRequest(
            request_id=fresh(), merchant_id=MERCHANT, amount=euros(100_00)
        )
        created = (await treasury.stub.CreatePayout(request, timeout=20.0)).payout
        assert created.state == PayoutState.PAYOUT_STATE_PENDING
        assert (await treasury.cancel(created.id)).state == PayoutState.PAYOUT_STATE_CANCELED
        twin.faults.clear()
        assert [payout["status"] for payout in treasury.at_stripe] == ["canceled"]


class AskedPerson(FakeCompliance):
    """Wants a person to look, and allows what it is asked again only when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.verdict = Verdict.VERDICT_REVIEW
        self.asked_again = asyncio.Event()
        self.go_on = asyncio.Event()

    async def CheckPayout(self, request: Any, context: object) -> Any:
        if self.payouts:
            self.asked_again.set()
            await self.go_on.wait()
            self.verdict = Verdict.VERDICT_ALLOW
        return await super().CheckPayout(request, context)


@pytest.fixture
async def person() -> AsyncIterator[AskedPerson]:
    fake = AskedPerson()
    await fake.start()
    yield fake
    await fake.stop()


async def test_a_payout_that_compliance_is_asked_about_can_be_withdrawn(
    person: AskedPerson, open_shop: OpenShop, twin: Twin
) -> None:
    """Whoever asks compliance at that moment drops what it says."""
    settings = {"compliance_address": person.address, "review_recheck_seconds": 0.05}
    async with open_shop(**settings) as shop:
        treasury = await Treasury.open(shop, twin)
        payout = await treasury.create()
        assert payout.state == PayoutState.PAYOUT_STATE_IN_REVIEW
        async with asyncio.timeout(20):
            await person.asked_again.wait()
        lost = leases_lost()
        assert (await treasury.cancel(payout.id)).state == PayoutState.PAYOUT_STATE_CANCELED
        person.go_on.set()
        await poll(_async(leases_lost), lambda count: count > lost)
        assert (await treasury.get(payout.id)).state == PayoutState.PAYOUT_STATE_CANCELED
        assert not treasury.at_stripe


def leases_lost() -> float:
    labels = {"kind": "CHECK_PAYOUT"}
    return REGISTRY.get_sample_value("gateway_operation_leases_lost_total", labels) or 0


def _async(read: Callable[[], float]) -> Callable[[], Awaitable[float]]:
    async def reading() -> float:
        return read()

    return reading
