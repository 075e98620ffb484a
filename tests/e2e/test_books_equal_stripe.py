"""After everything that a payment can do, the ledger's Stripe accounts equal Stripe's balance."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from compliance.v1 import subject_pb2 as subject
from compliance.v1 import subject_service_pb2 as subjects
from gateway.v1 import merchant_service_pb2 as merchants
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from gateway.v1 import refund_pb2 as refunds
from gateway.v1.money_pb2 import Money
from sandbox.addresses import Ports
from sandbox.clients import Clients, open_clients
from sandbox.databases import SERVICES, databases_beside
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine, running_engine
from sandbox.polling import poll
from sandbox.reconciliation import books_difference
from sandbox.twin_admin import TwinAdmin

CORRIDOR = "default"
# At the twin a refund to that card fails after so long.
REFUND_FAILS_AFTER_SECONDS = 60


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
