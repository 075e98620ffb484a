"""Payouts of Stripe's schedule at the twin, and instant ones of what is pending: what each contains
comes to it."""

from collections import Counter
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.stripe_twin.accounts import AUTOMATIC
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.payouts import available, pay_out
from sandbox.stripe_twin.twin import Twin
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 24 * 60 * 60


def record(twin: Twin, amount: int, currency: str = "usd", **more: Any) -> None:
    entry = BalanceEntry(type="topup", amount=amount, currency=currency, **more)
    twin.record_transaction("default", entry)


async def listed(shop: Shop, payout: str) -> list[stripe.BalanceTransaction]:
    return (await shop.api.balance_transactions.list_async({"payout": payout})).data


@pytest.mark.parametrize("in_primary", [False, True])
async def test_above_its_rails_limit_a_payout_is_split_and_the_first_lists_it_all(
    shop: Shop, twin: Twin, in_primary: bool
) -> None:
    twin.settings.payout_limits = {"usd": 40_00}
    twin.settings.parts_listed_in_primary = in_primary
    record(twin, 100_00)
    primary = twin.pay_out()
    made = (await shop.api.payouts.list_async()).data
    assert sorted(one.amount for one in made) == [20_00, 40_00, 40_00]
    assert {one.arrival_date for one in made} == {primary["arrival_date"]}
    assert {one.created for one in made} == {primary["created"]}
    assert all(problems(stripe.Payout, one.to_dict()) == [] for one in made)
    content = await listed(shop, primary["id"])
    kinds = Counter(one.type for one in content)
    assert kinds == {"topup": 1, "payout": 3 if in_primary else 1}
    for part in made:
        if part.id != primary["id"]:
            itself = [] if in_primary else [part.balance_transaction]
            assert [one.id for one in await listed(shop, part.id)] == itself
    books = twin.books()["default"]
    assert set(books["split_payouts"].values()) == {primary["id"]}
    # At the limit nothing is split.
    record(twin, 40_00)
    assert twin.pay_out()["amount"] == 40_00
    assert len((await shop.api.payouts.list_async()).data) == 4


async def test_below_zero_the_bank_is_debited_if_it_may_be(shop: Shop, twin: Twin) -> None:
    twin.settings.minimum_balances = {"usd": 5_00}
    record(twin, -30_00)
    twin.settings.debit_negative_balances = False
    with pytest.raises(ValueError, match="no usd available"):
        twin.pay_out()
    twin.settings.debit_negative_balances = True
    debit = twin.pay_out()
    assert debit["amount"] == -30_00
    content = await listed(shop, debit["id"])
    assert sorted((one.type, one.net) for one in content) == [("payout", 30_00), ("topup", -30_00)]
    assert twin.books()["default"]["balances"]["usd"]["available"] == 0
    twin.advance(seconds=3 * DAY)
    twin.fail_payout(debit["id"], "could_not_process")
    assert twin.books()["default"]["balances"]["usd"]["available"] == -30_00


async def test_an_instant_payout_takes_what_is_pending_and_pays_it_back_when_it_comes(
    shop: Shop, twin: Twin
) -> None:
    """As in the example of https://docs.stripe.com/payouts/instant-payouts-with-advance-funding."""
    twin.settings.instant_fee_basis_points = 100
    record(twin, 25_00, available_at_once=False)
    twin.advance(seconds=DAY)
    record(twin, 15_40, available_at_once=False)
    wanted: Any = {"amount": 40_00, "currency": "usd"}
    with pytest.raises(stripe.InvalidRequestError, match="insufficient"):
        await shop.api.payouts.create_async(wanted, fresh_key())
    too_much: Any = {"amount": 40_01, "currency": "usd", "method": "instant"}
    with pytest.raises(stripe.InvalidRequestError, match="insufficient"):
        await shop.api.payouts.create_async(too_much, fresh_key())
    wanted["method"] = "instant"
    payout = await shop.api.payouts.create_async(wanted, fresh_key())
    assert (payout.method, payout.reconciliation_status) == ("instant", "not_applicable")
    moved = [
        (one["type"], one["net"], one["status"])
        for one in twin.account().books.transactions
        if one["type"] != "topup"
    ]
    assert moved == [
        ("advance", 40_40, "available"),
        ("advance_funding", -25_00, "pending"),
        ("advance_funding", -15_40, "pending"),
        ("stripe_fee", -40, "available"),
        ("payout", -40_00, "available"),
    ]
    with pytest.raises(stripe.InvalidRequestError, match="automatic transfers"):
        await listed(shop, payout.id)
    # When the time has come nothing is left of it.
    twin.advance(seconds=DAY)
    assert twin.books()["default"]["balances"]["usd"] == {"pending": 0, "available": 0}
    record(twin, 7_00)
    twin.advance(seconds=DAY)
    following = twin.pay_out()
    assert following["amount"] == 7_00
    content = await listed(shop, following["id"])
    assert Counter(one.type for one in content) == {
        "topup": 3,
        "advance": 1,
        "advance_funding": 2,
        "stripe_fee": 1,
        "payout": 2,
    }


async def test_what_a_payout_contains_takes_a_while_to_be_worked_out(
    shop: Shop, twin: Twin
) -> None:
    twin.settings.reconciliation_seconds = 600
    record(twin, 10_00)
    payout = twin.pay_out()
    assert payout["reconciliation_status"] == "in_progress"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        await shop.api.payouts.cancel_async(payout["id"], None, fresh_key())
    twin.advance(seconds=600)
    known = await shop.api.payouts.retrieve_async(payout["id"])
    assert known.reconciliation_status == "completed"
    events = [name for name in await shop.event_types() if name.startswith("payout")]
    assert events == ["payout.created", "payout.reconciliation_completed"]


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["now", "later"]), st.integers(-90_00, 200_00)),
        st.tuples(st.sampled_from(["run", "manual", "fail", "day"]), st.integers(1, 60_00)),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(
    steps=STEPS,
    limit=st.integers(100, 80_00),
    minimum=st.integers(1, 30_00),
    listed_in_primary=st.booleans(),
)
def test_whatever_happens_what_a_payout_contains_comes_to_it(
    steps: list[Step], limit: int, minimum: int, listed_in_primary: bool
) -> None:
    """The twin's own judge: every content comes to the payout, or to those it was split into."""
    twin = Twin()
    twin.settings.payout_limits = {"usd": limit}
    twin.settings.minimum_balances = {"usd": minimum}
    twin.settings.parts_listed_in_primary = listed_in_primary
    account = twin.account()
    for kind, number in steps:
        if kind in ("now", "later") and number:
            record(twin, number, available_at_once=kind == "now")
        elif kind == "run":
            try:
                paid = twin.pay_out()
            except ValueError:
                continue
            parts = [
                one
                for one in account.objects("payout")
                if account.split_payouts.get(one["id"], one["id"]) == paid["id"]
            ]
            assert all(one["amount"] <= limit for one in parts)
        elif kind == "manual" and available(account, "usd") >= number:
            pay_out(account, number, "usd", {}, automatic=False, origin=AUTOMATIC)
        elif kind == "fail":
            standing = [one for one in account.objects("payout") if one["status"] != "failed"]
            if standing:
                twin.fail_payout(standing[number % len(standing)]["id"])
        elif kind == "day":
            twin.advance(seconds=DAY)
        twin.books()
