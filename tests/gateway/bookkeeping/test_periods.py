"""What happened before midnight and is learned after it is booked on the day on which it happened:
the gateway and the ledger are behind midnight, the Stripe twin is before it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from pydantic import SecretStr

from gateway.v1.payment_pb2 import CaptureMethod, PaymentMethod, PaymentState
from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from ledger.v1.balance_pb2 import AsOf, GetTrialBalanceRequest
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.test_clocks import ShiftedClock
from tests.gateway.running import OpenShop
from tests.plugin import NewDatabase

# As far apart as the signatures of webhooks allow; midnight is between.
LATE = timedelta(minutes=4)
FACTS = {
    "captured": 4,
    "fee_charged": 4,
    "refund_created": 2,
    "refund_failed": 1,
    "dispute_moved": 2,
    "dispute_decided": 2,
    "payout_created": 1,
    "payout_failed": 1,
    "topped_up": 1,
}
# Placed and released by us: what is held moves nothing, and the ledger knows no time of it.
HOLDS = {"hold_placed", "hold_released"}


@pytest.fixture
async def ledger(service_database: NewDatabase) -> AsyncIterator[str]:
    """Where a ledger listens whose clock is as late as the gateway's."""
    settings = LedgerSettings(
        database_url=SecretStr(service_database("ledger")),
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
    )
    async with open_service(settings, ShiftedClock(LATE)) as server:
        yield f"127.0.0.1:{server.port}"


async def booked(database_url: str, wanted: dict[str, int]) -> list[tuple[str, str, datetime]]:
    """Kind, payment and effective time of all facts, once the ledger has those that are wanted."""

    def read() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "SELECT kind, coalesce(payment_id, ''), effective_time, state FROM booking"
                " ORDER BY booking_number"
            ).fetchall()

    def done(rows: list[Any]) -> bool:
        kinds = Counter(row[0] for row in rows)
        states = {row[3] for row in rows}
        return states == {"BOOKED"} and all(kinds[kind] >= n for kind, n in wanted.items())

    rows = await poll(lambda: asyncio.to_thread(read), done)
    return [row[:3] for row in rows]


async def trial_balance(address: str, as_of: datetime | None) -> dict[str, int]:
    """Posted minor units of each account that has any, on the debit side."""
    request = GetTrialBalanceRequest(ledger="payments", page_size=1_000)
    if as_of is not None:
        point = AsOf()
        point.effective_time.FromDatetime(as_of)
        request.as_of.CopyFrom(point)
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await LedgerServiceStub(channel).GetTrialBalance(request)
    found = {
        line.balance.account: line.balance.posted_debits_minor - line.balance.posted_credits_minor
        for line in answer.lines
    }
    return {account: amount for account, amount in found.items() if amount}


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweep"])
async def test_a_day_has_what_happened_on_it_and_nothing_is_split(
    open_shop: OpenShop, twin: Twin, ledger: str, database_url: str, *, webhooks: bool
) -> None:
    begin = datetime.now(UTC).replace(microsecond=0)
    midnight = begin + LATE / 2
    twin.settings.settlement_seconds = 0.2
    quick = {"balance_sweep_seconds": 0.2, "ledger_address": ledger, "webhooks": webhooks}
    async with open_shop(ShiftedClock(LATE), **quick) as shop:
        plain = await shop.create()
        held = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        held = await shop.capture(held, 15_00)
        assert held.state == PaymentState.PAYMENT_STATE_SUCCEEDED
        await shop.refund(plain, 7_00)
        refundable = await shop.create()
        failing = (await shop.refund(refundable, 5_00)).refund
        disputed = await shop.create()
        twin.fail_refund(failing.stripe_refund_id)
        (charge,) = [
            one
            for one in twin.account().objects("charge")
            if one["metadata"]["engine_payment_id"] == disputed.id
        ]
        dispute = twin.open_dispute(charge["id"])
        twin.decide_dispute(dispute["id"], won=True)
        # Something comes in at once, is paid out, and comes back.
        topup = BalanceEntry(type="topup", amount=90_00, currency="eur")
        twin.record_transaction("default", topup)
        twin.fail_payout(twin.pay_out("default", "eur")["id"])
        rows = await booked(database_url, FACTS)
    assert datetime.now(UTC) < midnight, "Stripe's day is not over"
    late = [row for row in rows if row[0] not in HOLDS and row[2] >= midnight]
    assert not late
    times = {
        (payment, kind): when for kind, payment, when in rows if kind in ("captured", "fee_charged")
    }
    objects = {
        one["metadata"]["engine_payment_id"]: one for one in twin.account().objects("charge")
    }
    for payment in (plain, held, refundable, disputed):
        charge = objects[payment.id]
        made = charge["created"]
        if payment is held:
            named = charge["balance_transaction"]
            made = twin.account().books.transactions.get(named)["created"]
        when = datetime.fromtimestamp(made, UTC)
        assert times[payment.id, "captured"] == times[payment.id, "fee_charged"] == when
    # The ledger's accounts at midnight are what they are in the end, and before the day nothing.
    at_the_end = await trial_balance(ledger, None)
    assert at_the_end["default/eur/fees"] > 0
    assert await trial_balance(ledger, midnight) == at_the_end
    assert await trial_balance(ledger, begin - timedelta(seconds=1)) == {}


async def test_what_stripe_settles_after_midnight_is_of_the_day_of_its_charge(
    open_shop: OpenShop, twin: Twin, database_url: str, ledger: str
) -> None:
    """The balance transaction is made an hour after the charge, and available two days later."""
    twin.settings.settlement_seconds = 3600.0
    quick = {"balance_sweep_seconds": 0.2, "ledger_address": ledger, "webhooks": False}
    async with open_shop(**quick) as shop:
        payment = await shop.create(payment_method=PaymentMethod(token="pm_card_visa"))
        twin.advance(seconds=3601.0)
        await booked(database_url, {"fee_charged": 1})
        twin.advance(seconds=3 * 24 * 3600.0)
        rows = await booked(database_url, {"funds_available": 1})
    (charge,) = twin.account().objects("charge")
    made = datetime.fromtimestamp(charge["created"], UTC)
    moved = twin.account().books.transactions.get(charge["balance_transaction"])
    assert moved["created"] >= charge["created"] + 3600
    found = {kind: when for kind, _, when in rows}
    assert found["captured"] == found["fee_charged"] == made
    assert found["funds_available"] == datetime.fromtimestamp(moved["available_on"], UTC)
    assert payment.id
    # At the end of that minute the ledger has capture and fee, and nothing is available yet.
    then = await trial_balance(ledger, made + timedelta(minutes=1))
    assert then == {
        "default/eur/fees": 55,
        "default/eur/merchants/m_1/payable": -20_00,
        "default/eur/stripe/pending": 20_00 - 55,
    }
