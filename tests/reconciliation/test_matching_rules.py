"""The rules against an independent model, in any order of items; and what each of them is for."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching.breaks import Difference, Standing, standings
from reconciliation.matching.item import (
    Content,
    Item,
    ItemError,
    ItemKey,
    Leg,
    Source,
    State,
    folded,
    takes_part,
)
from reconciliation.matching.match import (
    Allocation,
    Match,
    MatchError,
    Rule,
    check_match,
    differences,
    is_within,
    whole_match,
)
from reconciliation.matching.policy import BreakKind
from reconciliation.matching.reconciling import Decided, Reconciled, reconcile
from reconciliation.matching.rules import MAX_CARRIERS, Popular, popular_of
from reconciliation.matching.subset_sum import MAX_AMOUNTS, Subset, only_subset
from tests.reconciliation.model import wanted
from tests.reconciliation.worlds import START, item, key, policy, world

POLICY = policy()
WORLDS = st.builds(world, st.randoms(use_true_random=False))


def reconciled(items: Iterable[Item], decided: Decided = Decided()) -> Mapping[Leg, Reconciled]:  # noqa: B008
    known = folded(items)
    return reconcile(known, POLICY, popular_of(known.values()), decided)


def one(leg: Leg, *items: Item) -> tuple[list[tuple[Rule, list[str]]], list[Difference]]:
    """The matches of a leg as (rule, keys), and its differences."""
    found = reconciled(items)[leg]
    return [(m.rule, sorted(k.key for k in m.members)) for m in found.matches], list(
        found.differences
    )


def disagreements(items: list[Item]) -> list[Leg]:
    """The legs in which rules and model differ."""
    found = reconciled(items)
    return [
        leg
        for leg in Leg
        if wanted(leg, items)
        != (
            {(m.rule.value, m.members) for m in found[leg].matches},
            {(d.kind.value, frozenset(d.items)) for d in found[leg].differences},
        )
    ]


@settings(max_examples=120)
@given(WORLDS)
def test_rules_and_model_agree(items: list[Item]) -> None:
    assert disagreements(items) == []


@settings(max_examples=60)
@given(WORLDS, st.randoms(use_true_random=False))
def test_the_order_of_items_changes_nothing(items: list[Item], random: Random) -> None:
    shuffled = random.sample(items, len(items))
    assert reconciled(items) == reconciled(shuffled)


@settings(max_examples=60)
@given(WORLDS, st.integers(0, 30))
def test_each_item_stands_in_exactly_one_way_and_sums_are_exact(
    items: list[Item], days: int
) -> None:
    known = folded(items)
    for leg, found in reconciled(items).items():
        for match in found.matches:
            check_match(match, known)
        matched = [k for match in found.matches for k in match.members]
        standing = standings(matched, found.differences, (), START + timedelta(days=days))
        owing = {
            i.id for i in items if takes_part(leg, i) and not (leg is Leg.BANKED and returned(i))
        }
        assert owing <= standing.keys() <= {i.id for i in items if takes_part(leg, i)}


def returned(i: Item) -> bool:
    return i.state is State.RETURNED


def with_tolerance(self: Any, keys: Any) -> bool:
    if not self.leg.has_both_sides(k.source for k in keys):
        return False
    sums = differences(self.leg, (self.free[k] for k in keys))
    return all(abs(amount) <= 40 for amount in sums.values())


def first_candidate(self: Any, edges: Any, rule: Rule) -> None:
    for k in sorted(edges):
        left = [other for other in sorted(edges[k]) if other in self.free]
        if k in self.free and self.leg.is_left(k.source) and left:
            self._take(rule, [k, left[0]])


def pending_too(leg: Leg, i: Item) -> bool:
    booked = i if i.state is not State.PENDING else item(i.source, i.key, 0, group=i.group)
    return takes_part(leg, booked)


@pytest.mark.parametrize(
    ("place", "mutant"),
    [
        ("reconciliation.matching.rules._Matching._agrees", with_tolerance),
        ("reconciliation.matching.rules._Matching._pair", first_candidate),
        ("reconciliation.matching.reconciling.takes_part", pending_too),
    ],
)
def test_the_model_notices_a_rule_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, place: str, mutant: Callable[..., Any]
) -> None:
    worlds = [world(Random(seed), 30) for seed in range(100)]
    assert not any(disagreements(items) for items in worlds)
    monkeypatch.setattr(place, mutant)
    assert any(noticed(items) for items in worlds)


def noticed(items: list[Item]) -> bool:
    try:
        return bool(disagreements(items))
    except MatchError:
        return True


def test_a_reference_and_the_amount_match_whatever_else_has_the_amount() -> None:
    matches, left = one(
        Leg.BOOKED,
        item("LEDGER", "l1", 100, "txn_1"),
        item("LEDGER", "l2", 100, "txn_2"),
        item("STRIPE", "txn_1", 100, "txn_1"),
        item("STRIPE", "txn_2", 100, "txn_2"),
    )
    assert matches == [(Rule.REFERENCE, ["l1", "txn_1"]), (Rule.REFERENCE, ["l2", "txn_2"])]
    assert left == []


def test_one_posting_of_several_balance_transactions_is_a_group() -> None:
    matches, _ = one(
        Leg.BOOKED,
        item("LEDGER", "l1", 100, "txn_1", "txn_2"),
        item("STRIPE", "txn_1", 60, "txn_1"),
        item("STRIPE", "txn_2", 40, "txn_2"),
    )
    assert matches == [(Rule.GROUP_SUM, ["l1", "txn_1", "txn_2"])]


def test_the_content_of_a_split_payout_is_that_of_its_group() -> None:
    content = [item("STRIPE", f"txn_{n}", 100, group="po_1") for n in range(3)]
    parts = [
        item("PAYOUT", "po_1", 200, content=Content.COMPLETE),
        item("PAYOUT", "po_2", 100, group="po_1"),
    ]
    matches, left = one(Leg.CONTENT, *content, *parts)
    assert matches == [(Rule.GROUP_SUM, ["po_1", "po_2", "txn_0", "txn_1", "txn_2"])]
    assert left == []
    _, (short,) = one(Leg.CONTENT, *content[1:], *parts)
    assert (short.kind, short.amounts) == (BreakKind.CONTENT_SUM, (("EUR", -100),))


def test_content_is_not_compared_before_stripe_has_completed_it() -> None:
    payout = item("PAYOUT", "po_1", 100, content=Content.IN_PROGRESS)
    part = item("STRIPE", "txn_1", 100, group="po_1")
    matches, (late,) = one(Leg.CONTENT, payout, part)
    assert (matches, late.kind) == ([], BreakKind.CONTENT_LATE)
    assert late.standing(START + timedelta(hours=24)) is Standing.BROKEN
    assert late.standing(START + timedelta(hours=23, minutes=59)) is Standing.EXPECTED


def test_a_tie_is_never_a_pick() -> None:
    matches, (tie,) = one(
        Leg.BANKED,
        item("PAYOUT", "po_1", 100),
        item("PAYOUT", "po_2", 100),
        item("BANK", "b1", 100),
    )
    assert matches == []
    assert (tie.kind, tie.amounts) == (BreakKind.AMBIGUOUS, (("EUR", 200),))
    assert [k.key for k in tie.items] == ["b1", "po_1", "po_2"]


@pytest.mark.parametrize(("day", "is_in"), [(-2, False), (-1, True), (7, True), (8, False)])
def test_the_window_at_the_bank(day: int, is_in: bool) -> None:
    """From a Monday: the day before, and five business days, which end on the next Monday."""
    matches, _ = one(Leg.BANKED, item("PAYOUT", "po_1", 100), item("BANK", "b1", 100, day=day))
    assert bool(matches) is is_in


def test_a_weaker_rule_does_not_overrule_a_reference() -> None:
    matches, left = one(
        Leg.BANKED,
        item("PAYOUT", "po_1", 100, "trace"),
        item("BANK", "b1", 90, "trace"),
        item("BANK", "b2", 100),
    )
    assert matches == []
    assert [d.kind for d in left] == [BreakKind.BANK_AMOUNT, BreakKind.BANK_UNEXPECTED]


def test_a_payout_that_failed_after_the_bank_booked_it_is_said_so() -> None:
    payout = item("PAYOUT", "po_1", 100, "trace")
    line = item("BANK", "b1", 100, "trace")
    failed = item("PAYOUT", "po_1", 100, state=State.RETURNED, revision=2)
    assert one(Leg.BANKED, payout, line)[0] == [(Rule.REFERENCE, ["b1", "po_1"])]
    matches, (back,) = one(Leg.BANKED, failed, line, payout)
    assert (matches, back.kind) == ([], BreakKind.RETURNED)
    assert one(Leg.BANKED, payout, failed) == ([], [])


def test_a_payout_that_failed_is_said_so_whatever_amounts_the_bank_has_booked() -> None:
    """The bank has split it, merged it, or shows only that it went back."""
    failed = item("PAYOUT", "po_1", 100, "trace", state=State.RETURNED)
    halves = [item("BANK", "b1", 60, "trace"), item("BANK", "b2", 40, "trace")]
    back = item("BANK", "b3", -100, "trace")
    for lines in ([back], [halves[0]], [*halves, item("BANK", "b3", -99, "trace")]):
        matches, (left,) = one(Leg.BANKED, failed, *lines)
        assert (matches, left.kind) == ([], BreakKind.RETURNED)
        assert left.amounts == (("EUR", 100),)
    # One that stands and has to do with the same line is another amount.
    other = item("PAYOUT", "po_2", 7, "trace")
    assert [d.kind for d in one(Leg.BANKED, failed, other, back)[1]] == [BreakKind.BANK_AMOUNT]


def test_a_payout_that_the_bank_booked_and_sent_back_is_matched_with_both() -> None:
    failed = item("PAYOUT", "po_1", 100, "trace", state=State.RETURNED)
    credit, back = item("BANK", "b1", 100, "trace"), item("BANK", "b2", -100, "trace")
    outcome = reconciled([failed, credit, back])[Leg.BANKED]
    (match,) = outcome.matches
    assert outcome.differences == ()
    assert {a.item.key: a.amount_minor for a in match.allocations} == {
        "po_1": 0,
        "b1": 100,
        "b2": -100,
    }
    assert match.rule is Rule.GROUP_SUM
    # In parts, or with what the bank took and was adjusted.
    halves = [item("BANK", "b3", 60, "trace"), item("BANK", "b4", 40, "trace")]
    cost = [item("BANK", "b5", -5, "trace"), item("ADJUSTMENT", "a1", -5, "trace")]
    for lines in ([*halves, back], [credit, back, *cost]):
        matches, left = one(Leg.BANKED, failed, *lines)
        assert (len(matches), left) == (1, [])
    # Before it failed, and where another payout is named by them, it is as it was.
    stands = item("PAYOUT", "po_1", 100, "trace")
    matches, left = one(Leg.BANKED, stands, credit, back)
    assert matches == [(Rule.REFERENCE, ["b1", "po_1"])]
    assert [d.kind for d in left] == [BreakKind.DEBIT_UNEXPECTED]
    other = item("PAYOUT", "po_2", 7, "trace")
    assert [d.kind for d in one(Leg.BANKED, failed, other, credit, back)[1]] == [
        BreakKind.RETURNED,
        BreakKind.BANK_AMOUNT,
    ]
    # What a person has revoked is not matched again.
    revoked = Decided(revoked=frozenset({(Leg.BANKED, match.members)}))
    assert reconciled([failed, credit, back], revoked)[Leg.BANKED].matches == ()


def test_a_movement_that_is_booked_in_parts_does_not_lose_them_to_another_that_is_wrong() -> None:
    """A dispute in pounds that was won: its reversal is not booked."""
    booked = [
        item("LEDGER", "l1:GBP", -80, "txn_1", "du_1", currency="GBP"),
        item("LEDGER", "l2:GBP", 80, "txn_1", "du_1", currency="GBP"),
        item("LEDGER", "l2:EUR", -94, "txn_1", "du_1"),
        item("STRIPE", "txn_1", -94, "txn_1", "du_1"),
    ]
    won = item("STRIPE", "txn_2", 94, "txn_2", "du_1")
    matches, (left,) = one(Leg.BOOKED, *booked, won)
    assert matches == [(Rule.GROUP_SUM, ["l1:GBP", "l2:EUR", "l2:GBP", "txn_1"])]
    assert (left.kind, left.amounts) == (BreakKind.LEDGER_MISSING, (("EUR", -94),))


def test_an_adjustment_is_beside_the_payout_and_alone_it_says_so() -> None:
    payout, line = item("PAYOUT", "po_1", 100, "trace"), item("BANK", "b1", 85, "trace")
    fee = item("ADJUSTMENT", "a1", -15, "trace")
    assert one(Leg.BANKED, payout, line, fee) == (
        [(Rule.GROUP_SUM, ["a1", "b1", "po_1"])],
        [],
    )
    # It goes with a line by a reference, and not by its amount.
    assert one(Leg.BANKED, fee, item("BANK", "b2", -15, "trace"))[0] == [
        (Rule.REFERENCE, ["a1", "b2"])
    ]
    matches, left = one(Leg.BANKED, fee, item("BANK", "b2", -15))
    assert matches == []
    assert [d.kind for d in left] == [BreakKind.PAYOUT_NOT_IN_BANK, BreakKind.DEBIT_UNEXPECTED]
    assert left[0].sentence.startswith("The adjustment a1 goes with nothing of the bank's: -0.15")
    # With a payout that is not in the bank either, each is one of its own.
    _, left = one(Leg.BANKED, payout, fee)
    assert [(d.kind, d.amounts) for d in left] == [
        (BreakKind.PAYOUT_NOT_IN_BANK, (("EUR", -15),)),
        (BreakKind.PAYOUT_NOT_IN_BANK, (("EUR", 100),)),
    ]
    assert [d.kind for d in one(Leg.BANKED, fee, line)[1]] == [BreakKind.BANK_AMOUNT]
    assert not takes_part(Leg.BOOKED, fee)


def test_a_retry_of_a_payout_that_failed_gets_the_line() -> None:
    matches, left = one(
        Leg.BANKED,
        item("PAYOUT", "po_1", 100, state=State.RETURNED),
        item("PAYOUT", "po_2", 100, day=1),
        item("BANK", "b1", 100, day=1),
    )
    assert matches == [(Rule.UNIQUE_AMOUNT, ["b1", "po_2"])]
    assert left == []


def test_what_a_person_revoked_is_not_matched_again() -> None:
    items = [item("LEDGER", "l1", 100, "t1"), item("STRIPE", "s1", 100, "t1")]
    members = frozenset(i.id for i in items)
    found = reconciled(items, Decided(revoked=frozenset([(Leg.BOOKED, members)])))[Leg.BOOKED]
    assert [d.kind for d in found.differences] == [BreakKind.UNEXPLAINED]
    # With another one there it is another group, and a tie.
    third = item("STRIPE", "s2", 100, "t1")
    found = reconciled([*items, third], Decided(revoked=frozenset([(Leg.BOOKED, members)])))[
        Leg.BOOKED
    ]
    assert [d.kind for d in found.differences] == [BreakKind.AMBIGUOUS]


def test_what_people_decided_is_left_alone() -> None:
    items = [
        item("LEDGER", "l1", 100),
        item("STRIPE", "s1", 100),
        item("STRIPE", "s2", 7),
    ]
    by_hand = whole_match(Leg.BOOKED, Rule.PERSON, items[:2])
    found = reconciled(items, Decided((by_hand,), frozenset([(Leg.BOOKED, key("STRIPE", "s2"))])))[
        Leg.BOOKED
    ]
    assert found.matches == (by_hand,)
    assert found.differences == ()
    assert found.ignored == {key("STRIPE", "s2")}


def test_a_match_is_refused_that_is_not_true() -> None:
    items = {i.id: i for i in (item("LEDGER", "l", 100), item("STRIPE", "s", 100))}
    left, right = items

    def check(*allocations: tuple[ItemKey, int]) -> None:
        check_match(
            Match(Leg.BOOKED, Rule.PERSON, tuple(Allocation(*a) for a in allocations)), items
        )

    check((left, 100), (right, 100))
    check((left, 40), (right, 40))
    for wrong, why in [
        (((left, 100), (right, 99)), "the sums"),
        (((left, 101), (right, 101)), "exceeds"),
        (((left, -1), (right, -1)), "another sign"),
        (((left, 0),), "exceeds"),
        (((left, 50), (left, 50), (right, 100)), "twice"),
        ((), "one side"),
    ]:
        with pytest.raises(MatchError, match=why):
            check(*wrong)
    assert is_within(0, 0)
    assert not is_within(1, 0)
    with pytest.raises(MatchError, match="no place"):
        whole_match(Leg.BANKED, Rule.PERSON, items.values())


def test_what_too_many_have_in_common_identifies_none() -> None:
    common = [item("STRIPE", f"s{n}", n, "all") for n in range(MAX_CARRIERS - 1)]
    ledger = item("LEDGER", "l", 1, "all")
    matches, _ = one(Leg.BOOKED, ledger, *common)
    assert matches == [(Rule.REFERENCE, ["l", "s1"])]
    matches, left = one(Leg.BOOKED, ledger, *common, item("BANK", "b", 1, "all"))
    assert matches == []
    assert {d.kind for d in left} == {BreakKind.LEDGER_MISSING, BreakKind.STRIPE_MISSING}

    lines = [item("BANK", f"b{n}", 5, day=n) for n in range(MAX_CARRIERS)]
    payout = item("PAYOUT", "p", 5, day=-1)
    assert one(Leg.BANKED, payout, *lines[:-1])[1][-1].kind is not BreakKind.PAYOUT_NOT_IN_BANK
    (missing,) = [d for d in one(Leg.BANKED, payout, *lines)[1] if d.items == (payout.id,)]
    assert "not tried: more than 1000 items have it" in missing.sentence
    assert popular_of([payout, *lines[:-1]]) == Popular()


def test_subset_sums_propose_the_only_one() -> None:
    assert only_subset([10, 20, 40], 50) == Subset((0, 2))
    assert only_subset([10, 10, 40], 50).note == "several parts come to the sum"
    assert only_subset([10, 20], 5).note == "no part comes to the sum"
    # The whole is no part, nor is nothing.
    assert only_subset([10, 20], 30).places == ()
    assert only_subset([10, 20], 0).places == ()
    powers = [2**n for n in range(MAX_AMOUNTS)]
    assert only_subset(powers, 5) == Subset((0, 2))
    assert "were not tried" in only_subset([*powers, 2**20], 5).note


@settings(max_examples=60)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8), st.integers(-20, 20))
def test_subset_sums_against_all_subsets(amounts: list[int], total: int) -> None:
    places = range(len(amounts))
    found = [
        tuple(p for p in places if bits >> p & 1)
        for bits in range(1, 2 ** len(amounts) - 1)
        if sum(amounts[p] for p in places if bits >> p & 1) == total
    ]
    assert only_subset(amounts, total).places == (found[0] if len(found) == 1 else ())


def test_a_break_says_what_differs_how_much_since_when_and_what_to_do() -> None:
    _, (differs,) = one(
        Leg.BOOKED,
        item("LEDGER", "l1", 1_050, "t1"),
        item("STRIPE", "txn_1", 1_000, "t1"),
        item("STRIPE", "txn_2", 30, "t1"),
        item("STRIPE", "txn_3", 50, "t1"),
    )
    assert differs.sentence == (
        "The ledger's l1 and Stripe's txn_1, txn_2, txn_3 have different amounts: -0.30 EUR since"
        " 2026-11-30 12:00 UTC (a part comes to the sum and is proposed); compare gross, fee and"
        " currency of both, and post the adjustment."
    )
    assert [k.key for k in differs.proposal] == ["l1", "txn_1", "txn_3"]
    assert differs.amounts == (("EUR", -30),)


def test_deadlines_count_business_days() -> None:
    """Due two, overdue five business days after a Thursday before Christmas, TARGET's calendar."""
    payout = item("PAYOUT", "p", 1, book_date=date(2026, 12, 24))
    _, (missing,) = one(Leg.BANKED, payout)
    assert missing.due == datetime(2026, 12, 30, tzinfo=UTC)
    assert missing.overdue == datetime(2027, 1, 5, tzinfo=UTC)
    assert missing.standing(missing.due) is Standing.BROKEN
    assert missing.standing(missing.due - timedelta(microseconds=1)) is Standing.EXPECTED


def test_revisions_fold_in_any_order() -> None:
    first = item("PAYOUT", "p", 1, "a", state=State.PENDING)
    second = item("PAYOUT", "p", 1, "b", revision=2, content=Content.IN_PROGRESS)
    third = item("PAYOUT", "p", 1, revision=3, content=Content.COMPLETE)
    (kept,) = {
        next(iter(folded(order).values()))
        for order in ([first, second, third], [third, first, second], [second, third, first])
    }
    assert (kept.state, kept.content) == (State.BOOKED, Content.COMPLETE)
    assert kept.tokens == {"a", "b"}
    with pytest.raises(ItemError, match="amount_minor: differs"):
        folded([first, item("PAYOUT", "p", 2, revision=2)])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("corridor", ""),
        ("key", "k" * 256),
        ("group", "g" * 256),
        ("currency", "eur"),
        ("amount_minor", 2**53 + 1),
        ("instant", datetime(2026, 1, 1)),  # noqa: DTZ001
        ("sha256", b"short"),
        ("tokens", frozenset(map(str, range(65)))),
        ("tokens", frozenset([""])),
        ("revision", 0),
        ("content", Content.COMPLETE),
        ("state", State.RETURNED),
    ],
)
def test_an_item_that_is_none_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(ItemError, match=f"^{field}: "):
        item(Source.BANK, **{"key": "k", "amount": 1, field: value})
