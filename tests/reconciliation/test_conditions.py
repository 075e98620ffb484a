"""Breaks of a subject: found again and again, told of once, ended, accepted by two people."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.breaks.gauges import BreakGauges
from reconciliation.conditions.condition import Condition, Told, changes
from reconciliation.conditions.telling import Conditions
from reconciliation.matching.policy import BreakKind
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as pb
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.people import STREAM_SECONDS, breaks, refusal
from tests.reconciliation.worlds import START, item

DRIFT, STALE = BreakKind.BALANCE_DRIFT, BreakKind.FEED_STALE


def drift(amount: int, corridor: str = "main") -> Condition:
    return Condition(
        DRIFT, corridor, "balance", START, "the balance and its rows differ", (("EUR", amount),)
    )


def stale(subject: str) -> Condition:
    return Condition(STALE, "main", subject, START, f"nothing has come of {subject}")


async def tell(
    books: Books, *found: Condition, corridor: str = "", kinds: Iterable[BreakKind] = (DRIFT, STALE)
) -> None:
    """A look at everything, which found these."""
    async with books.engine.begin() as connection:
        conditions = Conditions(POLICY, books.clock)
        await conditions.tell_all(connection, set(kinds), corridor, found)
    await books.run()


CONDITIONS = st.builds(
    Condition,
    kind=st.sampled_from([DRIFT, STALE]),
    corridor=st.sampled_from(["main", "us"]),
    subject=st.sampled_from(["a", "b"]),
    since=st.just(START),
    says=st.just("it differs"),
    amounts=st.sampled_from([(), (("EUR", 1),), (("EUR", 2),)]),
)


@given(st.lists(CONDITIONS), st.lists(CONDITIONS), st.lists(CONDITIONS), st.booleans())
def test_what_was_told_changes_by_what_is_found_and_by_nothing_else(
    before: list[Condition], accepted: list[Condition], found: list[Condition], everything: bool
) -> None:
    holding = {condition.identity: place for place, condition in enumerate(before)}
    taken = {condition.identity for condition in accepted} - set(holding)
    due = changes(found, Told(holding, taken), is_everything=everything)
    kept = {identity for identity, number in holding.items() if number not in due.ended}
    after = kept | {condition.identity for condition in due.begun}
    now = {condition.identity for condition in found}
    assert after == (now - taken if everything else (now - taken) | set(holding))
    assert not {condition.identity for condition in due.begun} & set(holding)
    # What is found twice is told of once, and nothing changes by looking again.
    again = changes(found, Told(dict.fromkeys(after, 1), taken), is_everything=everything)
    assert (again.begun, again.ended) == ((), ())


async def test_a_condition_is_a_break_until_it_holds_no_more(books: Books, ann: Any) -> None:
    await tell(books, drift(30), stale("bank"))
    (first, second) = await breaks(ann)
    assert (first.subject, first.leg, list(first.items)) == (
        "balance",
        messages.LEG_UNSPECIFIED,
        [],
    )
    assert first.kind == messages.BREAK_KIND_BALANCE_DRIFT
    assert first.sentence.startswith("The balance and its rows differ: 0.30 EUR since 2026-")
    assert (second.subject, list(second.amounts)) == ("bank", [])
    assert second.sentence.startswith("Nothing has come of bank since 2026-")
    # Found again, also later, it is the same.
    await books.later(hours=5)
    await tell(books, drift(30), stale("bank"))
    assert [b.break_id for b in await breaks(ann)] == [first.break_id, second.break_id]
    (overdue,) = await breaks(ann, state=messages.BREAK_STATE_OVERDUE)
    assert overdue.break_id == first.break_id
    # Another corridor's look says nothing of it; one that does not find it ends it.
    await tell(books, corridor="us")
    assert len(await breaks(ann)) == 2
    await tell(books, drift(30))
    assert [b.break_id for b in await breaks(ann)] == [first.break_id]
    (ended,) = await breaks(ann, state=messages.BREAK_STATE_ENDED)
    assert ended.break_id == second.break_id
    # When it comes again it is another break.
    await tell(books, drift(30), stale("bank"))
    assert [b.subject for b in await breaks(ann)] == ["balance", "bank"]
    assert (await breaks(ann))[1].break_id not in (first.break_id, second.break_id)


async def test_another_amount_is_another_break_of_the_same_assignee(books: Books, ann: Any) -> None:
    watched = ann.WatchBreaks(pb.WatchBreaksRequest(), timeout=STREAM_SECONDS)
    stream = watched.__aiter__()
    await tell(books, drift(30))
    opened = await anext(stream)
    await ann.AssignBreak(
        pb.AssignBreakRequest(
            request_id="a1", break_id=opened.event.break_id, assignee="bob.example"
        )
    )
    await tell(books, drift(31))
    (other,) = await breaks(ann, assignee="bob.example")
    assert other.break_id != opened.event.break_id
    kinds = [(await anext(stream)).event.kind for _ in range(4)]
    assert sorted(kinds) == [
        messages.BREAK_EVENT_KIND_OPENED,
        messages.BREAK_EVENT_KIND_ASSIGNED,
        messages.BREAK_EVENT_KIND_ASSIGNED,
        messages.BREAK_EVENT_KIND_ENDED,
    ]
    watched.cancel()


async def test_two_people_accept_a_condition(books: Books, ann: Any, bob: Any) -> None:
    await tell(books, drift(30))
    await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 90, "t"))
    await books.run()
    of_subject, of_items = await breaks(ann)

    def ask(number: int, break_id: int) -> pb.AcceptBreakRequest:
        return pb.AcceptBreakRequest(request_id=f"c{number}", break_id=break_id, note="Stripe's")

    assert not (await ann.AcceptBreak(ask(1, of_subject.break_id))).accepted
    assert await refusal(ann.AcceptBreak(ask(2, of_subject.break_id))) == (
        "NEEDS_ANOTHER_PERSON",
        {"client": "ann.example"},
    )
    assert len(await breaks(ann)) == 2
    assert (await bob.AcceptBreak(ask(3, of_subject.break_id))).accepted
    assert [b.break_id for b in await breaks(ann)] == [of_items.break_id]
    # The same is not told of again; another amount is.
    await tell(books, drift(30))
    assert [b.break_id for b in await breaks(ann)] == [of_items.break_id]
    await tell(books, drift(29))
    assert len(await breaks(ann)) == 2

    assert (await refusal(ann.AcceptBreak(ask(4, of_subject.break_id))))[0] == "BREAK_ENDED"
    assert (await refusal(ann.AcceptBreak(ask(5, of_items.break_id)))) == (
        "BREAK_OF_ITEMS",
        {"break_id": str(of_items.break_id)},
    )
    third = (await breaks(ann))[1].break_id
    resolve = pb.ResolveBreakRequest(request_id="r1", break_id=third, note="no items")
    assert (await refusal(ann.ResolveBreak(resolve)))[0] == "BREAK_WITHOUT_ITEMS"


async def test_what_does_not_end_by_itself_stays(
    books: Books, ann: Any, open_stub: Callable[..., Awaitable[Any]]
) -> None:
    conditions = Conditions(POLICY, books.clock)
    for found in ([stale("day 1")], [stale("day 2")], [stale("day 1")], []):
        async with books.engine.begin() as connection:
            await conditions.add(connection, found)
    await books.run()
    finance = await open_stub("fin.example")
    assert [b.subject for b in await breaks(finance)] == ["day 1", "day 2"]
    accept = pb.AcceptBreakRequest(request_id="c1", break_id=1, note="seen")
    assert (await refusal(finance.AcceptBreak(accept)))[0] == "CLIENT_NOT_ALLOWED"


async def test_gauges_count_conditions_with_and_without_amounts(
    books: Books, reconciliation_engine: AsyncEngine
) -> None:
    def shown(what: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"reconciliation_breaks_open{what}", labels)

    await tell(books, drift(-30), drift(20, "us"), stale("bank"))
    await BreakGauges(reconciliation_engine, books.clock).round()
    assert [shown("", kind=kind.value, age="due") for kind in (DRIFT, STALE)] == [2, 1]
    assert shown("_minor_units", kind=DRIFT.value, currency="EUR") == 50
