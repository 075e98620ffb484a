"""What can become of a payment."""

from collections import Counter
from typing import Any

from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from gateway.v1 import refund_pb2 as refunds
from money.v1.money_pb2 import Money
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from tests.e2e.scenario_steps import (
    MATURITY_SECONDS,
    REFUND_FAILS_AFTER_SECONDS,
    REFUND_LOOK_SECONDS,
    advance,
    has_refunded,
    merchant_at_stripe,
    pay,
)


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
        await shop.until(payment_id, has_refunded(refunded))
    await shop.settled(payment_id)


async def failed_refund(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A refund that succeeds and then comes back from the bank."""
    payment_id = await pay(shop, parties, "USD", 50_00, "refundFail")
    await shop.refund(payment_id, 20_00)
    await shop.until(payment_id, has_refunded(20_00))
    await advance(engine, REFUND_FAILS_AFTER_SECONDS)
    await shop.until(payment_id, lambda read: read.refunds[0].state == refunds.REFUND_STATE_FAILED)
    read = await shop.settled(payment_id)
    assert read.amount_refunded.minor_units == 0
    assert [fact.kind for fact in read.booking.facts][-2:] == ["refund_created", "refund_failed"]


async def converted_refund_that_fails(shop: Shop, parties: Parties, engine: Engine) -> None:
    """A refund leaves at one rate and comes back at another; the difference stays in conversion."""
    await shop.twin.change_settings(conversions={"aud": {"currency": "usd", "rate": 0.65}})
    payment_id = await pay(shop, parties, "AUD", 80_00, "refundFail")
    await shop.refund(payment_id)
    await shop.until(payment_id, has_refunded(80_00))
    await shop.twin.change_settings(conversions={"aud": {"currency": "usd", "rate": 0.66}})
    await advance(engine, REFUND_FAILS_AFTER_SECONDS)
    await shop.until(payment_id, has_refunded(0))
    read = await shop.settled(payment_id)
    assert read.refunds[0].state == refunds.REFUND_STATE_FAILED
    await shop.twin.change_settings(conversions={})


async def refund_that_waits_for_balance(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Stripe takes a refund once its balance covers it, and until then nothing is booked of it."""
    payment_id = await _refund_that_waits(shop, parties, "GBP", 50_00)
    await shop.twin.record_transaction("topup", 50_00, currency="gbp")
    await advance(engine, REFUND_LOOK_SECONDS)
    await shop.until(payment_id, has_refunded(50_00))
    read = await shop.settled(payment_id)
    assert read.refunds[0].state == refunds.REFUND_STATE_SUCCEEDED
    assert not read.refunds[0].pending_reason
    assert [fact.kind for fact in read.booking.facts][-1] == "refund_created"


async def refund_taken_that_no_event_told(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The sweep finds that Stripe has taken a refund that waited, converted as it is."""
    await shop.twin.change_settings(conversions={"nok": {"currency": "sek", "rate": 0.97}})
    payment_id = await _refund_that_waits(shop, parties, "NOK", 300_00)
    await shop.twin.pause_webhooks()
    await shop.twin.record_transaction("topup", 300_00, currency="sek")
    await advance(engine, REFUND_LOOK_SECONDS)
    await shop.until(payment_id, has_refunded(300_00))
    await shop.twin.resume_webhooks()
    await shop.twin.change_settings(conversions={})


async def refund_that_waits_in_vain(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The charge is disputed while its refund waits: the refund fails and has moved nothing, and
    the dispute takes it all."""
    payment_id = await _refund_that_waits(shop, parties, "DKK", 500_00)
    await shop.twin.open_dispute((await shop.read(payment_id)).charge_id)
    await shop.until(payment_id, lambda read: read.amount_disputed.minor_units == 500_00)
    await shop.until(payment_id, lambda read: read.refunds[0].state == refunds.REFUND_STATE_FAILED)
    read = await shop.settled(payment_id)
    assert read.refunds[0].failure_code == "charge_for_pending_refund_disputed"
    assert not [fact for fact in read.booking.facts if fact.kind.startswith("refund")]


async def _refund_that_waits(shop: Shop, parties: Parties, currency: str, minor: int) -> str:
    """A payment in a currency of which nothing is available, and its refund, which waits for it."""
    payment_id = await pay(shop, parties, currency, minor, "visa")
    await shop.twin.change_settings(refunds_need_balance=True)
    await shop.refund(payment_id)
    await shop.twin.change_settings(refunds_need_balance=False)
    read = await shop.settled(payment_id)
    assert read.refunds[0].state == refunds.REFUND_STATE_PENDING
    assert read.refunds[0].pending_reason == "insufficient_funds"
    assert read.amount_refunded.minor_units == 0
    assert "refund_created" not in [fact.kind for fact in read.booking.facts]
    return payment_id


async def matured(shop: Shop, parties: Parties, engine: Engine) -> None:
    """What was pending becomes available, days later."""
    await pay(shop, parties, "USD", 33_00, "visa")
    await advance(engine, MATURITY_SECONDS)


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
    account, merchant = await merchant_at_stripe(shop, engine)
    made = await shop.pay(
        merchant,
        parties.customer,
        100_00,
        "visa",
        destination_account_id=account,
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


async def destination_charge_in_part(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Of a part captured the same share of the fee; refunds that take back all, part or none."""
    await _taken_back(shop, parties, engine, "USD")


async def destination_charge_converted(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The same, but what goes on, the fee and what is taken back settle in another currency."""
    await shop.twin.change_settings(conversions={"cad": {"currency": "usd", "rate": 0.73}})
    await _taken_back(shop, parties, engine, "CAD")
    await shop.twin.change_settings(conversions={})


async def _taken_back(shop: Shop, parties: Parties, engine: Engine, currency: str) -> None:
    account, merchant = await merchant_at_stripe(shop, engine)

    def money(minor: int) -> Money:
        return Money(currency_code=currency, minor_units=minor)

    request = shop.payment_request(
        merchant,
        parties.customer,
        100_00,
        "visa",
        destination_account_id=account,
        application_fee=money(7_00),
        capture_method=payment.CAPTURE_METHOD_MANUAL,
    )
    request.amount.CopyFrom(money(100_00))
    held = await shop.send(request)
    captured = await shop.clients.payments.CapturePayment(
        payments.CapturePaymentRequest(
            request_id=shop.new_id("capture"), payment_id=held.id, amount=money(60_01)
        ),
        timeout=CALL_SECONDS,
    )
    assert captured.payment.application_fee_captured == money(4_20)
    refunds_asked: tuple[dict[str, Any], ...] = (
        {"amount": money(10_00)},
        {"amount": money(10_00), "refund_application_fee": False},
        {"amount": money(10_00), "reverse_transfer": False},
        {},
    )
    for asked in refunds_asked:
        await shop.clients.payments.RefundPayment(
            payments.RefundPaymentRequest(
                request_id=shop.new_id("refund"), payment_id=held.id, **asked
            ),
            timeout=CALL_SECONDS,
        )
    kinds = ("application_fee_returned", "transfer_reversed")
    read = await shop.until(
        held.id,
        lambda read: (
            Counter(f.kind for f in read.booking.facts if f.kind in kinds)
            == Counter({"application_fee_returned": 2, "transfer_reversed": 3})
        ),
    )
    of_kind = {
        kind: sum(fact.amount.minor_units for fact in read.booking.facts if fact.kind == kind)
        for kind in ("transfer_created", "application_fee_earned", *kinds)
    }
    # With the last one, which completes the payment, all is back.
    assert of_kind["transfer_created"] == of_kind["transfer_reversed"]
    assert of_kind["application_fee_earned"] == of_kind["application_fee_returned"]
    assert read.transfer_reversed.minor_units == of_kind["transfer_reversed"]
    assert read.application_fee_refunded.minor_units == of_kind["application_fee_returned"]
    assert {read.transfer_reversed.currency_code} == {"USD"}
    await shop.settled(held.id)
