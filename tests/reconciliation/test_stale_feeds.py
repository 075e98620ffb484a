"""Sources that are silent for too long are told of, and no longer once they are heard again."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciliation.balances.reading import BalanceReading
from reconciliation.conditions.telling import Conditions
from reconciliation.items.contact import KEPT_EVERY, contacts_of, keep_contact
from reconciliation.sources.ledger import LedgerSource
from reconciliation.sources.watching import FeedWatch
from reconciliation.v1 import reconciliation_pb2 as messages
from sandbox.polling import poll
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.people import breaks
from tests.reconciliation.test_balances import Stub, balance
from tests.reconciliation.test_sources import Feed, following, messages_of_the_ledger
from tests.reconciliation.test_sources import Stub as Services
from tests.reconciliation.worlds import START

STALE = messages.BREAK_KIND_FEED_STALE
ANSWER = POLICY.patience.answer
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)


class Desk:
    """A process that watches some feeds."""

    def __init__(self, books: Books, *names: str) -> None:
        self.books = books
        self.names = names
        self.begin()

    def begin(self) -> None:
        """The process was started."""
        books = self.books
        conditions = Conditions(POLICY, books.clock)
        self.watch = FeedWatch(books.engine, self.names, conditions, books.clock)

    async def look(self) -> None:
        assert not await self.watch.round()
        await self.books.run()

    async def hear(self, name: str) -> None:
        async with self.books.engine.begin() as connection:
            await keep_contact(connection, name, self.books.clock.now())


@pytest.fixture
def desk(books: Books) -> Desk:
    return Desk(books, "ledger", "payouts")


async def subjects(ann: Any, **wanted: Any) -> list[str]:
    return [one.subject for one in await breaks(ann, kind=STALE, **wanted)]


async def test_a_feed_that_is_not_open_is_told_of_until_it_is(desk: Desk, ann: Any) -> None:
    books = desk.books
    await desk.look()
    books.clock.advance(ANSWER - MOMENT)
    await desk.hear("payouts")
    await desk.look()
    assert await subjects(ann) == []
    books.clock.advance(MOMENT)
    await desk.look()
    (found,) = await breaks(ann, kind=STALE)
    assert (found.subject, found.corridor) == ("feed ledger", "")
    assert found.sentence == (
        "The feed of the ledger is not open since 2026-11-30 12:00 UTC; see why nothing comes."
    )
    assert found.due_time.ToDatetime(tzinfo=START.tzinfo) == START
    assert found.overdue_time.ToDatetime(tzinfo=START.tzinfo) == START + 2 * ANSWER
    await desk.look()
    assert await breaks(ann, kind=STALE) == [found]
    await desk.hear("ledger")
    await desk.look()
    assert await subjects(ann) == []
    assert await subjects(ann, state=messages.BREAK_STATE_ENDED) == ["feed ledger"]


async def test_who_was_down_asks_first(desk: Desk, ann: Any) -> None:
    books = desk.books
    await desk.look()
    books.clock.advance(ANSWER)
    desk.begin()
    await desk.look()
    assert await subjects(ann) == []
    books.clock.advance(ANSWER)
    await desk.look()
    assert await subjects(ann) == ["feed ledger", "feed payouts"]
    # What is told of is not taken back by a start, and is at once where a feed is open.
    desk.begin()
    await desk.hear("payouts")
    await desk.look()
    assert await subjects(ann) == ["feed ledger"]


async def test_others_feeds_are_left_to_others(desk: Desk, ann: Any) -> None:
    books = desk.books
    other = Desk(books, "ledger")
    await desk.look()
    await other.look()
    books.clock.advance(ANSWER)
    await desk.look()
    await desk.hear("ledger")
    await other.look()
    assert await subjects(ann) == ["feed payouts"]


async def test_an_open_feed_is_heard_of_though_it_tells_nothing(books: Books) -> None:
    async def contact() -> datetime:
        async with books.engine.begin() as connection:
            known = await contacts_of(connection, ["ledger"], START - DAY)
        return known["ledger"]

    source = LedgerSource(Services(Feed()), "payments")  # type: ignore[arg-type]
    async with following(books, source):
        await poll(contact, lambda found: found == START)
    books.clock.advance(KEPT_EVERY)
    source = LedgerSource(Services(Feed(*messages_of_the_ledger())), "payments")  # type: ignore[arg-type]
    async with following(books, source):
        await poll(contact, lambda found: found == START + KEPT_EVERY)
    # A clock that is behind takes nothing back.
    async with books.engine.begin() as connection:
        await keep_contact(connection, "ledger", START)
    assert await contact() == START + KEPT_EVERY


async def test_a_balance_that_nobody_sweeps_is_told_of_until_it_is_swept(
    books: Books, ann: Any
) -> None:
    gateway = Stub(books)
    conditions = Conditions(POLICY, books.clock)
    reading = BalanceReading(books.engine, gateway, conditions, books.clock)  # type: ignore[arg-type]
    gateway.balances = [balance(), balance(part="pending"), balance(corridor="us")]
    books.clock.advance(POLICY.patience.sweep)
    gateway.balances[2] = balance(corridor="us", sweep_time=books.clock.now())
    await reading.round()
    await books.run()
    (found,) = await breaks(ann, kind=STALE)
    assert (found.subject, found.corridor) == ("sweep of main", "main")
    gateway.balances[1] = balance(part="pending", sweep_time=books.clock.now())
    await reading.round()
    await books.run()
    assert await subjects(ann) == []
