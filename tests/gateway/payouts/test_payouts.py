"""Payouts end to end: compliance, the twin's balances and banks, webhooks, gRPC, PostgreSQL."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import grpc
import pytest

from compliance.v1.decision_pb2 import DecisionKind, Verdict
from gateway.payouts.domain import FIRST_LOOK
from gateway.v1 import payout_service_pb2 as pb
from gateway.v1.payout_pb2 import Payout, PayoutState
from runtime.clock import ManualClock
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.payouts import ARRIVAL_SECONDS
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, euros, fresh
from tests.gateway.payouts.treasury import BALANCE_MINOR, MERCHANT, Treasury
from tests.gateway.running import OpenShop

S = PayoutState
# A bank tells its reference of a payout so long after the money has come.
TRACE_SECONDS = 9 * 24 * 60 * 60
LOST: list[dict[str, Any]] = [
    {"kind": "reset", "when": "after", "count": 1},
    {"kind": "error", "when": "after", "status": 500, "stored": False, "count": 1},
    {"kind": "reset", "when": "before", "count": 1},
    {"kind": "rate_limit", "count": 1},
]


async def test_a_payout_goes_to_the_bank(treasury: Treasury, compliance: FakeCompliance) -> None:
    payout = await treasury.create(100_00, statement_descriptor="FERN AND FINCH")
    assert payout.state == S.PAYOUT_STATE_PENDING
    assert (payout.merchant_id, payout.connected_account_id) == (MERCHANT, treasury.account_id)
    assert payout.amount == euros(100_00)
    assert not payout.automatic
    (at_stripe,) = treasury.at_stripe
    assert at_stripe["id"] == payout.stripe_payout_id
    assert at_stripe["statement_descriptor"] == "FERN AND FINCH"
    (asked,) = compliance.payouts
    assert (asked.payout_id, asked.merchant_id) == (payout.id, MERCHANT)
    assert asked.connected_account_id == treasury.account_id
    assert asked.amount.minor_units == 100_00
    treasury.twin.advance(seconds=ARRIVAL_SECONDS)
    await treasury.until(payout.id, lambda read: read.state == S.PAYOUT_STATE_PAID)
    paid = await treasury.until(payout.id, lambda read: read.trace_id_status != "")
    assert (paid.method, paid.destination_type) == ("standard", "bank_account")
    assert paid.stripe_create_time.seconds == at_stripe["created"]
    assert paid.destination_id == (at_stripe["destination"] or "")
    assert paid.reconciliation_status == "not_applicable"
    treasury.twin.fail_payout(payout.stripe_payout_id)
    failed = await treasury.until(payout.id, lambda read: read.state == S.PAYOUT_STATE_FAILED)
    assert failed.failure_code == "account_closed"


async def test_the_same_request_is_one_payout(treasury: Treasury) -> None:
    request_id = fresh()
    first = await treasury.create(50_00, request_id)
    assert await treasury.create(50_00, request_id) == first
    assert len(treasury.at_stripe) == 1
    with pytest.raises(RefusedError) as reused:
        await treasury.create(51_00, request_id)
    assert reused.value.error.reason == "REQUEST_ID_REUSED"
    assert reused.value.error.metadata["differing_fields"] == "amount.minor_units"


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_makes_one_payout(treasury: Treasury, fault: dict[str, Any]) -> None:
    treasury.twin.add_fault(**fault, method="POST", path="/v1/payouts")
    payout = await treasury.create()
    assert payout.state == S.PAYOUT_STATE_PENDING
    assert len(treasury.at_stripe) == 1
    seen = treasury.twin.requests.matching("POST", "/v1/payouts")
    assert len({request.idempotency_key for request in seen}) == 1


async def test_compliance_blocks_a_payout(treasury: Treasury, compliance: FakeCompliance) -> None:
    compliance.verdict = Verdict.VERDICT_DENY
    request_id = fresh()
    payout = await treasury.create(request_id=request_id)
    assert payout.state == S.PAYOUT_STATE_BLOCKED
    compliance.verdict = Verdict.VERDICT_ALLOW
    assert await treasury.create(request_id=request_id) == payout
    assert not treasury.twin.requests.matching("POST", "/v1/payouts")


async def test_a_payout_in_review_is_asked_about_again(
    open_shop: OpenShop, treasury: Treasury, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    async with open_shop(review_recheck_seconds=0.2) as shop:
        treasury = Treasury(shop, treasury.twin, treasury.account_id)
        payout = await treasury.create()
        assert payout.state == S.PAYOUT_STATE_IN_REVIEW
        assert not treasury.at_stripe
        compliance.verdict = Verdict.VERDICT_ALLOW
        await treasury.until(payout.id, lambda read: read.state == S.PAYOUT_STATE_PENDING)
    assert len({asked.request_id for asked in compliance.payouts}) == len(compliance.payouts)


async def test_a_payout_goes_on_when_its_case_is_closed(
    open_shop: OpenShop, treasury: Treasury, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    async with open_shop(review_recheck_seconds=3600.0) as shop:
        treasury = Treasury(shop, treasury.twin, treasury.account_id)
        payout = await treasury.create()
        compliance.verdict = Verdict.VERDICT_ALLOW
        compliance.cases.close(payout.id, DecisionKind.DECISION_KIND_PAYOUT)
        await treasury.until(payout.id, lambda read: read.state == S.PAYOUT_STATE_PENDING)
    assert len(compliance.payouts) == 2


async def test_a_payout_in_review_can_be_withdrawn(
    treasury: Treasury, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    payout = await treasury.create()
    canceled = await treasury.cancel(payout.id)
    assert canceled.state == S.PAYOUT_STATE_CANCELED
    assert not treasury.at_stripe


async def test_without_compliance_nothing_is_paid_out(
    treasury: Treasury, compliance: FakeCompliance
) -> None:
    await compliance.stop()
    request = pb.CreatePayoutRequest(request_id=fresh(), merchant_id=MERCHANT, amount=euros(100_00))
    answer = await treasury.stub.CreatePayout(request, timeout=3.0)
    assert answer.payout.state == S.PAYOUT_STATE_CREATING
    assert not treasury.at_stripe
    await compliance.start()
    await treasury.until(answer.payout.id, lambda read: read.state == S.PAYOUT_STATE_PENDING)
    assert len(treasury.at_stripe) == 1


async def test_more_than_there_is_fails_for_good(treasury: Treasury) -> None:
    request_id = fresh()
    payout = await treasury.create(BALANCE_MINOR + 1, request_id)
    assert payout.state == S.PAYOUT_STATE_FAILED
    assert payout.failure_code == "balance_insufficient"
    assert not payout.stripe_payout_id
    assert await treasury.create(BALANCE_MINOR + 1, request_id) == payout


async def test_a_pending_payout_is_canceled_once(treasury: Treasury) -> None:
    payout = await treasury.create()
    request_id = fresh()
    canceled = await treasury.cancel(payout.id, request_id)
    assert canceled.state == S.PAYOUT_STATE_CANCELED
    assert await treasury.cancel(payout.id, request_id) == canceled
    with pytest.raises(RefusedError) as refused:
        await treasury.cancel(payout.id)
    assert refused.value.error.reason == "INVALID_PAYOUT_STATE"
    assert refused.value.error.metadata["payout_state"] == "CANCELED"
    posts = treasury.twin.requests.matching("POST", "/v1/payouts/")
    assert len(posts) == 1


async def test_automatic_payouts_are_taken_over_with_what_they_contain(
    treasury: Treasury,
) -> None:
    paid = await treasury.shop.create(
        destination_account_id=treasury.account_id, application_fee=euros(2_00)
    )
    await treasury.shop.watch_for(paid.id, "fee_known")
    treasury.twin.advance(seconds=3 * 24 * 60 * 60)
    made = treasury.twin.pay_out(treasury.account_id, "eur")
    (payout,) = await treasury.listed(bool, merchant_id=MERCHANT)
    assert payout.automatic
    assert payout.request_id == ""
    assert (payout.stripe_payout_id, payout.amount.minor_units) == (made["id"], made["amount"])
    contained = await treasury.call(
        "ListPayoutTransactions", pb.ListPayoutTransactionsRequest(payout_id=payout.id)
    )
    assert sum(item.net.minor_units for item in contained.transactions) == made["amount"]
    assert [item.payment_id for item in contained.transactions] == [paid.id, ""]
    assert [item.gross.minor_units for item in contained.transactions] == [20_00, BALANCE_MINOR]
    assert contained.transactions[0].fee.minor_units == 2_00
    first = await treasury.call(
        "ListPayoutTransactions",
        pb.ListPayoutTransactionsRequest(payout_id=payout.id, page_size=2),
    )
    rest = await treasury.call(
        "ListPayoutTransactions",
        pb.ListPayoutTransactionsRequest(
            payout_id=payout.id, page_size=2, page_token=first.next_page_token
        ),
    )
    assert [*first.transactions, *rest.transactions] == list(contained.transactions)
    assert not rest.next_page_token


async def test_stripe_tells_nothing_of_what_other_payouts_contain(treasury: Treasury) -> None:
    payout = await treasury.create()
    contained = await treasury.call(
        "ListPayoutTransactions", pb.ListPayoutTransactionsRequest(payout_id=payout.id)
    )
    assert list(contained.transactions) == []


async def test_payouts_of_the_platform_are_booked(treasury: Treasury) -> None:
    paid = await treasury.shop.create()
    await treasury.shop.watch_for(paid.id, "fee_known")
    treasury.twin.advance(seconds=3 * 24 * 60 * 60)
    made = treasury.twin.pay_out("default", "eur")
    (payout,) = await treasury.listed(bool, state=S.PAYOUT_STATE_PENDING)
    assert (payout.merchant_id, payout.connected_account_id) == ("", "")
    assert payout.stripe_payout_id == made["id"]


async def test_payouts_are_listed_newest_first_with_filters(treasury: Treasury) -> None:
    first, second = await treasury.create(1_00), await treasury.create(2_00)
    await treasury.cancel(first.id)
    page = await treasury.call("ListPayouts", pb.ListPayoutsRequest(page_size=1))
    assert [item.id for item in page.payouts] == [second.id]
    rest = await treasury.call(
        "ListPayouts", pb.ListPayoutsRequest(page_size=1, page_token=page.next_page_token)
    )
    assert [item.id for item in rest.payouts] == [first.id]
    assert not rest.next_page_token
    canceled = await treasury.listed(bool, state=S.PAYOUT_STATE_CANCELED)
    assert [item.id for item in canceled] == [first.id]


async def test_nobody_is_paid_out_who_has_no_account(treasury: Treasury) -> None:
    with pytest.raises(RefusedError) as refused:
        await treasury.create(merchant_id="nobody")
    assert refused.value.error.code is grpc.StatusCode.NOT_FOUND
    assert refused.value.error.reason == "MERCHANT_NOT_FOUND"
    for attempt in (treasury.get("pyo_1"), treasury.cancel("pyo_1")):
        with pytest.raises(RefusedError) as refused:
            await attempt
        assert refused.value.error.reason == "PAYOUT_NOT_FOUND"


async def test_the_banks_reference_and_a_lost_event_are_asked_for(
    open_shop: OpenShop, twin: Twin
) -> None:
    """Nothing tells of either. The payouts are a merchant's and the platform's own."""
    clock = ManualClock(datetime.now(UTC))
    twin.settings.trace_seconds = TRACE_SECONDS
    async with open_shop(clock) as shop:
        treasury = await Treasury.open(shop, twin)
        merchants = await treasury.create(100_00)
        twin.record_transaction("default", BalanceEntry(type="topup", amount=5_00, currency="eur"))
        platforms = twin.pay_out("default", "eur")
        listed = await treasury.listed(lambda found: len(found) == 2)
        (own,) = [payout for payout in listed if not payout.merchant_id]
        twin.webhooks.pause()
        for payout_id in (merchants.id, own.id):
            assert (await treasury.get(payout_id)).state == S.PAYOUT_STATE_PENDING
        twin.advance(seconds=ARRIVAL_SECONDS)
        clock.advance(timedelta(seconds=ARRIVAL_SECONDS) + FIRST_LOOK)
        for payout_id in (merchants.id, own.id):
            paid = await treasury.until(payout_id, partial(is_paid, clock))
            assert (paid.trace_id_status, paid.trace_id) == ("pending", "")
        twin.advance(seconds=TRACE_SECONDS)
        for payout_id in (merchants.id, own.id):
            told = await treasury.until(payout_id, partial(is_told, clock))
            assert told.trace_id.startswith("TRACE")
    assert platforms["id"] == own.stripe_payout_id


def is_paid(clock: ManualClock, payout: Payout) -> bool:
    # One is looked at after the other.
    clock.advance(timedelta(seconds=1))
    return payout.state == S.PAYOUT_STATE_PAID


def is_told(clock: ManualClock, payout: Payout) -> bool:
    clock.advance(timedelta(hours=1))
    return payout.trace_id_status == "supported"
