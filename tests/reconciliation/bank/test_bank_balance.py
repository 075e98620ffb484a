"""The ledger's accounts of the bank against closing balances and what is open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciliation.bank.balances import BankBalance, condition_of
from reconciliation.bank.watching import StatementWatch
from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.matching.item import Item, Leg, Source, State
from reconciliation.matching.policy import BreakKind
from runtime.notifier import Notifier
from tests.reconciliation.bank.files import FROM_DAY, TODAY, Booked, file_of
from tests.reconciliation.bank.test_banked import Account, Desk, desk  # noqa: F401 (a fixture)
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.worlds import item

SQL = "SELECT d.amounts FROM difference AS d LEFT JOIN difference_end AS e USING (difference_id)"
HOLDING = f"{SQL} WHERE d.kind = 'BANK_BALANCE_DIFFERS' AND e.difference_id IS NULL"


def balance(**changes: int) -> BankBalance:
    values = {"closing": 700, "unmatched_bank": 500, "unmatched_book": 30, "ledger": 230}
    return BankBalance("main", "EUR", TODAY, **(values | changes))


def test_the_ledger_has_what_is_matched_and_what_is_on_its_way() -> None:
    assert condition_of(balance()) is None
    told = condition_of(balance(ledger=225))
    assert told is not None
    assert (told.kind, told.amounts) == (BreakKind.BANK_BALANCE_DIFFERS, (("EUR", -5),))
    assert told.since == datetime(2026, 11, 30, tzinfo=UTC)
    for change in ({"closing": 701}, {"unmatched_bank": 499}, {"unmatched_book": 31}):
        told = condition_of(balance(**change))
        assert told is not None
        assert told.amounts == (("EUR", -1),)


@pytest.fixture
def watch(books: Books, bank_settings: dict[str, Any]) -> StatementWatch:
    accounts = ReconciliationSettings(**bank_settings).bank_accounts
    only = {"of-camt": accounts["of-camt"]}
    conditions = Conditions(POLICY, books.clock)
    return StatementWatch(books.engine, only, conditions, Notifier(), books.clock)


def booked(fact: str, amount: int) -> Item:
    """A transaction of the ledger that takes a payout from the balance at Stripe, or back."""
    return item(Source.LEDGER, f"{fact}:EUR", amount, fact.split(".")[1])


async def test_each_statement_is_compared_with_the_ledger(
    books: Books,
    desk: Desk,  # noqa: F811 (a fixture)
    watch: StatementWatch,
) -> None:
    async def differs() -> list[Any]:
        await books.run()
        await watch.round()
        return [row.amounts for row in await books.rows(HOLDING)]

    assert await differs() == []
    early = FROM_DAY - timedelta(days=3)
    truth = Account(
        "of-camt",
        [
            Booked(40, "before the first day", early),
            Booked(1_234, "STRIPE TRACE000001", TODAY),
            Booked(-77, "rent", TODAY),
        ],
    )
    # Two that overlap: what they have in common counts once.
    for first, last in ((early - timedelta(days=1), early), (early, TODAY)):
        await desk.take("of-camt", file_of("of-camt", truth.statement(first, last)))
    # Without payouts there is nothing to compare.
    assert await differs() == []
    await books.give(
        item(Source.PAYOUT, "po_1", 1_234, "TRACE000001"),
        item(Source.PAYOUT, "po_2", 500, "TRACE000002"),
        item(Source.PAYOUT, "po_3", 9, state=State.RETURNED),
        booked("payout.po_1", -1_234),
        booked("payout.po_3", -9),
        booked("payout_failed.po_3", 9),
        booked("refund.re_1", -50),
    )
    still = Account("of-camt", [], opening=truth.opening + 40 + 1_234 - 77)
    await desk.take("of-camt", file_of("of-camt", still.statement(TODAY, TODAY, "next")))
    # The ledger lacks a payout that is on its way.
    assert await differs() == [[["EUR", -500]]]
    await books.give(booked("payout.po_2", -500))
    assert await differs() == []
    # What was adjusted counts on both sides while nothing of the bank goes with it.
    fee = item(Source.ADJUSTMENT, "adjusts:EUR", -15, "fee")
    await books.give(fee)
    books.clock.advance(timedelta(days=1))
    day = TODAY + timedelta(days=1)
    after = Account("of-camt", [Booked(-15, "fee FEE00001", day)], opening=still.opening)
    await desk.take("of-camt", file_of("of-camt", after.statement(day, day, "after")))
    assert await differs() == []
    await books.give(replace(fee, tokens=frozenset(["FEE00001"]), revision=2))
    await books.run()
    banked = (await books.stand())[Leg.BANKED][0]
    assert fee.id in {member for _, members in banked for member in members}
    assert await differs() == []
