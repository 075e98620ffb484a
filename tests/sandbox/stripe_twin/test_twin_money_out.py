"""Disputes and payouts: how money leaves again."""

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import Twin
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 24 * 3_600


async def disputed(shop: Shop, card: str = "pm_card_createDispute") -> stripe.Dispute:
    paid = await shop.pay(5_000, card=card)
    (dispute,) = (await shop.api.disputes.list_async({"payment_intent": paid.id})).data
    return dispute


async def test_a_dispute_takes_the_money_and_a_fee(shop: Shop) -> None:
    dispute = await disputed(shop)

    assert problems(stripe.Dispute, dispute.to_dict()) == []
    assert (dispute.status, dispute.reason) == ("needs_response", "fraudulent")
    (withdrawn,) = dispute.balance_transactions
    assert (withdrawn.amount, withdrawn.fee, withdrawn.net) == (-5_000, 1_500, -6_500)
    assert (await shop.api.charges.retrieve_async(str(dispute.charge))).disputed
    assert (await shop.event_types())[-3:] == [
        "charge.updated",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]


@pytest.mark.parametrize(
    ("evidence", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")]
)
async def test_evidence_decides(shop: Shop, evidence: str, status: str) -> None:
    dispute = await disputed(shop)
    answered = await shop.api.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": evidence}}, fresh_key()
    )
    assert answered.status == "under_review"

    closed = await shop.api.disputes.retrieve_async(dispute.id)
    assert closed.status == status
    assert len(closed.balance_transactions) == (2 if status == "won" else 1)
    assert (await shop.event_types())[-1] == "charge.dispute.closed"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await shop.api.disputes.close_async(dispute.id, None, fresh_key())


async def test_silence_loses(shop: Shop) -> None:
    dispute = await disputed(shop, "pm_card_createDisputeProductNotReceived")
    shop.twin.advance(seconds=7 * DAY)
    lost = await shop.api.disputes.retrieve_async(dispute.id)
    assert (lost.status, lost.evidence_details.past_due) == ("lost", True)


async def test_an_inquiry_takes_nothing(shop: Shop) -> None:
    inquiry = await disputed(shop, "pm_card_createDisputeInquiry")
    assert (inquiry.status, inquiry.balance_transactions) == ("warning_needs_response", [])
    closed = await shop.api.disputes.close_async(inquiry.id, None, fresh_key())
    assert closed.status == "warning_closed"


async def test_a_test_disputes_any_charge(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(5_000)
    dispute = twin.open_dispute(str(paid.latest_charge))
    twin.decide_dispute(dispute["id"], won=True)
    with pytest.raises(ValueError, match="is closed"):
        twin.decide_dispute(dispute["id"], won=True)
    assert twin.books()["default"]["balances"]["usd"]["available"] == -1_500


async def test_a_payout_travels_and_comes_back(shop: Shop, twin: Twin) -> None:
    await shop.pay(10_000, card="pm_card_bypassPending")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.api.payouts.create_async({"amount": 9_681, "currency": "usd"}, fresh_key())
    assert caught.value.code == "balance_insufficient"
    payout = await shop.api.payouts.create_async(
        {"amount": 9_000, "currency": "usd", "metadata": {"a": "b"}}, fresh_key()
    )
    assert problems(stripe.Payout, payout.to_dict()) == []
    assert twin.books()["default"]["balances"]["usd"]["available"] == 680
    twin.advance(seconds=DAY)
    assert (await shop.api.payouts.retrieve_async(payout.id)).status == "in_transit"
    twin.advance(seconds=DAY)
    assert (await shop.api.payouts.retrieve_async(payout.id)).status == "paid"

    twin.fail_payout(payout.id, "account_closed")

    failed = await shop.api.payouts.retrieve_async(payout.id)
    assert problems(stripe.Payout, failed.to_dict()) == []
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert twin.books()["default"]["balances"]["usd"]["available"] == 9_680
    events = [name for name in await shop.event_types() if name.startswith("payout")]
    assert events == ["payout.created", "payout.updated", "payout.paid", "payout.failed"]


async def test_a_pending_payout_is_canceled(shop: Shop, twin: Twin) -> None:
    await shop.pay(10_000, card="pm_card_bypassPending")
    payout = await shop.api.payouts.create_async({"amount": 500, "currency": "usd"}, fresh_key())
    canceled = await shop.api.payouts.cancel_async(payout.id, None, fresh_key())
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        await shop.api.payouts.cancel_async(payout.id, None, fresh_key())
    assert twin.books()["default"]["balances"]["usd"]["available"] == 9_680


async def test_an_automatic_payout_says_what_is_in_it(shop: Shop, twin: Twin) -> None:
    first = await shop.pay(10_000, card="pm_card_bypassPending")
    await shop.refund(first.id, 1_000)
    await shop.pay(2_000)
    payout = twin.pay_out()
    assert payout["amount"] == 8_680
    listed = await shop.api.balance_transactions.list_async({"payout": payout["id"]})
    assert sorted(item.type for item in listed.data) == ["charge", "payout", "refund"]
    assert sum(item.net for item in listed.data) == 0
    with pytest.raises(ValueError, match="no usd available"):
        twin.pay_out()
    twin.advance(seconds=2 * DAY)
    second = twin.pay_out()
    assert second["amount"] == 2_000 - 88
    again = await shop.api.balance_transactions.list_async({"payout": second["id"]})
    assert sorted(item.type for item in again.data) == ["charge", "payout"]


async def test_the_admin_api_plays_banks_and_card_holders(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(10_000, card="pm_card_bypassPending")
    refund = await shop.refund(paid.id, 1_000)
    async with aiohttp.ClientSession(f"{twin.url}/_twin/") as session:
        for path, status in [
            (f"refunds/{refund.id}/fail", "failed"),
            (f"charges/{paid.latest_charge}/dispute/fraudulent", "needs_response"),
        ]:
            async with session.post(path) as response:
                assert (await response.json())["status"] == status
        (dispute,) = twin.books()["default"]["disputes"]
        async with session.post(f"disputes/{dispute['id']}/win") as response:
            assert (await response.json())["status"] == "won"
        async with session.post("payouts/default/run/usd") as response:
            payout = await response.json()
        assert payout["amount"] == 10_000 - 320 - 1_500
        async with session.post(f"payouts/{payout['id']}/fail/no_account") as response:
            assert (await response.json())["failure_code"] == "no_account"
        async with session.post(f"payouts/{payout['id']}/fail/no_account") as response:
            assert response.status == 409
