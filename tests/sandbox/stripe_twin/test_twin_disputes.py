"""The ways that a dispute can go: every state, and any number of balance transactions."""

from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.books import processing_fee
from sandbox.stripe_twin.disputes import (
    MAX_EVIDENCE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    RESPONSE_SECONDS,
    DisputeMove,
)
from sandbox.stripe_twin.settings import Conversion
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def disputed(shop: Shop, card: str = "pm_card_createDispute") -> stripe.Dispute:
    paid = await shop.pay(5_000, card=card)
    (dispute,) = (await shop.api.disputes.list_async({"payment_intent": paid.id})).data
    return dispute


async def answer(shop: Shop, dispute: str, **params: Any) -> stripe.Dispute:
    return await shop.api.disputes.update_async(dispute, params, fresh_key())  # type: ignore[arg-type]


async def current(shop: Shop, dispute: str) -> stripe.Dispute:
    found = await shop.api.disputes.retrieve_async(dispute)
    assert problems(stripe.Dispute, found.to_dict()) == []
    return found


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
    shop.twin.advance(seconds=RESPONSE_SECONDS)
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


async def test_evidence_is_staged_then_submitted_once(shop: Shop) -> None:
    dispute = await disputed(shop)
    staged = await answer(
        shop, dispute.id, evidence={"customer_name": "Ada"}, submit=False, metadata={"case": "1"}
    )
    assert (staged.status, staged.evidence_details.submission_count) == ("needs_response", 0)
    assert staged.evidence_details.has_evidence

    submitted = await answer(shop, dispute.id, submit=True)

    assert (submitted.status, submitted.evidence_details.submission_count) == ("under_review", 1)
    assert submitted.evidence.customer_name == "Ada"
    with pytest.raises(stripe.InvalidRequestError, match="already submitted"):
        await answer(shop, dispute.id, evidence={"customer_name": "Eve"})
    renamed = await answer(shop, dispute.id, metadata={"case": "2"})
    assert (renamed.status, renamed.metadata["case"]) == ("under_review", "2")


async def test_evidence_has_bounds(shop: Shop) -> None:
    dispute = await disputed(shop)
    names = [name for name in dispute.evidence.to_dict() if name.endswith("disclosure")]
    names += ["access_activity_log", "billing_address", "cancellation_rebuttal", "receipt"]
    names += ["product_description", "customer_name", "refund_refusal_explanation"]
    whole = dict.fromkeys(names, "x" * MAX_TEXT_CHARACTERS)
    assert len(names) * MAX_TEXT_CHARACTERS > MAX_EVIDENCE_CHARACTERS
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await answer(shop, dispute.id, evidence=whole)
    assert caught.value.param == "evidence"
    longer = {"uncategorized_text": "x" * (MAX_TEXT_CHARACTERS + 1)}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await answer(shop, dispute.id, evidence=longer)
    assert caught.value.param == "evidence[uncategorized_text]"
    most = {"uncategorized_text": "x" * MAX_TEXT_CHARACTERS}
    assert (await answer(shop, dispute.id, evidence=most)).status == "under_review"


@pytest.mark.parametrize("evidence", ["winning_evidence", "losing_evidence"])
async def test_an_inquiry_that_is_answered_closes(shop: Shop, evidence: str) -> None:
    inquiry = await disputed(shop, "pm_card_createDisputeInquiry")
    reviewed = await answer(shop, inquiry.id, evidence={"uncategorized_text": evidence})
    assert reviewed.status == "warning_under_review"
    closed = await current(shop, inquiry.id)
    assert (closed.status, closed.balance_transactions) == ("warning_closed", [])


async def test_an_inquiry_becomes_a_chargeback(shop: Shop, twin: Twin) -> None:
    inquiry = await disputed(shop, "pm_card_createDisputeInquiry")
    assert inquiry.is_charge_refundable
    await answer(shop, inquiry.id, evidence={"uncategorized_text": "escalate_inquiry_evidence"})
    escalated = await current(shop, inquiry.id)
    assert (escalated.status, len(escalated.balance_transactions)) == ("needs_response", 1)
    assert not escalated.is_charge_refundable
    twin.advance(seconds=RESPONSE_SECONDS)
    assert (await current(shop, inquiry.id)).status == "lost"
    with pytest.raises(ValueError, match="is no inquiry"):
        twin.escalate_dispute(inquiry.id)


async def test_a_prevented_dispute_costs_its_amount_and_no_fee(shop: Shop, twin: Twin) -> None:
    prevented = await disputed(shop, "pm_card_createDisputePrevented")
    assert problems(stripe.Dispute, prevented.to_dict()) == []
    assert prevented.status == "prevented"
    (withdrawn,) = prevented.balance_transactions
    assert (withdrawn.amount, withdrawn.fee) == (-5_000, 0)
    assert (await shop.event_types())[-1] == "charge.dispute.closed"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await answer(shop, prevented.id, evidence={"customer_name": "Ada"})


async def test_a_lost_dispute_is_appealed_and_won(shop: Shop, twin: Twin) -> None:
    dispute = await disputed(shop)
    with pytest.raises(ValueError, match="is not lost"):
        twin.offer_appeal(dispute.id)
    twin.decide_dispute(dispute.id, won=False)
    twin.offer_appeal(dispute.id)
    assert (await current(shop, dispute.id)).status == "appeal_needs_response"
    appealed = await answer(
        shop, dispute.id, evidence={"appeal": {"card": {"reason_for_filing": "It was sent."}}}
    )
    assert appealed.status == "appeal_under_review"
    twin.decide_dispute(dispute.id, won=True)
    won = await current(shop, dispute.id)
    assert (won.status, len(won.balance_transactions)) == ("won", 2)


async def test_a_part_is_disputed_and_cannot_be_refunded_meanwhile(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(5_000, card="pm_card_bypassPending")
    dispute = twin.open_dispute(str(paid.latest_charge), "product_not_received", 2_000)
    assert dispute["balance_transactions"][0]["amount"] == -2_000
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.refund(paid.id, 100)
    assert caught.value.code == "charge_disputed"
    twin.decide_dispute(dispute["id"], won=True)
    assert (await shop.refund(paid.id, 100)).status == "succeeded"
    with pytest.raises(ValueError, match="4900 left"):
        twin.open_dispute(str(paid.latest_charge), "fraudulent", 4_901)


async def test_money_moves_in_parts_and_the_rest_comes_back(shop: Shop, twin: Twin) -> None:
    dispute = await disputed(shop)
    twin.move_dispute(dispute.id, DisputeMove(amount=1_500))
    assert (await shop.event_types())[-1] == "charge.dispute.funds_reinstated"
    twin.move_dispute(dispute.id, DisputeMove(amount=-200, fee=50, listed=False))
    twin.decide_dispute(dispute.id, won=True)
    won = await current(shop, dispute.id)
    assert [moved.amount for moved in won.balance_transactions] == [-5_000, 1_500, 3_700]
    listed = await shop.api.balance_transactions.list_async({"source": dispute.id})
    assert sum(moved.amount for moved in listed.data) == 0
    assert [moved.net for moved in listed.data if moved.fee == 50] == [-250]
    assert twin.books()["default"]["balances"]


async def test_only_a_part_comes_back_of_a_dispute_that_was_won(shop: Shop, twin: Twin) -> None:
    for reinstated, moves in ((2_000, 2), (0, 1)):
        dispute = await disputed(shop)
        twin.decide_dispute(dispute.id, won=True, reinstated=reinstated)
        won = await current(shop, dispute.id)
        assert won.status == "won"
        assert len(won.balance_transactions) == moves
        assert sum(moved.amount for moved in won.balance_transactions) == reinstated - 5_000


async def test_a_converted_charge_is_disputed_at_the_rates_of_the_day(
    shop: Shop, twin: Twin
) -> None:
    twin.settings.conversions = {"cad": Conversion(currency="usd", rate=0.7)}
    paid = await shop.pay(5_000, currency="cad")
    charge = await shop.charge_of(paid.id)
    settled = charge.balance_transaction
    assert isinstance(settled, stripe.BalanceTransaction)
    assert (settled.amount, settled.currency, settled.exchange_rate) == (3_500, "usd", 0.7)
    assert settled.fee == processing_fee(3_500, "usd")
    refund = await shop.refund(paid.id, 1_000)
    taken = await shop.api.balance_transactions.retrieve_async(str(refund.balance_transaction))
    assert (taken.amount, taken.currency, taken.exchange_rate) == (-700, "usd", 0.7)
    opened = twin.open_dispute(charge.id, "fraudulent")
    twin.settings.conversions = {"cad": Conversion(currency="usd", rate=0.75)}
    twin.decide_dispute(opened["id"], won=True)
    won = await current(shop, opened["id"])
    assert (won.amount, won.currency) == (4_000, "cad")
    assert [(moved.amount, moved.currency) for moved in won.balance_transactions] == [
        (-2_800, "usd"),
        (3_000, "usd"),
    ]
    assert set(twin.books()["default"]["balances"]) == {"usd"}


async def test_the_admin_api_moves_disputes(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(5_000)
    async with aiohttp.ClientSession(f"{twin.url}/_twin/") as session:
        path = f"charges/{paid.latest_charge}/dispute/inquiry?amount=700"
        async with session.post(path) as response:
            dispute = await response.json()
        assert (dispute["amount"], dispute["status"]) == (700, "warning_needs_response")
        for step, status in [
            ("escalate", "needs_response"),
            ("lose", "lost"),
            ("appeal", "appeal_needs_response"),
        ]:
            async with session.post(f"disputes/{dispute['id']}/{step}") as response:
                assert (await response.json())["status"] == status
        async with session.post(f"disputes/{dispute['id']}/appeal") as response:
            assert response.status == 409
        async with session.post(f"disputes/{dispute['id']}/forget") as response:
            assert response.status == 404
