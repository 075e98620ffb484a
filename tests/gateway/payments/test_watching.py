"""The stream and the lists."""

import asyncio

import grpc
import pytest

from gateway.limits import Limits
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import PaymentMethod, PaymentState
from runtime.errors import from_rpc_error
from tests.gateway.payments.shop import WAIT_SECONDS, RefusedError, Shop
from tests.gateway.running import OpenShop

S = PaymentState
PAYMENTS = 12


async def read(shop: Shop, after: int, count: int) -> list[pb.WatchPaymentsResponse]:
    seen: list[pb.WatchPaymentsResponse] = []
    stream = shop.stub.WatchPayments(pb.WatchPaymentsRequest(after_sequence=after))
    async with asyncio.timeout(WAIT_SECONDS):
        async for event in stream:
            seen.append(event)
            if len(seen) == count:
                break
    stream.cancel()
    return seen


async def test_the_stream_has_no_holes_and_resumes_anywhere(open_shop: OpenShop) -> None:
    async with open_shop(webhooks=False) as one, open_shop(webhooks=False) as other:
        live = asyncio.create_task(read(other, 0, PAYMENTS * 4))
        await asyncio.gather(
            *(shop.create() for shop in (one, other) for _ in range(PAYMENTS // 2))
        )
        events = await live
        assert [event.sequence for event in events] == list(range(1, PAYMENTS * 4 + 1))
        middle = PAYMENTS * 2
        rest = await read(one, middle, PAYMENTS * 4 - middle)
    assert [e.SerializeToString() for e in rest] == [e.SerializeToString() for e in events[middle:]]
    revisions: dict[str, int] = {}
    for event in events:
        assert event.payment.revision == revisions.get(event.payment.id, 0) + 1
        revisions[event.payment.id] = event.payment.revision


async def test_a_payment_tells_its_story(shop: Shop) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token="pm_card_chargeDeclined"))
    events = await shop.watch_until(payment.id, S.PAYMENT_STATE_DECLINED)
    assert [event.transition for event in events] == [
        "received",
        "compliance_allowed",
        "authorization_started",
        "declined",
    ]
    assert [event.previous_state for event in events] == [
        S.PAYMENT_STATE_UNSPECIFIED,
        S.PAYMENT_STATE_RECEIVED,
        S.PAYMENT_STATE_COMPLIANCE_CHECKED,
        S.PAYMENT_STATE_AUTHORIZING,
    ]


async def test_a_watcher_may_ask_for_some_transitions_alone(open_shop: OpenShop) -> None:
    async def told(shop: Shop, after: int, count: int) -> list[tuple[int, str]]:
        request = pb.WatchPaymentsRequest(
            after_sequence=after, transitions=["captured", "refund_succeeded"]
        )
        stream = shop.stub.WatchPayments(request)
        seen: list[tuple[int, str]] = []
        async with asyncio.timeout(WAIT_SECONDS):
            async for change in stream:
                seen.append((change.sequence, change.transition))
                if len(seen) == count:
                    break
        stream.cancel()
        return seen

    limits = Limits(feed_batch=3, feed_recent=2)
    async with open_shop(webhooks=False, limits=limits) as shop:
        live = asyncio.create_task(told(shop, 0, 3))
        for _ in range(3):
            await shop.create()
        # As they come, and from the database, of which a batch may hold none of them.
        seen = await live
        assert [transition for _, transition in seen] == ["captured"] * 3
        assert await told(shop, seen[0][0], 2) == seen[1:]
        bad = pb.WatchPaymentsRequest(transitions=["captured", "Refund Failed", ""])
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await shop.stub.WatchPayments(bad).read()
    violations = from_rpc_error(refused.value).violations
    assert [violation.field for violation in violations] == ["transitions[1]", "transitions[2]"]


async def test_pages_are_whole_and_stable_under_writes(shop: Shop) -> None:
    made = [(await shop.create(merchant_id="m_1")).id for _ in range(5)]
    await shop.create(merchant_id="m_2")
    listed: list[str] = []
    token = ""
    for _ in range(5):
        page = await shop.stub.ListPayments(
            pb.ListPaymentsRequest(merchant_id="m_1", page_size=2, page_token=token)
        )
        listed += [payment.id for payment in page.payments]
        await shop.create(merchant_id="m_1")
        token = page.next_page_token
        if not token:
            break
    assert listed == made[::-1]


async def test_lists_filter_by_state_and_time(shop: Shop) -> None:
    good = await shop.create()
    bad = await shop.create(payment_method=PaymentMethod(token="pm_card_chargeDeclined"))
    declined = await shop.stub.ListPayments(pb.ListPaymentsRequest(state=S.PAYMENT_STATE_DECLINED))
    assert [payment.id for payment in declined.payments] == [bad.id]
    before = await shop.stub.ListPayments(pb.ListPaymentsRequest(end_create_time=bad.create_time))
    assert [payment.id for payment in before.payments] == [good.id]
    since = await shop.stub.ListPayments(pb.ListPaymentsRequest(start_create_time=bad.create_time))
    assert [payment.id for payment in since.payments] == [bad.id]


async def test_a_token_of_another_list_is_refused(shop: Shop) -> None:
    for _ in range(2):
        await shop.create()
    page = await shop.stub.ListPayments(pb.ListPaymentsRequest(page_size=1))
    for request in (
        pb.ListPaymentsRequest(merchant_id="m_1", page_token=page.next_page_token),
        pb.ListPaymentsRequest(page_token="bm9uc2Vuc2U="),
    ):
        with pytest.raises(RefusedError) as refused:
            await shop.call("ListPayments", request)
        assert refused.value.error.reason == "INVALID_PAGE_TOKEN"
