"""The rules that match the items of one leg, the strongest first.

What they say follows from the set of items alone: not from the order in which items came, nor from
what was matched before. Each looks only at items that are linked by a reference or an amount, so
that the groups of `knots` can be decided one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciliation.matching.item import Content, Item, ItemKey, Leg, Source, State, references
from reconciliation.matching.match import Match, Rule, differences, whole_match
from reconciliation.matching.policy import Policy

# Of the rules as they are here: the same version and the same items give the same matches.
RULES_VERSION = 3
# What more items than that have in common identifies none of them, and is not followed.
MAX_CARRIERS = 1_000

Reference = tuple[str, str]
"""Corridor and token."""
Bucket = tuple[str, str, int]
"""Corridor, currency and amount."""
Members = frozenset[ItemKey]


@dataclass(frozen=True)
class Popular:
    """References and amounts that too many items have."""

    references: frozenset[Reference] = frozenset()
    buckets: frozenset[Bucket] = frozenset()


@dataclass(frozen=True)
class Knot:
    """Items that no rule matches, and that have to do with each other."""

    items: tuple[Item, ...]
    is_tie: bool = False
    """Several of them would go together equally well."""
    was_revoked: bool = False
    """A person said that they do not belong together."""
    is_returned: bool = False
    """They would be a match, if the payout had not failed."""


@dataclass(frozen=True)
class LegOutcome:
    """What the rules say about the items of a leg: each is in one match or one knot."""

    matches: tuple[Match, ...]
    knots: tuple[Knot, ...]
    not_tried: Members = frozenset()
    """Those whose amount was not looked for, because too many items have it."""


def popular_of(items: Iterable[Item]) -> Popular:
    """What more than `MAX_CARRIERS` of all items have, whatever their state."""
    carriers: Counter[Reference] = Counter()
    buckets: Counter[Bucket] = Counter()
    for item in items:
        carriers.update((item.corridor, token) for token in item.tokens)
        if item.source in (Source.PAYOUT, Source.BANK):
            buckets[bucket_of(item)] += 1
    return Popular(
        frozenset(reference for reference, n in carriers.items() if n > MAX_CARRIERS),
        frozenset(bucket for bucket, n in buckets.items() if n > MAX_CARRIERS),
    )


def bucket_of(item: Item) -> Bucket:
    """What UNIQUE_AMOUNT compares."""
    return item.corridor, item.currency, item.amount_minor


def match_leg(
    leg: Leg,
    items: Iterable[Item],
    policy: Policy,
    popular: Popular = Popular(),
    revoked: frozenset[Members] = frozenset(),
) -> LegOutcome:
    """Matches items that take part in a leg and that no person has decided about.

    Groups in `revoked` are matched by none of the rules again.
    """
    return _Matching(leg, items, policy, popular, revoked).run()


@dataclass
class _Matching:
    leg: Leg
    items: Iterable[Item]
    policy: Policy
    popular: Popular
    revoked: frozenset[Members]
    free: dict[ItemKey, Item] = field(default_factory=dict)
    linked: dict[ItemKey, list[Reference]] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)
    knots: list[Knot] = field(default_factory=list)
    ties: set[ItemKey] = field(default_factory=set)

    def run(self) -> LegOutcome:
        self.free = {item.id: item for item in sorted(self.items, key=lambda item: item.id)}
        for key, item in self.free.items():
            all_of_it = ((item.corridor, token) for token in sorted(references(self.leg, item)))
            self.linked[key] = [
                reference
                for reference in all_of_it
                if self.leg is Leg.CONTENT or reference not in self.popular.references
            ]
        if self.leg is Leg.BOOKED:
            self._sum_wholes()
            self._sum_several()
        if self.leg is Leg.BANKED:
            self._match_returned()
        if self.leg is not Leg.CONTENT:
            self._pair(self._by_reference(), Rule.REFERENCE)
            self._sum_references()
        self._sum_knots()
        not_tried: Members = frozenset()
        edges: Edges = {}
        if self.leg is Leg.BANKED:
            not_tried = frozenset(
                key for key, item in self.free.items() if bucket_of(item) in self.popular.buckets
            )
            edges = self._pair_amounts()
        for knot in self._knots(edges):
            members = frozenset(item.id for item in knot)
            self.knots.append(
                Knot(knot, bool(members & self.ties), was_revoked=members in self.revoked)
            )
        return LegOutcome(tuple(self.matches), tuple(self.knots), not_tried)

    def _match_returned(self) -> None:
        """Matches a payout that failed with the lines that name it, where those come to nothing:
        the bank has booked it and sent it back. What names another payout, too, is left."""
        carriers: dict[Reference, list[ItemKey]] = defaultdict(list)
        for key in self.free:
            for reference in self.linked[key]:
                carriers[reference].append(key)
        for key, item in list(self.free.items()):
            if item.source is not Source.PAYOUT or item.state is not State.RETURNED:
                continue
            lines = {other for reference in self.linked[key] for other in carriers[reference]}
            lines -= {key}
            # What names them, too, such as another payout.
            others = {
                other
                for line in lines
                for reference in self.linked[line]
                for other in carriers[reference]
                if other.source is Source.PAYOUT
            }
            if not any(line.source is Source.BANK for line in lines) or others != {key}:
                continue
            items = [item, *(self.free[line] for line in lines)]
            if not any(differences(self.leg, items[1:]).values()):
                self._take_matched(Rule.GROUP_SUM, items)

    def _by_reference(self) -> "Edges":
        """Who has a reference and the amount in common with whom on the other side."""
        places: dict[tuple[Reference, str, int], list[ItemKey]] = defaultdict(list)
        for key, item in self.free.items():
            if item.source is self.leg.right:
                for reference in self.linked[key]:
                    places[reference, item.currency, item.amount_minor].append(key)
        edges: Edges = {}
        for key, item in self.free.items():
            if self.leg.is_left(item.source):
                for reference in self.linked[key]:
                    for other in places.get((reference, item.currency, item.amount_minor), ()):
                        _join(edges, key, other)
        return edges

    def _pair(self, edges: "Edges", rule: Rule) -> None:
        """Matches those who have only each other; the others are ties."""
        for key in sorted(edges):
            partners = edges[key]
            if key not in self.free or not self.leg.is_left(key.source):
                continue
            (other, *more) = sorted(partners)
            if not more and len(edges[other]) == 1:
                self._take(rule, [key, other])
        self.ties.update(key for key, others in edges.items() if len(others) > 1)
        self.ties.update(other for others in edges.values() if len(others) > 1 for other in others)

    def _sum_references(self) -> None:
        """Matches all that have one reference in common, if their sums agree and none of them
        would go with others as well."""
        groups = self._of_one_reference()
        for group in groups:
            if self._is_alone(group, groups):
                self._take(Rule.GROUP_SUM, group)
            else:
                self.ties.update(group)

    def _sum_several(self) -> None:
        """Matches what is more than a pair and has a reference in common, where a whole does not
        agree: one movement that is booked in parts, beside another of the same thing that is not
        right. A pair out of it would leave the other parts alone."""
        groups = [group for group in self._of_one_reference() if len(group) > 2]
        for group in groups:
            if self._is_alone(group, groups):
                self._take(Rule.GROUP_SUM, group)

    def _of_one_reference(self) -> list[Members]:
        """All that have one reference in common, where both sides come to the same sum."""
        carriers: dict[Reference, list[ItemKey]] = defaultdict(list)
        for key in self.free:
            for reference in self.linked[key]:
                carriers[reference].append(key)
        groups = {frozenset(keys) for keys in carriers.values() if self._agrees(keys)}
        return sorted(groups, key=sorted)

    @staticmethod
    def _is_alone(group: Members, groups: Sequence[Members]) -> bool:
        """Whether none of its items would go with another group as well."""
        return not any(group & other for other in groups if other is not group)

    def _sum_wholes(self) -> None:
        """Matches all that hang together by references where that agrees as a whole.

        The books may take several transactions for one movement, and some that cancel each other:
        a refund in the payment's currency and its conversion. Pairs would leave these alone.
        """
        for knot in self._knots({}):
            keys = [item.id for item in knot]
            if len(keys) > 2 and self._agrees(keys):
                self._take(Rule.GROUP_SUM, keys)

    def _sum_knots(self) -> None:
        """Matches all that hang together by references, if their sums agree."""
        for knot in self._knots({}):
            keys = [item.id for item in knot]
            if self._is_complete(knot) and self._agrees(keys):
                self._take(Rule.GROUP_SUM, keys)

    def _pair_amounts(self) -> "Edges":
        """Matches those who are the only ones of their amount in the window of the payout; gives
        the edges of the ties."""
        # What has a reference to the other side is not matched by anything weaker.
        named = {item.id for knot in self._knots({}) if len(knot) > 1 for item in knot}
        pool = [item for key, item in self.free.items() if key not in named]
        booked = self._in_window([item for item in pool if item.state is State.BOOKED])
        self._pair(booked, Rule.UNIQUE_AMOUNT)
        # A payout that failed is looked for only among lines that nothing else goes with.
        rest = self._in_window([item for item in pool if item.id not in booked])
        self._pair(rest, Rule.UNIQUE_AMOUNT)
        return booked | rest

    def _in_window(self, pool: Sequence[Item]) -> "Edges":
        lines: dict[Bucket, list[Item]] = defaultdict(list)
        for item in pool:
            if item.source is Source.BANK and bucket_of(item) not in self.popular.buckets:
                lines[bucket_of(item)].append(item)
        edges: Edges = {}
        for item in pool:
            if item.source is Source.PAYOUT and (same := lines.get(bucket_of(item))):
                first, last = self.policy.bank_window(item.corridor, item.book_date)
                for line in same:
                    if first <= line.book_date <= last:
                        _join(edges, item.id, line.id)
        return edges

    def _agrees(self, keys: Sequence[ItemKey]) -> bool:
        if not self.leg.has_both_sides(key.source for key in keys):
            return False
        return not any(differences(self.leg, (self.free[key] for key in keys)).values())

    def _is_complete(self, knot: Sequence[Item]) -> bool:
        """Whether all that belongs to it is known: of a payout's content Stripe says so."""
        return self.leg is not Leg.CONTENT or content_is_complete(knot)

    def _take(self, rule: Rule, keys: Iterable[ItemKey]) -> None:
        """Makes a match of them, unless a person has said no or the payout came back."""
        members = frozenset(keys)
        if members in self.revoked:
            return
        items = [self.free[key] for key in sorted(members)]
        if self.leg is Leg.BANKED and any(item.state is State.RETURNED for item in items):
            self.knots.append(Knot(tuple(items), is_returned=True))
            self._set_aside(members)
        else:
            self._take_matched(rule, items)

    def _take_matched(self, rule: Rule, items: Sequence[Item]) -> None:
        """Makes a match of them, unless a person has said no."""
        members = frozenset(item.id for item in items)
        if members not in self.revoked:
            self.matches.append(whole_match(self.leg, rule, items))
            self._set_aside(members)

    def _set_aside(self, members: Members) -> None:
        for key in members:
            del self.free[key]

    def _knots(self, edges: "Edges") -> list[tuple[Item, ...]]:
        """Those that are left, by what they have to do with each other."""
        return knots(self.free.values(), self.linked, edges)


Edges = dict[ItemKey, set[ItemKey]]


def _join(edges: Edges, one: ItemKey, other: ItemKey) -> None:
    edges.setdefault(one, set()).add(other)
    edges.setdefault(other, set()).add(one)


def knots(
    items: Iterable[Item],
    linked: Mapping[ItemKey, Sequence[Reference]],
    edges: Mapping[ItemKey, Iterable[ItemKey]],
) -> list[tuple[Item, ...]]:
    """Groups of items that hang together by references or edges, in the order of their items."""
    known = {item.id: item for item in items}
    carriers: dict[Reference, list[ItemKey]] = defaultdict(list)
    for key in known:
        for reference in linked[key]:
            carriers[reference].append(key)
    seen: set[ItemKey] = set()
    found = []
    for start in sorted(known):
        if start in seen:
            continue
        seen.add(start)
        reached, followed = [start], set[Reference]()
        for key in reached:
            near = list(edges.get(key, ()))
            for reference in linked[key]:
                if reference not in followed:
                    followed.add(reference)
                    near += carriers[reference]
            for other in near:
                if other in known and other not in seen:
                    seen.add(other)
                    reached.append(other)
        found.append(tuple(known[key] for key in sorted(reached)))
    return found


def content_is_complete(knot: Iterable[Item]) -> bool:
    """Whether Stripe has said of a payout in it that it is all there, and of none that it is not
    yet."""
    said = {item.content for item in knot if item.source is Source.PAYOUT}
    return Content.COMPLETE in said and Content.IN_PROGRESS not in said
