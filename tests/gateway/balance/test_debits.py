"""Balance transactions of bank debits: booked whenever they are seen, and never in suspense."""

from datetime import timedelta
from functools import partial

import psycopg
import pytest

from gateway.bookkeeping.balance_facts import DebitMoved, DebitSettled
from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import Captured, Fact, FeeCharged, HoldPlaced, StripeBalance
from gateway.bookkeeping.settlement import settled_debit
from gateway.v1.payment_pb2 import PaymentState
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.gateway.balance.test_sweep import OFTEN, reported
from tests.gateway.bookkeeping.notebook import Notebook
from tests.gateway.bookkeeping.test_booking_rules import ABOUT, NOON
from tests.gateway.payments.test_bank_debits import DECIDED, begin
from tests.gateway.running import OpenShop

WEBHOOKS = {**OFTEN, "webhooks": True}


def submitted(
    currency: str = "USD",
    amount_minor: int = 10_000,
    fee_minor: int = 80,
    balance: StripeBalance = StripeBalance.PENDING,
) -> DebitMoved:
    return DebitMoved(
        **{**ABOUT, "currency": currency},
        balance_transaction_id=f"txn_{amount_minor}",
        charge_id="py_1",
        amount_minor=amount_minor,
        fee_minor=fee_minor,
        balance=balance,
    )


def balances(*facts: Fact) -> dict[str, int]:
    notebook = Notebook()
    for fact in facts:
        notebook.book(fact)
    return {
        account.path: balance for account, balance in notebook.debit_balances.items() if balance
    }


def test_the_documented_debit_before_and_after_its_bank_has_paid() -> None:
    """docs/chart-of-accounts.md: 100.00 debited with a fee of 0.80."""
    moved = submitted()
    undecided = {
        "us/usd/stripe/pending": 9_920,
        "us/usd/fees": 80,
        "us/usd/debits_undecided": -10_000,
    }
    hold = HoldPlaced(**ABOUT, hold_id="op_1", amount_minor=10_000)
    assert balances(hold, moved) == undecided
    captured = Captured(**ABOUT, hold_id="op_1", charge_id="py_1", amount_minor=10_000)
    settled = settled_debit(moved, "USD", 10_000, NOON)
    assert [type(fact) for fact in settled] == [DebitSettled, FeeCharged]
    paid = {
        "us/usd/stripe/pending": 9_920,
        "us/usd/fees": 80,
        "us/usd/merchants/m_42/payable": -10_000,
    }
    assert balances(hold, moved, captured, *settled) == paid
    assert balances(moved, submitted(amount_minor=-10_000, fee_minor=-80)) == {}
    # Where Stripe keeps the fee of what it takes out, that is an expense.
    assert balances(moved, submitted(amount_minor=-10_000, fee_minor=0)) == {
        "us/usd/stripe/pending": -80,
        "us/usd/fees": 80,
    }


def test_a_converted_debit_is_captured_in_its_own_currency() -> None:
    hold = HoldPlaced(**ABOUT, hold_id="op_1", amount_minor=10_000)
    captured = Captured(**ABOUT, hold_id="op_1", charge_id="py_1", amount_minor=10_000)
    moved = submitted("EUR", 9_300)
    found = balances(hold, moved, captured, *settled_debit(moved, "USD", 10_000, NOON))
    assert found[Chart("us", "EUR").stripe(StripeBalance.PENDING).path] == 9_220
    assert Chart("us", "USD").stripe(StripeBalance.PENDING).path not in found
    assert Chart("us", "EUR").debits_undecided.path not in found


def test_what_is_available_at_once_is_available_when_it_was_paid() -> None:
    """The sweep is done with it by then: nobody else says where it counts."""
    moved = submitted(balance=StripeBalance.AVAILABLE)
    hold = HoldPlaced(**ABOUT, hold_id="op_1", amount_minor=10_000)
    captured = Captured(**ABOUT, hold_id="op_1", charge_id="py_1", amount_minor=10_000)
    found = balances(hold, moved, captured, *settled_debit(moved, "USD", 10_000, NOON))
    assert found["us/usd/stripe/available"] == 9_920
    assert "us/usd/stripe/pending" not in found


async def test_whenever_the_sweep_sees_it_the_same_is_booked(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """Before the bank has paid, or after, as Stripe itself once did it."""
    async with open_shop(**WEBHOOKS) as shop:
        early = await begin(shop)
        await reported(database_url, debit_moved=1)
        twin.settings.settlement_seconds = 2 * DECIDED
        late = await begin(shop)
        twin.advance(seconds=DECIDED)
        for payment in (early, late):
            await shop.watch_until(payment.id, PaymentState.PAYMENT_STATE_SUCCEEDED)
        await reported(database_url, captured=2, debit_settled=1)
        twin.advance(seconds=DECIDED)
        await shop.watch_for(late.id, "fee_known")
        found = await reported(database_url, debit_moved=2, debit_settled=2, fee_charged=2)
    kinds = {
        payment.id: {kind for _, kind, fact in found if fact.get("payment_id") == payment.id}
        for payment in (early, late)
    }
    assert kinds[early.id] == kinds[late.id]
    assert kinds[early.id] == {
        *("hold_placed", "debit_moved", "captured"),
        *("debit_settled", "fee_charged"),
    }


async def test_what_was_paid_and_is_taken_out_without_a_dispute_needs_a_person(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    async with open_shop(**WEBHOOKS) as shop:
        payment = await begin(shop)
        twin.advance(seconds=DECIDED)
        await shop.watch_until(payment.id, PaymentState.PAYMENT_STATE_SUCCEEDED)
        await reported(database_url, debit_settled=1)
        charge = (await shop.get(payment.id)).charge_id
        entry = BalanceEntry(type="payment_failure_refund", amount=-10_000, source=charge)
        twin.record_transaction("default", entry)
        found = await reported(database_url, unknown_balance_transaction=1)
    [(_, _, unknown)] = [fact for fact in found if fact[1] == "unknown_balance_transaction"]
    assert (unknown["type"], unknown["amount_minor"]) == ("payment_failure_refund", -10_000)


async def test_a_refused_debit_whose_every_event_is_lost_leaves_nothing_in_suspense(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    async with open_shop(**OFTEN) as shop:
        await begin(shop, "accountClosed")
        await reported(database_url, debit_moved=1)
        twin.advance(seconds=DECIDED + timedelta(days=1).total_seconds())
        found = await reported(database_url, debit_moved=2, funds_available=2)
    moved = [fact["amount_minor"] for _, kind, fact in found if kind == "debit_moved"]
    available = [fact["amount_minor"] for _, kind, fact in found if kind == "funds_available"]
    assert (moved, sum(available)) == ([10_000, -10_000], 0)
    assert not [kind for _, kind, _ in found if kind == "unknown_balance_transaction"]


async def test_what_takes_a_debit_out_again_may_be_an_object_of_its_own(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """Stripe does not say whether the source is the charge, or a refund of it."""
    async with open_shop(**OFTEN) as shop:
        payment = await begin(shop, "processing")
        await reported(database_url, debit_moved=1)
        back = {
            "id": "pyr_1",
            "object": "refund",
            "charge": payment.charge_id,
            "payment_intent": payment.payment_intent_id,
            "metadata": {},
            "status": "succeeded",
        }
        twin.account().objects("refund").add(back)
        entry = BalanceEntry(type="payment_failure_refund", amount=-10_000, fee=-80, source="pyr_1")
        twin.record_transaction("default", entry)
        found = await reported(database_url, debit_moved=2)
    moved = [fact for _, kind, fact in found if kind == "debit_moved"]
    assert [(fact["charge_id"], fact["amount_minor"], fact["fee_minor"]) for fact in moved] == [
        (payment.charge_id, 10_000, 80),
        (payment.charge_id, -10_000, -80),
    ]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_refund_of_a_debit_that_is_known_as_refused_is_told_by_its_charge(
    open_shop: OpenShop, twin: Twin, database_url: str, paid: bool
) -> None:
    """If the charge was paid after all, the news of that is late or lost (a restored database):
    what is put into suspense now would be booked once more as a refund of the payment then."""
    async with open_shop(**WEBHOOKS) as shop:
        payment = await begin(shop, "accountClosed")
        twin.advance(seconds=DECIDED)
        await shop.watch_until(payment.id, PaymentState.PAYMENT_STATE_DECLINED)
        await reported(database_url, debit_moved=2)
        if paid:
            twin.account().objects("charge").get(payment.charge_id)["status"] = "succeeded"
        back = {
            "id": "pyr_1",
            "object": "refund",
            "amount": 10_000,
            "charge": payment.charge_id,
            "payment_intent": payment.payment_intent_id,
            "metadata": {},
            "status": "succeeded",
        }
        twin.account().objects("refund").add(back)
        entry = BalanceEntry(type="payment_refund", amount=-10_000, source="pyr_1")
        twin.record_transaction("default", entry)
        await reported(database_url, debit_moved=2 if paid else 3)
        left = await poll(partial(waiting, database_url), lambda found: bool(found) == paid)
        found = await reported(database_url)
    assert left == ([("payment_refund", "PAYMENT_NOT_CAPTURED_YET")] if paid else [])
    assert not [kind for _, kind, _ in found if kind == "unknown_balance_transaction"]


async def waiting(database_url: str) -> list[tuple[str, str]]:
    """The types of what the sweep cannot explain yet, and why."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(
            "SELECT type, last_failure FROM balance_transaction"
            " WHERE state = 'OPEN' AND last_failure IS NOT NULL"
        )
        return await cursor.fetchall()
