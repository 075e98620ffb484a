"""Sources that are silent for too long are told of, and no longer once they are heard again."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.balances.reading import BalanceReading
from reconciliation.conditions.telling import Conditions
from reconciliation.items.contact import KEPT_EVERY, contacts_of, keep_contact
from reconciliation.matching.policy import BreakKind
from reconciliation.reports.comparing import Kind, ReportName
from reconciliation.reports.waiting import Wanted, missing
from reconciliation.sources.ledger import LedgerSource
from reconciliation.sources.staleness import stale_feeds, stale_sweeps
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


times = st.integers(0, 40).map(lambda minutes: START + timedelta(minutes=minutes))


@given(contacts=st.dictionaries(st.sampled_from("abc"), times), now=times)
def test_feeds_are_stale_from_the_end_of_patience_on(
    contacts: dict[str, datetime], now: datetime
) -> None:
    patience = timedelta(minutes=15)
    found = stale_feeds(contacts, now, patience)
    assert [(c.subject, c.since) for c in found] == [
        (f"feed {name}", contacts[name])
        for name in sorted(contacts)
        if (now - contacts[name]) // timedelta(minutes=1) >= 15
    ]
    swept = [balance(corridor=name, sweep_time=time) for name, time in contacts.items()]
    again = [balance(corridor=name, sweep_time=START, part="pending") for name in contacts]
    assert [
        (c.corridor, c.since, c.overdue) for c in stale_sweeps(swept + again, now, patience)
    ] == [(c.subject.removeprefix("feed "), c.since, c.overdue) for c in found]


def report(day: int, kind: Kind = Kind.ACTIVITY, corridor: str = "main", *, ready: bool) -> Wanted:
    start = START.replace(hour=0) + day * DAY
    return Wanted(ReportName(f"rep_{day}", corridor, kind, start, start + DAY, start.date()), ready)


def test_a_report_that_does_not_become_ready_is_told_of() -> None:
    patience = POLICY.patience.report
    waiting = report(0, ready=False)
    assert missing([waiting], waiting.name.end + patience - MOMENT, patience) == []
    (found,) = missing([waiting], waiting.name.end + patience, patience)
    assert (found.kind, found.corridor) == (BreakKind.FEED_STALE, "main")
    assert (found.subject, found.since) == ("report ACTIVITY 2026-11-30", waiting.name.end)
    assert found.overdue == waiting.name.end + 2 * patience
    assert missing([report(0, ready=True)], waiting.name.end + patience, patience) == []


def test_a_day_that_nobody_has_a_report_of_is_told_of_once() -> None:
    patience = POLICY.patience.report
    reports = [
        *(report(day, ready=True) for day in (1, 0)),
        *(report(day, Kind.PAYOUTS, ready=True) for day in (2, 1)),
        report(2, corridor="us", ready=True),
    ]
    end = report(2, ready=True).name.end
    assert missing(reports, end + patience - MOMENT, patience) == []
    (found,) = missing(reports, end + patience, patience)
    assert (found.corridor, found.subject) == ("main", "report ACTIVITY 2026-12-02")
    assert found.says == "Stripe has no data for its report ACTIVITY and later ones"
    later = missing(reports, end + patience + DAY, patience)
    assert [(c.corridor, c.subject) for c in later] == [
        ("main", "report ACTIVITY 2026-12-02"),
        ("main", "report PAYOUTS 2026-12-03"),
        ("us", "report ACTIVITY 2026-12-03"),
    ]
