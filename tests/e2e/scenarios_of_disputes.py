"""What can become of a dispute."""

from gateway.v1 import dispute_pb2 as disputes
from gateway.v1 import dispute_service_pb2 as dispute_service
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.twin_admin import DisputeOutcome
from tests.e2e.scenario_steps import has_refunded, pay


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
    assert [fact.kind for fact in read.booking.facts][-2:] == ["dispute_moved", "dispute_decided"]


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
    assert sorted(kinds[-4:]) == ["dispute_decided"] * 2 + ["dispute_moved"] * 2
    assert read.amount_disputed.minor_units == 0


async def inquiry(shop: Shop, parties: Parties, engine: Engine) -> None:
    """No money moves until the inquiry becomes a chargeback."""
    dispute = await _disputed(shop, parties, "createDisputeInquiry")
    await shop.twin.decide_dispute(dispute.stripe_dispute_id, "escalate")
    await _until_dispute(shop, dispute.id, disputes.DISPUTE_STATE_NEEDS_RESPONSE)
    read = await shop.settled(dispute.payment_id)
    assert read.booking.facts[-1].kind == "dispute_moved"


async def dispute_prevented(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The customer gets the money back before there is a chargeback, and Stripe no fee."""
    dispute = await _disputed(shop, parties, "createDisputePrevented")
    read = await shop.settled(dispute.payment_id)
    assert read.booking.facts[-1].kind == "dispute_decided"


async def dispute_in_parts(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Some comes back before it is lost, and some that the dispute does not even list after it."""
    payment_id, dispute_id = await _disputed_later(shop, parties, "USD", 100_00)
    await shop.twin.move_dispute(dispute_id, 30_00)
    await _until_held(shop, payment_id, 70_00)
    await shop.twin.decide_dispute(dispute_id, "lose")
    dispute = await _dispute_of(shop, payment_id)
    await _until_dispute(shop, dispute.id, disputes.DISPUTE_STATE_LOST)
    await shop.twin.move_dispute(dispute_id, 50, listed=False)
    await shop.twin.move_dispute(dispute_id, -1_50, fee=25, listed=False)
    await _until_held(shop, payment_id, 71_00)
    assert await _kept_of(shop, payment_id) == 71_00


async def dispute_converted(shop: Shop, parties: Parties, engine: Engine) -> None:
    """100.00 Canadian dollars are withdrawn as 93.00 of the United States', and as 91.00 they come
    back; then all of it is refunded."""
    await _set_rate(shop, 0.95)
    payment_id, dispute_id = await _disputed_later(shop, parties, "CAD", 100_00, rate=0.93)
    await _until_held(shop, payment_id, 100_00)
    await _set_rate(shop, 0.91)
    await shop.twin.decide_dispute(dispute_id, "win")
    await _until_held(shop, payment_id, 0)
    assert await _kept_of(shop, payment_id) == 2_00
    await shop.refund(payment_id)
    await shop.until(payment_id, has_refunded(100_00))
    await shop.settled(payment_id)
    await shop.twin.change_settings(conversions={})


async def dispute_converted_in_parts(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Of a converted charge a part is won back, at another rate, before the dispute is closed."""
    await _set_rate(shop, 0.75)
    payment_id, dispute_id = await _disputed_later(shop, parties, "CAD", 33_33, rate=0.7412)
    await _set_rate(shop, 0.7389)
    await shop.twin.move_dispute(dispute_id, 11_11)
    await _until_held(shop, payment_id, 22_22)
    await shop.twin.decide_dispute(dispute_id, "lose")
    dispute = await _dispute_of(shop, payment_id)
    await _until_dispute(shop, dispute.id, disputes.DISPUTE_STATE_LOST)
    assert await _kept_of(shop, payment_id) == 24_70 - 8_21
    await shop.twin.change_settings(conversions={})


async def _set_rate(shop: Shop, rate: float) -> None:
    conversion = {"currency": "usd", "rate": rate}
    await shop.twin.change_settings(conversions={"cad": conversion})


async def _disputed_later(
    shop: Shop, parties: Parties, currency: str, minor: int, rate: float | None = None
) -> tuple[str, str]:
    """A payment of a merchant's own and Stripe's id of the dispute that follows, at a `rate`."""
    payment_id = await pay(shop, parties, currency, minor, "visa")
    if rate is not None:
        await _set_rate(shop, rate)
    opened = await shop.twin.open_dispute((await shop.read(payment_id)).charge_id)
    await _dispute_of(shop, payment_id)
    return payment_id, opened["id"]


async def _until_held(shop: Shop, payment_id: str, minor: int) -> None:
    await shop.until(payment_id, lambda read: read.amount_disputed.minor_units == minor)
    await shop.settled(payment_id)


async def _kept_of(shop: Shop, payment_id: str) -> int:
    """What Stripe's balance transactions of a payment's disputes keep, which must be what the
    payment's facts have made the merchant's loss."""
    dispute = await _dispute_of(shop, payment_id)
    transactions = (await shop.twin.books())["balance_transactions"]
    kept = -sum(
        int(transaction["amount"])
        for transaction in transactions
        if transaction["source"] == dispute.stripe_dispute_id
    )
    facts = (await shop.settled(payment_id)).booking.facts
    for kind in ("dispute_moved", "dispute_decided"):
        assert -sum(fact.amount.minor_units for fact in facts if fact.kind == kind) == kept
    return kept


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
