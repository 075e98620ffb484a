"""Fees against the ledger and against prices: told of by the day, once, until they are right."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import ENTRY_EFFECT_POST, Entry
from ledger.v1.transaction_pb2 import Transaction
from money.v1.money_pb2 import Money
from reconciliation.conditions.telling import Conditions
from reconciliation.fees import checking
from reconciliation.fees.checking import FeeChecks
from reconciliation.fees.schedule import NO_SCHEDULE, FeeSchedule, Price
from reconciliation.matching.item import Item
from reconciliation.sources.ledger import items_of
from reconciliation.sources.stripe_items import balance_transaction_item
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as pb
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.fees.test_fee_rules import moved
from tests.reconciliation.people import breaks
from tests.reconciliation.worlds import START

VARIANCE = messages.BREAK_KIND_FEE_VARIANCE
DAY = START.date()
PRICE = Price(
    name="cards",
    currency="EUR",
    categories=frozenset({"charge"}),
    percent=Decimal("1.5"),
    fixed_minor=25,
    tolerance_minor=0,
)
SCHEDULE = FeeSchedule((PRICE,), "one")


def stripes(key: str, amount: int, fee: int, **changes: Any) -> Item:
    return balance_transaction_item(moved(key, amount, fee, **changes), 1)


def entry(account: str, minor: int) -> Entry:
    direction = DIRECTION_DEBIT if minor > 0 else DIRECTION_CREDIT
    amount = Money(currency_code="EUR", minor_units=abs(minor))
    return Entry(account=account, amount=amount, direction=direction, effect=ENTRY_EFFECT_POST)


def booked(key: str, fact: str, gross: int, fee: int, sequence: int = 7) -> list[Item]:
    """A transaction of the ledger that books an amount, and what of it is a fee."""
    made = Transaction(
        sequence=sequence,
        request_id=f"{fact}.{key}",
        entries=[
            entry("main/eur/stripe/pending", gross - fee),
            entry("main/eur/fees", fee),
            entry("main/eur/merchants/m/payable", -gross),
        ],
        metadata={"charge_id": f"ch_{key}"},
    )
    made.effective_time.FromDatetime(START)
    return list(items_of(made))


class Desk:
    """Who gives fees, and has them compared."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.use(NO_SCHEDULE)

    def use(self, schedule: FeeSchedule) -> None:
        """A process that goes by a schedule."""
        books = self.books
        self.checks = FeeChecks(
            books.engine, schedule, Conditions(POLICY, books.clock), books.clock
        )

    async def look(self, *items: Item) -> None:
        if items:
            await self.books.give(*items)
        await self.books.run()
        while await self.checks.round():
            pass
        assert not await self.checks.round()


@pytest.fixture
def desk(books: Books) -> Desk:
    return Desk(books)


def amounts(found: messages.Break) -> list[tuple[str, int]]:
    return [(money.currency_code, money.minor_units) for money in found.amounts]


async def test_a_fee_that_is_booked_otherwise_than_taken_is_a_break_until_it_is_booked_so(
    desk: Desk, ann: Any
) -> None:
    # The nets agree, the fees do not: 9.60 are 10.00 less 0.40, and 9.90 less 0.30.
    await desk.look(stripes("1", 1_000, 40), *booked("1", "captured", 990, 30))
    await desk.look(stripes("2", 500, 20), *booked("2", "captured", 500, 20))
    (found,) = await breaks(ann, kind=VARIANCE)
    assert (found.subject, found.corridor) == (f"fees {DAY} EUR LEDGER", "main")
    assert amounts(found) == [("EUR", 10)]
    assert found.sentence.startswith(
        f"The ledger has booked another fee than Stripe took, 1 times on {DAY} (txn_1): 0.10 EUR"
    )
    assert found.overdue_time.ToDatetime() - found.due_time.ToDatetime() == timedelta(days=31)
    # Reversed and booked again, as it was.
    wrong = booked("1", "reversed", -990, -30, 8)
    await desk.look(*wrong, *booked("1", "captured_again", 1_000, 40, 9))
    assert await breaks(ann, kind=VARIANCE) == []
    ended = await breaks(ann, kind=VARIANCE, state=messages.BREAK_STATE_ENDED)
    assert [one.break_id for one in ended] == [found.break_id]


async def test_fees_in_parts_are_compared_as_they_are_matched(desk: Desk, ann: Any) -> None:
    charge = stripes("1", 1_000, 40)
    await desk.look(charge, *booked("1", "captured", 1_000, 0), *booked("1", "fee", 0, 40))
    assert await breaks(ann, kind=VARIANCE) == []
    assert await desk.books.rows("SELECT FROM item_match")


async def test_what_is_not_known_is_not_compared(desk: Desk, ann: Any) -> None:
    old = replace(stripes("1", 1_000, 40), fee_minor=None)
    await desk.look(old, *booked("1", "captured", 990, 30))
    assert await breaks(ann, kind=VARIANCE) == []
    # Told whole later, in a match that stands, it is compared with prices alone.
    desk.use(SCHEDULE)
    await desk.look(stripes("1", 1_000, 40, sequence=2), stripes("2", 1_000, 41))
    (found,) = await breaks(ann, kind=VARIANCE)
    assert found.subject == f"fees {DAY} EUR SCHEDULE"
    assert amounts(found) == [("EUR", 1)]


async def test_fees_of_a_day_are_one_break_that_follows_them(desk: Desk, ann: Any) -> None:
    desk.use(SCHEDULE)
    await desk.look(stripes("1", 1_000, 40), stripes("2", 1_000, 45))
    (first,) = await breaks(ann, kind=VARIANCE)
    assert amounts(first) == [("EUR", 5)]
    await ann.AssignBreak(
        pb.AssignBreakRequest(request_id="a", break_id=first.break_id, assignee="cy")
    )
    await desk.look(stripes("3", 1_000, 30), stripes("4", 7, 1, reporting_category="refund"))
    (second,) = await breaks(ann, kind=VARIANCE)
    assert amounts(second) == [("EUR", -5)]
    assert second.assignee == "cy"
    assert "Stripe took another fee than the schedule says, 2 times on" in second.sentence
    assert "(txn_2, txn_3)" in second.sentence
    # The same told again, and by another process, is no news.
    await desk.look(stripes("3", 1_000, 30, sequence=9))
    desk.use(SCHEDULE)
    await desk.look()
    assert await breaks(ann, kind=VARIANCE) == [second]
    # A schedule that allows them: what was not right is compared again.
    desk.use(FeeSchedule((replace(PRICE, tolerance_minor=5),), "two"))
    await desk.look()
    (third,) = await breaks(ann, kind=VARIANCE)
    assert amounts(third) == [("EUR", -10)]
    desk.use(NO_SCHEDULE)
    await desk.look()
    assert await breaks(ann, kind=VARIANCE) == []


async def test_two_people_accept_a_day_and_are_told_again_of_other_amounts(
    desk: Desk, ann: Any, bob: Any
) -> None:
    desk.use(SCHEDULE)
    await desk.look(stripes("1", 1_000, 45))
    (found,) = await breaks(ann, kind=VARIANCE)
    for name, who in (("a", ann), ("b", bob)):
        request = pb.AcceptBreakRequest(request_id=name, break_id=found.break_id, note="agreed")
        await who.AcceptBreak(request)
    assert await breaks(ann, kind=VARIANCE) == []
    await desk.look(stripes("2", 1_000, 40))
    assert await breaks(ann, kind=VARIANCE) == []
    await desk.look(stripes("3", 1_000, 41))
    (other,) = await breaks(ann, kind=VARIANCE)
    assert amounts(other) == [("EUR", 6)]


async def test_what_is_much_is_compared_in_bounded_parts(
    desk: Desk, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "BATCH_ITEMS", 2)
    monkeypatch.setattr(checking, "BATCH_CHANGES", 1)
    monkeypatch.setattr(checking, "BATCH_AGAIN", 2)
    desk.use(SCHEDULE)
    some = [stripes(str(number), 1_000, 41) for number in range(5)]
    await desk.look(*some, *booked("3", "captured", 1_000, 41), *booked("4", "captured", 959, 0))
    found = {one.subject.split()[-1]: amounts(one) for one in await breaks(ann, kind=VARIANCE)}
    assert found == {"SCHEDULE": [("EUR", 5)], "LEDGER": [("EUR", 41)]}
    desk.use(FeeSchedule((replace(PRICE, fixed_minor=26),), "two"))
    await desk.look()
    (left,) = await breaks(ann, kind=VARIANCE)
    assert left.subject.endswith("LEDGER")
    assert len(await desk.books.rows("SELECT FROM schedule_fee_check WHERE is_right")) == 5
