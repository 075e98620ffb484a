"""Days and months closed over a socket, with a real ledger; statements checked by somebody else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psycopg
import pytest
from psycopg import errors

from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from gateway.v1.balance_transaction_service_pb2 import (
    ListBalanceTransactionsRequest,
    ListBalanceTransactionsResponse,
)
from gateway.v1.balance_transaction_service_pb2_grpc import (
    BalanceTransactionServiceServicer,
    BalanceTransactionServiceStub,
    add_BalanceTransactionServiceServicer_to_server,
)
from ledger.v1.account_pb2 import NORMAL_BALANCE_CREDIT
from money.v1.money_pb2 import Money
from reconciliation.closing import contents
from reconciliation.closing.closing import Asked, Closing, Rules
from reconciliation.closing.completeness import Behind, LedgerCompleteness, StripeCompleteness
from reconciliation.closing.late import LateActivity
from reconciliation.closing.period import Period, PeriodKind
from reconciliation.closing.statement import (
    LedgerPlace,
    PeriodStatement,
    StatedItem,
    StatedMatch,
    tally_of,
)
from reconciliation.conditions.telling import Conditions
from reconciliation.matching.book_days import BookDays, read_book_days
from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import ItemKey, Leg, Source
from reconciliation.v1 import item_service_pb2 as shown
from reconciliation.v1 import period_service_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as decisions
from reconciliation.v1.period_service_pb2_grpc import PeriodServiceStub
from runtime.errors import ServiceError, from_rpc_error
from sandbox.addresses import at
from tests.ledger.client import credit, debit, draft
from tests.ledger.running import HOUR_MS, serving
from tests.plugin import NewDatabase
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.people import SIGNER, breaks, refusal
from tests.reconciliation.town import AT_STRIPE, DAY, INCOME, Town, town_of
from tests.reconciliation.worlds import START, item


@pytest.fixture
async def town(
    books: Books, reconciliation_url: str, service_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Town]:
    ledger_url = service_database("ledger")
    async with town_of(books, reconciliation_url, ledger_url, tmp_path / "certificates") as town:
        yield town


async def recomputed(town: Town, statement: PeriodStatement, first_day: date, last: date) -> None:
    """Somebody who only reads lists, as of the change, comes to the same sums and root. What of
    the listed days is of another statement is not in this one."""
    number, period = statement.change_number, statement.period
    listed: list[messages.Item] = []
    matches: list[messages.Match] = []
    token = ""
    while True:
        page = await town.shown.ListItems(
            shown.ListItemsRequest(
                as_of_change=number,
                first_book_day=first_day.isoformat(),
                last_book_day=last.isoformat(),
                page_size=2,
                page_token=token,
            )
        )
        listed += page.items
        token = page.next_page_token
        if not token:
            break
    while True:
        answer = await town.decided.ListMatches(
            decisions.ListMatchesRequest(as_of_change=number, page_size=2, page_token=token)
        )
        matches += answer.matches
        token = answer.next_page_token
        if not token:
            break
    keys = {i.key.key for i in listed}
    tally = tally_of(
        [_stated(i) for i in listed],
        [_match(m) for m in matches if keys & {a.item.key for a in m.allocations}],
        period.first_day,
    )
    assert (tally.item_count, tally.match_count) == (statement.item_count, statement.match_count)
    assert tally.root == statement.root
    assert dict(tally.sums) == dict(statement.sums)


def _key(key: messages.ItemKey) -> ItemKey:
    source = Source(messages.Source.Name(key.source).removeprefix("SOURCE_"))
    return ItemKey(source, key.corridor, key.key)


def _stated(listed: messages.Item) -> StatedItem:
    standings = {
        Leg(messages.Leg.Name(s.leg).removeprefix("LEG_")): (
            Standing(messages.Standing.Name(s.standing).removeprefix("STANDING_")),
            s.match_id,
        )
        for s in listed.standings
    }
    return StatedItem(
        key=_key(listed.key),
        currency=listed.amount.currency_code,
        amount_minor=listed.amount.minor_units,
        instant=listed.occur_time.ToDatetime(tzinfo=UTC),
        book_day=date.fromisoformat(listed.book_day),
        sha256=listed.sha256,
        standings={leg: standing for leg, (standing, _) in standings.items()},
        matches={leg: match_id for leg, (_, match_id) in standings.items() if match_id},
    )


def _match(listed: messages.Match) -> StatedMatch:
    return StatedMatch(
        listed.match_id,
        Leg(messages.Leg.Name(listed.leg).removeprefix("LEG_")),
        messages.MatchRule.Name(listed.rule).removeprefix("MATCH_RULE_"),
        [(_key(a.item), a.amount.currency_code, a.amount.minor_units) for a in listed.allocations],
    )


async def test_days_are_closed_one_after_the_other_and_then_their_month(town: Town) -> None:
    await town.pair("ch_1", 100)
    await town.pair("ch_2", 50)
    early = await refusal(town.close(DAY))
    assert early == ("PERIOD_NOT_OVER", {"earliest_time": "2026-12-01T04:00:00+00:00"})
    none = await refusal(town.close(DAY, corridor="nowhere"))
    assert none == ("CORRIDOR_NOT_FOUND", {"corridor": "nowhere"})
    await town.books.later(days=1)
    monday = await town.closed(DAY)
    assert (monday.closing_number, monday.item_count, monday.match_count) == (1, 4, 2)
    assert monday.corridors == (("main", "UTC"),)
    assert (monday.client, monday.approver, monday.carried) == ("ann.example", "", ())
    (booked,) = [sums for place, sums in monday.sums.items() if place.source == "LEDGER"]
    assert (booked.counts[Standing.MATCHED], booked.amounts[Standing.MATCHED]) == (2, 150)
    assert monday.ledger_place.sequence == 2
    assert monday.ledger_place.tree_size >= 2
    await recomputed(town, monday, DAY, DAY)

    again = await refusal(town.close(DAY, corridor="main"))
    assert again == ("PERIOD_CLOSED", {"corridor": "main", "closing_number": "1"})
    assert (await refusal(town.close(DAY)))[0] == "PERIOD_CLOSED"
    await town.pair("ch_3", 7, START + timedelta(days=1))
    await town.books.later(days=3)
    gap = await refusal(town.close(DAY + timedelta(days=2)))
    assert gap == ("PERIOD_OUT_OF_ORDER", {"corridor": "main", "next_day": "2026-12-01"})
    tuesday = await town.closed(DAY + timedelta(days=1))
    assert (tuesday.item_count, tuesday.previous != monday.previous) == (2, True)
    await recomputed(town, tuesday, *[DAY + timedelta(days=1)] * 2)
    # November begins, for this corridor, with the first day that was closed.
    november = await town.closed(date(2026, 11, 1), kind=pb.PERIOD_KIND_MONTH)
    assert (november.period.last_day, november.item_count) == (DAY, 4)
    await recomputed(town, november, DAY, DAY)
    december = town.close(date(2026, 12, 1), kind=pb.PERIOD_KIND_MONTH)
    assert (await refusal(december))[0] == "PERIOD_NOT_OVER"
    await town.books.later(days=40)
    december = town.close(date(2026, 12, 1), kind=pb.PERIOD_KIND_MONTH)
    assert (await refusal(december))[1] == {"corridor": "main", "next_day": "2026-12-02"}

    listed = await town.ann.ListPeriods(pb.ListPeriodsRequest(page_size=2))
    assert [p.closing_number for p in listed.periods] == [3, 2]
    rest = pb.ListPeriodsRequest(page_size=2, page_token=listed.next_page_token)
    assert [p.closing_number for p in (await town.ann.ListPeriods(rest)).periods] == [1]
    wanted = pb.ListPeriodsRequest(kind=pb.PERIOD_KIND_DAY, first_day="2026-12-01")
    assert [p.closing_number for p in (await town.ann.ListPeriods(wanted)).periods] == [2]
    other = pb.ListPeriodsRequest(corridor="other")
    assert len((await town.ann.ListPeriods(other)).periods) == 0
    got = (await town.ann.GetPeriod(pb.GetPeriodRequest(closing_number=3))).period
    assert (got.first_day, got.last_day) == ("2026-11-01", "2026-11-30")
    missing = town.ann.GetPeriod(pb.GetPeriodRequest(closing_number=9))
    assert await refusal(missing) == ("PERIOD_NOT_FOUND", {"closing_number": "9"})
    for wrong in ({"kind": pb.PERIOD_KIND_MONTH}, {"first_day": "2026-02-30"}, {"note": ""}):
        assert (await refusal(town.close(DAY, **wrong)))[0] == "INVALID_REQUEST"


async def test_open_breaks_are_named_and_carried_by_two_people(town: Town) -> None:
    await town.pair("ch_1", 100)
    await town.books.give(item("STRIPE", "txn_2", 30, "ch_2"))
    await town.books.later(days=1)
    (left,) = await breaks(town.decided)
    open_one = {"break_count": "1", "break_ids": str(left.break_id)}
    assert await refusal(town.close(DAY)) == ("BREAKS_OPEN", open_one)
    carried: dict[str, Any] = {"carried_break_ids": [left.break_id]}
    also: dict[str, Any] = {"carried_break_ids": [left.break_id, 99]}
    assert (await refusal(town.close(DAY, **also)))[0] == "BREAKS_OPEN"
    first = await town.close(DAY, **carried)
    assert (first.closed, first.HasField("period")) == (False, False)
    alone = await refusal(town.close(DAY, **carried))
    assert alone == ("NEEDS_ANOTHER_PERSON", {"client": "ann.example"})
    made = await town.closed(DAY, "bob", **carried)
    assert (made.client, made.approver) == ("ann.example", "bob.example")
    (stated,) = made.carried
    assert (stated.break_id, stated.kind) == (left.break_id, "LEDGER_MISSING")
    assert stated.amounts == (("EUR", -30),)
    (stripe,) = [
        sums
        for place, sums in made.sums.items()
        if (place.source, place.leg) == ("STRIPE", "BOOKED")
    ]
    assert (stripe.counts[Standing.BROKEN], stripe.amounts[Standing.BROKEN]) == (1, 30)
    await recomputed(town, made, DAY, DAY)


async def test_what_comes_late_is_told_of_and_counts_in_the_next_day(town: Town) -> None:
    await town.pair("ch_1", 100)
    await town.books.later(days=1)
    monday = await town.closed(DAY)
    before = await _statements(town)
    await town.pair("ch_late", 11)
    await town.pair("ch_2", 5, START + timedelta(days=1))
    # Of before the first day that was ever closed: nobody closed that.
    await town.pair("ch_old", 13, START - timedelta(days=3))

    async def told() -> list[messages.Break]:
        kind = messages.BREAK_KIND_LATE_ACTIVITY
        return await breaks(town.decided, kind=kind)

    await town.books.later(days=1)
    reason, named = await refusal(town.close(DAY + timedelta(days=1)))
    late = await told()
    assert reason == "BREAKS_OPEN"
    # Of each source what came for the day; more than one time if it came more than once.
    assert {b.subject.rsplit(" ", 1)[0] for b in late} == {
        "late LEDGER 2026-11-30",
        "late STRIPE 2026-11-30",
    }
    assert [(a.currency_code, a.minor_units) for a in late[0].amounts] == [("EUR", 11)]
    assert "came after 2026-11-30 was closed" in late[0].sentence
    ids = [int(number) for number in named["break_ids"].split(",")]
    assert {b.break_id for b in late} <= set(ids)
    await town.close(DAY + timedelta(days=1), carried_break_ids=ids)
    tuesday = await town.closed(DAY + timedelta(days=1), "bob", carried_break_ids=ids)
    assert (tuesday.item_count, tuesday.late_count) == (4, 2)
    assert before < await _statements(town)
    # Of Monday and Tuesday together both statements have everything, once.
    both = await town.shown.ListItems(
        shown.ListItemsRequest(first_book_day=DAY.isoformat(), as_of_change=tuesday.change_number)
    )
    assert len(both.items) == monday.item_count + tuesday.item_count
    # It is told of once.
    await town.books.later(days=1)
    assert [b.break_id for b in await told()] == [b.break_id for b in late]
    november = await town.closed(date(2026, 11, 1), kind=pb.PERIOD_KIND_MONTH)
    assert (november.item_count, november.late_count) == (monday.item_count, 0)


async def _statements(town: Town) -> set[str]:
    rows = await town.books.rows("SELECT note FROM closing")
    return {row.note for row in rows}


class Told(NamedTuple):
    """What a source says of itself."""

    why: str

    async def behind(self, _period: Period, _corridors: Sequence[str]) -> Behind | None:
        return Behind("statements", self.why) if self.why else None

    async def place(self) -> LedgerPlace | Behind:
        return LedgerPlace(1, 1, bytes(32))


NOT_BEHIND = Told("")


def closing_of(books: Books, *sources: Told, ledger: Any = NOT_BEHIND) -> Closing:
    rules = Rules("payments", "policy", timedelta(hours=4), BookDays())
    late = LateActivity(books.engine, Conditions(POLICY, books.clock))
    return Closing(rules, SIGNER, ledger, sources, late, books.clock)


async def test_a_period_stays_open_while_something_of_it_has_not_come(books: Books) -> None:
    await books.give(item("STRIPE", "txn_1", 100, "ch_1"), item("LEDGER", "l1", 100, "ch_1"))
    await books.run()
    await books.later(days=1)
    monday = Period(PeriodKind.DAY, DAY)
    asked = Asked(monday, (), "ann", "note")

    async def close(closing: Closing) -> int:
        async with books.engine.connect() as connection:
            ready = await closing.prepare(connection, monday, "")
        async with books.engine.begin() as connection:
            return await closing.close(connection, asked, ready, is_all=True)

    async def why(closing: Closing) -> str:
        with pytest.raises(ServiceError) as caught:
            await close(closing)
        assert caught.value.reason == "SOURCES_BEHIND"
        return dict(caught.value.metadata)["sources"]

    assert await why(closing_of(books, ledger=None)) == "ledger: is not configured"
    behind = closing_of(books, Told("file 7 is missing"), Told(""), Told("and 8"))
    assert await why(behind) == "statements: file 7 is missing; statements: and 8"
    await books.give(item("STRIPE", "txn_2", 5, "ch_2"), item("LEDGER", "l2", 5, "ch_2"))
    assert await why(closing_of(books)) == "matching: has not looked at all items"
    await books.run()
    assert await close(closing_of(books, Told(""))) == 1


async def test_the_ledger_is_behind_until_what_it_recorded_is_taken_and_sealed(
    books: Books, service_database: NewDatabase
) -> None:
    ledger_url = service_database("ledger")
    async with serving(ledger_url, books.clock, seal_interval_ms=HOUR_MS) as served:
        client = served.client
        await client.create_ledger()
        await client.account(AT_STRIPE)
        await client.account(INCOME, NORMAL_BALANCE_CREDIT)
        asked = LedgerCompleteness(
            books.engine, client.stub, client.audit, client.ledger, BookDays()
        )
        monday = Period(PeriodKind.DAY, DAY)
        # The gateway makes its ledger with the first thing that it books.
        not_made = LedgerCompleteness(
            books.engine, client.stub, client.audit, "not-made", BookDays()
        )
        none = Behind("ledger", "cannot be asked: NOT_FOUND LEDGER_NOT_FOUND")
        assert await not_made.place() == none
        assert await not_made.behind(monday, ["main"]) == none
        entries = debit(AT_STRIPE, 5), credit(INCOME, 5)
        await client.create(draft(*entries))
        why = Behind("ledger", "transaction 1 has not been taken")
        assert await asked.behind(monday, ["main"]) == why
        await books.give(cursor="1:", name="ledger")
        assert await asked.behind(monday, ["main"]) is None
        # What is recorded after the end may come later.
        books.clock.advance(timedelta(hours=12))
        await client.create(draft(*entries))
        assert await asked.behind(monday, ["main"]) is None
        tuesday = Period(PeriodKind.DAY, DAY + timedelta(days=1))
        assert await asked.behind(tuesday, ["main"]) == Behind(
            "ledger", "transaction 2 has not been taken"
        )
        assert await asked.place() == Behind("ledger", "no checkpoint covers transaction 1 yet")


class Listing(BalanceTransactionServiceServicer):
    """A gateway that lists what it is given, a page for each."""

    def WatchBalanceTransactions(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    def ListBalances(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    def __init__(self, *pages: list[BalanceTransaction]) -> None:
        self.pages = pages
        self.asked: list[ListBalanceTransactionsRequest] = []

    async def ListBalanceTransactions(
        self, request: ListBalanceTransactionsRequest, _context: Any
    ) -> ListBalanceTransactionsResponse:
        self.asked.append(request)
        place = int(request.page_token or 0)
        following = str(place + 1) if place + 1 < len(self.pages) else ""
        return ListBalanceTransactionsResponse(
            balance_transactions=self.pages[place], next_page_token=following
        )


async def test_stripe_is_behind_until_all_that_is_listed_of_the_day_is_taken(books: Books) -> None:
    def moved(name: str, minor: int = 5) -> BalanceTransaction:
        return BalanceTransaction(id=name, net=Money(currency_code="EUR", minor_units=minor))

    await books.give(item("STRIPE", "txn_1", 5), item("STRIPE", "txn_2", 5, corridor="other"))
    gateway = Listing([moved("txn_1"), moved("txn_0", 0)], [moved("txn_2")])
    server = grpc.aio.server()
    add_BalanceTransactionServiceServicer_to_server(gateway, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(at(port)) as channel:
        stub = BalanceTransactionServiceStub(channel)
        zones = read_book_days({"main": "Asia/Tokyo"})
        asked = StripeCompleteness(books.engine, stub, zones)
        monday = Period(PeriodKind.DAY, DAY)
        why = Behind("balance transactions", "txn_2 has not been taken")
        assert await asked.behind(monday, ["main"]) == why
        await books.give(item("STRIPE", "txn_2", 5))
        assert await asked.behind(monday, ["main"]) is None
        await server.stop(None)
        assert await asked.behind(monday, ["main"]) == Behind(
            "balance transactions", "cannot be asked: UNAVAILABLE"
        )
    first = gateway.asked[0]
    assert (first.corridor, first.page_size) == ("main", 1_000)
    span = [first.created_from, first.created_until]
    assert [each.ToDatetime(tzinfo=UTC).isoformat() for each in span] == [
        "2026-11-29T15:00:00+00:00",
        "2026-11-30T15:00:00+00:00",
    ]


async def test_a_period_that_is_too_large_is_refused(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.pair("ch_1", 100)
    await town.books.later(days=1)
    monkeypatch.setattr(contents, "MAX_PERIOD_ITEMS", 1)
    assert await refusal(town.close(DAY)) == ("PERIOD_TOO_LARGE", {"most": "1"})
    monkeypatch.setattr(contents, "MAX_PERIOD_ITEMS", 2)
    monkeypatch.setattr(contents, "READ_AT_ONCE", 1)
    made = await town.closed(DAY)
    await recomputed(town, made, DAY, DAY)


async def test_days_of_no_business_are_refused(
    open_stub: Callable[..., Awaitable[Any]], books: Books
) -> None:
    await books.give(item("STRIPE", "txn_1", 100))
    stub = await open_stub("ann.example", PeriodServiceStub)

    async def why(day: str) -> tuple[str, Sequence[str]]:
        request = pb.ClosePeriodRequest(
            request_id="odd", kind=pb.PERIOD_KIND_DAY, first_day=day, note="odd"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ClosePeriod(request)
        told = from_rpc_error(caught.value)
        return told.reason, [violation.description for violation in told.violations]

    outside = ("INVALID_REQUEST", ["is outside the years 2000 to 9998"])
    for day in ("0001-01-01", "1999-12-31", "9999-01-01", "9999-12-31"):
        assert await why(day) == outside
    assert await why("2000-01-01") == ("SOURCES_BEHIND", [])
    assert await why("9998-12-31") == ("PERIOD_NOT_OVER", [])


async def test_the_database_keeps_what_was_closed(town: Town, reconciliation_url: str) -> None:
    await town.pair("ch_1", 100)
    await town.books.later(days=1)
    await town.closed(DAY)
    await town.books.later(days=1)
    with psycopg.connect(reconciliation_url, autocommit=True) as owner:
        for table in ("closing", "closed_period", "closing_step", "late_look"):
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                with pytest.raises(errors.RestrictViolation):
                    owner.execute(statement.encode())
        with pytest.raises(errors.RestrictViolation):
            owner.execute("UPDATE closing SET note = 'other'")
        period = (
            "INSERT INTO closed_period (corridor, kind, first_day, closing_number, last_ordinal)"
            " SELECT 'main', %s, %s, 1, last_ordinal FROM closing"
        )
        for kind, day in [("DAY", "2026-12-02"), ("MONTH", "2026-12-01"), ("DAY", "2026-12-01")]:
            with pytest.raises(errors.CheckViolation):
                owner.execute(period, [kind, day])
        with pytest.raises(errors.UniqueViolation):
            owner.execute(period, ["DAY", "2026-11-30"])
        following = (
            "INSERT INTO closing (closing_number, kind, first_day, last_day, change_number,"
            " last_ordinal, note, sha256, item_count, late_count, match_count, carried, client,"
            " approver, remark, record_time) SELECT %s, 'DAY', '2026-12-01', '2026-12-01', %s,"
            " %s, 'n', sha256(''), 0, 0, 0, %s, 'ann', %s, '', now()"
        )
        (change, ordinal) = owner.execute(
            "SELECT change_number, last_ordinal FROM change ORDER BY change_number DESC LIMIT 1"
        ).fetchone() or (0, 0)
        for number, last, carried, approver in [
            (3, ordinal, [], ""),
            (2, ordinal + 1, [], ""),
            (2, ordinal, [7], ""),
            (2, ordinal, [7], "ann"),
            (2, ordinal, [], "bob"),
        ]:
            with pytest.raises((errors.CheckViolation, errors.UniqueViolation)):
                owner.execute(following, [number, change, last, carried, approver])
