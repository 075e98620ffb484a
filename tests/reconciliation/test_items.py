"""Items over a socket and a real database: listed, filtered, as they were, ignored and not."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import errors

from reconciliation.breaks import store
from reconciliation.items import reading
from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import ItemKey, Leg, State
from reconciliation.v1 import item_service_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as decisions
from reconciliation.v1.item_service_pb2_grpc import ItemServiceStub
from tests.reconciliation.books import LIVE, Books
from tests.reconciliation.people import named, refusal
from tests.reconciliation.worlds import START, drawn, item

# Of 20,000 items, and as many of what they are in.
MOST_ROWS = 1_000
BOOKED, CONTENT, BANKED = messages.LEG_BOOKED, messages.LEG_CONTENT, messages.LEG_BANKED


@pytest.fixture
async def shown(open_stub: Callable[..., Awaitable[Any]]) -> Any:
    return await open_stub("fin.example", ItemServiceStub)


async def keys(shown: Any, **wanted: Any) -> list[str]:
    return [i.key.key for i in await items(shown, **wanted)]


async def items(shown: Any, **wanted: Any) -> list[messages.Item]:
    """All pages."""
    found, token = [], ""
    while True:
        page = await shown.ListItems(pb.ListItemsRequest(page_token=token, **wanted))
        found += page.items
        token = page.next_page_token
        if not token:
            return found


async def test_items_are_listed_by_what_is_known_of_them(books: Books, shown: Any) -> None:
    await books.give(item("LEDGER", "l1", 100, "t"))
    await books.give(item("STRIPE", "s1", 100, "t", group="po_1"))
    await books.give(item("BANK", "b1", 7, day=2), item("PAYOUT", "po_2", 5, day=1))
    await books.give(item("STRIPE", "s2", 9, corridor="other", day=-1))
    await books.give(item("PAYOUT", "po_3", 5, state=State.PENDING))
    await books.run()
    assert await keys(shown) == ["s2", "l1", "s1", "po_3", "po_2", "b1"]
    assert await keys(shown, page_size=1) == ["s2", "l1", "s1", "po_3", "po_2", "b1"]
    assert await keys(shown, source=messages.SOURCE_STRIPE) == ["s2", "s1"]
    assert await keys(shown, corridor="main", first_book_day="2026-12-01") == ["po_2", "b1"]
    assert await keys(shown, last_book_day="2026-11-30") == ["s2", "l1", "s1", "po_3"]
    one_day = {"first_book_day": "2026-12-01", "last_book_day": "2026-12-01"}
    assert await keys(shown, **one_day) == ["po_2"]
    assert await keys(shown, standing=messages.STANDING_MATCHED) == ["l1", "s1"]
    assert await keys(shown, standing=messages.STANDING_EXPECTED) == ["s1", "po_2", "b1"]
    assert await keys(shown, standing=messages.STANDING_EXPECTED, leg=BOOKED) == []
    # It is of the day before.
    assert await keys(shown, standing=messages.STANDING_BROKEN) == ["s2"]
    assert await keys(shown, leg=BANKED, page_size=1) == ["po_2", "b1"]
    (s1,) = await items(shown, source=messages.SOURCE_STRIPE, corridor="main")
    assert s1.amount.minor_units == 100
    assert (s1.book_day, list(s1.references), s1.group) == ("2026-11-30", ["t"], "po_1")
    stands = {each.leg: each for each in s1.standings}
    assert stands[BOOKED].standing == messages.STANDING_MATCHED
    assert stands[BOOKED].match_id > 0 == stands[BOOKED].break_id
    assert stands[CONTENT].standing == messages.STANDING_EXPECTED
    assert stands[CONTENT].break_id > 0 == stands[CONTENT].match_id
    await books.later(days=20)
    assert await keys(shown, standing=messages.STANDING_BROKEN) == ["s2", "s1", "po_2", "b1"]


async def test_one_item_has_its_revisions_and_what_it_is_in(books: Books, shown: Any) -> None:
    await books.give(item("PAYOUT", "po_1", 5, state=State.PENDING))
    await books.run()
    before = books.clock.now()
    await books.later(days=1)
    await books.give(item("PAYOUT", "po_1", 5, "trace", revision=2, day=0))
    await books.give(item("BANK", "b1", 5, "trace", day=1))
    await books.run()
    found = await shown.GetItem(pb.GetItemRequest(key=named("PAYOUT", "po_1")))
    assert (found.item.revision, list(found.item.references)) == (2, ["trace"])
    assert [r.revision for r in found.revisions] == [1, 2]
    assert [r.state for r in found.revisions] == [
        messages.ITEM_STATE_PENDING,
        messages.ITEM_STATE_BOOKED,
    ]
    (match,) = found.matches
    assert {a.item.key for a in match.allocations} == {"po_1", "b1"}
    assert len(found.breaks) == 0
    then = pb.GetItemRequest(key=named("PAYOUT", "po_1"))
    then.as_of_time.FromDatetime(before)
    earlier = await shown.GetItem(then)
    assert (earlier.item.revision, len(earlier.item.standings), len(earlier.matches)) == (1, 0, 0)
    then.key.CopyFrom(named("BANK", "b1"))
    assert (await refusal(shown.GetItem(then)))[0] == "ITEM_NOT_FOUND"
    none = pb.GetItemRequest(key=named("BANK", "none"))
    assert (await refusal(shown.GetItem(none)))[0] == "ITEM_NOT_FOUND"


async def test_items_are_as_they_were_with_every_change(books: Books, shown: Any) -> None:
    """What was listed after each change is listed again as of it, when all have been made."""
    random = Random(5)
    told: dict[int, list[messages.Item]] = {}
    for number in range(0, 24, 3):
        await books.give(*(drawn(random, n) for n in range(number, number + 3)))
        await books.matcher.round()
        (last,) = await books.rows("SELECT max(change_number) AS number FROM change")
        told[last.number] = await items(shown)
        await _stands_as_in_the_tables(books, told[last.number])
    assert len(told) > 4
    for number, before in told.items():
        assert await items(shown, as_of_change=number) == before
    call = shown.ListItems(pb.ListItemsRequest(as_of_change=99))
    last_change = str(max(told))
    assert await refusal(call) == (
        "CHANGE_NOT_FOUND",
        {"as_of_change": "99", "last_change": last_change},
    )
    both = pb.ListItemsRequest(as_of_change=1)
    both.as_of_time.FromDatetime(START)
    assert (await refusal(shown.ListItems(both)))[0] == "INVALID_REQUEST"
    for day in ("2026-02-30", "2026-2-3", "yesterday"):
        call = shown.ListItems(pb.ListItemsRequest(first_book_day=day))
        assert (await refusal(call))[0] == "INVALID_REQUEST"


async def _stands_as_in_the_tables(books: Books, listed: list[messages.Item]) -> None:
    stands = {
        (i.key.key, messages.Leg.Name(s.leg).removeprefix("LEG_"), s.match_id, s.break_id)
        for i in listed
        for s in i.standings
    }
    rows = await books.rows(LIVE)
    assert stands == {(r.key, r.leg, r.match_id or 0, r.difference_id or 0) for r in rows}


async def test_a_page_ends_early_where_filters_leave_much_out(
    books: Books, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LOOKED_AT", 3)
    monkeypatch.setattr(reading, "LOOKED_AT_AT_ONCE", 2)
    for number in range(4):
        await books.give(item("BANK", f"b{number}", number))
    await books.give(item("LEDGER", "l1", 3))
    await books.run()
    empty = await shown.ListItems(pb.ListItemsRequest(leg=BOOKED))
    assert (len(empty.items), bool(empty.next_page_token)) == (0, True)
    assert await keys(shown, leg=BOOKED) == ["l1"]
    assert len(await keys(shown, leg=BANKED)) == 4
    assert await keys(shown, leg=BANKED, page_size=1) == ["b0", "b1", "b2", "b3"]


def asked(number: int, what: Any) -> Any:
    return what(
        request_id=f"{what.DESCRIPTOR.name}-{number}",
        item=named("BANK", "rent"),
        leg=BANKED,
        note="said so",
    )


async def test_what_two_people_ignored_two_have_looked_at_again(
    books: Books, ann: Any, bob: Any, shown: Any
) -> None:
    ignore, again = decisions.IgnoreItemRequest, decisions.UnignoreItemRequest
    await books.give(item("BANK", "rent", -500))
    await books.run()
    early = ann.UnignoreItem(asked(0, again))
    names = {"source": "BANK", "corridor": "main", "key": "rent", "leg": "BANKED"}
    assert await refusal(early) == ("ITEM_NOT_IGNORED", names)
    for turn in (1, 3):
        await ann.IgnoreItem(asked(turn, ignore))
        assert (await bob.IgnoreItem(asked(turn + 1, ignore))).ignored
        assert await keys(shown, standing=messages.STANDING_IGNORED) == ["rent"]
        (before,) = await books.rows("SELECT max(change_number) AS number FROM change")
        assert (await ann.UnignoreItem(asked(turn, again))).ignored
        assert await refusal(ann.UnignoreItem(asked(turn + 10, again))) == (
            "NEEDS_ANOTHER_PERSON",
            {"client": "ann.example"},
        )
        assert (await ann.IgnoreItem(asked(turn, ignore))) == decisions.IgnoreItemResponse()
        assert not (await bob.UnignoreItem(asked(turn + 1, again))).ignored
        assert await keys(shown, standing=messages.STANDING_EXPECTED) == ["rent"]
        then = {"as_of_change": before.number}
        assert await keys(shown, standing=messages.STANDING_IGNORED, **then) == ["rent"]
    await books.give(item("PAYOUT", "po_1", -500))
    await books.run()
    matches = (await books.stand())[Leg.BANKED][0]
    assert [{k.key for k in members} for _, members in matches] == [{"rent", "po_1"}]


async def test_the_database_lets_nobody_ignore_alone_or_out_of_turn(
    books: Books, reconciliation_url: str
) -> None:
    await books.give(item("BANK", "rent", -500))
    step = (
        "INSERT INTO ignore_step (leg, item_id, round, step, client, note, change_number)"
        " VALUES ('BANKED', 1, %s, %s, %s, 'why', 1)"
    )
    stand = (
        "INSERT INTO standing (leg, item_id, generation, is_ignored) VALUES ('BANKED', 1, %s, true)"
    )
    with psycopg.connect(reconciliation_url, autocommit=True) as session:
        for round_, number, refused in [
            (1, 2, errors.CheckViolation),
            (1, 3, errors.CheckViolation),
            (2, 1, errors.CheckViolation),
            (1, 5, errors.CheckViolation),
        ]:
            with pytest.raises(refused):
                session.execute(step, [round_, number, "ann"])
        session.execute(step, [1, 1, "ann"])
        with pytest.raises(errors.UniqueViolation):
            session.execute(step, [1, 2, "ann"])
        with pytest.raises(errors.CheckViolation, match="by two people"):
            session.execute(stand, [0])
        session.execute(step, [1, 2, "bob"])
        session.execute(stand, [0])
        session.execute(step, [1, 3, "ann"])
        with pytest.raises(errors.UniqueViolation):
            session.execute(step, [1, 4, "ann"])
        with pytest.raises(errors.ExclusionViolation):
            session.execute(stand, [1])
        session.execute(step, [1, 4, "bob"])
        with pytest.raises(errors.CheckViolation, match="by two people"):
            session.execute(stand, [1])
        session.execute(step, [2, 1, "ann"])
        session.execute(step, [2, 2, "bob"])
        session.execute(stand, [1])


MANY = """
    INSERT INTO change (
        cause, last_ordinal, due_until, rules_version, policy_version, record_time
    ) VALUES ('RUN', 20000, '2026-11-30', 1, 'p', '2026-11-30');
    INSERT INTO intake (source_name, cursor, items, record_time)
    VALUES ('test', '', 20000, '2026-11-30');
    INSERT INTO item (
        ordinal, item_id, source, corridor, key, revision, currency, amount_minor, instant,
        book_date, sha256, tokens, group_key, state, content, intake_number
    )
    SELECT
        n, n, 'BANK', 'main', 'b' || n, 1, 'EUR', n, '2026-11-30', date '2026-11-30' + n / 500,
        sha256(''), '{}', '', 'BOOKED', 'NONE', 1
    FROM generate_series(1, 20000) AS g (n);
    INSERT INTO difference (
        difference_id, leg, kind, corridor, amounts, since, due, overdue, sentence, proposal,
        change_number
    )
    SELECT
        n, 'BANKED', 'BANK_UNEXPECTED', 'main', '[["EUR", 1]]', '2026-11-30', '2026-11-30',
        '2026-11-30', 's', '{}', 1
    FROM generate_series(1, 20000) AS g (n);
    INSERT INTO standing (leg, item_id, generation, difference_id)
    SELECT 'BANKED', n, 0, n FROM generate_series(1, 20000) AS g (n);
    INSERT INTO difference_end (difference_id, change_number)
    SELECT n, 1 FROM generate_series(1, 20000) AS g (n) WHERE n NOT IN (7, 19999);
    ANALYZE
"""


async def test_lists_read_as_much_of_many_items_as_of_few(
    books: Books, reconciliation_url: str
) -> None:
    """A page of items and one of open breaks, among thousands that are of no interest."""
    with psycopg.connect(reconciliation_url, autocommit=True) as owner:
        owner.execute(MANY)
    now = store.moment_now(books.clock.now())
    for what in (
        reading.ItemFilter(corridor="main"),
        reading.ItemFilter(first_day=(START + timedelta(days=20)).date()),
    ):
        page = partial(reading.page_of, wanted=what, moment=now, after=reading.BEGINNING, size=50)
        assert await _rows_read(books, page) < MOST_ROWS
    listed = partial(store.list_breaks, wanted=store.BreakFilter(), moment=now, after=0, limit=50)
    assert await _rows_read(books, listed) < MOST_ROWS
    async with books.engine.connect() as connection:
        rows = await listed(connection)
    assert [row.difference_id for row in rows] == [7, 19_999]


async def _rows_read(books: Books, call: Callable[[Any], Awaitable[Any]]) -> int:
    """How many rows of tables a call reads."""
    statement = (
        "SELECT coalesce(sum(seq_tup_read) + sum(idx_tup_fetch), 0)::bigint"
        " FROM pg_stat_xact_user_tables"
    )
    async with books.engine.connect() as connection:
        before = (await connection.exec_driver_sql(statement)).scalar_one()
        await call(connection)
        return int((await connection.exec_driver_sql(statement)).scalar_one() - before)


def test_filters_are_of_a_leg_and_a_standing_together() -> None:
    stands = {
        Leg.BOOKED: reading.Stands(Standing.MATCHED, match_id=1),
        Leg.CONTENT: reading.Stands(Standing.EXPECTED, difference_id=2),
    }
    known = reading.KnownItem(1, item("STRIPE", "s", 1), START.date(), START, stands, ())
    for leg, standing, taken in [
        (None, None, True),
        (Leg.BOOKED, None, True),
        (Leg.BANKED, None, False),
        (None, Standing.EXPECTED, True),
        (Leg.BOOKED, Standing.EXPECTED, False),
        (Leg.CONTENT, Standing.EXPECTED, True),
    ]:
        assert reading.ItemFilter(leg=leg, standing=standing).takes(known) is taken
    assert known.item.id == ItemKey(known.item.source, "main", "s")
