"""The ways that a dispute can go: every state, and none, one or two balance transactions."""

from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.disputes import (
    MAX_EVIDENCE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    RESPONSE_SECONDS,
)
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
