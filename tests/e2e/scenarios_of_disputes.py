"""What can become of a dispute."""

from gateway.v1 import dispute_pb2 as disputes
from gateway.v1 import dispute_service_pb2 as dispute_service
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.twin_admin import DisputeOutcome
from tests.e2e.scenario_steps import pay


async def dispute_won(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The money goes and comes back; Stripe keeps its fee."""
    dispute = await _disputed(shop, parties, "createDispute")
    await shop.clients.disputes.SubmitDisputeEvidence(
        dispute_service.SubmitDisputeEvidenceRequest(
            request_id=shop.new_id("evidence"),
            dispute_id=dispute.id,
            evidence={"uncategorized_text": "winning_evidence"},
        ),
        timeout=CALL_SECONDS,
    )
    await _until_dispute(shop, dispute.id, disputes.DISPUTE_STATE_WON)
    read = await shop.settled(dispute.payment_id)
    assert read.amount_disputed.minor_units == 0


async def dispute_lost(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The money is gone."""
    dispute = await _disputed(shop, parties, "createDispute")
    await shop.clients.disputes.AcceptDispute(
        dispute_service.AcceptDisputeRequest(
            request_id=shop.new_id("accept"), dispute_id=dispute.id
        ),
        timeout=CALL_SECONDS,
    )
    read = await shop.settled(dispute.payment_id)
    assert [fact.kind for fact in read.booking.facts][-2:] == ["dispute_opened", "dispute_lost"]


async def dispute_appealed(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A part is disputed, lost, and won back on appeal."""
    payment_id = await pay(shop, parties, "USD", 60_00, "visa")
    charge = (await shop.read(payment_id)).charge_id
    opened = await shop.twin.open_dispute(charge, amount=45_00)
    steps: tuple[tuple[DisputeOutcome, disputes.DisputeState.ValueType], ...] = (
        ("lose", disputes.DISPUTE_STATE_LOST),
        ("appeal", disputes.DISPUTE_STATE_APPEAL_NEEDS_RESPONSE),
        ("win", disputes.DISPUTE_STATE_WON),
    )
    for outcome, state in steps:
        await shop.twin.decide_dispute(opened["id"], outcome)
        dispute = await _dispute_of(shop, payment_id)
        await _until_dispute(shop, dispute.id, state)
    read = await shop.settled(payment_id)
    kinds = [fact.kind for fact in read.booking.facts]
    assert kinds[-3:] == ["dispute_opened", "dispute_lost", "dispute_won"]


async def inquiry(shop: Shop, parties: Parties, engine: Engine) -> None:
    """No money moves until the inquiry becomes a chargeback."""
    dispute = await _disputed(shop, parties, "createDisputeInquiry")
    await shop.twin.decide_dispute(dispute.stripe_dispute_id, "escalate")
    await _until_dispute(shop, dispute.id, disputes.DISPUTE_STATE_NEEDS_RESPONSE)
    read = await shop.settled(dispute.payment_id)
    assert read.booking.facts[-1].kind == "dispute_opened"


async def dispute_prevented(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The customer gets the money back before there is a chargeback, and Stripe no fee."""
    dispute = await _disputed(shop, parties, "createDisputePrevented")
    read = await shop.settled(dispute.payment_id)
    assert read.booking.facts[-1].kind == "dispute_lost"


async def _disputed(shop: Shop, parties: Parties, card: str) -> disputes.Dispute:
    """The dispute of a payment whose holder disputes it at once."""
    return await _dispute_of(shop, await pay(shop, parties, "USD", 70_00, card))


async def _dispute_of(shop: Shop, payment_id: str) -> disputes.Dispute:
    request = dispute_service.ListDisputesRequest(payment_id=payment_id)

    async def read() -> list[disputes.Dispute]:
        answer = await shop.clients.disputes.ListDisputes(request, timeout=CALL_SECONDS)
        return list(answer.disputes)

    return (await poll(read, bool))[0]


async def _until_dispute(
    shop: Shop, dispute_id: str, state: "disputes.DisputeState.ValueType"
) -> None:
    request = dispute_service.GetDisputeRequest(dispute_id=dispute_id)

    async def read() -> disputes.Dispute:
        answer = await shop.clients.disputes.GetDispute(request, timeout=CALL_SECONDS)
        return answer.dispute

    await poll(read, lambda dispute: dispute.state == state)
