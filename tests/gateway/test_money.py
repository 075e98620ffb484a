"""Amounts at the border to Stripe. The expectations are read off Stripe's page, not the table."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balance.movement import read_movement
from gateway.disputes.domain import read_dispute
from gateway.ids import NO_REQUEST
from gateway.money import (
    PartOfMinorUnitError,
    from_stripe,
    problem_with_currency,
    problem_with_payout,
    problem_with_size,
    read_currencies,
    to_stripe,
)
from gateway.operations.operation import Operation, OperationKind
from gateway.payments.domain.intents import UnreadableIntentError, read_intent
from gateway.payments.domain.money_facts import fee_of
from gateway.payouts.domain import made_elsewhere
from gateway.payouts.operations import payout_operation
from gateway.v1 import payout_service_pb2 as payouts
from gateway.validation import VALIDATOR
from money.v1.money_pb2 import Money
from tests.gateway.payments.shop import create_request

NOW = datetime(2026, 11, 29, tzinfo=UTC)
CARD_MAXIMUM = 999_999_999_999


@pytest.mark.parametrize(
    ("currency", "minor_units", "amount"),
    [
        ("EUR", 1_050, 1_050),
        ("JPY", 500, 500),
        ("KWD", 5_120, 5_120),
        ("HUF", 1_045, 1_045),
        ("TWD", 80_045, 80_045),
        ("ISK", 5, 500),
        ("UGX", 5, 500),
        ("MGA", 500, 5),
    ],
)
def test_an_amount_is_counted_in_stripes_units_there_and_in_ours_here(
    currency: str, minor_units: int, amount: int
) -> None:
    assert to_stripe(currency, minor_units) == amount
    assert from_stripe(currency.lower(), amount) == minor_units
    assert from_stripe(currency, -amount) == -minor_units


@given(
    currency=st.sampled_from(["EUR", "ISK", "UGX", "MGA", "JPY", "KWD", "IDR", "XXX"]),
    amount=st.integers(-CARD_MAXIMUM, CARD_MAXIMUM),
)
def test_no_amount_of_stripe_is_rounded(currency: str, amount: int) -> None:
    whole = amount // 100 * 100
    assert to_stripe(currency, from_stripe(currency, whole)) == whole
    if currency in ("ISK", "UGX") and amount % 100:
        with pytest.raises(PartOfMinorUnitError):
            from_stripe(currency, amount)
    else:
        assert to_stripe(currency, from_stripe(currency, amount)) == amount


def test_what_stripe_cannot_count_is_not_sent() -> None:
    with pytest.raises(ValueError, match="5050 MGA"):
        to_stripe("MGA", 5_050)


@pytest.mark.parametrize(
    ("currency", "largest"),
    [
        ("EUR", CARD_MAXIMUM),
        ("HUF", CARD_MAXIMUM),
        ("IDR", CARD_MAXIMUM),
        ("JPY", CARD_MAXIMUM),
        ("ISK", 9_999_999_999),
        ("MGA", CARD_MAXIMUM * 100),
        ("", CARD_MAXIMUM * 100),
    ],
)
def test_the_largest_charge_has_twelve_digits_at_stripe(currency: str, largest: int) -> None:
    assert problem_with_size(currency, largest) is None
    assert problem_with_size(currency, largest + 1) == f"is greater than {largest}"


def test_the_largest_charge_of_other_payment_methods_is_per_currency(tmp_path: Path) -> None:
    own = Path("gateway/data/currencies.toml").read_text(encoding="utf-8")
    without_cards = tmp_path / "currencies.toml"
    without_cards.write_text(own.replace('"card"\ncurrency = "*"', '"card"\ncurrency = "ZZZ"'))
    exponents = dict.fromkeys(["EUR", "HUF", "INR", "COP", "IDR"], 2)
    assert {
        code: len(str(rules.largest))
        for code, rules in read_currencies(without_cards, exponents).items()
    } == {"EUR": 8, "HUF": 8, "INR": 9, "COP": 10, "IDR": 12}


@pytest.mark.parametrize(
    ("problem", "currency", "wrong", "right"),
    [
        (problem_with_currency, "KWD", 5_124, 5_120),
        (problem_with_currency, "TND", 1, 10),
        (problem_with_currency, "MGA", 50, 100),
        (problem_with_payout, "HUF", 1_045, 1_000),
        (problem_with_payout, "TWD", 80_045, 80_000),
        (problem_with_payout, "KWD", 5_124, 5_120),
    ],
)
def test_what_stripe_takes_in_steps_is_refused_between_them(
    problem: Callable[[str, int], str | None], currency: str, wrong: int, right: int
) -> None:
    told = problem(currency, wrong)
    assert told is not None
    assert "minor_units must end in 0" in told
    assert problem(currency, right) is None


@pytest.mark.parametrize("currency", ["ISK", "UGX", "HUF", "TWD", "JPY", "EUR"])
def test_every_whole_unit_can_be_charged(currency: str) -> None:
    assert problem_with_currency(currency, 1) is None


def test_requests_are_held_to_the_rules_by_field() -> None:

    def fields(request: Any) -> list[str]:
        return [violation.field for violation in VALIDATOR.violations(request)]

    def payout(currency: str, minor_units: int) -> Any:
        amount = Money(currency_code=currency, minor_units=minor_units)
        return payouts.CreatePayoutRequest(request_id="p", merchant_id="m", amount=amount)

    charge = Money(currency_code="HUF", minor_units=150_000_045)
    assert fields(create_request(amount=charge)) == []
    assert fields(payout("HUF", 150_000_045)) == ["amount"]
    assert fields(payout("HUF", 150_000_000)) == []
    assert fields(payout("ISK", 5)) == []
    assert fields(payout("EUR", CARD_MAXIMUM + 1)) == ["amount.minor_units"]


def test_everything_that_stripe_says_in_its_units_is_read_in_ours() -> None:
    transaction = {
        "id": "txn_1",
        "object": "balance_transaction",
        "type": "adjustment",
        "currency": "isk",
        "amount": -500_000,
        "fee": 150_000,
        "net": -650_000,
        "status": "available",
        "created": 1,
        "available_on": 1,
    }
    movement = read_movement("eu", transaction)
    assert (movement.amount_minor, movement.fee_minor, movement.net_minor) == (-5000, 1500, -6500)

    dispute = read_dispute(
        {
            "id": "dp_1",
            "status": "needs_response",
            "currency": "isk",
            "amount": 500_000,
            "reason": "fraudulent",
            "created": 1,
            "evidence_details": {"due_by": None, "submission_count": 0},
            "balance_transactions": [transaction],
        },
        dispute_id="dis_1",
        payment_id="pay_1",
        merchant_id="m",
        corridor="eu",
        look_time=NOW,
        now=NOW,
    )
    assert (dispute.amount_minor, dispute.fee_minor) == (5_000, 1_500)

    fee = fee_of(
        {
            "id": "ch_1",
            "currency": "isk",
            "amount_captured": 500_000,
            "application_fee_amount": 20_000,
            "transfer_data": {"amount": 300_000},
            "balance_transaction": {**transaction, "currency": "eur", "amount": 3_400, "fee": 90},
        }
    )
    assert fee is not None
    assert (fee.settled_minor, fee.fee_minor) == (3_400, 90)
    assert (fee.transfer_minor, fee.application_fee_minor) == (3_000, 200)

    payout = made_elsewhere(
        {"currency": "ugx", "amount": 4_000_000},
        payout_id="pyo_1",
        request_id="",
        merchant_id="m",
        corridor="eu",
        account_id="",
        now=NOW,
    )
    assert payout.amount_minor == 40_000
    check = Operation(
        id="op_1",
        kind=OperationKind.CHECK_PAYOUT,
        subject_id=payout.id,
        corridor="eu",
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW,
    )
    assert (
        json.loads(payout_operation(payout, NO_REQUEST, check, NOW).params)["amount"] == 4_000_000
    )


def test_a_part_of_a_krona_makes_a_payment_intent_unreadable() -> None:
    intent = {"id": "pi_1", "status": "succeeded", "currency": "isk", "amount_received": 500_000}
    assert read_intent(intent).captured_minor == 5_000
    with pytest.raises(UnreadableIntentError, match="500050 ISK"):
        read_intent({**intent, "amount_received": 500_050})
