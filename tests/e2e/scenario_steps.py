"""What the scenarios of money share: paying, the twin's clock, a merchant with an account."""

from collections.abc import Callable
from typing import Any

import aiohttp

from compliance.v1 import subject_pb2 as subject
from compliance.v1 import subject_service_pb2 as subjects
from gateway.v1 import merchant_service_pb2 as merchants
from gateway.v1 import payment_pb2 as payment
from ledger.v1.balance_pb2 import GetBalanceRequest
from money.v1.money_pb2 import Money
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.reconciliation import LEDGER
from tests.accounts import ACTIVE_ACCOUNT

CORRIDOR = "default"
# At the twin a refund to that card fails after so long.
REFUND_FAILS_AFTER_SECONDS = 60
# And so often it looks whether its balance covers a refund that waits.
REFUND_LOOK_SECONDS = 60
# And there money is available after two days, and so long does a payout travel.
MATURITY_SECONDS = 2 * 24 * 60 * 60


async def pay(shop: Shop, parties: Parties, currency: str, minor: int, card: str) -> str:
    """Takes a payment in any currency; gives its id once it is settled."""
    request = shop.payment_request(parties.merchant, parties.customer, minor, card)
    request.amount.CopyFrom(Money(currency_code=currency, minor_units=minor))
    made = await shop.send(request)
    read = await shop.settled(made.id)
    assert read.state == payment.PAYMENT_STATE_SUCCEEDED
    assert read.amount_captured.minor_units == minor
    return made.id


async def posted(shop: Shop, account: str) -> int:
    request = GetBalanceRequest(ledger=LEDGER, prefix=account)
    answer = await shop.clients.ledger.GetBalance(request, timeout=CALL_SECONDS)
    return sum(balance.posted_minor for balance in answer.balances)


def has_refunded(minor: int) -> Callable[[payment.Payment], bool]:
    return lambda read: read.amount_refunded.minor_units == minor


async def merchant_at_stripe(shop: Shop, engine: Engine) -> tuple[str, str]:
    """A verified merchant with an account at Stripe that may do everything; both ids."""
    created = await shop.clients.merchants.CreateMerchant(
        merchants.CreateMerchantRequest(
            request_id=shop.new_id("merchant"),
            country_code="US",
            dashboard=merchants.MERCHANT_DASHBOARD_EXPRESS,
            requested_capabilities=["card_payments", "transfers"],
        ),
        timeout=CALL_SECONDS,
    )
    account = created.merchant.connected_account_id
    await control_twin(engine, f"accounts/{account}", ACTIVE_ACCOUNT)
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
            account=subject.AccountLink(corridor=CORRIDOR, connected_account_id=account),
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


async def advance(engine: Engine, seconds: float) -> None:
    """Moves the twin's clock, so that what it has scheduled happens."""
    await control_twin(engine, "clock", {"seconds": seconds})


async def control_twin(engine: Engine, path: str, body: dict[str, Any]) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{engine.twin_url}/_twin/{path}", json=body) as response,
    ):
        assert response.status == 200, await response.text()
