"""One request_id, one charge: repeated, at once, in two processes, with another body."""

import asyncio
from typing import Any

import pytest

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import CaptureMethod, PaymentState, UnavailablePolicy
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import RefusedError, Shop, create_request, euros
from tests.gateway.running import OpenShop

S = PaymentState
C, U = CaptureMethod, UnavailablePolicy
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
QUEUE = {"unavailable_policy": U.UNAVAILABLE_POLICY_QUEUE}
CALLERS = 8


def charges(twin: Twin) -> int:
    return len(twin.books()["default"]["charges"])


async def test_the_same_request_gets_the_same_payment(shop: Shop, twin: Twin) -> None:
    first = await shop.create(request_id="order-1")
    second = await shop.create(request_id="order-1")
    assert (first.id, first.state) == (second.id, second.state)
    assert charges(twin) == 1


async def test_identical_requests_at_once_make_one_charge(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="latency", seconds=0.2, path="/v1/payment_intents")
    answers = await asyncio.gather(*(shop.create(request_id="order-1") for _ in range(CALLERS)))
    assert {answer.id for answer in answers} == {answers[0].id}
    assert {answer.state for answer in answers} == {S.PAYMENT_STATE_SUCCEEDED}
    assert charges(twin) == 1


async def test_identical_requests_in_two_processes_make_one_charge(
    open_shop: OpenShop, twin: Twin
) -> None:
    twin.add_fault(kind="latency", seconds=0.2, path="/v1/payment_intents")
    async with open_shop() as one, open_shop() as other:
        answers = await asyncio.gather(
            *(shop.create(request_id="order-1") for shop in (one, other) for _ in range(CALLERS))
        )
    assert {answer.id for answer in answers} == {answers[0].id}
    assert {answer.state for answer in answers} == {S.PAYMENT_STATE_SUCCEEDED}
    assert charges(twin) == 1


async def test_another_body_conflicts_and_names_the_fields(shop: Shop, twin: Twin) -> None:
    await shop.create(request_id="order-1")
    with pytest.raises(RefusedError) as refused:
        await shop.create(request_id="order-1", amount=euros(2001), merchant_id="m_2")
    error = refused.value.error
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert error.metadata["differing_fields"] == "merchant_id,amount.minor_units"
    assert charges(twin) == 1


@pytest.mark.parametrize(
    ("given", "same", "other", "path"),
    [
        (
            {"capture_method": C.CAPTURE_METHOD_AUTOMATIC},
            {},
            {"capture_method": MANUAL},
            "capture_method",
        ),
        ({"unavailable_policy": U.UNAVAILABLE_POLICY_FAIL_FAST}, {}, QUEUE, "unavailable_policy"),
        (
            {**QUEUE, "queue_timeout": {"seconds": 900, "nanos": 999}},
            QUEUE,
            {**QUEUE, "queue_timeout": {"seconds": 901}},
            "queue_timeout",
        ),
    ],
)
async def test_a_field_at_its_default_is_the_same_as_the_field_left_out(
    shop: Shop, twin: Twin, given: Any, same: Any, other: Any, path: str
) -> None:
    first = await shop.create(request_id="order-1", **given)
    assert (await shop.create(request_id="order-1", **same)).id == first.id
    assert (await shop.create(request_id="order-1", **given)).id == first.id
    with pytest.raises(RefusedError) as refused:
        await shop.create(request_id="order-1", **other)
    assert refused.value.error.metadata["differing_fields"] == path
    assert charges(twin) == 1


async def test_a_default_is_checked_as_it_was_given(shop: Shop) -> None:
    with pytest.raises(RefusedError) as refused:
        await shop.create(queue_timeout={"seconds": 900})
    assert [violation.field for violation in refused.value.error.violations] == ["queue_timeout"]


async def test_another_method_conflicts(shop: Shop) -> None:
    payment = await shop.create(request_id="order-1", capture_method=MANUAL)
    with pytest.raises(RefusedError) as refused:
        await shop.capture(payment, request_id="order-1")
    assert refused.value.error.reason == "REQUEST_ID_REUSED"
    assert refused.value.error.metadata["differing_fields"] == "method"


@pytest.mark.parametrize("method", ["capture", "cancel", "refund"])
async def test_every_command_can_be_repeated(open_shop: OpenShop, twin: Twin, method: str) -> None:
    async with open_shop(webhooks=False) as shop:
        payment = await shop.create(capture_method=0 if method == "refund" else MANUAL)
        before = len(twin.requests.matching("POST"))
        answers = await asyncio.gather(
            *(getattr(shop, method)(payment, request_id="again") for _ in range(CALLERS))
        )
        answers.append(await getattr(shop, method)(payment, request_id="again"))
    for answer in answers:
        # The books go on meanwhile, and the sweep of the balance may bring the fee, and what
        # the refund came to.
        payment = getattr(answer, "payment", answer)
        for name in ("booking", "fee", "revision", "update_time"):
            payment.ClearField(name)
        for refund in (*payment.refunds, *([answer.refund] if method == "refund" else ())):
            refund.ClearField("update_time")
    assert len({str(answer) for answer in answers}) == 1
    assert len(twin.requests.matching("POST")) == before + 1


async def test_the_same_id_for_two_payments_at_once_is_used_for_one(shop: Shop, twin: Twin) -> None:
    payments = [await shop.create() for _ in range(2)]
    answers = await asyncio.gather(
        *(shop.refund(payment, 100, request_id="again") for payment in payments),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, RefusedError)]
    assert [r.error.reason for r in refused] == ["REQUEST_ID_REUSED"]
    assert len(twin.books()["default"]["refunds"]) == 1


async def test_a_refusal_that_was_decided_stays(shop: Shop) -> None:
    payment = await shop.create(capture_method=MANUAL)
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            await shop.refund(payment, 100, request_id="too-early")
        assert refused.value.error.reason == "INVALID_PAYMENT_STATE"
        payment = await shop.get(payment.id)
        if payment.state == S.PAYMENT_STATE_AUTHORIZED:
            payment = await shop.capture(payment)
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert payment.amount_refunded.minor_units == 0


async def test_a_repeated_charge_that_was_declined_stays_declined(shop: Shop, twin: Twin) -> None:
    request = create_request(request_id="order-1")
    request.payment_method.token = "pm_card_chargeDeclined"
    first: pb.CreatePaymentResponse = await shop.call("CreatePayment", request)
    again: pb.CreatePaymentResponse = await shop.call("CreatePayment", request)
    assert first.payment.state == again.payment.state == S.PAYMENT_STATE_DECLINED
    assert len(twin.requests.matching("POST")) == 1


async def test_an_unknown_payment_leaves_the_request_id_unused(shop: Shop) -> None:
    payment = await shop.create(capture_method=MANUAL)
    missing = type(payment)(id="pay_00000000000000000000000000")
    with pytest.raises(RefusedError) as refused:
        await shop.capture(missing, request_id="capture-1")
    assert refused.value.error.reason == "PAYMENT_NOT_FOUND"
    captured = await shop.capture(payment, request_id="capture-1")
    assert captured.state == S.PAYMENT_STATE_SUCCEEDED
