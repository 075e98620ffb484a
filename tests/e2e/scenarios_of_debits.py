"""Bank debits: the balance counts them days before their banks decide, and so do the books."""

from collections.abc import Callable
from typing import Any

from gateway.v1 import payment_pb2 as payment
from gateway.v1.payment_service_pb2 import CancelPaymentRequest
from money.v1.money_pb2 import Money
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.reconciliation import books_difference
from tests.e2e.scenario_steps import REFUND_LOOK_SECONDS, advance, has_refunded, posted

DECIDED_SECONDS = 4 * 24 * 60 * 60
MATURED_SECONDS = 24 * 60 * 60
ACH, SEPA = payment.PAYMENT_METHOD_TYPE_US_BANK_ACCOUNT, payment.PAYMENT_METHOD_TYPE_SEPA_DEBIT


async def debit_paid(shop: Shop, parties: Parties, engine: Engine) -> None:
    """In the balance at once, captured days later, available a day after that, and refunded."""
    payment_id = await begin(shop, parties, "usBankAccount_success")
    await advance(engine, DECIDED_SECONDS)
    read = await decided(shop, payment_id, payment.PAYMENT_STATE_SUCCEEDED)
    assert [fact.kind for fact in read.booking.facts] == [
        *("hold_placed", "debit_moved", "captured"),
        *("debit_settled", "fee_charged"),
    ]
    await advance(engine, MATURED_SECONDS)
    await shop.refund(payment_id, 40_00)
    await shop.until(payment_id, has_refunded(40_00))
    await advance(engine, REFUND_LOOK_SECONDS)
    await shop.refund(payment_id, 10_00)
    await shop.until(payment_id, has_refunded(50_00))
    last = (await shop.read(payment_id)).refunds[-1].stripe_refund_id
    await shop.twin.fail_refund(last)
    await shop.until(payment_id, has_refunded(40_00))


async def debit_refused(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Taken out of the balance again, with a fee for the failure, and nothing is in suspense."""
    payment_id = await begin(shop, parties, "usBankAccount_insufficientFunds")
    suspense = await posted(shop, "default/usd/suspense")
    await advance(engine, DECIDED_SECONDS)
    read = await decided(shop, payment_id, payment.PAYMENT_STATE_DECLINED)
    assert read.decline.code == "insufficient_funds"
    assert [fact.kind for fact in read.booking.facts] in [
        ["hold_placed", "debit_moved", "hold_released", "debit_moved"],
        ["hold_placed", "debit_moved", "debit_moved", "hold_released"],
    ]
    await advance(engine, MATURED_SECONDS)
    assert await posted(shop, "default/usd/suspense") == suspense


async def debit_canceled(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Canceled while the bank says nothing."""
    payment_id = await begin(shop, parties, "usBankAccount_processing")
    await shop.clients.payments.CancelPayment(
        CancelPaymentRequest(request_id=shop.new_id("cancel"), payment_id=payment_id),
        timeout=CALL_SECONDS,
    )
    await decided(shop, payment_id, payment.PAYMENT_STATE_CANCELED)


async def debit_returned(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Paid and taken back by the bank: a lost dispute is the merchant's loss."""
    payment_id = await begin(shop, parties, "usBankAccount_dispute")
    await advance(engine, DECIDED_SECONDS)
    await shop.until(payment_id, lambda read: read.amount_disputed.minor_units == 100_00)
    read = await decided(shop, payment_id, payment.PAYMENT_STATE_SUCCEEDED)
    assert [fact.kind for fact in read.booking.facts][-2:] == ["dispute_moved", "dispute_decided"]


async def debit_converted(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The balance counts it in another currency before the payment is captured in its own."""
    await shop.twin.change_settings(conversions={"eur": {"currency": "chf", "rate": 0.93}})
    accepted = payment.MandateAcceptance()
    paid, refused = [
        await begin(
            shop,
            parties,
            f"sepaDebit_{outcome}_at",
            payment_method=SEPA,
            currency="EUR",
            settled="chf",
            mandate_acceptance=accepted,
        )
        for outcome in ("success", "failed")
    ]
    await advance(engine, DECIDED_SECONDS)
    await decided(shop, paid, payment.PAYMENT_STATE_SUCCEEDED, "chf")
    await decided(shop, refused, payment.PAYMENT_STATE_DECLINED, "chf")
    await shop.twin.change_settings(conversions={})


async def begin(
    shop: Shop,
    parties: Parties,
    account: str,
    *,
    payment_method: "payment.PaymentMethodType.ValueType" = ACH,
    currency: str = "USD",
    settled: str = "usd",
    **fields: Any,
) -> str:
    """Debits 100.00; gives the payment's id once the books have what the balance shows of it."""
    before = await posted(shop, f"default/{settled}/debits_undecided")
    fields.setdefault(
        "mandate_acceptance",
        payment.MandateAcceptance(ip_address="203.0.113.7", user_agent="Firefox"),
    )
    request = shop.payment_request(parties.merchant, parties.customer, 100_00, "", **fields)
    request.payment_method.token = f"pm_{account}"
    request.payment_method.type = payment_method
    request.amount.CopyFrom(Money(currency_code=currency, minor_units=100_00))
    made = await shop.send(request)
    assert made.state == payment.PAYMENT_STATE_PROCESSING
    await poll(
        lambda: posted(shop, f"default/{settled}/debits_undecided"), lambda now: now > before
    )
    await poll(lambda: books_difference(shop.clients, shop.twin), lambda found: not found)
    return made.id


async def decided(
    shop: Shop,
    payment_id: str,
    state: "payment.PaymentState.ValueType",
    settled: str = "usd",
) -> payment.Payment:
    """The payment once its bank has decided and no debit is left undecided in the books."""
    reached: Callable[[payment.Payment], bool] = lambda read: read.state == state  # noqa: E731
    await shop.until(payment_id, reached)
    await poll(lambda: posted(shop, f"default/{settled}/debits_undecided"), lambda left: left == 0)
    return await shop.settled(payment_id)
