"""What an adjustment posts, where it may, and who has to agree."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.adjusting.adjustment import (
    Accounts,
    AdjustmentError,
    AdjustmentRules,
    check_accounts,
    ledger_request_id,
    pattern_problem,
    postings,
)
from reconciliation.matching.item import Leg

FEES, BANK, AT_STRIPE = "main/eur/fees", "main/eur/bank", "main/eur/stripe/pending"
RULES = AdjustmentRules(("*/*/stripe/**", "*/*/fees", "*/eur/income"), {"EUR": 50})
PLACE = Accounts("EUR", AT_STRIPE, FEES)
CODES = st.sampled_from(["EUR", "USD", "JPY"])
AMOUNTS = st.integers(-1_000, 1_000).filter(bool)


@pytest.mark.parametrize(
    ("account", "allowed"),
    [
        ("main/eur/stripe/pending", True),
        ("us/usd/stripe/a/b", True),
        ("us/usd/stripe", False),
        ("us/usd/fees", True),
        ("us/usd/fees/more", False),
        ("us/fees", False),
        ("us/usd/income", False),
        ("us/eur/income", True),
        ("fees", False),
    ],
)
def test_accounts_are_allowed_by_their_parts(account: str, allowed: bool) -> None:
    assert RULES.allows(account) is allowed
    assert not AdjustmentRules().allows(account)


def test_patterns_are_checked() -> None:
    for pattern in ("fees", "a//b", "**/fees", "a/f*", "a/b c", "/a/b"):
        assert pattern_problem(pattern) is not None, pattern
    assert pattern_problem("a/*/b-1.c_d/**") is None


@given(st.dictionaries(CODES, AMOUNTS, min_size=1))
def test_what_is_posted_makes_both_sides_equal(differences: Mapping[str, int]) -> None:
    """By the accounts' sums: the balance moves by the difference, and each currency is balanced."""
    places = [Accounts(code, f"m/{code.lower()}/stripe/x", "m/fees") for code in differences]
    moved: dict[Any, int] = {}
    for each in postings(differences, places):
        assert each.amount_minor > 0
        signed = each.amount_minor if each.is_debit else -each.amount_minor
        moved[each.account, each.currency] = moved.get((each.account, each.currency), 0) + signed
    for place in places:
        code = place.currency
        assert differences[code] + moved[place.balance_account, code] == 0
        assert moved[place.balance_account, code] + moved[place.counter_account, code] == 0


def test_two_people_are_needed_above_the_limit_and_where_there_is_none() -> None:
    assert not RULES.needs_two({"EUR": 50})
    assert not RULES.needs_two({"EUR": -50})
    assert RULES.needs_two({"EUR": 51})
    assert RULES.needs_two({"EUR": -51})
    assert RULES.needs_two({"EUR": 1, "USD": 1})
    assert AdjustmentRules().needs_two({"EUR": 1})


def test_accounts_are_those_that_the_break_needs() -> None:
    check_accounts(Leg.BOOKED, "main", {"EUR": 5}, [PLACE], RULES)
    for accounts, why in [
        ([], "accounts for exactly EUR"),
        ([PLACE, PLACE], "accounts for exactly EUR"),
        ([PLACE, replace(PLACE, currency="USD")], "accounts for exactly EUR"),
        ([replace(PLACE, balance_account="us/eur/stripe/pending")], "is no account below main/eur"),
        ([replace(PLACE, balance_account=FEES)], "is no account below"),
        ([replace(PLACE, counter_account="main/eur/stripe/available")], "at Stripe, too"),
        ([replace(PLACE, counter_account="main/eur/bank")], "may not touch main/eur/bank"),
    ]:
        with pytest.raises(AdjustmentError, match=why):
            check_accounts(Leg.BOOKED, "main", {"EUR": 5}, accounts, RULES)


def test_at_the_bank_the_account_is_that_of_the_bank() -> None:
    rules = replace(RULES, accounts=(*RULES.accounts, "*/*/bank", "main/usd/bank"))
    place = replace(PLACE, balance_account=BANK)
    check_accounts(Leg.BANKED, "main", {"EUR": 5}, [place], rules)
    for changes, why in [
        ({"balance_account": AT_STRIPE}, "main/eur/stripe/pending is not main/eur/bank"),
        ({"balance_account": "us/eur/bank"}, "us/eur/bank is not main/eur/bank"),
        ({"balance_account": f"{BANK}/x"}, "main/eur/bank/x is not main/eur/bank"),
        ({"counter_account": AT_STRIPE}, "main/eur/stripe/pending is a balance at Stripe, too"),
        ({"counter_account": "us/eur/bank"}, "us/eur/bank is an account of the bank, too"),
        ({"counter_account": "main/eur/suspense"}, "may not touch main/eur/suspense"),
    ]:
        with pytest.raises(AdjustmentError, match=why):
            check_accounts(Leg.BANKED, "main", {"EUR": 5}, [replace(place, **changes)], rules)
    with pytest.raises(AdjustmentError, match="may not touch main/eur/bank"):
        check_accounts(Leg.BANKED, "main", {"EUR": 5}, [place], RULES)
    with pytest.raises(AdjustmentError, match="is no account below main/eur/stripe/"):
        check_accounts(Leg.BOOKED, "main", {"EUR": 5}, [place], rules)


def test_the_transaction_of_a_request_is_always_the_same() -> None:
    one = ledger_request_id("adjust-1")
    assert one == ledger_request_id("adjust-1") != ledger_request_id("adjust-2")
    assert len(one) <= 128
