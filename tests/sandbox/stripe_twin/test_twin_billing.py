"""Subscriptions: invoices for each period, what pays them, and what is credited."""

import csv
import io
import itertools
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin
from sandbox.stripe_twin.overrides import CardOverride
from sandbox.stripe_twin.report_rows import ACTIVITY
from sandbox.stripe_twin.subscriptions import DRAFT_SECONDS, INCOMPLETE_SECONDS, after
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 86_400.0


async def weekly(shop: Shop, unit_amount: int = 900) -> str:
    product = await shop.api.products.create_async({"name": "Tea"}, fresh_key())
    price = await shop.api.prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": unit_amount,
            "recurring": {"interval": "week"},
        },
        fresh_key(),
    )
    assert problems(stripe.Price, price.to_dict()) == []
    return price.id


async def customer_with_card(shop: Shop) -> tuple[str, str]:
    customer = await shop.api.customers.create_async({"name": "Ada"}, fresh_key())
    method = await shop.api.payment_methods.attach_async(
        "pm_card_visa", {"customer": customer.id}, fresh_key()
    )
    return customer.id, method.id


async def subscribed(shop: Shop, **more: Any) -> tuple[stripe.Subscription, str]:
    customer, method = await customer_with_card(shop)
    params: Any = {
        "customer": customer,
        "items": [{"price": await weekly(shop), "quantity": 2}],
        "default_payment_method": method,
        **more,
    }
    return await shop.api.subscriptions.create_async(params, fresh_key()), method


async def invoices_of(shop: Shop, subscription: str) -> list[stripe.Invoice]:
    listed = await shop.api.invoices.list_async(
        {"subscription": subscription, "limit": 100, "expand": ["data.payments"]}
    )
    assert [problems(stripe.Invoice, item.to_dict()) for item in listed.data] == [[]] * len(
        listed.data
    )
    return listed.data[::-1]


async def test_each_period_has_an_invoice_that_a_payment_links_with_its_charge(
    shop: Shop, twin: Twin
) -> None:
    subscription, _ = await subscribed(shop)
    assert problems(stripe.Subscription, subscription.to_dict()) == []
    assert subscription.status == "active"
    twin.advance(seconds=15 * DAY)
    invoices = await invoices_of(shop, subscription.id)
    assert [(item.total, item.status, item.billing_reason) for item in invoices] == [
        (1_800, "paid", "subscription_create"),
        (1_800, "paid", "subscription_cycle"),
        (1_800, "paid", "subscription_cycle"),
    ]
    for before, following in itertools.pairwise(invoices):
        assert before.period_end == following.period_start
    for invoice in invoices:
        assert "charge" not in invoice.to_dict()
        assert invoice.payments is not None
        (payment,) = invoice.payments.data
        assert (payment.status, payment.amount_paid, payment.is_default) == ("paid", 1_800, True)
        intent = str(payment.payment.payment_intent)
        charge = await shop.charge_of(intent)
        assert charge.amount_captured == invoice.total
        assert "invoice" not in charge.to_dict()
        by_intent = await shop.api.invoice_payments.list_async(
            {"payment": {"type": "payment_intent", "payment_intent": intent}}
        )
        assert [item.invoice for item in by_intent.data] == [invoice.id]
    kinds = await shop.event_types()
    assert kinds.count("invoice.paid") == kinds.count("invoice_payment.paid") == 3
    assert kinds.count("invoice.finalized") == kinds.count("invoice.created") == 3


async def test_reports_name_invoice_and_subscription(shop: Shop, twin: Twin) -> None:
    subscription, _ = await subscribed(shop)
    await shop.pay(500)
    twin.advance(seconds=2 * DAY)
    known = await shop.api.reporting.report_types.retrieve_async(ACTIVITY)
    run = await shop.api.reporting.report_runs.create_async(
        {
            "report_type": ACTIVITY,
            "parameters": {
                "interval_start": known.data_available_start,
                "interval_end": known.data_available_end,
                "columns": ["gross", "invoice_id", "subscription_id"],
            },
        },
        fresh_key(),
    )
    twin.clock.run_due()
    run = await shop.api.reporting.report_runs.retrieve_async(run.id)
    assert run.result is not None
    headers = {"Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(str(run.result.url), headers=headers) as response,
    ):
        _, *rows = csv.reader(io.StringIO(await response.text()))
    assert rows == [
        ["18.00", str(subscription.latest_invoice), subscription.id],
        ["5.00", "", ""],
    ]


async def test_a_renewal_that_is_declined_is_past_due_until_it_is_paid(
    shop: Shop, twin: Twin
) -> None:
    subscription, method = await subscribed(shop)
    twin.override_card(method, CardOverride(decline="insufficient_funds"))
    twin.advance(seconds=7 * DAY)
    (_, draft) = await invoices_of(shop, subscription.id)
    assert draft.status == "draft"
    twin.advance(seconds=DRAFT_SECONDS)
    found = await shop.api.subscriptions.retrieve_async(subscription.id)
    assert found.status == "past_due"
    with pytest.raises(stripe.CardError) as declined:
        await shop.api.invoices.pay_async(draft.id, None, fresh_key())
    assert declined.value.code == "card_declined"
    twin.override_card(method, CardOverride(decline=None))
    paid = await shop.api.invoices.pay_async(draft.id, None, fresh_key())
    assert (paid.status, paid.attempt_count, paid.amount_remaining) == ("paid", 3, 0)
    payments = await shop.api.invoice_payments.list_async({"invoice": draft.id})
    assert [item.status for item in payments.data] == ["paid", "canceled", "canceled"]
    assert problems(stripe.InvoicePayment, payments.data[1].to_dict()) == []
    found = await shop.api.subscriptions.retrieve_async(subscription.id)
    assert found.status == "active"
    with pytest.raises(stripe.InvalidRequestError, match="is paid"):
        await shop.api.invoices.pay_async(draft.id, None, fresh_key())


async def test_a_first_payment_that_does_not_come_ends_the_subscription(
    shop: Shop, twin: Twin
) -> None:
    customer = await shop.api.customers.create_async({"name": "Ada"}, fresh_key())
    subscription = await shop.api.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": await weekly(shop)}]}, fresh_key()
    )
    assert subscription.status == "incomplete"
    twin.advance(seconds=INCOMPLETE_SECONDS)
    listed = await shop.api.subscriptions.list_async({"status": "incomplete_expired"})
    assert [item.id for item in listed.data] == [subscription.id]
    twin.advance(seconds=30 * DAY)
    (invoice,) = await invoices_of(shop, subscription.id)
    assert invoice.status == "void"


async def test_a_subscription_that_is_canceled_is_not_renewed(shop: Shop, twin: Twin) -> None:
    subscription, _ = await subscribed(shop)
    canceled = await shop.api.subscriptions.cancel_async(subscription.id)
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="is canceled"):
        await shop.api.subscriptions.cancel_async(subscription.id)
    twin.advance(seconds=30 * DAY)
    assert len(await invoices_of(shop, subscription.id)) == 1
    assert (await shop.api.subscriptions.list_async()).data == []


async def test_what_is_credited_comes_back(shop: Shop, twin: Twin) -> None:
    subscription, method = await subscribed(shop)
    invoice = str(subscription.latest_invoice)
    create = shop.api.credit_notes.create_async
    note = await create({"invoice": invoice, "amount": 300, "refund_amount": 300}, fresh_key())
    assert problems(stripe.CreditNote, note.to_dict()) == []
    assert (note.type, note.post_payment_amount) == ("post_payment", 300)
    refund = await shop.api.refunds.retrieve_async(str(note.refunds[0].refund))
    assert refund.amount == 300
    for params, message in (
        ({"amount": 1_501, "refund_amount": 1_501}, "more than what is left"),
        ({"amount": 100}, "is refunded here"),
        ({"amount": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=message):
            await create({"invoice": invoice, **params}, fresh_key())  # type: ignore[typeddict-item]
    twin.override_card(method, CardOverride(decline="generic_decline"))
    twin.advance(seconds=7 * DAY + DRAFT_SECONDS)
    (_, due) = await invoices_of(shop, subscription.id)
    part = await create({"invoice": due.id, "amount": 800}, fresh_key())
    assert (part.type, part.pre_payment_amount, part.refunds) == ("pre_payment", 800, [])
    await create({"invoice": due.id, "amount": 1_000}, fresh_key())
    settled = await shop.api.invoices.retrieve_async(due.id)
    assert (settled.status, settled.amount_paid, settled.amount_remaining) == ("paid", 0, 0)


async def test_what_costs_nothing_is_paid_by_nothing(shop: Shop) -> None:
    customer = await shop.api.customers.create_async({"name": "Ada"}, fresh_key())
    subscription = await shop.api.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": await weekly(shop, 0)}]}, fresh_key()
    )
    assert subscription.status == "active"
    assert (await shop.api.invoice_payments.list_async()).data == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"items": []}, "have a `customer` and `items`"),
        ({"items": [{"price": "price_0"}]}, "No such price"),
        ({"items": [{"price": "weekly", "quantity": 0}]}, "greater than or equal to 1"),
        ({"collection_method": "send_invoice"}, "charges automatically"),
        ({"customer": "cus_0"}, "No such customer"),
    ],
)
async def test_what_a_subscription_refuses(
    shop: Shop, params: dict[str, Any], message: str
) -> None:
    customer, _ = await customer_with_card(shop)
    price = await weekly(shop)
    given: Any = {"customer": customer, "items": [{"price": "weekly"}], **params}
    given["items"] = [
        {**item, "price": price if item["price"] == "weekly" else item["price"]}
        for item in given["items"]
    ]
    with pytest.raises(stripe.InvalidRequestError, match=message):
        await shop.api.subscriptions.create_async(given, fresh_key())


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["month", "year"]),
    st.integers(1, 12),
    st.integers(1, 24),
)
def test_months_keep_the_day_of_the_anchor_as_far_as_they_have_it(
    anchor: datetime, interval: str, count: int, periods: int
) -> None:
    moment = anchor = anchor.replace(tzinfo=UTC)
    for _ in range(periods):
        moment = after(moment, interval, count, anchor.day)
    months = count * periods * (12 if interval == "year" else 1)
    assert (moment.year - anchor.year) * 12 + moment.month - anchor.month == months
    assert moment.timetz() == anchor.timetz()
    assert moment.day == anchor.day or (moment.day < anchor.day and moment.day >= 28)
