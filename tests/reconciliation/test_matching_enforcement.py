"""What the database itself refuses, whoever writes; and runs that are killed anywhere."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.matching.item import Leg, State
from reconciliation.part import DATABASE_ROLE
from runtime.loops import is_unavailable
from tests.reconciliation.books import Books
from tests.reconciliation.worlds import item

MATCH = """
    WITH made AS (
        INSERT INTO item_match (match_id, leg, rule, change_number, client, note)
        SELECT DISTINCT n.match_id, 'BOOKED', 'REFERENCE', 1, '', ''
        FROM unnest(%(matches)s::bigint[]) AS n (match_id)
    )
    INSERT INTO standing (leg, item_id, generation, match_id, amount_minor)
    SELECT 'BOOKED', n.item_id, n.generation, n.match_id, n.amount
    FROM unnest(
        %(matches)s::bigint[], %(items)s::bigint[], %(generations)s::int[], %(amounts)s::bigint[]
    ) AS n (match_id, item_id, generation, amount)
"""
APPEND_ONLY = (
    *("mutation", "operator_act", "operator_act_outcome", "intake", "item", "item_token", "change"),
    *("item_match", "match_revocation", "difference", "difference_end", "ignore_step"),
    *("standing", "break_event"),
)


@pytest.fixture
async def ids(books: Books) -> dict[str, int]:
    """Items that nobody has matched, by key."""
    await books.give(
        item("LEDGER", "l1", 100),
        item("LEDGER", "l2", 100),
        item("STRIPE", "s1", 100),
        item("STRIPE", "s2", 100),
        item("STRIPE", "minus", -100),
        item("STRIPE", "yen", 100, currency="JPY"),
        item("BANK", "b1", 100),
    )
    return {row.key: row.item_id for row in await books.rows("SELECT key, item_id FROM item")}


@pytest.fixture
def session(reconciliation_url: str) -> Iterator[psycopg.Connection[Any]]:
    with acting(reconciliation_url) as connection:
        yield connection


def acting(url: str) -> psycopg.Connection[Any]:
    """A login in the service's role."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(f"SET ROLE {DATABASE_ROLE}".encode())
    return connection


def match(
    connection: psycopg.Connection[Any], *rows: tuple[int, int, int, int], leg: str = "BOOKED"
) -> None:
    """Adds matches by (match, item, generation, amount)."""
    matches, items, generations, amounts = zip(*rows, strict=True)
    connection.execute(
        MATCH.replace("'BOOKED'", f"'{leg}'").encode(),
        {
            "matches": list(matches),
            "items": list(items),
            "generations": list(generations),
            "amounts": list(amounts),
        },
    )


def test_sums_are_exact_and_allocations_within_their_items(
    ids: dict[str, int], session: psycopg.Connection[Any]
) -> None:
    l1, l2, s1 = ids["l1"], ids["l2"], ids["s1"]
    sums, within = "the two sides", "exceeds its item"
    for rows, why in [
        ([(1, l1, 0, 100), (1, s1, 0, 99)], sums),
        ([(1, l1, 0, 100)], sums),
        ([(1, l1, 0, 100), (1, ids["yen"], 0, 100)], sums),
        ([(1, l1, 0, 101), (1, s1, 0, 101)], within),
        ([(1, l1, 0, -1), (1, s1, 0, -1)], within),
        ([(1, l1, 0, 0), (1, s1, 0, 0)], within),
        ([(1, l1, 0, 100), (1, ids["b1"], 0, 100)], within),
        ([(1, l1, 0, 100), (1, 999, 0, 100)], within),
        # Two sums that are wrong do not make one that is right.
        ([(1, l1, 0, 100), (1, s1, 0, 99), (2, l2, 0, 99), (2, ids["s2"], 0, 100)], sums),
    ]:
        with pytest.raises(errors.CheckViolation, match=why):
            match(session, *rows)
    with pytest.raises(errors.CheckViolation, match="has no allocations"):
        session.execute(
            "INSERT INTO item_match (match_id, leg, rule, change_number, client, note)"
            " VALUES (1, 'BOOKED', 'REFERENCE', 1, '', '')"
        )
    # One side alone is no match, though it comes to nothing.
    with pytest.raises(errors.CheckViolation, match=sums):
        match(session, (1, s1, 0, 100), (1, ids["minus"], 0, -100))
    match(session, (1, l1, 0, 100), (1, s1, 0, 100))


async def test_nothing_is_taken_of_a_payout_that_came_back_and_of_no_other(
    books: Books, session: psycopg.Connection[Any]
) -> None:
    payout, other = item("PAYOUT", "po_1", 100, "t"), item("PAYOUT", "po_2", 100)
    await books.give(payout, other, item("BANK", "b1", 100, "t"))
    await books.run()
    assert {rule for rule, _ in (await books.stand())[Leg.BANKED][0]} == {"REFERENCE"}
    back = item("BANK", "b2", -100, "t")
    await books.give(item("PAYOUT", "po_1", 100, state=State.RETURNED, revision=2), back)
    await books.run()
    ((rule, members),) = (await books.stand())[Leg.BANKED][0]
    assert (rule, {member.key for member in members}) == ("GROUP_SUM", {"po_1", "b1", "b2"})
    rows = await books.rows(
        "SELECT i.key, s.amount_minor FROM standing AS s INNER JOIN item AS i"
        " ON s.item_id = i.ordinal INNER JOIN item_match AS m ON s.match_id = m.match_id"
        " WHERE m.rule = 'GROUP_SUM' ORDER BY i.key"
    )
    assert rows == [("b1", 100), ("b2", -100), ("po_1", 0)]
    ids = {row.key: row.item_id for row in await books.rows("SELECT key, item_id FROM item")}
    await books.give(item("BANK", "b3", 0))
    (b3,) = await books.rows("SELECT item_id FROM item WHERE key = 'b3'")
    with pytest.raises(errors.CheckViolation, match="exceeds its item"):
        match(session, (99, ids["po_2"], 1, 0), (99, b3.item_id, 0, 0), leg="BANKED")


async def test_sums_are_equal_in_each_currency_of_a_match(
    books: Books, ids: dict[str, int], session: psycopg.Connection[Any]
) -> None:
    await books.give(item("LEDGER", "l yen", 100, currency="JPY"), item("LEDGER", "l yen 2", 99))
    known = {row.key: row.item_id for row in await books.rows("SELECT key, item_id FROM item")}
    euros = [(1, ids["l1"], 0, 100), (1, ids["s1"], 0, 100)]
    for yens in (
        [(1, known["l yen"], 0, 99), (1, ids["yen"], 0, 100)],
        # One euro more and one yen less come to nothing and agree in neither.
        [(1, known["l yen 2"], 0, 1), (1, known["l yen"], 0, 99), (1, ids["yen"], 0, 100)],
    ):
        with pytest.raises(errors.CheckViolation, match="the two sides"):
            match(session, *euros, *yens)
    match(session, *euros, (1, known["l yen"], 0, 100), (1, ids["yen"], 0, 100))


def test_all_of_a_match_is_in_its_leg(
    ids: dict[str, int], session: psycopg.Connection[Any]
) -> None:
    with pytest.raises(errors.CheckViolation, match="no place in its leg"):
        session.execute(
            "WITH made AS ("
            " INSERT INTO item_match (match_id, leg, rule, change_number, client, note)"
            " VALUES (1, 'BOOKED', 'REFERENCE', 1, '', ''))"
            " INSERT INTO standing (leg, item_id, generation, match_id, amount_minor)"
            " VALUES ('BOOKED', %(l1)s, 0, 1, 100), ('BOOKED', %(s1)s, 0, 1, 100),"
            " ('CONTENT', %(s2)s, 0, 1, 100)",
            ids,
        )


def test_an_item_is_in_one_match_that_stands(
    ids: dict[str, int], session: psycopg.Connection[Any]
) -> None:
    l1, l2, s1, s2 = (ids[name] for name in ("l1", "l2", "s1", "s2"))
    match(session, (1, l1, 0, 100), (1, s1, 0, 100))
    with pytest.raises(errors.UniqueViolation):
        match(session, (2, l1, 0, 100), (2, s2, 0, 100))
    with pytest.raises(errors.ExclusionViolation, match="has not ended"):
        match(session, (2, l1, 1, 100), (2, s2, 0, 100))
    with pytest.raises(errors.ExclusionViolation):
        session.execute(
            "INSERT INTO standing (leg, item_id, generation, is_ignored)"
            " VALUES ('BOOKED', %s, 1, true)",
            [l1],
        )
    session.execute(
        "INSERT INTO match_revocation (match_id, change_number, client, note) VALUES (1, 2, '', '')"
    )
    # The generations have no gaps.
    with pytest.raises(errors.ExclusionViolation):
        match(session, (2, l1, 2, 100), (2, s2, 0, 100))
    match(session, (2, l1, 1, 100), (2, s2, 0, 100))
    match(session, (3, l2, 0, 100), (3, s1, 1, 100))
    # In part, too, it is in one match only.
    with pytest.raises(errors.CheckViolation):
        session.execute(
            "INSERT INTO standing (leg, item_id, generation, is_ignored)"
            " VALUES ('BOOKED', %s, 0, true)",
            [ids["yen"]],
        )


def test_of_writers_at_a_time_one_gets_the_item(
    ids: dict[str, int], reconciliation_url: str
) -> None:
    """Eight writers, each in a transaction of its own, all past their first look."""
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def write(number: int) -> None:
        with acting(reconciliation_url) as connection, connection.transaction():
            connection.execute("SELECT count(*) FROM standing").fetchone()
            barrier.wait(30)
            other = ids["s1"] if number % 2 else ids["s2"]
            match(connection, (number, ids["l1"], 0, 100), (number, other, 0, 100))

    def attempt(number: int) -> None:
        try:
            write(number)
        except errors.UniqueViolation:
            outcomes.append("refused")
        except errors.DeadlockDetected:
            outcomes.append("refused")
        else:
            outcomes.append("taken")

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["taken"]


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_nothing_is_changed_or_removed(
    table: str, session: psycopg.Connection[Any], reconciliation_url: str
) -> None:
    column = "key" if table == "item" else "record_time"
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedColumn)):
            session.execute(statement.encode())
    # Nor by the owner.
    with psycopg.connect(reconciliation_url, autocommit=True) as owner:
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(errors.RestrictViolation):
                owner.execute(statement.encode())


def test_two_people_ignore_an_item(ids: dict[str, int], session: psycopg.Connection[Any]) -> None:
    step = (
        "INSERT INTO ignore_step (leg, item_id, step, client, note, change_number)"
        " VALUES ('BOOKED', %s, %s, %s, 'why', 1)"
    )
    ignore = (
        "INSERT INTO standing (leg, item_id, generation, is_ignored) VALUES ('BOOKED', %s, 0, true)"
    )
    session.execute(step, [ids["l1"], 1, "ann"])
    with pytest.raises(errors.CheckViolation, match="by two people"):
        session.execute(ignore, [ids["l1"]])
    with pytest.raises(errors.UniqueViolation):
        session.execute(step, [ids["l1"], 2, "ann"])
    session.execute(step, [ids["l1"], 2, "bob"])
    session.execute(ignore, [ids["l1"]])


class Kill:
    """Ends the session of an engine before its n-th statement."""

    def __init__(self, engine: AsyncEngine, url: str) -> None:
        self._url = url
        self.countdown = -1
        event.listen(engine.sync_engine, "before_cursor_execute", self._before)

    def _before(self, connection: Any, *_rest: Any) -> None:
        self.countdown -= 1
        if self.countdown == 0:
            driver = connection.connection.driver_connection
            with psycopg.connect(self._url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [driver.info.backend_pid])


async def test_a_run_that_is_killed_before_any_statement_goes_on(
    books: Books, reconciliation_url: str
) -> None:
    """And before its commit: what it had done is not there, and is done once by the next."""
    kill = Kill(books.engine, reconciliation_url)
    await books.give(item("LEDGER", "l1", 5, "t"), item("STRIPE", "s1", 5, "t"))
    await books.run()
    await books.give(item("STRIPE", "s2", 5, "t"), item("LEDGER", "late", 7, day=-9))
    before = await books.stand()
    kills = 0
    while True:
        kill.countdown = kills + 1
        try:
            await books.matcher.round()
        except Exception as error:
            if not is_unavailable(error):
                raise
            kills += 1
            assert await books.stand() == before
        else:
            break
    assert kills > 10
    kill.countdown = -1
    matches, differences = (await books.stand())[Leg.BOOKED]
    assert matches == set()
    assert sorted(kind for kind, *_ in differences) == ["AMBIGUOUS", "STRIPE_MISSING"]
    assert [row.n for row in await books.rows("SELECT count(*) AS n FROM change")] == [2]
    told = await books.rows("SELECT event FROM break_event")
    assert [row.event for row in told] == ["OPENED", "OPENED"]
