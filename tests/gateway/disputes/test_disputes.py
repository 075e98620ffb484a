"""Disputes end to end: the twin's card holders and banks, webhooks, gRPC, PostgreSQL."""

from typing import Any

import grpc
import psycopg
import pytest

from gateway.v1 import dispute_service_pb2 as pb
from gateway.v1.dispute_pb2 import DisputeState
from gateway.v1.payment_pb2 import Payment
from runtime.clock import SystemClock
from sandbox.polling import poll
from sandbox.stripe_twin.disputes import DisputeMove
from sandbox.stripe_twin.settings import Conversion
from sandbox.stripe_twin.twin import Twin
from tests.gateway.disputes.desk import Desk
from tests.gateway.payments.shop import RefusedError, fresh
from tests.gateway.running import OpenShop

S = DisputeState
# An answer is lost once in each of these ways: Stripe has acted, or it has not.
LOST: list[dict[str, Any]] = [
    {"kind": "reset", "when": "after", "count": 1},
    {"kind": "error", "when": "after", "status": 500, "stored": False, "count": 1},
    {"kind": "reset", "when": "before", "count": 1},
    {"kind": "rate_limit", "count": 1},
]


def posts(twin: Twin, path: str) -> list[Any]:
    return [seen for seen in twin.requests.matching("POST", path) if seen.acted]


def dispute_bookings(payment: Payment) -> list[tuple[str, int]]:
    """The facts of a payment's disputes, by kind and then as they were reported."""
    facts = [fact for fact in payment.booking.facts if fact.kind.startswith("dispute")]
    facts.sort(key=lambda fact: fact.kind != "dispute_moved")
    return [(fact.kind, fact.amount.minor_units) for fact in facts]


async def test_a_dispute_takes_the_money_and_says_until_when_to_answer(desk: Desk) -> None:
    dispute = await desk.disputed()
    assert dispute.state == S.DISPUTE_STATE_NEEDS_RESPONSE
    assert dispute.amount.minor_units == 20_00
    assert (dispute.fee.currency_code, dispute.fee.minor_units) == ("EUR", 20_00)
    assert dispute.reason == "fraudulent"
    assert dispute.merchant_id == "m_1"
    assert dispute.evidence_due_time.seconds > dispute.effective_time.seconds
    assert await desk.get(dispute.id) == dispute
    await desk.shop.watch_for(dispute.payment_id, "dispute_opened")
    payment = await desk.shop.get(dispute.payment_id)
    assert payment.amount_disputed.minor_units == 20_00
    assert "dispute_moved" in [fact.kind for fact in payment.booking.facts]


async def test_what_a_dispute_has_taken_cannot_be_refunded(desk: Desk, twin: Twin) -> None:
    dispute = await desk.disputed()
    payment = await desk.shop.get(dispute.payment_id)
    with pytest.raises(RefusedError) as refused:
        await desk.shop.refund(payment, 100)
    assert refused.value.error.reason == "PAYMENT_DISPUTED"
    assert refused.value.error.metadata["disputed_minor"] == "2000"
    assert not twin.requests.matching("POST", "/v1/refunds")


async def test_an_inquiry_moves_no_money(desk: Desk) -> None:
    dispute = await desk.disputed("createDisputeInquiry")
    assert dispute.state == S.DISPUTE_STATE_WARNING_NEEDS_RESPONSE
    assert not dispute.HasField("fee")
    payment = await desk.shop.get(dispute.payment_id)
    assert payment.amount_disputed.minor_units == 0
    assert "dispute_moved" not in [fact.kind for fact in payment.booking.facts]
    assert (await desk.shop.refund(payment, 100)).refund.amount.minor_units == 100


async def test_winning_evidence_brings_the_money_back(desk: Desk, twin: Twin) -> None:
    dispute = await desk.disputed()
    request_id = fresh()
    evidence = {"uncategorized_text": "winning_evidence", "customer_name": "Ada Mapleton"}
    sent = await desk.submit(dispute.id, evidence, request_id)
    assert sent.evidence_submission_count == 1
    await desk.until(dispute.id, lambda read: read.state == S.DISPUTE_STATE_WON)
    await desk.shop.watch_for(dispute.payment_id, "dispute_closed")
    payment = await desk.shop.get(dispute.payment_id)
    assert payment.amount_disputed.minor_units == 0
    assert dispute_bookings(payment) == [
        ("dispute_moved", -20_00),
        ("dispute_moved", 20_00),
        ("dispute_decided", -20_00),
        ("dispute_decided", 20_00),
    ]
    # The same request again is the same answer, and nothing is sent.
    again = await desk.submit(dispute.id, evidence, request_id)
    assert again.evidence_submission_count == 1
    assert len(posts(twin, "/v1/disputes/")) == 1
    with pytest.raises(RefusedError) as reused:
        await desk.submit(dispute.id, {"uncategorized_text": "something else"}, request_id)
    assert reused.value.error.reason == "REQUEST_ID_REUSED"
    assert reused.value.error.metadata["differing_fields"] == "evidence"


async def test_losing_evidence_makes_the_loss_the_merchants(desk: Desk) -> None:
    dispute = await desk.disputed()
    await desk.submit(dispute.id, {"uncategorized_text": "losing_evidence"})
    await desk.until(dispute.id, lambda read: read.state == S.DISPUTE_STATE_LOST)
    payment = await desk.shop.get(dispute.payment_id)
    assert payment.amount_disputed.minor_units == 20_00
    assert dispute_bookings(payment) == [("dispute_moved", -20_00), ("dispute_decided", -20_00)]


async def test_accepting_loses_at_once_and_only_once(desk: Desk, twin: Twin) -> None:
    dispute = await desk.disputed()
    request_id = fresh()
    accepted = await desk.accept(dispute.id, request_id)
    assert accepted.state == S.DISPUTE_STATE_LOST
    assert await desk.accept(dispute.id, request_id) == accepted
    assert len(posts(twin, "/v1/disputes/")) == 1
    for attempt in (
        desk.accept(dispute.id),
        desk.submit(dispute.id, {"uncategorized_text": "late"}),
    ):
        with pytest.raises(RefusedError) as refused:
            await attempt
        assert refused.value.error.reason == "INVALID_DISPUTE_STATE"
        assert refused.value.error.metadata["dispute_state"] == "LOST"


async def test_evidence_is_sent_once(desk: Desk, twin: Twin) -> None:
    dispute = await desk.disputed()
    await desk.submit(dispute.id, {"product_description": "A book about ferns."})
    request_id = fresh()
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            await desk.submit(dispute.id, {"product_description": "And finches."}, request_id)
        assert refused.value.error.reason == "INVALID_DISPUTE_STATE"
        assert refused.value.error.metadata["dispute_state"] == "UNDER_REVIEW"
    assert len(posts(twin, "/v1/disputes/")) == 1


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("action", ["submit", "accept"])
async def test_a_lost_answer_is_found_out(
    desk: Desk, twin: Twin, action: str, fault: dict[str, Any]
) -> None:
    dispute = await desk.disputed()
    twin.add_fault(**fault, method="POST", path="/v1/disputes/.*")
    if action == "submit":
        answered = await desk.submit(dispute.id, {"product_description": "A book."})
        assert answered.evidence_submission_count == 1
    else:
        answered = await desk.accept(dispute.id)
        assert answered.state == S.DISPUTE_STATE_LOST
    assert len(posts(twin, "/v1/disputes/")) == 1
    keys = {seen.idempotency_key for seen in twin.requests.matching("POST", "/v1/disputes/")}
    assert len(keys) == 1


async def test_a_caller_who_cannot_wait_gets_the_outcome_later(desk: Desk, twin: Twin) -> None:
    dispute = await desk.disputed()
    twin.add_fault(
        kind="latency", seconds=1.5, when="before", method="POST", path="/v1/disputes/.*"
    )
    request_id = fresh()
    with pytest.raises(RefusedError) as early:
        await desk.submit(dispute.id, {"product_description": "A book."}, request_id, 0.7)
    assert early.value.error.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    with pytest.raises(RefusedError) as busy:
        await desk.accept(dispute.id)
    assert busy.value.error.reason == "OPERATION_IN_PROGRESS"
    assert busy.value.error.metadata["dispute_id"] == dispute.id
    sent = await desk.submit(dispute.id, {"product_description": "A book."}, request_id)
    assert sent.evidence_submission_count == 1
    assert len(posts(twin, "/v1/disputes/")) == 1


async def test_evidence_is_not_kept_once_stripe_has_it(desk: Desk, database_url: str) -> None:
    dispute = await desk.disputed()
    secret = "Ada Mapleton, 7 Fern Lane"
    await desk.submit(dispute.id, {"customer_name": secret})
    with psycopg.connect(database_url) as connection:
        for table in ("operation", "dispute_request", "dispute"):
            rows = connection.execute(f"SELECT t::text FROM {table} AS t").fetchall()
            assert rows
            assert not any(secret in row[0] for row in rows)
            assert not any(secret.encode().hex() in row[0] for row in rows)


async def test_time_is_over_when_it_is_over(open_shop: OpenShop, twin: Twin) -> None:
    async with open_shop() as shop:
        dispute = await Desk(shop).disputed()

    class Later(SystemClock):
        def now(self) -> Any:
            return dispute.evidence_due_time.ToDatetime(super().now().tzinfo)

    async with open_shop(Later()) as shop:
        with pytest.raises(RefusedError) as refused:
            await Desk(shop).submit(dispute.id, {"product_description": "A book."})
    assert refused.value.error.reason == "EVIDENCE_WINDOW_OVER"
    assert not posts(twin, "/v1/disputes/")


async def test_a_dispute_that_comes_before_our_own_commit_waits(
    open_shop: OpenShop, twin: Twin
) -> None:
    """The answer to the charge is lost, so the dispute is heard of before the charge is."""
    async with open_shop() as shop:
        twin.add_fault(
            kind="error",
            when="after",
            method="POST",
            path="/v1/payment_intents",
            count=4,
            status=500,
        )
        dispute = await Desk(shop).disputed()
        payment = await shop.get(dispute.payment_id)
    assert payment.amount_disputed.minor_units == 20_00
    kinds = [fact.kind for fact in payment.booking.facts]
    assert kinds.index("captured") < kinds.index("dispute_moved")


async def test_disputes_are_listed_newest_first_with_filters(desk: Desk) -> None:
    first = await desk.disputed()
    second = await desk.disputed("createDisputeInquiry", merchant_id="m_2")
    both = await desk.stub.ListDisputes(pb.ListDisputesRequest(page_size=1))
    assert [item.id for item in both.disputes] == [second.id]
    rest = await desk.stub.ListDisputes(
        pb.ListDisputesRequest(page_size=1, page_token=both.next_page_token)
    )
    assert [item.id for item in rest.disputes] == [first.id]
    assert not rest.next_page_token
    for wanted in (
        pb.ListDisputesRequest(merchant_id="m_2"),
        pb.ListDisputesRequest(state=S.DISPUTE_STATE_WARNING_NEEDS_RESPONSE),
        pb.ListDisputesRequest(payment_id=second.payment_id),
    ):
        listed = await desk.stub.ListDisputes(wanted)
        assert [item.id for item in listed.disputes] == [second.id]


async def test_a_dispute_that_nobody_has_is_not_found(desk: Desk) -> None:
    for attempt in (
        desk.get("dsp_1"),
        desk.accept("dsp_1"),
        desk.submit("dsp_1", {"receipt": "x"}),
    ):
        with pytest.raises(RefusedError) as refused:
            await attempt
        assert refused.value.error.code is grpc.StatusCode.NOT_FOUND
        assert refused.value.error.reason == "DISPUTE_NOT_FOUND"


@pytest.mark.parametrize(
    "evidence",
    [{}, {"favourite_colour": "green"}, {"receipt": ""}, {"receipt": "x" * 20_001}],
    ids=["none", "unknown field", "empty", "too long"],
)
async def test_evidence_that_stripe_would_refuse_is_refused_here(
    desk: Desk, twin: Twin, evidence: dict[str, str]
) -> None:
    with pytest.raises(RefusedError) as refused:
        await desk.submit("dsp_1", evidence)
    assert refused.value.error.reason == "INVALID_REQUEST"
    assert any(item.field.startswith("evidence") for item in refused.value.error.violations)
    assert not twin.requests.matching("POST", "/v1/disputes/")


async def held(desk: Desk, payment_id: str, minor: int) -> Payment:
    """The payment once its disputes keep so much."""

    async def read() -> Payment:
        return await desk.shop.get(payment_id)

    return await poll(read, lambda payment: payment.amount_disputed.minor_units == minor)


async def test_some_comes_back_before_it_is_lost(desk: Desk, twin: Twin) -> None:
    dispute = await desk.disputed()
    twin.move_dispute(dispute.stripe_dispute_id, DisputeMove(amount=6_00))
    await held(desk, dispute.payment_id, 14_00)
    twin.decide_dispute(dispute.stripe_dispute_id, won=False)
    await desk.until(dispute.id, lambda read: read.state == S.DISPUTE_STATE_LOST)
    payment = await held(desk, dispute.payment_id, 14_00)
    assert dispute_bookings(payment) == [
        ("dispute_moved", -20_00),
        ("dispute_moved", 6_00),
        ("dispute_decided", -20_00),
        ("dispute_decided", 6_00),
    ]
    with pytest.raises(RefusedError) as refused:
        await desk.shop.refund(payment, 100)
    assert refused.value.error.reason == "PAYMENT_DISPUTED"


async def test_what_a_won_dispute_kept_is_not_refunded_and_the_rest_is(
    desk: Desk, twin: Twin
) -> None:
    dispute = await desk.disputed()
    twin.decide_dispute(dispute.stripe_dispute_id, won=True, reinstated=12_00)
    await desk.until(dispute.id, lambda read: read.state == S.DISPUTE_STATE_WON)
    payment = await held(desk, dispute.payment_id, 8_00)
    with pytest.raises(RefusedError) as refused:
        await desk.shop.refund(payment, 12_01)
    assert refused.value.error.reason == "AMOUNT_EXCEEDS_REFUNDABLE"
    assert refused.value.error.metadata["limit_minor"] == "1200"
    assert (await desk.shop.refund(payment)).refund.amount.minor_units == 12_00


async def test_a_dispute_of_one_minor_unit_keeps_the_rest_from_being_refunded(
    desk: Desk, twin: Twin
) -> None:
    payment = await desk.shop.create()
    await desk.shop.watch_for(payment.id, "fee_known")
    twin.open_dispute((await desk.shop.get(payment.id)).charge_id, "fraudulent", 1)
    payment = await held(desk, payment.id, 1)
    with pytest.raises(RefusedError) as refused:
        await desk.shop.refund(payment, 1)
    assert refused.value.error.reason == "PAYMENT_DISPUTED"
    assert not twin.requests.matching("POST", "/v1/refunds")


async def test_a_won_dispute_in_another_currency_leaves_nothing_held(
    desk: Desk, twin: Twin
) -> None:
    """20.00 euros: 23.26 dollars are withdrawn, and 22.74 come back; all can be refunded."""
    twin.settings.conversions = {"eur": Conversion(currency="usd", rate=1.163)}
    dispute = await desk.disputed()
    twin.settings.conversions = {"eur": Conversion(currency="usd", rate=1.137)}
    twin.decide_dispute(dispute.stripe_dispute_id, won=True)
    read = await desk.until(dispute.id, lambda read: read.state == S.DISPUTE_STATE_WON)
    assert (read.fee.currency_code, read.fee.minor_units) == ("USD", 15_00)
    payment = await held(desk, dispute.payment_id, 0)
    assert dispute_bookings(payment) == [
        ("dispute_moved", -23_26),
        ("dispute_moved", 22_74),
        ("dispute_decided", -23_26),
        ("dispute_decided", 22_74),
    ]
    assert (await desk.shop.refund(payment)).refund.amount.minor_units == 20_00
