"""What is kept of objects of Billing: amounts exactly, and nothing personal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.billing.billing import (
    MAX_DECIMAL_CHARACTERS,
    MAX_QUANTITY,
    BillingKind,
    UnreadableBillingError,
    read_object,
)

PERSONAL = {
    "customer_email": "ada@example.com",
    "customer_name": "Ada",
    "customer_address": {"line1": "Analytical Row"},
    "customer_phone": "+4930",
    "customer_tax_ids": [{"value": "DE123"}],
    "hosted_invoice_url": "https://invoice.example/x",
    "description": "For Ada",
    "metadata": {"who": "Ada"},
    "memo": "Sorry, Ada",
}
CREATED = 1_790_000_000


def invoice(**more: Any) -> dict[str, Any]:
    told = {"id": "in_1", "status": "open", "currency": "eur", "created": CREATED}
    return {**told, "customer": "cus_1", **PERSONAL, **more}


def subscription(price: dict[str, Any], quantity: Any = 1, **more: Any) -> dict[str, Any]:
    price = {"id": "price_1", "product": "prod_1", "billing_scheme": "per_unit", **price}
    price.setdefault("recurring", {"interval": "month", "interval_count": 1})
    item = {"id": "si_1", "price": price, "quantity": quantity}
    told = {"id": "sub_1", "status": "active", "currency": "eur", "customer": {"id": "cus_1"}}
    return {**told, "items": {"data": [item], "has_more": False}, **PERSONAL, **more}


def amount_of(told: dict[str, Any]) -> Any:
    (item,) = read_object(BillingKind.SUBSCRIPTION, told).content["items"]
    return item.get("amount")


def test_nothing_personal_is_kept() -> None:
    note = {**invoice(id="cn_1", status="issued"), "invoice": "in_1"}
    payment = {**invoice(id="inpay_1"), "invoice": {"id": "in_1", **PERSONAL}}
    told = [
        read_object(BillingKind.INVOICE, invoice()),
        read_object(BillingKind.CREDIT_NOTE, note),
        read_object(BillingKind.INVOICE_PAYMENT, payment),
        read_object(BillingKind.SUBSCRIPTION, subscription({"unit_amount": 1, "nickname": "Ada"})),
    ]
    text = json.dumps([one.content for one in told])
    for word in ("Ada", "ada@", "Analytical", "+4930", "DE123", "https"):
        assert word not in text


@pytest.mark.parametrize(
    ("told", "tax"),
    [
        ({"total_taxes": []}, "0"),
        ({"total_taxes": [{"amount": 19}, {"amount": 7}]}, "26"),
        ({"total_taxes": None, "total": 119, "total_excluding_tax": 100}, "19"),
        ({"total": 119}, None),
    ],
)
def test_taxes_are_what_stripe_says(told: dict[str, Any], tax: str | None) -> None:
    content = read_object(BillingKind.INVOICE, invoice(**told)).content
    assert content.get("tax", {}).get("minorUnits") == tax


def test_amounts_are_minor_units_of_iso_4217() -> None:
    told = invoice(currency="isk", total=500, subtotal=500)
    content = read_object(BillingKind.INVOICE, told).content
    assert content["total"] == {"currencyCode": "ISK", "minorUnits": "5"}
    with pytest.raises(UnreadableBillingError, match="total"):
        read_object(BillingKind.INVOICE, invoice(currency="isk", total=501))


@given(hundredths=st.integers(0, 10**9), quantity=st.integers(0, 10**6))
def test_a_period_costs_the_price_by_the_quantity_rounded_once(
    hundredths: int, quantity: int
) -> None:
    price = {"unit_amount_decimal": f"{hundredths // 100}.{hundredths % 100:02}"}
    expected = (2 * hundredths * quantity + 100) // 200
    told = amount_of(subscription(price, quantity))
    assert told == {"currencyCode": "EUR", "minorUnits": str(expected)}


@pytest.mark.parametrize(
    "price",
    [
        {"unit_amount": None, "billing_scheme": "tiered"},
        {"unit_amount": 5, "recurring": {"interval": "month", "usage_type": "metered"}},
        {"unit_amount": None},
    ],
)
def test_what_no_period_is_known_to_cost_has_no_amount(price: dict[str, Any]) -> None:
    assert amount_of(subscription(price)) is None


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (invoice(id="ch_1"), "id"),
        (invoice(status=None), "status"),
        (invoice(total="12"), "total"),
        (invoice(currency=None), "currency"),
        (invoice(total=2**63), "total"),
    ],
)
def test_an_invoice_that_is_none_is_refused(told: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableBillingError, match=field):
        read_object(BillingKind.INVOICE, told)


def test_the_largest_amounts_are_kept_and_larger_ones_refused() -> None:
    assert amount_of(subscription({"unit_amount": 1}, MAX_QUANTITY))["minorUnits"] == str(2**63 - 1)
    longest = "1".rjust(MAX_DECIMAL_CHARACTERS, "0")
    assert amount_of(subscription({"unit_amount_decimal": longest}))["minorUnits"] == "1"
    for told in (
        subscription({"unit_amount": 2}, MAX_QUANTITY),
        subscription({"unit_amount": 1}, MAX_QUANTITY + 1),
        subscription({"unit_amount": 1}, -1),
        subscription({"unit_amount_decimal": f"0{longest}"}),
        subscription({"unit_amount_decimal": "1e40"}),
        subscription({"unit_amount_decimal": "NaN"}),
        subscription({"unit_amount_decimal": "much"}),
        subscription({}, items={"data": [], "has_more": True}),
        subscription({"recurring": {"interval": "month", "interval_count": 0}}),
    ):
        with pytest.raises(UnreadableBillingError):
            read_object(BillingKind.SUBSCRIPTION, told)


def test_the_digest_tells_contents_apart() -> None:
    first = read_object(BillingKind.INVOICE, invoice(total=1))
    same = read_object(BillingKind.INVOICE, invoice(total=1, customer_name="Grace"))
    other = read_object(BillingKind.INVOICE, invoice(total=2))
    assert first == same
    assert first.digest != other.digest
