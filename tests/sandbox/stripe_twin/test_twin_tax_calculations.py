"""Tax calculations: where tax is collected, from whom, and what becomes of them."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.tax_calculations import LIFETIME_SECONDS, MAX_LINE_ITEMS
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def register(shop: Shop, country: str) -> None:
    scheme: Any = {"type": "standard", "standard": {"place_of_supply_scheme": "standard"}}
    options: Any = {country.lower(): scheme}
    await shop.api.tax.registrations.create_async(
        {"country": country, "active_from": "now", "country_options": options}, fresh_key()
    )


async def calculate(shop: Shop, country: str = "DE", **more: Any) -> stripe.tax.Calculation:
    params: Any = {
        "currency": "eur",
        "customer_details": {"address": {"country": country}, "address_source": "billing"},
        "line_items": [{"amount": 1_000, "reference": "book"}],
        **more,
    }
    return await shop.api.tax.calculations.create_async(params, fresh_key())


async def test_tax_is_collected_where_the_account_is_registered(shop: Shop) -> None:
    nothing = await calculate(shop)
    assert (nothing.amount_total, nothing.tax_amount_exclusive) == (1_000, 0)
    assert nothing.tax_breakdown[0].taxability_reason == "not_collecting"
    await register(shop, "DE")
    found = await calculate(
        shop,
        line_items=[
            {"amount": 1_000, "reference": "book"},
            {"amount": 1_190, "reference": "pen", "tax_behavior": "inclusive"},
        ],
        shipping_cost={"amount": 500},
    )
    assert (found.tax_amount_exclusive, found.tax_amount_inclusive) == (190 + 95, 190)
    assert found.amount_total == 1_000 + 1_190 + 500 + 190 + 95
    assert found.tax_breakdown[0].tax_rate_details.percentage_decimal == "19"
    assert [(part.taxable_amount, part.inclusive) for part in found.tax_breakdown] == [
        (1_500, False),
        (1_000, True),
    ]
    lines = await shop.api.tax.calculations.line_items.list_async(str(found.id), {"limit": 1})
    assert [line.reference async for line in lines.auto_paging_iter()] == ["book", "pen"]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"taxability_override": "customer_exempt"}, "customer_exempt"),
        ({"tax_ids": [{"type": "eu_vat", "value": "DE123456789"}]}, "reverse_charge"),
    ],
)
async def test_some_customers_pay_none(shop: Shop, details: Any, reason: str) -> None:
    await register(shop, "DE")
    address = {"address": {"country": "DE"}, "address_source": "billing"}
    found = await calculate(shop, customer_details={**address, **details})
    assert found.tax_amount_exclusive == 0
    assert found.tax_breakdown[0].taxability_reason == reason


async def test_a_customer_brings_address_and_tax_ids(shop: Shop) -> None:
    await register(shop, "DE")
    customer = await shop.api.customers.create_async({"address": {"country": "DE"}}, fresh_key())
    params: Any = {"currency": "eur", "customer": customer.id, "line_items": [{"amount": 1_000}]}
    create = shop.api.tax.calculations.create_async
    assert (await create(params, fresh_key())).tax_amount_exclusive == 190
    await shop.api.customers.tax_ids.create_async(
        customer.id, {"type": "eu_vat", "value": "DE000000000"}, fresh_key()
    )
    assert (await create(params, fresh_key())).tax_amount_exclusive == 0


async def test_what_a_calculation_refuses(shop: Shop, twin: Twin) -> None:
    too_many = [{"amount": 1}] * (MAX_LINE_ITEMS + 1)
    with pytest.raises(stripe.InvalidRequestError, match="line items"):
        await calculate(shop, line_items=too_many)
    assert (await calculate(shop, line_items=too_many[1:])).amount_total == MAX_LINE_ITEMS
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await calculate(shop, customer_details={"taxability_override": "none"})
    assert caught.value.code == "customer_tax_location_invalid"
    found = await calculate(shop)
    twin.advance(seconds=LIFETIME_SECONDS)
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        await shop.api.tax.calculations.retrieve_async(str(found.id))


async def test_a_calculation_comes_true_and_is_reversed(shop: Shop) -> None:
    await register(shop, "DE")
    found = await calculate(shop)
    transactions = shop.api.tax.transactions
    came_true: Any = {"calculation": found.id, "reference": "sale-1"}
    sold = await transactions.create_from_calculation_async(came_true, fresh_key())
    again: Any = {**came_true, "reference": "sale-2"}
    with pytest.raises(stripe.InvalidRequestError) as twice:
        await transactions.create_from_calculation_async(again, fresh_key())
    assert twice.value.param == "calculation"
    (line,) = (await transactions.line_items.list_async(sold.id)).data
    assert (line.amount, line.amount_tax) == (1_000, 190)
    part: Any = {
        "mode": "partial",
        "original_transaction": sold.id,
        "reference": "return-1",
        "line_items": [
            {
                "amount": -400,
                "amount_tax": -76,
                "original_line_item": line.id,
                "reference": "r-1",
            }
        ],
    }
    returned = await transactions.create_reversal_async(part, fresh_key())
    (reversed_line,) = (await transactions.line_items.list_async(returned.id)).data
    assert (reversed_line.amount, reversed_line.amount_tax) == (-400, -76)
    with pytest.raises(stripe.InvalidRequestError) as taken:
        await transactions.create_reversal_async(part, fresh_key())
    assert taken.value.param == "reference"
    part = {**part, "reference": "return-2"}
    part["line_items"][0]["amount"] = -1_001
    with pytest.raises(stripe.InvalidRequestError) as too_much:
        await transactions.create_reversal_async(part, fresh_key())
    assert too_much.value.param == "line_items"
    whole: Any = {"mode": "full", "original_transaction": returned.id, "reference": "return-3"}
    with pytest.raises(stripe.InvalidRequestError, match="cannot be reversed"):
        await transactions.create_reversal_async(whole, fresh_key())
