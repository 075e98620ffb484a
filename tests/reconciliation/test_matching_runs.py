"""Runs on a real database: the same as the rules over everything, however the items came."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from reconciliation.items.intake import cursor_of
from reconciliation.items.source import MAX_BATCH_ITEMS
from reconciliation.matching.item import Content, Item, ItemError, Leg, Source, State, folded
from reconciliation.matching.reconciling import reconcile
from reconciliation.matching.rules import popular_of
from reconciliation.runs import store
from reconciliation.runs.store import Paired, pair_isolated
from tests.reconciliation.books import POLICY, Books, Stand
from tests.reconciliation.worlds import GROUPS, START, TOKENS, drawn, item, key


def wanted(items: list[Item]) -> Stand:
    """What the rules say of all items at once."""
    known = folded(items)
    found = reconcile(known, POLICY, popular_of(known.values()))
    return {
        leg: (
            {(match.rule, match.members) for match in found[leg].matches},
            {
                (each.kind, frozenset(each.items), each.amounts, each.due)
                for each in found[leg].differences
            },
        )
        for leg in Leg
    }


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_cut_come_to_the_same(books: Books, seed: int) -> None:
    random = Random(seed)
    items = [drawn(random, number) for number in range(random.randint(10, 60))]
    items += [revised(each, random) for each in items if random.random() < 0.2]
    random.shuffle(items)
    rest = list(items)
    while rest:
        count = random.randint(1, 12)
        batch, rest = rest[:count], rest[count:]
        await books.give(*batch)
        if random.random() < 0.7:
            books.matcher = books.with_batches(random.randint(1, 9))
            await books.run()
    await books.run()
    assert await books.stand() == wanted(items)


def revised(first: Item, random: Random) -> Item:
    """What its source says of an item later."""
    changes: dict[str, Any] = {
        "tokens": frozenset(random.sample(TOKENS, 1)),
        "group": random.choice(("", *GROUPS)),
        "state": random.choice((State.PENDING, State.BOOKED)),
    }
    if first.source is Source.PAYOUT:
        changes |= {
            "state": random.choice((State.BOOKED, State.RETURNED)),
            "content": random.choice(list(Content)),
        }
    return replace(first, revision=2, sha256=bytes(32), **changes)


async def test_a_pair_that_has_to_do_with_nothing_else_is_matched(books: Books) -> None:
    items = [
        item("LEDGER", "l1", 100, "txn_1", "ch_1"),
        item("STRIPE", "txn_1", 100, "txn_1"),
        item("LEDGER", "l2", 0, "txn_2"),
        item("STRIPE", "txn_2", 0, "txn_2"),
    ]
    await books.give(*items)
    await books.run()
    assert await books.stand() == wanted(items)
    assert await books.rows("SELECT FROM difference") == []


@pytest.mark.parametrize("tokens", [(), ("trace",), ("other",)])
async def test_a_pair_of_which_more_is_known_already_is_no_pair_alone(
    books: Books, tokens: tuple[str, ...]
) -> None:
    """Its revision came in the same batch: the payout failed, or is not final."""
    books.matcher = books.with_batches(2_000)
    items = []
    for state in (State.RETURNED, State.PENDING):
        payout = item("PAYOUT", f"po_{state}", 100, f"trace {state}")
        line = item("BANK", f"b_{state}", 100, f"trace {state}")
        named = [f"{token} {state}" for token in tokens]
        later = item("PAYOUT", payout.key, 100, *named, revision=2, state=state)
        items += [payout, line, later]
    await books.give(*items)
    await books.run()
    assert await books.stand() == wanted(items)
    assert (await books.stand())[Leg.BANKED][0] == set()


async def test_a_reference_that_an_older_item_has_keeps_a_pair_from_being_alone(
    books: Books,
) -> None:
    """Whichever of the two has it, and whatever the other one is."""
    older = [item("LEDGER", "old 1", 7, "ch_1"), item("PAYOUT", "old 2", 9, "ch_2")]
    await books.give(*older)
    await books.run()
    newer = [
        item("LEDGER", "l1", 5, "txn_1", "ch_1"),
        item("STRIPE", "s1", 5, "txn_1"),
        item("LEDGER", "l2", 5, "txn_2"),
        item("STRIPE", "s2", 5, "txn_2", "ch_2"),
        item("LEDGER", "l3", 5, "txn_3", "ch_3"),
        item("STRIPE", "s3", 5, "txn_3", "ch_3"),
    ]
    await books.give(*newer)
    await books.run()
    assert await books.stand() == wanted([*older, *newer])


async def test_what_is_alone_but_for_one_thing_is_left_to_the_rules(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    async def paired(*given: Any) -> Paired:
        found.append(await pair_isolated(*given))
        return found[-1]

    monkeypatch.setattr(store, "pair_isolated", paired)
    books.matcher = books.with_batches(2_000)
    items = [
        # Another currency, another amount, another corridor.
        item("LEDGER", "l1", 5, "a"),
        item("STRIPE", "s1", 5, "a", currency="JPY"),
        item("LEDGER", "l2", 5, "b"),
        item("STRIPE", "s2", 6, "b"),
        item("LEDGER", "l3", 5, "c"),
        item("STRIPE", "s3", 5, "c", corridor="other"),
        # Two of one side, and sources of no leg in common.
        item("LEDGER", "l4", 5, "d"),
        item("LEDGER", "l5", 5, "d"),
        item("LEDGER", "l6", 5, "e"),
        item("PAYOUT", "p6", 5, "e"),
        # A chain.
        item("LEDGER", "l7", 5, "f"),
        item("STRIPE", "s7", 5, "f", "g"),
        item("BANK", "b7", 5, "g"),
        item("LEDGER", "l8", 5, "h"),
        item("STRIPE", "s8", 5, "h", state=State.PENDING),
        # And one of each that is alone.
        item("LEDGER", "l9", -5, "i", "j"),
        item("STRIPE", "s9", -5, "j", "i", "k"),
        item("PAYOUT", "p9", 5, "l"),
        item("BANK", "b9", 5, "l"),
    ]
    await books.give(*items)
    await books.run()
    assert await books.stand() == wanted(items)
    (once,) = found
    assert once.pairs == {Leg.BOOKED: 1, Leg.BANKED: 1}
    assert len(once.remaining) == len(items) - 4


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many may have something in common, as few as fits a test."""
    monkeypatch.setattr("reconciliation.matching.rules.MAX_CARRIERS", 20)
    monkeypatch.setattr("reconciliation.runs.store.MAX_CARRIERS", 20)
    return 20


async def test_a_later_item_that_makes_a_tie_takes_a_match_back(books: Books) -> None:
    payout, line = item("PAYOUT", "po_1", 100), item("BANK", "b1", 100)
    await books.give(payout, line)
    await books.run()
    assert (await books.stand())[Leg.BANKED] == wanted([payout, line])[Leg.BANKED]
    other = item("PAYOUT", "po_2", 100, day=1)
    await books.give(other)
    await books.run()
    stand = (await books.stand())[Leg.BANKED]
    assert stand == wanted([payout, line, other])[Leg.BANKED]
    assert stand[0] == set()
    # What was said before is still there.
    ((note, before),) = await books.rows(
        "SELECT r.note, m.rule FROM match_revocation AS r JOIN item_match AS m USING (match_id)"
    )
    assert (note, before) == ("", "UNIQUE_AMOUNT")


async def test_what_becomes_popular_identifies_none_any_more(books: Books, few: int) -> None:
    first = [item("LEDGER", "l", 1, "all"), item("STRIPE", "s", 1, "all")]
    more = [item("STRIPE", f"s{n}", n + 2, "all") for n in range(few - 1)]
    books.matcher = books.with_batches(2_000)
    await books.give(*first, *more[:-1])
    await books.run()
    assert [rule for rule, _ in (await books.stand())[Leg.BOOKED][0]] == ["REFERENCE"]
    await books.give(more[-1])
    await books.run()
    stand = await books.stand()
    assert stand[Leg.BOOKED][0] == set()
    assert stand == wanted([*first, *more])


async def test_an_amount_becomes_too_common(books: Books, few: int) -> None:
    payout = item("PAYOUT", "po", 5, day=-1)
    lines = [item("BANK", f"b{n}", 5, day=n) for n in range(few)]
    books.matcher = books.with_batches(2_000)
    await books.give(payout, *lines[:-1])
    await books.run()
    assert {kind for kind, *_ in (await books.stand())[Leg.BANKED][1]} >= {"AMBIGUOUS"}
    await books.give(lines[-1])
    await books.run()
    assert await books.stand() == wanted([payout, *lines])


async def test_items_come_once_however_often_they_are_given(books: Books) -> None:
    items = [item("LEDGER", "l1", 100, "t"), item("PAYOUT", "po_1", 7, state=State.PENDING)]
    await books.give(*items, cursor="a")
    await books.give(*items, item("PAYOUT", "po_1", 7, "trace", revision=2), cursor="b")
    await books.give(*items, cursor="c")
    rows = await books.rows("SELECT key, revision, item_id = ordinal FROM item ORDER BY ordinal")
    assert sorted(tuple(row) for row in rows) == [
        ("l1", 1, True),
        ("po_1", 1, True),
        ("po_1", 2, False),
    ]
    async with books.engine.connect() as connection:
        assert await cursor_of(connection, "test") == "c"
        assert await cursor_of(connection, "another") == ""


@pytest.mark.parametrize(
    "wrong",
    [
        [item("BANK", "b1", 8)],
        [item("BANK", "b1", 7, currency="JPY")],
        [item("BANK", "b1", 7, day=1)],
        [item("BANK", "b1", 7, sha256=bytes(32))],
        [item("BANK", "b1", 8, revision=2)],
        [item("BANK", "b2", 1), item("BANK", "b2", 1, sha256=bytes(32))],
        [item("BANK", "b2", 1), item("BANK", "b2", 2, revision=2)],
        [item("BANK", f"b{n}", 1) for n in range(10, MAX_BATCH_ITEMS + 11)],
    ],
)
async def test_a_batch_that_contradicts_what_is_known_changes_nothing(
    books: Books, wrong: list[Item]
) -> None:
    await books.give(item("BANK", "b1", 7), cursor="a")
    with pytest.raises(ItemError):
        await books.give(item("BANK", "fine", 1), *wrong, cursor="b")
    assert [row.key for row in await books.rows("SELECT key FROM item")] == ["b1"]
    async with books.engine.connect() as connection:
        assert await cursor_of(connection, "test") == "a"


async def test_a_run_is_bounded_and_the_next_goes_on(books: Books) -> None:
    books.matcher = books.with_batches(3)
    await books.give(*(item("LEDGER", f"l{n}", 1) for n in range(7)))
    rounds = [await books.matcher.round() for _ in range(4)]
    assert rounds == [True, True, True, False]
    rows = await books.rows("SELECT change_number, last_ordinal FROM change ORDER BY 1")
    assert [row.change_number for row in rows] == [1, 2, 3]
    assert [b.last_ordinal - a.last_ordinal for a, b in pairwise(rows)] == [3, 1]


async def test_breaks_are_told_of_when_they_are_due_and_when_they_end(books: Books) -> None:
    ledger, stripe = item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 100, "t")
    await books.give(ledger)
    await books.run()
    await books.later(minutes=59)
    assert await events(books) == []
    await books.later(minutes=1)
    assert await events(books) == [("OPENED", "STRIPE_MISSING")]
    await books.give(stripe)
    await books.run()
    assert await events(books) == [("OPENED", "STRIPE_MISSING"), ("ENDED", "STRIPE_MISSING")]
    # One that is late already is told of at once, and one that ends in time never.
    await books.give(item("LEDGER", "l2", 5), item("LEDGER", "l3", 5, "u", day=1))
    await books.run()
    await books.give(item("STRIPE", "s3", 5, "u", day=1))
    await books.run()
    await books.later(days=9)
    assert (await events(books))[2:] == [("OPENED", "STRIPE_MISSING")]
    assert (await books.stand())[Leg.BOOKED][1] == {
        (
            "STRIPE_MISSING",
            frozenset([key("LEDGER", "l2")]),
            (("EUR", 5),),
            START + timedelta(hours=1),
        )
    }


async def events(books: Books) -> list[tuple[str, str]]:
    rows = await books.rows(
        "SELECT e.event, d.kind FROM break_event AS e JOIN difference AS d USING (difference_id)"
        " ORDER BY e.sequence"
    )
    return [(row.event, row.kind) for row in rows]
