"""Breaks and matches over a socket and a real database: seen, watched, decided by people."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.breaks.gauges import BreakGauges
from reconciliation.matching.item import Leg
from reconciliation.v1 import operator_act_service_pb2 as acts
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as pb
from reconciliation.v1.operator_act_service_pb2_grpc import OperatorActServiceStub
from tests.reconciliation.books import Books
from tests.reconciliation.people import STREAM_SECONDS, breaks, named, refusal
from tests.reconciliation.worlds import START, item


async def test_breaks_are_listed_by_state_and_as_they_were(books: Books, ann: Any) -> None:
    await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 90, "t"))
    await books.give(item("LEDGER", "l2", 5, "u"))
    await books.run()
    (differs,) = await breaks(ann)
    assert differs.kind == messages.BREAK_KIND_AMOUNT_DIFFERS
    assert differs.state == messages.BREAK_STATE_DUE
    assert [(a.currency_code, a.minor_units) for a in differs.amounts] == [("EUR", 10)]
    assert [i.key for i in differs.items] == ["l1", "s1"]
    assert differs.sentence.startswith(
        "The ledger's l1 and Stripe's s1 have different amounts: 0.10"
    )
    (expected,) = await breaks(ann, state=messages.BREAK_STATE_EXPECTED)
    assert [i.key for i in expected.items] == ["l2"]

    await books.later(hours=1)
    assert [b.break_id for b in await breaks(ann)] == [differs.break_id, expected.break_id]
    await books.later(days=1)
    assert len(await breaks(ann, state=messages.BREAK_STATE_OVERDUE)) == 2
    kind = messages.BREAK_KIND_STRIPE_MISSING
    assert [b.break_id for b in await breaks(ann, kind=kind)] == [expected.break_id]
    assert await breaks(ann, leg=messages.LEG_BANKED) == []
    assert await breaks(ann, corridor="other") == []

    await books.give(item("STRIPE", "s2", 5, "u"))
    await books.run()
    assert [b.break_id for b in await breaks(ann)] == [differs.break_id]
    (ended,) = await breaks(ann, state=messages.BREAK_STATE_ENDED)
    assert ended.break_id == expected.break_id
    # What was known two hours after the beginning is still known.
    before = pb.ListBreaksRequest(kind=kind)
    before.as_of_time.FromDatetime(START + timedelta(hours=2))
    (then,) = (await ann.ListBreaks(before)).breaks
    assert (then.break_id, then.state) == (expected.break_id, messages.BREAK_STATE_DUE)
    earlier = pb.ListMatchesRequest()
    earlier.as_of_time.FromDatetime(START + timedelta(hours=2))
    assert len((await ann.ListMatches(earlier)).matches) == 0
    assert len((await ann.ListMatches(pb.ListMatchesRequest())).matches) == 1


async def test_lists_go_on_by_pages(books: Books, ann: Any) -> None:
    await books.give(*(item("LEDGER", f"l{n}", n + 1, f"t{n}") for n in range(5)))
    await books.give(*(item("STRIPE", f"s{n}", n + 1, f"t{n}") for n in range(3)))
    await books.run()
    await books.later(hours=2)
    first = await ann.ListBreaks(pb.ListBreaksRequest(page_size=1))
    second = await ann.ListBreaks(
        pb.ListBreaksRequest(page_size=1, page_token=first.next_page_token)
    )
    assert [len(first.breaks), len(second.breaks), second.next_page_token] == [1, 1, ""]
    seen, token = [], ""
    for _ in range(2):
        page = await ann.ListMatches(pb.ListMatchesRequest(page_size=2, page_token=token))
        seen += [match.match_id for match in page.matches]
        token = page.next_page_token
    assert (len(set(seen)), token) == (3, "")
    call = ann.ListMatches(pb.ListMatchesRequest(page_token=first.next_page_token))
    assert (await refusal(call))[0] == "INVALID_PAGE_TOKEN"
    call = ann.ListMatches(pb.ListMatchesRequest(item=named("BANK", "none")))
    assert await refusal(call) == (
        "ITEM_NOT_FOUND",
        {"source": "BANK", "corridor": "main", "key": "none"},
    )


async def test_people_work_on_a_break_and_others_follow(books: Books, ann: Any, bob: Any) -> None:
    watched = bob.WatchBreaks(pb.WatchBreaksRequest(), timeout=STREAM_SECONDS)
    stream = watched.__aiter__()
    await books.give(item("PAYOUT", "po_1", 100), item("BANK", "b1", 90, "trace"))
    await books.give(item("PAYOUT", "po_2", 80, "trace"))
    await books.run()
    opened = await anext(stream)
    assert opened.event.kind == messages.BREAK_EVENT_KIND_OPENED
    break_id = opened.event.break_id
    assign = pb.AssignBreakRequest(
        request_id="a1", break_id=break_id, assignee="bob.example", note="yours"
    )
    given = await ann.AssignBreak(assign)
    assert given.reconciliation_break.assignee == "bob.example"
    assert await ann.AssignBreak(assign) == given
    assert [b.break_id for b in await breaks(ann, assignee="bob.example")] == [break_id]
    other = pb.AssignBreakRequest(request_id="a1", break_id=break_id, assignee="ann.example")
    assert (await refusal(ann.AssignBreak(other)))[0] == "REQUEST_ID_REUSED"
    await bob.AddNote(pb.AddNoteRequest(request_id="n1", break_id=break_id, note="asked the bank"))
    events = [(await anext(stream)).event for _ in range(2)]
    assert [(e.client, e.assignee, e.note) for e in events] == [
        ("ann.example", "bob.example", "yours"),
        ("bob.example", "", "asked the bank"),
    ]
    # Another item makes another break of it, which stays bob's.
    await books.give(item("BANK", "b2", 5, "trace"))
    await books.run()
    kinds = [(await anext(stream)).event.kind for _ in range(3)]
    assert sorted(kinds) == [
        messages.BREAK_EVENT_KIND_OPENED,
        messages.BREAK_EVENT_KIND_ASSIGNED,
        messages.BREAK_EVENT_KIND_ENDED,
    ]
    (next_one,) = await breaks(ann, assignee="bob.example")
    assert next_one.break_id != break_id
    assign = pb.AssignBreakRequest(request_id="a2", break_id=break_id)
    assert await refusal(ann.AssignBreak(assign)) == ("BREAK_ENDED", {"break_id": str(break_id)})
    watched.cancel()
    lost = ann.WatchBreaks(pb.WatchBreaksRequest(after_sequence=99), timeout=STREAM_SECONDS)
    assert await refusal(anext(lost.__aiter__())) == ("CURSOR_OUTDATED", {"after_sequence": "6"})
    assert (await refusal(ann.GetBreak(pb.GetBreakRequest(break_id=99))))[0] == "BREAK_NOT_FOUND"
    got = await ann.GetBreak(pb.GetBreakRequest(break_id=break_id))
    assert got.reconciliation_break.state == messages.BREAK_STATE_ENDED


async def test_a_person_matches_what_has_the_same_sum(books: Books, ann: Any) -> None:
    await books.give(
        item("PAYOUT", "po_1", 60),
        item("PAYOUT", "po_2", 40),
        item("BANK", "b1", 100),
        item("BANK", "b2", 7),
    )
    await books.run()
    await books.later(days=9)
    of = {b.items[0].key: b.break_id for b in await breaks(ann)}
    assert set(of) == {"po_1", "po_2", "b1", "b2"}

    def resolve(number: int, *items: messages.ItemKey) -> Any:
        return ann.ResolveBreak(
            pb.ResolveBreakRequest(
                request_id=f"r{number}", break_id=of["b1"], items=items, note="the bank says so"
            )
        )

    payouts = [named("PAYOUT", "po_1"), named("PAYOUT", "po_2")]
    assert await refusal(resolve(1, payouts[0], named("BANK", "b1"))) == (
        "SUMS_DIFFER",
        {"differences": "EUR -40"},
    )
    assert (await refusal(resolve(2)))[0] == "SUMS_DIFFER"
    assert (await refusal(resolve(3, *payouts)))[0] == "ITEMS_OF_ANOTHER_BREAK"
    assert (await refusal(resolve(4, named("BANK", "b1"), named("LEDGER", "l")))) == (
        "ITEM_NOT_FOUND",
        {"source": "LEDGER", "corridor": "main", "key": "l"},
    )
    made = (await resolve(5, *payouts, named("BANK", "b1"))).match
    assert (made.rule, made.client, made.note) == (
        messages.MATCH_RULE_PERSON,
        "ann.example",
        "the bank says so",
    )
    assert sorted(a.amount.minor_units for a in made.allocations) == [40, 60, 100]
    assert [b.items[0].key for b in await breaks(ann)] == ["b2"]
    assert (await resolve(5, *payouts, named("BANK", "b1"))).match == made
    # A failure that was decided is as sticky.
    assert (await refusal(resolve(1, payouts[0], named("BANK", "b1"))))[0] == "SUMS_DIFFER"
    # What the rules find later does not touch it.
    await books.give(item("PAYOUT", "po_3", 100))
    await books.run()
    assert len((await books.stand())[Leg.BANKED][0]) == 1

    revoke = pb.RevokeMatchRequest(request_id="v1", match_id=made.match_id, note="wrong line")
    revoked = (await ann.RevokeMatch(revoke)).match
    assert (revoked.revoke_client, revoked.revoke_note) == ("ann.example", "wrong line")
    again = pb.RevokeMatchRequest(request_id="v2", match_id=made.match_id, note="again")
    assert (await refusal(ann.RevokeMatch(again)))[0] == "MATCH_REVOKED"
    none = pb.RevokeMatchRequest(request_id="v3", match_id=999, note="none")
    assert await refusal(ann.RevokeMatch(none)) == ("MATCH_NOT_FOUND", {"match_id": "999"})
    matches = (await books.stand())[Leg.BANKED][0]
    assert [sorted(k.key for k in members) for _, members in matches] == [["b1", "po_3"]]
    listed = pb.ListMatchesRequest(item=named("BANK", "b1"), include_revoked=True)
    first, *_ = (await ann.ListMatches(listed)).matches
    assert first.match_id == made.match_id


async def test_no_rule_matches_again_what_a_person_has_revoked(books: Books, ann: Any) -> None:
    await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 100, "t"))
    await books.run()
    (match,) = (await ann.ListMatches(pb.ListMatchesRequest())).matches
    await ann.RevokeMatch(
        pb.RevokeMatchRequest(request_id="v1", match_id=match.match_id, note="not the same")
    )
    await books.later(hours=1)
    (left,) = await breaks(ann)
    assert left.kind == messages.BREAK_KIND_UNEXPLAINED
    await books.give(item("STRIPE", "s1", 100, "more", revision=2))
    await books.run()
    assert (await books.stand())[Leg.BOOKED][0] == set()


async def test_two_people_ignore_an_item(books: Books, ann: Any, bob: Any) -> None:
    await books.give(item("BANK", "rent", -500), item("PAYOUT", "po_1", 1))
    await books.run()

    def ask(number: int, key: messages.ItemKey) -> pb.IgnoreItemRequest:
        return pb.IgnoreItemRequest(
            request_id=f"i{number}", item=key, leg=messages.LEG_BANKED, note="rent"
        )

    rent = named("BANK", "rent")
    assert not (await ann.IgnoreItem(ask(1, rent))).ignored
    assert await refusal(ann.IgnoreItem(ask(2, rent))) == (
        "NEEDS_ANOTHER_PERSON",
        {"client": "ann.example"},
    )
    assert (await bob.IgnoreItem(ask(3, rent))).ignored
    assert (await refusal(ann.IgnoreItem(ask(4, rent))))[0] == "ITEM_NOT_OPEN"
    await books.give(item("PAYOUT", "po_2", -500))
    await books.later(days=9)
    assert sorted(b.items[0].key for b in await breaks(ann)) == ["po_1", "po_2"]


async def test_finance_looks_and_what_operators_did_is_kept(
    books: Books, ann: Any, open_stub: Callable[..., Awaitable[Any]]
) -> None:
    await books.give(item("LEDGER", "l1", 1))
    await books.run()
    (expected,) = await breaks(ann, state=messages.BREAK_STATE_EXPECTED)
    note = pb.AddNoteRequest(request_id="n1", break_id=expected.break_id, note="looked")
    finance = await open_stub("fin.example")
    assert await breaks(finance, state=messages.BREAK_STATE_EXPECTED) == [expected]
    assert (await refusal(finance.AddNote(note)))[0] == "CLIENT_NOT_ALLOWED"
    await ann.AddNote(note)
    lister = await open_stub("ann.example", OperatorActServiceStub)
    (act,) = (await lister.ListOperatorActs(acts.ListOperatorActsRequest())).acts
    assert (act.client, act.request_id, act.outcome) == ("ann.example", "n1", "OK")
    assert dict(act.about) == {"break_id": str(expected.break_id)}


async def test_gauges_count_what_is_open(books: Books, reconciliation_engine: AsyncEngine) -> None:
    gauges = BreakGauges(reconciliation_engine, books.clock)

    def shown(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"reconciliation_breaks_{name}", labels)

    await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 90, "t"))
    await books.run()
    await gauges.round()
    assert shown("open", kind="AMOUNT_DIFFERS", age="due") == 1
    assert shown("open", kind="AMOUNT_DIFFERS", age="overdue") == 0
    assert shown("open", kind="RETURNED", age="due") == 0
    assert shown("open_minor_units", kind="AMOUNT_DIFFERS", currency="EUR") == 10
    await books.later(days=1)
    await gauges.round()
    assert shown("open", kind="AMOUNT_DIFFERS", age="due") == 0
    assert shown("open", kind="AMOUNT_DIFFERS", age="overdue") == 1
    await books.give(item("STRIPE", "s2", 10, "t"))
    await books.run()
    await gauges.round()
    assert shown("open", kind="AMOUNT_DIFFERS", age="overdue") == 0
    assert shown("open_minor_units", kind="AMOUNT_DIFFERS", currency="EUR") == 0
