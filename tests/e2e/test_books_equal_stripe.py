"""After everything that a payment can do, the ledger's Stripe accounts equal Stripe's balance."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from compliance.v1 import subject_pb2 as subject
from compliance.v1 import subject_service_pb2 as subjects
from gateway.v1 import dispute_pb2 as disputes
from gateway.v1 import dispute_service_pb2 as dispute_service
from gateway.v1 import merchant_service_pb2 as merchants
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from gateway.v1 import payout_pb2 as payouts
from gateway.v1 import payout_service_pb2 as payout_service
from gateway.v1 import refund_pb2 as refunds
from gateway.v1.money_pb2 import Money
from ledger.v1.balance_pb2 import GetBalanceRequest
from sandbox.addresses import Ports
from sandbox.clients import Clients, open_clients
from sandbox.databases import SERVICES, databases_beside
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine, running_engine
from sandbox.polling import poll
from sandbox.reconciliation import LEDGER, books_difference
from sandbox.twin_admin import DisputeOutcome, TwinAdmin

CORRIDOR = "default"
# At the twin a refund to that card fails after so long.
REFUND_FAILS_AFTER_SECONDS = 60
# And there money is available after two days, and so long does a payout travel.
MATURITY_SECONDS = 2 * 24 * 60 * 60


@pytest.fixture(scope="module")
def own_databases(postgres_url: str) -> Iterator[dict[str, str]]:
    with databases_beside(dict.fromkeys(SERVICES, postgres_url)) as databases:
        yield databases


@pytest.fixture(scope="module")
async def engine(
    own_databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    """An engine of this module's own, because the clock of its twin is moved."""
    logs = tmp_path_factory.mktemp("books")
    async with running_engine(Ports.free(), logs, own_databases) as engine:
        yield engine


@pytest.fixture
async def clients(engine: Engine) -> AsyncIterator[Clients]:
    async with open_clients(engine.ports) as clients:
        yield clients


@pytest.fixture
async def twin(engine: Engine) -> AsyncIterator[TwinAdmin]:
    async with TwinAdmin.open(engine.twin_url) as twin:
        yield twin


async def pay(shop: Shop, parties: Parties, currency: str, minor: int, card: str) -> str:
    """Takes a payment in any currency; gives its id once it is settled."""
    request = shop.payment_request(parties.merchant, parties.customer, minor, card)
    request.amount.CopyFrom(Money(currency_code=currency, minor_units=minor))
    made = await shop.send(request)
    read = await shop.settled(made.id)
    assert read.state == payment.PAYMENT_STATE_SUCCEEDED
    assert read.amount_captured.minor_units == minor
    return made.id


async def yen(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A currency without decimals."""
    await pay(shop, parties, "JPY", 4_999, "visa")


async def dinars(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A currency with three decimals."""
    await pay(shop, parties, "KWD", 12_340, "visa")


async def available_at_once(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Money that never was pending."""
    await pay(shop, parties, "USD", 77_00, "bypassPending")


async def canceled_hold(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A hold that ends without a charge."""
    made = await shop.pay(
        parties.merchant,
        parties.customer,
        90_00,
        "visa",
        capture_method=payment.CAPTURE_METHOD_MANUAL,
    )
    assert made.state == payment.PAYMENT_STATE_AUTHORIZED
    await shop.clients.payments.CancelPayment(
        payments.CancelPaymentRequest(request_id=shop.new_id("cancel"), payment_id=made.id),
        timeout=CALL_SECONDS,
    )
    read = await shop.settled(made.id)
    assert read.state == payment.PAYMENT_STATE_CANCELED


async def refunds_in_yen(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Two refunds of one payment."""
    payment_id = await pay(shop, parties, "JPY", 10_000, "visa")
    for minor, refunded in ((3_000, 3_000), (2_500, 5_500)):
        await shop.clients.payments.RefundPayment(
            payments.RefundPaymentRequest(
                request_id=shop.new_id("refund"),
                payment_id=payment_id,
                amount=Money(currency_code="JPY", minor_units=minor),
            ),
            timeout=CALL_SECONDS,
        )
        await shop.until(payment_id, _refunded(refunded))
    await shop.settled(payment_id)


async def failed_refund(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A refund that succeeds and then comes back from the bank."""
    payment_id = await pay(shop, parties, "USD", 50_00, "refundFail")
    await shop.refund(payment_id, 20_00)
    await shop.until(payment_id, _refunded(20_00))
    await _advance(engine, REFUND_FAILS_AFTER_SECONDS)
    await shop.until(payment_id, lambda read: read.refunds[0].state == refunds.REFUND_STATE_FAILED)
    read = await shop.settled(payment_id)
    assert read.amount_refunded.minor_units == 0
    assert [fact.kind for fact in read.booking.facts][-2:] == ["refund_created", "refund_failed"]


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


async def matured(shop: Shop, parties: Parties, engine: Engine) -> None:
    """What was pending becomes available, days later."""
    await pay(shop, parties, "USD", 33_00, "visa")
    await _advance(engine, MATURITY_SECONDS)


async def payout_paid_and_failed(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The platform is paid out by Stripe's schedule; the bank returns it after it was paid."""
    await pay(shop, parties, "USD", 20_00, "bypassPending")
    payout = await shop.twin.pay_out("usd")
    await _advance(engine, MATURITY_SECONDS)
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PAID)
    await shop.twin.fail_payout(payout["id"])
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_FAILED)


async def payout_on_its_way(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Money that has left Stripe and is not at the bank."""
    await pay(shop, parties, "USD", 25_00, "bypassPending")
    payout = await shop.twin.pay_out("usd")
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)


async def payout_that_no_event_told(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The sweep finds what webhooks did not bring."""
    await pay(shop, parties, "USD", 21_00, "bypassPending")
    await shop.twin.pause_webhooks()
    payout = await shop.twin.pay_out("usd")
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)
    await shop.twin.resume_webhooks()


async def fee_that_no_event_told(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The sweep brings the fee of a charge whose events never come."""
    await shop.twin.pause_webhooks()
    await pay(shop, parties, "USD", 22_00, "visa")
    await shop.twin.resume_webhooks()


async def account_fees(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Fees that belong to no charge, and one that comes back, at once and days later."""
    await shop.twin.record_transaction("stripe_fee", -7_00)
    await shop.twin.record_transaction("tax_fee", -1_33, available_at_once=False)
    await shop.twin.record_transaction("stripe_fx_fee", 50, fee=3)


async def topped_up(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Money that the bank sent, and its return."""
    await shop.twin.record_transaction("topup", 500_00)
    await shop.twin.record_transaction("topup_reversal", -100_00)


async def unknown_movements(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Types that nobody knows go to suspense, whichever way and in whatever currency."""
    await shop.twin.record_transaction("reserve_transaction", -90_00)
    await shop.twin.record_transaction("from_another_planet", 12_345, currency="jpy", fee=45)
    await shop.twin.record_transaction("adjustment", 1_00, available_at_once=False)

    async def in_suspense() -> dict[str, int]:
        return {
            currency: await _posted(shop, f"{CORRIDOR}/{currency}/suspense")
            for currency in ("usd", "jpy")
        }

    await poll(in_suspense, lambda found: found == {"usd": -89_00, "jpy": 12_300})


async def charge_of_somebody_else(shop: Shop, parties: Parties, engine: Engine) -> None:
    """What is charged besides the engine is in the books, in suspense."""
    await shop.twin.record_transaction("charge", 40_00, fee=1_46, available_at_once=False)


async def another_corridor(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Each Stripe account has accounts of its own in the ledger."""
    request = shop.payment_request(
        parties.merchant, parties.customer, 88_00, "visa", corridor="backup"
    )
    made = await shop.send(request)
    read = await shop.settled(made.id)
    assert (read.state, read.corridor) == (payment.PAYMENT_STATE_SUCCEEDED, "backup")
    await shop.twin.record_transaction("stripe_fee", -2_00, account="backup")


async def destination_charge(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A charge whose money goes on to the merchant's own Stripe account, less our fee."""
    account, merchant = await _merchant_at_stripe(shop, engine)
    made = await shop.pay(
        merchant,
        parties.customer,
        100_00,
        "visa",
        destination_account=account,
        application_fee=Money(currency_code="USD", minor_units=7_00),
    )
    assert made.state == payment.PAYMENT_STATE_SUCCEEDED
    read = await shop.until(
        made.id, lambda read: read.booking.facts[-1].kind == "application_fee_earned"
    )
    assert [fact.kind for fact in read.booking.facts] == [
        "hold_placed",
        "captured",
        "fee_charged",
        "transfer_created",
        "application_fee_earned",
    ]
    await shop.settled(made.id)


@pytest.mark.parametrize(
    "story",
    [
        yen,
        dinars,
        available_at_once,
        canceled_hold,
        refunds_in_yen,
        failed_refund,
        dispute_won,
        dispute_lost,
        dispute_appealed,
        inquiry,
        dispute_prevented,
        matured,
        payout_on_its_way,
        payout_paid_and_failed,
        payout_that_no_event_told,
        fee_that_no_event_told,
        account_fees,
        topped_up,
        unknown_movements,
        charge_of_somebody_else,
        another_corridor,
        destination_charge,
    ],
    ids=lambda story: story.__name__,
)
async def test_the_ledger_equals_stripe(
    story: Callable[[Shop, Parties, Engine], Awaitable[None]],
    engine: Engine,
    shop: Shop,
    parties: Parties,
    clients: Clients,
    twin: TwinAdmin,
) -> None:
    await pay(shop, parties, "USD", 1_00, "visa")
    await story(shop, parties, engine)
    await twin.webhooks_delivered()
    # What became available at once is booked beside its payment, perhaps a moment later.
    await poll(lambda: books_difference(clients, twin), lambda found: not found)
    assert await twin.balance("usd") > 0


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


async def _until_payout(
    shop: Shop, stripe_payout_id: str, state: "payouts.PayoutState.ValueType"
) -> None:
    request = payout_service.ListPayoutsRequest(state=state)

    async def read() -> list[str]:
        answer = await shop.clients.payouts.ListPayouts(request, timeout=CALL_SECONDS)
        return [payout.stripe_payout_id for payout in answer.payouts]

    await poll(read, lambda found: stripe_payout_id in found)


async def _posted(shop: Shop, account: str) -> int:
    request = GetBalanceRequest(ledger=LEDGER, prefix=account)
    answer = await shop.clients.ledger.GetBalance(request, timeout=CALL_SECONDS)
    return sum(balance.posted_minor for balance in answer.balances)


def _refunded(minor: int) -> Callable[[payment.Payment], bool]:
    return lambda read: read.amount_refunded.minor_units == minor


async def _merchant_at_stripe(shop: Shop, engine: Engine) -> tuple[str, str]:
    """A verified merchant with an account at Stripe that may do everything; both ids."""
    created = await shop.clients.merchants.CreateMerchant(
        merchants.CreateMerchantRequest(
            request_id=shop.new_id("merchant"),
            country="US",
            dashboard=merchants.MERCHANT_DASHBOARD_EXPRESS,
            requested_capabilities=["card_payments", "transfers"],
        ),
        timeout=CALL_SECONDS,
    )
    account = created.merchant.stripe_account_id
    active = {"status": "active", "requirements": {}}
    await _steer(
        engine,
        f"accounts/{account}",
        {
            "charges_enabled": True,
            "payouts_enabled": True,
            "details_submitted": True,
            "requirements": {},
            "future_requirements": {},
            "capabilities": {"card_payments": active, "transfers": active},
        },
    )
    await shop.clients.merchants.SyncMerchant(
        merchants.SyncMerchantRequest(merchant_id=created.merchant.merchant_id),
        timeout=CALL_SECONDS,
    )
    subject_id = shop.new_id("party")
    await shop.clients.subjects.CreateSubject(
        subjects.CreateSubjectRequest(
            request_id=shop.new_id("subject"),
            subject_id=subject_id,
            kind=subject.SUBJECT_KIND_MERCHANT,
            profile=subject.SubjectProfile(legal_name="Plum & Pear LLC", country_code="US"),
            account=subject.AccountLink(stripe_account=CORRIDOR, connected_account_id=account),
        ),
        timeout=CALL_SECONDS,
    )
    await shop.clients.subjects.SetKycState(
        subjects.SetKycStateRequest(
            request_id=shop.new_id("kyc"),
            subject_id=subject_id,
            kyc_state=subject.KYC_STATE_VERIFIED,
            note="test: documents checked",
        ),
        timeout=CALL_SECONDS,
    )
    return account, subject_id


async def _advance(engine: Engine, seconds: float) -> None:
    """Moves the twin's clock, so that what it has scheduled happens."""
    await _steer(engine, "clock", {"seconds": seconds})


async def _steer(engine: Engine, path: str, body: dict[str, Any]) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{engine.twin_url}/_twin/{path}", json=body) as response,
    ):
        assert response.status == 200, await response.text()
