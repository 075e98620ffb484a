"""The fee of a capture, what a refund takes back, and what Stripe tells of it: tables."""

from typing import Any

import pytest

from gateway.payments.domain.destination_fees import (
    TakenBack,
    TakingBack,
    default_fee,
    default_taking_back,
    newly_taken_back,
    read_taken_back,
)
from tests.gateway.payments.test_states import new_payment


@pytest.mark.parametrize(
    ("currency", "asked", "captured", "fee"),
    [
        ("EUR", 70, 1000, 70),
        ("EUR", 70, 500, 35),
        ("EUR", 70, 999, 69),
        ("EUR", 70, 14, 0),
        ("EUR", 0, 500, 0),
        ("EUR", None, 500, None),
        ("EUR", None, 1000, None),
        # Stripe takes it in tens of minor units: https://docs.stripe.com/currencies#three-decimal
        ("KWD", 70, 500, 30),
        ("KWD", 70, 1000, 70),
    ],
)
def test_a_part_has_its_share_of_the_fee(
    currency: str, asked: int | None, captured: int, fee: int | None
) -> None:
    payment = new_payment(currency=currency, application_fee_minor=asked)
    assert default_fee(payment, captured) == fee


@pytest.mark.parametrize("reverses", [None, True, False])
@pytest.mark.parametrize("takes_fee", [None, True, False])
def test_what_a_refund_takes_back_by_default(reverses: bool | None, takes_fee: bool | None) -> None:
    asked = TakingBack(reverses, takes_fee)
    plain = new_payment(application_fee_minor=70)
    assert default_taking_back(plain, asked) == TakingBack(None, None)
    transferred = new_payment(destination_account="acct_1")
    assert default_taking_back(transferred, asked) == TakingBack(reverses in (None, True), None)
    with_fee = new_payment(destination_account="acct_1", application_fee_minor=70)
    transfer = reverses in (None, True)
    expected = TakingBack(transfer, transfer if takes_fee is None else takes_fee)
    assert default_taking_back(with_fee, asked) == expected


FEE = {"id": "fee_1", "currency": "eur", "amount_refunded": 30}
TRANSFER = {"id": "tr_1", "currency": "usd", "amount_reversed": 330}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, TakenBack()),
        ({"transfer_reversal": None, "charge": None}, TakenBack()),
        # What is not expanded tells nothing.
        ({"transfer_reversal": "trr_1", "charge": "ch_1"}, TakenBack()),
        (
            {"transfer_reversal": {"transfer": "tr_1"}, "charge": {"application_fee": "fee_1"}},
            TakenBack(),
        ),
        ({"transfer_reversal": {"transfer": TRANSFER}}, TakenBack(330, "USD", 0, "")),
        ({"charge": {"application_fee": FEE}}, TakenBack(0, "", 30, "EUR")),
        (
            {
                "transfer_reversal": {"transfer": {**TRANSFER, "currency": "isk"}},
                "charge": {"application_fee": {**FEE, "currency": "isk", "amount_refunded": 3000}},
            },
            # 3.30 ISK is no whole number of minor units: it tells nothing.
            TakenBack(0, "", 30, "ISK"),
        ),
    ],
)
def test_what_a_refund_tells_of_what_was_taken_back(
    told: dict[str, Any], expected: TakenBack
) -> None:
    assert read_taken_back(told) == expected


@pytest.mark.parametrize(
    ("told", "changed"),
    [
        (TakenBack(), {}),
        (TakenBack(100, "USD", 50, "USD"), {}),
        # Less is an answer of before.
        (TakenBack(99, "USD", 49, "USD"), {}),
        (
            TakenBack(101, "USD", 50, "USD"),
            {"transfer_reversed_minor": 101, "transfer_reversed_currency": "USD"},
        ),
        (
            TakenBack(100, "USD", 51, "EUR"),
            {"application_fee_refunded_minor": 51, "application_fee_refunded_currency": "EUR"},
        ),
    ],
)
def test_only_what_is_more_is_news(told: TakenBack, changed: dict[str, Any]) -> None:
    payment = new_payment(transfer_reversed_minor=100, application_fee_refunded_minor=50)
    assert newly_taken_back(payment, told) == changed
