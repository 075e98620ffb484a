"""The judge sees every kind of difference between ledger and twin."""

from typing import Any

import pytest

from sandbox.reconciliation import Difference, differences, twin_figures


def books(**changes: Any) -> dict[str, Any]:
    """The parts of a twin's books that are looked at."""
    return {
        "balances": {"usd": {"pending": 970, "available": -500}},
        "other_balances": {},
        "payment_intents": [
            {"status": "requires_capture", "currency": "usd", "amount": 300},
            {"status": "requires_action", "currency": "usd", "amount": 50},
            {"status": "succeeded", "currency": "usd", "amount": 1_000},
            {"status": "canceled", "currency": "eur", "amount": 7},
        ],
        **changes,
    }


def test_the_twin_tells_its_balance_and_what_is_held() -> None:
    assert twin_figures("us", books(other_balances={"issuing": {"usd": -9}})) == {
        ("us", "usd", "pending"): 970,
        ("us", "usd", "available"): -500,
        ("us", "usd", "issuing"): -9,
        ("us", "usd", "held"): 350,
    }


def test_equal_books_have_no_difference() -> None:
    figures = twin_figures("us", books())
    # An account that exists and is empty is as good as one that does not.
    assert differences(figures | {("us", "jpy", "pending"): 0}, figures) == []


def test_each_figure_that_differs_is_named() -> None:
    at_twin = twin_figures("us", books())
    in_ledger = at_twin | {("us", "usd", "held"): 351, ("eu", "eur", "available"): 9}
    assert differences(in_ledger, at_twin) == [
        Difference("eu", "eur", "available", 9, 0),
        Difference("us", "usd", "held", 351, 350),
    ]


def test_what_moved_between_the_parts_is_two_differences() -> None:
    at_twin = twin_figures("us", books())
    moved = books(balances={"usd": {"pending": 0, "available": 470}}, payment_intents=[])
    assert [difference.part for difference in differences(at_twin, twin_figures("us", moved))] == [
        "available",
        "held",
        "pending",
    ]


def test_both_sides_are_compared_in_minor_units_of_iso_4217() -> None:
    at_stripe = books(
        balances={
            "isk": {"pending": 485_500, "available": -100},
            "mga": {"pending": 5, "available": 0},
        },
        payment_intents=[{"status": "requires_capture", "currency": "ugx", "amount": 40_000}],
    )
    assert twin_figures("eu", at_stripe) == {
        ("eu", "isk", "pending"): 4_855,
        ("eu", "isk", "available"): -1,
        ("eu", "mga", "pending"): 500,
        ("eu", "mga", "available"): 0,
        ("eu", "ugx", "held"): 400,
    }
    with pytest.raises(ValueError, match="fraction of isk"):
        twin_figures("eu", books(balances={"isk": {"pending": 50, "available": 0}}))
