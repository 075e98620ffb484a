"""The rules: every fact one balanced transaction, the books equal to Stripe's balance."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from gateway.bookkeeping.balance_facts import UnknownBalanceTransaction
from gateway.bookkeeping.chart import Chart, Side
from gateway.bookkeeping.codec import KINDS, from_json, kind_of, to_json
from gateway.bookkeeping.facts import (
    Captured,
    Converted,
    FeeCharged,
    HoldPlaced,
    HoldReleased,
    RefundCreated,
    RefundFailed,
    ReleaseReason,
    StripeBalance,
)
from gateway.bookkeeping.mapping import (
    Create,
    Post,
    fact_id_of,
    ledger_write,
    request_id,
    revision_of,
)
from tests.gateway.bookkeeping.notebook import Notebook
from tests.gateway.bookkeeping.scenarios import Movement, Scenario, histories

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ABOUT: dict[str, Any] = {
    "corridor": "us",
    "currency": "USD",
    "effective_time": NOON,
    "payment_id": "pay_1",
    "merchant_id": "m_42",
}
USD = Chart("us", "USD")


@given(histories())
def test_the_books_equal_stripes_balance_after_every_fact(history: Scenario) -> None:
    notebook, stripe = Notebook(), Movement()
    for count, step in enumerate(history, start=1):
        notebook.book(step.fact)
        stripe.update(step.movement)
        assert notebook.transactions == count
        for (corridor, currency, part), balance in stripe.items():
            account = Chart(corridor, currency).stripe(part)
            assert notebook.debit_balances[account] == balance


@given(histories())
def test_debits_equal_credits_in_every_currency(history: Scenario) -> None:
    notebook = Notebook()
    for step in history:
        notebook.book(step.fact)
    totals: Counter[str] = Counter()
    for account, balance in notebook.debit_balances.items():
        totals[account.currency] += balance
    assert not any(totals.values())


@given(histories())
def test_every_finished_scenario_leaves_no_hold(history: Scenario) -> None:
    notebook = Notebook()
    for step in history:
        notebook.book(step.fact)
    assert notebook.holds == {}


@given(histories())
def test_ids_are_unique_and_fit_the_ledger(history: Scenario) -> None:
    ids = [request_id(step.fact.id, revision) for step in history for revision in (0, 1)]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 128


@given(histories())
def test_facts_survive_the_database(history: Scenario) -> None:
    for step in history:
        assert from_json(kind_of(step.fact), to_json(step.fact)) == step.fact


@given(histories())
def test_a_fact_comes_after_the_one_it_requires(history: Scenario) -> None:
    seen: dict[str, str] = {}
    for step in history:
        if step.fact.requires is not None:
            assert seen[step.fact.requires] == step.fact.subject
        seen[step.fact.id] = step.fact.subject


@given(histories())
def test_what_is_posted_voided_or_reversed_is_what_the_fact_requires(
    history: Scenario,
) -> None:
    for step in history:
        write = ledger_write(step.fact)
        if not isinstance(write, Create):
            assert write.of == step.fact.requires


@given(histories())
def test_every_entry_says_its_side_and_moves_money(history: Scenario) -> None:
    for step in history:
        write = ledger_write(step.fact)
        for entry in write.entries if isinstance(write, (Create, Post)) else ():
            assert isinstance(entry.side, Side)
            assert entry.amount_minor > 0


@pytest.mark.parametrize(
    ("revision", "booked_by"), [(0, "hold.op_1"), (1, "hold.op_1:1"), (12, "hold.op_1:12")]
)
def test_the_ledgers_request_id_says_which_fact_and_which_try(
    revision: int, booked_by: str
) -> None:
    assert request_id("hold.op_1", revision) == booked_by
    assert (fact_id_of(booked_by), revision_of(booked_by)) == ("hold.op_1", revision)


def test_every_kind_of_fact_has_a_rule() -> None:
    for kind in KINDS.values():
        assert ledger_write.dispatch(kind) is not ledger_write.dispatch(object)


def test_the_documented_example() -> None:
    """docs/chart-of-accounts.md: 100.00 held, 80.00 captured, fee 2.62, 30.00 refunded."""
    notebook = Notebook()
    hold = HoldPlaced(**ABOUT, hold_id="op_1", amount_minor=10_000)
    notebook.book(hold)
    assert notebook.debit_balances == {}
    notebook.book(Captured(**ABOUT, hold_id="op_1", charge_id="ch_1", amount_minor=8_000))
    notebook.book(
        FeeCharged(**ABOUT, balance_transaction_id="txn_1", charge_id="ch_1", amount_minor=262)
    )
    notebook.book(RefundCreated(**ABOUT, refund_id="re_1", amount_minor=3_000))
    assert {account.path: balance for account, balance in notebook.debit_balances.items()} == {
        "us/usd/stripe/pending": 8_000 - 262,
        "us/usd/stripe/available": -3_000,
        "us/usd/merchants/m_42/payable": -8_000,
        "us/usd/merchants/m_42/refunds": 3_000,
        "us/usd/fees": 262,
    }
    notebook.book(RefundFailed(**ABOUT, refund_id="re_1", amount_minor=3_000))
    assert notebook.debit_balances[USD.stripe(StripeBalance.PENDING)] == 8_000 - 262
    assert notebook.debit_balances[USD.stripe(StripeBalance.AVAILABLE)] == 0
    assert notebook.debit_balances[USD.refunds("m_42")] == 0
    assert notebook.holds == {}


def test_a_charge_settled_in_another_currency_leaves_its_own() -> None:
    notebook = Notebook()
    notebook.book(HoldPlaced(**ABOUT, hold_id="op_1", amount_minor=10_000))
    notebook.book(Captured(**ABOUT, hold_id="op_1", charge_id="ch_1", amount_minor=10_000))
    notebook.book(
        Converted(
            **ABOUT,
            balance_transaction_id="txn_1",
            amount_minor=10_000,
            settled_minor=9_150,
            settled_currency="EUR",
        )
    )
    eur = Chart("us", "EUR")
    assert notebook.debit_balances[USD.stripe(StripeBalance.PENDING)] == 0
    assert notebook.debit_balances[eur.stripe(StripeBalance.PENDING)] == 9_150
    assert notebook.debit_balances[USD.conversion] == 10_000
    assert notebook.debit_balances[eur.conversion] == -9_150


def test_an_unknown_balance_transaction_is_kept_in_suspense() -> None:
    fact = UnknownBalanceTransaction(
        corridor="us",
        currency="USD",
        effective_time=NOON,
        balance_transaction_id="txn_9",
        type="issuing_dispute",
        amount_minor=-75,
    )
    write = ledger_write(fact)
    assert isinstance(write, Create)
    assert {(e.account, e.side, e.amount_minor) for e in write.entries} == {
        (USD.suspense, "debit", 75),
        (USD.stripe(StripeBalance.PENDING), "credit", 75),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "usd"},
        {"currency": "US"},
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"effective_time": NOON.replace(tzinfo=None)},
        {"payment_id": ""},
        {"payment_id": "pay/1"},
        {"merchant_id": "m" * 65},
        {"corridor": "us.west"},
    ],
)
def test_a_fact_that_cannot_be_booked_cannot_be_made(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {**ABOUT, "hold_id": "op_1", "amount_minor": 1, **change}
    with pytest.raises(ValueError, match=next(iter(change))):
        HoldPlaced(**fields)


def test_a_fee_of_zero_is_no_fact() -> None:
    with pytest.raises(ValueError, match="amount_minor of FeeCharged cannot be 0"):
        FeeCharged(**ABOUT, balance_transaction_id="txn_1", charge_id="ch_1", amount_minor=0)


def test_a_conversion_into_the_same_currency_is_no_fact() -> None:
    with pytest.raises(ValueError, match="two currencies"):
        Converted(
            **ABOUT,
            balance_transaction_id="txn_1",
            amount_minor=1,
            settled_minor=1,
            settled_currency="USD",
        )


def test_two_reports_of_one_release_are_one_fact() -> None:
    first = HoldReleased(**ABOUT, hold_id="op_1", amount_minor=1, reason=ReleaseReason.DECLINED)
    assert first.id == "released.op_1"
    assert first.requires == HoldPlaced(**ABOUT, hold_id="op_1", amount_minor=1).id
