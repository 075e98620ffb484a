"""The sweep against the twin: what it books when no event comes, and that it does so once."""

import asyncio
from collections import Counter
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.balance.explaining import Explainer
from gateway.balance.movement import Movement
from gateway.bookkeeping.facts import StripeBalance
from gateway.limits import Limits
from gateway.v1.payment_pb2 import PaymentState
from gateway.v1.payment_service_pb2 import RefundPaymentRequest
from gateway.webhooks_in.event import RetryEventLater
from money.v1.money_pb2 import Money
from sandbox.polling import poll
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.settings import Conversion
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.running import OpenShop
from tests.sandbox.stripe_twin.conftest import open_shop as open_merchant
from tests.sandbox.stripe_twin.merchants import onboarded_account

OFTEN = {"balance_sweep_seconds": 0.2, "webhooks": False}
DAYS = 24 * 60 * 60
FEE_OF_20_EUR = 55


def facts(database_url: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every fact reported: id, kind, content."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT fact_id, kind, fact FROM booking ORDER BY booking_number"
        ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


async def reported(database_url: str, **wanted: int) -> list[tuple[str, str, dict[str, Any]]]:
    """The facts once there are so many of each kind."""

    async def read() -> list[tuple[str, str, dict[str, Any]]]:
        return await asyncio.to_thread(facts, database_url)

    def enough(found: list[tuple[str, str, dict[str, Any]]]) -> bool:
        kinds = Counter(kind for _, kind, _ in found)
        return all(kinds[kind] >= count for kind, count in wanted.items())

    found = await poll(read, enough)
    assert not [fact_id for fact_id, _, _ in found if fact_id.startswith("conflict.")]
    return found


async def test_without_any_event_everything_is_booked(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    async with open_shop(**OFTEN) as shop:
        payment = await shop.create()
        await shop.refund(payment, 7_00)
        twin.record_transaction("default", BalanceEntry(type="stripe_fee", amount=-100))
        twin.record_transaction("default", BalanceEntry(type="topup", amount=5_000))
        twin.record_transaction("default", BalanceEntry(type="what_is_this", amount=-3))
        await reported(
            database_url,
            fee_charged=1,
            refund_created=1,
            account_fee_charged=1,
            topped_up=1,
            unknown_balance_transaction=1,
        )
        twin.advance(seconds=3 * DAYS)
        found = await reported(database_url, funds_available=1)
        read = await shop.get(payment.id)
        assert read.fee.minor_units == FEE_OF_20_EUR
    matured = [fact for _, kind, fact in found if kind == "funds_available"]
    assert [fact["amount_minor"] for fact in matured] == [20_00 - FEE_OF_20_EUR]


async def test_a_minimum_balance_is_held_and_released_and_nothing_is_in_suspense(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """A payout that leaves some behind is four balance transactions; Stripe's balances, one of them
    besides that of payments, are the sums of what was kept."""
    twin.settings.minimum_balances = {"eur": 30_00}
    prefunding = StripeBalance.PREFUNDING.value
    for entry in (
        BalanceEntry(type="topup", amount=100_00, currency="eur"),
        BalanceEntry(type="topup", amount=7_00, currency="eur", balance_type=prefunding),
        BalanceEntry(type="reserve_hold", amount=-2_00, currency="eur", fee=10),
    ):
        twin.record_transaction("default", entry)
    twin.pay_out("default", "eur")
    async with open_shop(**OFTEN):
        found = await reported(database_url, account_moved=3, topped_up=2, payout_created=1)
        await _balances_agree(twin)
    kinds = Counter(kind for _, kind, _ in found)
    assert kinds["unknown_balance_transaction"] == 0
    moved = [fact for _, kind, fact in found if kind == "account_moved"]
    assert {(fact["type"], fact["amount_minor"]) for fact in moved} == {
        ("reserve_hold", -2_00),
        ("payout_minimum_balance_hold", -30_00),
        ("payout_minimum_balance_release", 30_00),
    }
    assert {fact["contra"] for fact in moved} == {"reserves"}
    with psycopg.connect(database_url) as connection:
        kept = connection.execute(
            "SELECT amount_minor, fee_minor, net_minor, fee_details, reporting_category"
            " FROM balance_transaction WHERE type = 'reserve_hold'"
        ).fetchall()
        totals = connection.execute("SELECT part, net_minor FROM balance_total").fetchall()
    detail = {"type": "stripe_fee", "currency": "EUR", "amount_minor": 10, "application_id": ""}
    assert kept == [(-2_00, 10, -2_10, [detail], "reserve_hold")]
    assert dict(totals) == {"available": 30_00, prefunding: 7_00}


async def _balances_agree(twin: Twin) -> None:
    """Once a sweep has compared them."""

    async def differences() -> dict[str, float | None]:
        return {
            part: REGISTRY.get_sample_value(
                "gateway_balance_difference_minor",
                {"corridor": "default", "currency": "EUR", "part": part},
            )
            for part in ("available", "refund_and_dispute_prefunding")
        }

    await poll(differences, lambda found: set(found.values()) == {0})


async def test_what_stripe_counts_in_other_units_is_booked_in_minor_units(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """5,000 kronur are 500000 at Stripe; its fee of 2.9 % + 30 there is 145.00, in whole kronur."""
    kronur = Money(currency_code="ISK", minor_units=5_000)
    async with open_shop(**OFTEN) as shop:
        payment = await shop.create(amount=kronur)
        ask = RefundPaymentRequest(
            request_id="refund-1",
            payment_id=payment.id,
            amount=Money(currency_code="ISK", minor_units=1_500),
        )
        await shop.call("RefundPayment", ask)
        found = await reported(database_url, captured=1, fee_charged=1, refund_created=1)
        read = await shop.get(payment.id)
    assert (read.fee.currency_code, read.fee.minor_units) == ("ISK", 145)
    assert read.amount_refunded.minor_units == 1_500
    booked = {kind: fact["amount_minor"] for _, kind, fact in found if "amount_minor" in fact}
    assert (booked["captured"], booked["fee_charged"]) == (5_000, 145)
    assert booked["refund_created"] == 1_500
    balance = twin.books()["default"]["balances"]["isk"]
    assert sum(balance.values()) == 500_000 - 14_500 - 150_000


async def test_a_sweep_that_dies_anywhere_goes_on_and_books_once(
    open_shop: OpenShop, twin: Twin, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pages, and a process that dies at each explanation: nothing is lost or doubled."""
    died: set[str] = set()
    explain = Explainer.explain

    async def die_once(self: Explainer, movement: Movement, transaction: Any) -> None:
        if movement.id not in died:
            died.add(movement.id)
            raise ConnectionError("the database went away")
        await explain(self, movement, transaction)

    monkeypatch.setattr(Explainer, "explain", die_once)
    for number in range(4):
        twin.record_transaction("default", BalanceEntry(type="stripe_fee", amount=-1 - number))
    async with open_shop(
        limits=Limits(balance_page=2), lease_seconds=0.5, call_seconds=0.4, **OFTEN
    ):
        found = await reported(database_url, account_fee_charged=4)
    amounts = sorted(fact["amount_minor"] for _, kind, fact in found)
    assert amounts == [1, 2, 3, 4]


MISSING = """
INSERT INTO balance_transaction (
    corridor, id, type, source_id, currency, net_minor, part, create_time, available_time, state,
    next_attempt_time
) VALUES
    ('default', 'txn_open', 'charge', 'ch_1', 'EUR', 1, 'available', now(), now(), 'OPEN', now()),
    ('default', 'txn_pending', 'charge', 'ch_2', 'EUR', 1, 'pending', now(), '2020-01-01', 'DONE',
        now());
UPDATE balance_sweep
SET walk_from = '2020-01-01', walk_after_id = 'txn_walked', next_time = now(), lease_until = NULL
WHERE corridor = 'default';
"""


async def test_what_stripe_has_no_longer_is_told_and_passed_by(
    open_shop: OpenShop, database_url: str
) -> None:
    """Test data was deleted, or the key is of another account: also what the walk had come to."""

    def missing() -> set[str]:
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT id FROM balance_transaction WHERE last_failure = 'NOT_AT_STRIPE'"
            )
            return {str(row[0]) for row in rows}

    async with open_shop(balance_sweep_seconds=3600, webhooks=False) as shop:
        await shop.create()
    with psycopg.connect(database_url) as connection:
        connection.execute(MISSING)
    with capture_logs() as logs:
        async with open_shop(**OFTEN):
            await reported(database_url, captured=1, fee_charged=1)
            await poll(lambda: asyncio.to_thread(missing), lambda found: len(found) == 2)
    assert missing() == {"txn_open", "txn_pending"}
    told = {log.get("balance_transaction") for log in logs if "missing" in log["event"]}
    assert told == {"txn_open", "txn_pending", "txn_walked"}


async def test_why_a_sweep_waits_is_told(open_shop: OpenShop) -> None:
    with capture_logs() as logs:
        async with open_shop(**OFTEN) as shop:
            await shop.close_corridor()

            async def reasons() -> set[str]:
                return {log["reason"] for log in logs if log["event"] == "balance_sweep_waits"}

            assert await poll(reasons, bool) == {"CORRIDOR_CLOSED"}


async def test_a_movement_of_ours_waits_for_its_payment(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """Stripe has charged, and the answer is lost for now: the money is not a stranger's."""
    async with open_shop(**OFTEN) as shop:
        fault = {"kind": "error", "when": "after", "status": 500, "stored": False}
        twin.add_fault(**fault, method="POST", path="/v1/payment_intents")
        creating = asyncio.create_task(shop.create(timeout=2.0))
        await poll(lambda: _open_reasons(database_url), lambda found: len(found) == 1)
        assert await _open_reasons(database_url) == ["PAYMENT_NOT_CAPTURED_YET"]
        twin.faults.clear()
        await asyncio.gather(creating, return_exceptions=True)
        found = await reported(database_url, captured=1, fee_charged=1)
    assert "unknown_balance_transaction" not in {kind for _, kind, _ in found}


async def test_a_charge_after_a_declined_one_waits_for_its_payment(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """The payment still names the charge that was declined, and the customer has paid by now."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop(**OFTEN) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
        assert declined.charge_id
        waiting = await shop.confirm(declined)
        twin.complete_authentication(waiting.payment_intent_id)
        await poll(lambda: _open_reasons(database_url), lambda found: len(found) == 1)
        assert await _open_reasons(database_url) == ["PAYMENT_NOT_CAPTURED_YET"]
        paid = await shop.confirm(waiting)
        assert paid.charge_id != declined.charge_id
        found = await reported(database_url, captured=1, fee_charged=1)
    assert "unknown_balance_transaction" not in {kind for _, kind, _ in found}


@pytest.mark.parametrize("webhooks", [False, True])
async def test_a_second_charge_of_one_payment_is_in_suspense(
    open_shop: OpenShop, twin: Twin, database_url: str, webhooks: bool
) -> None:
    """Whole: its fee is not the payment's either, whoever looks at it first."""
    async with open_shop(balance_sweep_seconds=0.2, webhooks=webhooks) as shop:
        payment = await shop.create()
        await shop.watch_for(payment.id, "fee_known")
        account = twin.account()
        charge = account.objects("charge").get(payment.charge_id)
        second = {**charge, "id": account.new_id("ch")}
        account.objects("charge").add(second)
        second["balance_transaction"] = account.books.record(
            kind="charge",
            source=second["id"],
            amount=20_00,
            currency="eur",
            now=account.now(),
            fees=(FeePart(55, "stripe_fee", "Stripe processing fees"),),
        )["id"]
        account.emit("charge.updated", second)
        if webhooks:
            await poll(
                lambda: _event_states(database_url, "charge.updated"),
                lambda states: states == ["DONE", "DONE"],
            )
        found = await reported(database_url, unknown_balance_transaction=1)
    (unknown,) = [fact for _, kind, fact in found if kind == "unknown_balance_transaction"]
    assert (unknown["type"], unknown["amount_minor"]) == ("charge", 20_00 - 55)
    assert [kind for _, kind, _ in found].count("fee_charged") == 1


async def test_what_settles_in_another_currency_is_converted(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    """A charge in EUR that settles as USD, and its refund at another rate: nothing is left of
    either in EUR, and in USD exactly what Stripe says."""
    async with open_shop(**OFTEN) as shop:
        _settle_in_usd(twin)
        payment = await shop.create()
        await shop.refund(payment, 10_00)
        found = await reported(database_url, converted=2, refund_created=1, fee_charged=1)
        assert (await shop.get(payment.id)).state == PaymentState.PAYMENT_STATE_SUCCEEDED
    charged, refunded = [fact for _, kind, fact in found if kind == "converted"]
    assert (charged["currency"], charged["settled_currency"]) == ("EUR", "USD")
    assert (charged["amount_minor"], charged["settled_minor"]) == (20_00, 22_00)
    assert charged["incoming"]
    assert (refunded["amount_minor"], refunded["settled_minor"]) == (10_00, 11_50)
    assert not refunded["incoming"]
    taken = next(fact for _, kind, fact in found if kind == "refund_created")
    assert refunded["balance"] == taken["balance"]


def _settle_in_usd(twin: Twin) -> None:
    """From now on the account settles what is charged in EUR in USD, refunds at a worse rate."""
    books = twin.account().books
    record = books.record

    def convert(**movement: Any) -> Any:
        rate = 115 if movement["kind"] == "refund" else 110
        amount = movement["amount"] * rate // 100
        return record(**{**movement, "amount": amount, "currency": "usd"})

    books.record = convert  # type: ignore[method-assign]


async def _event_states(database_url: str, event_type: str) -> list[str]:
    def read() -> list[str]:
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT state FROM webhook_event WHERE event_type = %s", [event_type]
            ).fetchall()
        return [row[0] for row in rows]

    return await asyncio.to_thread(read)


async def _open_reasons(database_url: str) -> list[str]:
    def read() -> list[str]:
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT last_failure FROM balance_transaction"
                " WHERE state = 'OPEN' AND last_failure IS NOT NULL"
            ).fetchall()
        return [row[0] for row in rows]

    return await asyncio.to_thread(read)


async def test_what_comes_back_waits_for_what_it_comes_back_of(
    open_shop: OpenShop, twin: Twin, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converted destination charge, of which the sweep alone tells what went on: at first its
    transfer and its fee cannot be explained. Nothing ends in suspense for that."""
    held_up = {"transfer", "application_fee"}
    waited: set[str] = set()
    explain = Explainer.explain

    async def fail_once(self: Explainer, movement: Movement, transaction: Any) -> None:
        if movement.type in held_up:
            held_up.remove(movement.type)
            raise RetryEventLater("NOT_YET")
        try:
            await explain(self, movement, transaction)
        except RetryEventLater as later:
            if later.reason == "ORIGIN_NOT_EXPLAINED_YET":
                waited.add(movement.type)
            raise

    monkeypatch.setattr(Explainer, "explain", fail_once)
    twin.settings.conversions = {"eur": Conversion(currency="usd", rate=1.1)}
    async with open_merchant(twin, twin.account().secret_key) as merchant:
        account = await onboarded_account(merchant)
    async with open_shop(webhooks=False, roles="api") as shop:
        payment = await shop.create(
            destination_account_id=account,
            application_fee=Money(currency_code="EUR", minor_units=2_00),
        )
        await shop.refund(payment, 5_00)
    async with open_shop(**OFTEN) as shop:
        found = await reported(
            database_url,
            transfer_created=1,
            application_fee_earned=1,
            transfer_reversed=1,
            application_fee_returned=1,
        )
    assert waited == {"transfer_refund", "application_fee_refund"}
    amounts = {kind: (fact["currency"], fact["amount_minor"]) for _, kind, fact in found
               if "amount_minor" in fact}  # fmt: skip
    assert amounts["transfer_created"] == ("USD", 22_00)
    assert amounts["transfer_reversed"] == ("USD", 5_50)
    assert amounts["application_fee_earned"] == ("USD", 2_20)
    assert amounts["application_fee_returned"] == ("USD", 55)
    assert "unknown_balance_transaction" not in amounts
