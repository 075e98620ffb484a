"""What should be matched and what should differ, worked out by trying all pairs and all groups.

It shares no code with the rules but the items, and counts business days by itself.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import combinations

from reconciliation.matching.item import Content, Item, ItemKey, Leg, Source, State

Members = frozenset[ItemKey]
SIDES = {
    Leg.BOOKED: ({Source.LEDGER}, {Source.STRIPE}),
    Leg.CONTENT: ({Source.STRIPE}, {Source.PAYOUT}),
    Leg.BANKED: ({Source.PAYOUT, Source.ADJUSTMENT}, {Source.BANK}),
}


def wanted(
    leg: Leg, items: Iterable[Item]
) -> tuple[set[tuple[str, Members]], set[tuple[str, Members]]]:
    """(rule, members) of the matches and (kind, members) of the differences."""
    left, right = SIDES[leg]
    free = [i for i in items if i.source in left | right and has_part(leg, i)]
    matches: set[tuple[str, Members]] = set()
    kinds: set[tuple[str, Members]] = set()
    ties: set[ItemKey] = set()

    def take(rule: str, group: Iterable[Item]) -> None:
        members = list(group)
        names = frozenset(i.id for i in members)
        if leg is Leg.BANKED and any(i.state is State.RETURNED for i in members):
            kinds.add(("RETURNED", names))
        else:
            matches.add((rule, names))
        free[:] = [i for i in free if i.id not in names]

    def pair(rule: str, pairs: list[tuple[Item, Item]]) -> None:
        for one, other in pairs:
            rivals = [p for p in pairs if one in p or other in p]
            if len(rivals) == 1:
                take(rule, (one, other))
            else:
                ties.update(i.id for p in rivals for i in p)

    if leg is Leg.BOOKED:
        for cluster in clusters(free, lambda a, b: linked(leg, a, b)):
            if len(cluster) > 2 and balanced(leg, cluster):
                take("GROUP_SUM", cluster)
        several = {c for c in of_one_token(leg, free) if len(c) > 2}
        for group in several:
            if not any(group & other for other in several if other != group):
                take("GROUP_SUM", [i for i in free if i.id in group])
    if leg is Leg.BANKED:
        for failed in [i for i in free if i.state is State.RETURNED]:
            near = [i for i in free if i is not failed and linked(leg, failed, i)]
            rivals = [i for i in free for n in near if i is not failed and linked(leg, i, n)]
            payouts = [i for i in (*near, *rivals) if i.source is Source.PAYOUT]
            is_booked = any(i.source is Source.BANK for i in near)
            if is_booked and not payouts and comes_to_nothing(near):
                matches.add(("GROUP_SUM", frozenset(i.id for i in (failed, *near))))
                free[:] = [i for i in free if i is not failed and i not in near]
    if leg is not Leg.CONTENT:
        pair(
            "REFERENCE", [p for p in all_pairs(leg, free) if same(*p) and p[0].tokens & p[1].tokens]
        )
        candidates = of_one_token(leg, free)
        for group in candidates:
            if any(group & other for other in candidates if other != group):
                ties |= group
        for group in candidates:
            if not any(group & other for other in candidates if other != group):
                take("GROUP_SUM", [i for i in free if i.id in group])
    for cluster in clusters(free, lambda a, b: linked(leg, a, b)):
        if balanced(leg, cluster) and (leg is not Leg.CONTENT or complete(cluster)):
            take("GROUP_SUM", cluster)
    edges: list[tuple[Item, Item]] = []
    if leg is Leg.BANKED:
        alone = [i for i in free if not any(linked(leg, i, o) for o in free if o is not i)]
        payouts = [i for i in alone if i.source is not Source.ADJUSTMENT]
        first = [p for p in all_pairs(leg, payouts) if same(*p) and in_window(*p)]
        good = [p for p in first if p[0].state is State.BOOKED]
        used = {i.id for p in good for i in p}
        poor = [p for p in first if p not in good and not {p[0].id, p[1].id} & used]
        pair("UNIQUE_AMOUNT", good)
        pair("UNIQUE_AMOUNT", poor)
        edges = good + poor
    joined = {frozenset((a.id, b.id)) for a, b in edges}
    for cluster in clusters(
        free, lambda a, b: linked(leg, a, b) or frozenset((a.id, b.id)) in joined
    ):
        kinds |= named(leg, cluster, ties)
    return matches, kinds


def of_one_token(leg: Leg, free: list[Item]) -> set[Members]:
    names = {(i.corridor, token) for i in free for token in i.tokens}
    candidates = {
        frozenset(i.id for i in free if i.corridor == corridor and token in i.tokens)
        for corridor, token in names
    }
    return {c for c in candidates if balanced(leg, [i for i in free if i.id in c])}


def has_part(leg: Leg, i: Item) -> bool:
    if i.state is State.PENDING:
        return False
    if leg is Leg.CONTENT and i.source is Source.STRIPE:
        return i.group != ""
    if leg is Leg.CONTENT:
        return i.content is not Content.NONE or (i.group != "" and i.group != i.key)
    return True


def all_pairs(leg: Leg, free: list[Item]) -> list[tuple[Item, Item]]:
    left, right = SIDES[leg]
    return [(a, b) for a in free for b in free if a.source in left and b.source in right]


def same(a: Item, b: Item) -> bool:
    return (a.corridor, a.currency, a.amount_minor) == (b.corridor, b.currency, b.amount_minor)


def linked(leg: Leg, a: Item, b: Item) -> bool:
    if a.corridor != b.corridor:
        return False
    if leg is Leg.CONTENT:
        return (a.group or a.key) == (b.group or b.key)
    return bool(a.tokens & b.tokens)


def balanced(leg: Leg, group: list[Item]) -> bool:
    left, right = SIDES[leg]
    if not {i.source for i in group} & left or not {i.source for i in group} & right:
        return False
    return all(
        sum(i.amount_minor for i in group if i.source in left and i.currency == currency)
        == sum(i.amount_minor for i in group if i.source in right and i.currency == currency)
        for currency in {i.currency for i in group}
    )


def comes_to_nothing(group: list[Item]) -> bool:
    """The lines of a bank less what adjusts them, in each currency."""
    left = [i for i in group if i.source is Source.ADJUSTMENT]
    return all(
        sum(i.amount_minor for i in group if i.currency == currency and i not in left)
        == sum(i.amount_minor for i in left if i.currency == currency)
        for currency in {i.currency for i in group}
    )


def complete(group: list[Item]) -> bool:
    said = {i.content for i in group if i.source is Source.PAYOUT}
    return Content.COMPLETE in said and Content.IN_PROGRESS not in said


def in_window(payout: Item, line: Item) -> bool:
    """One day before to five days after on which banks book; there is no holiday in the worlds."""
    last, left = payout.book_date, 5
    while left:
        last += timedelta(days=1)
        left -= is_weekday(last)
    return payout.book_date - timedelta(days=1) <= line.book_date <= last


def is_weekday(day: date) -> bool:
    return day.isoweekday() <= 5


def clusters(free: list[Item], near: object) -> list[list[Item]]:
    """Groups that hang together, by merging two that have near ones until there are none."""
    groups = [[i] for i in free]
    merged = True
    while merged:
        merged = False
        for one, other in combinations(groups, 2):
            if any(near(a, b) for a in one for b in other):  # type: ignore[operator]
                groups.remove(one)
                groups.remove(other)
                groups.append(one + other)
                merged = True
                break
    return groups


def named(leg: Leg, group: list[Item], ties: set[ItemKey]) -> set[tuple[str, Members]]:
    names = frozenset(i.id for i in group)
    two = all({i.source for i in group} & side for side in SIDES[leg])
    if leg is Leg.CONTENT:
        if any(i.content is Content.IN_PROGRESS for i in group):
            return {("CONTENT_LATE", names)}
        if not complete(group) or not two:
            return {("CONTENT_UNKNOWN", names)}
    if two:
        if names & ties:
            return {("AMBIGUOUS", names)}
        payouts = [i for i in group if i.source is Source.PAYOUT]
        if leg is Leg.BANKED and {i.state for i in payouts} == {State.RETURNED}:
            return {("RETURNED", names)}
        kinds = {
            Leg.BOOKED: "AMOUNT_DIFFERS",
            Leg.CONTENT: "CONTENT_SUM",
            Leg.BANKED: "BANK_AMOUNT",
        }
        return {(kinds[leg], names)}
    singles = set()
    for i in group:
        if i.source is Source.BANK:
            kind = "DEBIT_UNEXPECTED" if i.amount_minor < 0 else "BANK_UNEXPECTED"
        elif i.source in (Source.PAYOUT, Source.ADJUSTMENT):
            kind = "PAYOUT_NOT_IN_BANK"
        else:
            kind = "LEDGER_MISSING" if i.source is Source.STRIPE else "STRIPE_MISSING"
        if i.state is not State.RETURNED:
            singles.add((kind, frozenset([i.id])))
    return singles
