"""All rules over a set of items and what people have decided: what is matched, what differs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciliation.matching.breaks import Difference, differences_of
from reconciliation.matching.item import Item, ItemKey, Leg, takes_part
from reconciliation.matching.match import Match, check_match
from reconciliation.matching.policy import Policy
from reconciliation.matching.rules import Members, Popular, match_leg


@dataclass(frozen=True)
class Decided:
    """What people have said, which no rule overrules."""

    matches: tuple[Match, ...] = ()
    """Those of the rule PERSON that stand."""
    ignored: frozenset[tuple[Leg, ItemKey]] = frozenset()
    revoked: frozenset[tuple[Leg, Members]] = frozenset()
    """Groups that no rule is to match again."""


@dataclass(frozen=True)
class Reconciled:
    """Of one leg: each item that takes part is in one match, in one difference, or ignored."""

    matches: tuple[Match, ...]
    differences: tuple[Difference, ...]
    ignored: frozenset[ItemKey] = field(default_factory=frozenset)


def reconcile(
    items: Mapping[ItemKey, Item],
    policy: Policy,
    popular: Popular,
    decided: Decided = Decided(),
    legs: Iterable[Leg] = Leg,
) -> Mapping[Leg, Reconciled]:
    """Decides about items that include, with each, all that is linked to it by a reference or an
    amount that is not popular. Raises `MatchError` for a match of a person's that is not true."""
    found = {}
    for leg in legs:
        by_person = tuple(match for match in decided.matches if match.leg is leg)
        for match in by_person:
            check_match(match, items)
        pinned = {key for match in by_person for key in match.members}
        ignored = frozenset(
            key for its, key in decided.ignored if its is leg and key in items and key not in pinned
        )
        outcome = match_leg(
            leg,
            [
                item
                for key, item in items.items()
                if key not in pinned and key not in ignored and takes_part(leg, item)
            ],
            policy,
            popular,
            frozenset(members for its, members in decided.revoked if its is leg),
        )
        found[leg] = Reconciled(
            matches=(*by_person, *outcome.matches),
            differences=tuple(differences_of(leg, outcome, policy)),
            ignored=ignored,
        )
    return found
