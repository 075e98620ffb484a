"""What the rules leave over: each difference with its kind, its ages and one sentence about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum

from money.currencies import EXPONENTS
from reconciliation.matching.item import Content, Item, ItemKey, Leg, Source, State
from reconciliation.matching.match import differences
from reconciliation.matching.policy import BreakKind, Policy
from reconciliation.matching.rules import MAX_CARRIERS, Knot, LegOutcome, content_is_complete
from reconciliation.matching.subset_sum import only_subset

# Keys that a sentence names; of more it says how many there are.
MAX_NAMED_KEYS = 3

_ONE_SIDED = {
    (Leg.BOOKED, Source.STRIPE): BreakKind.LEDGER_MISSING,
    (Leg.BOOKED, Source.LEDGER): BreakKind.STRIPE_MISSING,
    (Leg.BANKED, Source.PAYOUT): BreakKind.PAYOUT_NOT_IN_BANK,
    (Leg.BANKED, Source.ADJUSTMENT): BreakKind.PAYOUT_NOT_IN_BANK,
}
_UNEQUAL = {
    Leg.BOOKED: BreakKind.AMOUNT_DIFFERS,
    Leg.CONTENT: BreakKind.CONTENT_SUM,
    Leg.BANKED: BreakKind.BANK_AMOUNT,
}
_SAYS = {
    BreakKind.LEDGER_MISSING: "Stripe lists {right} and the ledger has posted nothing for it",
    BreakKind.STRIPE_MISSING: "the ledger has posted {left} and Stripe does not list it",
    BreakKind.AMOUNT_DIFFERS: "the ledger's {left} and Stripe's {right} have different amounts",
    BreakKind.UNEXPLAINED: "{all} were matched, and a person revoked it",
    BreakKind.CONTENT_UNKNOWN: "it is not known what {all} is paid out with",
    BreakKind.CONTENT_SUM: "the content {left} does not come to the payout {right}",
    BreakKind.CONTENT_LATE: "Stripe has not completed the content of {right}",
    BreakKind.PAYOUT_NOT_IN_BANK: "the payout {left} is not in the bank's statements",
    BreakKind.BANK_UNEXPECTED: "the bank has booked {right} and no payout goes with it",
    BreakKind.BANK_AMOUNT: "the bank's {right} and the payout {left} have different amounts",
    BreakKind.DEBIT_UNEXPECTED: "the bank was debited by {right} and no payout goes with it",
    BreakKind.AMBIGUOUS: "several of {all} would go together equally well",
    BreakKind.RETURNED: "the payout {left} failed and the bank has booked it as {right}",
}

_SAYS_OF_ADJUSTMENT = "the adjustment {left} goes with nothing of the bank's"


class Standing(StrEnum):
    """How an item stands in a leg; it is in exactly one."""

    MATCHED = "MATCHED"
    EXPECTED = "EXPECTED"
    """Something is missing that may yet come, until a deadline."""
    BROKEN = "BROKEN"
    IGNORED = "IGNORED"
    """Two people said that it is nothing to reconcile."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Items of one leg that do not agree: expected until `due`, a break from then on."""

    leg: Leg
    kind: BreakKind
    items: tuple[ItemKey, ...]
    amounts: tuple[tuple[str, int], ...]
    """By currency, in minor units: the left side less the right one, or where that says nothing
    what is at stake."""
    since: datetime
    due: datetime
    overdue: datetime
    sentence: str
    proposal: tuple[ItemKey, ...] = ()
    """Items that would come to the same sum. A person decides."""

    def standing(self, now: datetime) -> Standing:
        """How its items stand at a time."""
        return Standing.BROKEN if now >= self.due else Standing.EXPECTED


def differences_of(leg: Leg, outcome: LegOutcome, policy: Policy) -> list[Difference]:
    """The differences of a leg, in the order of their items."""
    found = []
    for knot in outcome.knots:
        found += [_difference(leg, part, outcome, policy) for part in _parts(leg, knot)]
    return sorted(found, key=lambda difference: difference.items)


def _parts(leg: Leg, knot: Knot) -> list[Knot]:
    """What is one difference each. A payout that failed and that no line goes with owes nothing."""
    if _has_both(leg, knot) or leg is Leg.CONTENT:
        return [knot]
    return [Knot((item,)) for item in knot.items if item.state is not State.RETURNED]


def _difference(leg: Leg, knot: Knot, outcome: LegOutcome, policy: Policy) -> Difference:
    kind, since = _kind(leg, knot), _since(leg, knot)
    corridor = knot.items[0].corridor
    ages, calendar = policy.kinds[kind], policy.calendars.of(corridor)
    amounts = _amounts(leg, kind, knot.items)
    notes = []
    proposal: tuple[ItemKey, ...] = ()
    if kind in (BreakKind.AMOUNT_DIFFERS, BreakKind.BANK_AMOUNT):
        proposal, note = _proposal(leg, knot.items)
        notes = [note]
    if any(item.id in outcome.not_tried for item in knot.items):
        notes.append(f"the amount was not tried: more than {MAX_CARRIERS} items have it")
    return Difference(
        leg=leg,
        kind=kind,
        items=tuple(item.id for item in knot.items),
        amounts=amounts,
        since=since,
        due=ages.due.after(since, calendar),
        overdue=ages.overdue.after(since, calendar),
        sentence=_sentence(leg, kind, knot.items, amounts, since, ages.action, notes),
        proposal=proposal,
    )


def _kind(leg: Leg, knot: Knot) -> BreakKind:
    if knot.is_returned:
        return BreakKind.RETURNED
    if leg is Leg.CONTENT and not content_is_complete(knot.items):
        late = any(item.content is Content.IN_PROGRESS for item in knot.items)
        return BreakKind.CONTENT_LATE if late else BreakKind.CONTENT_UNKNOWN
    if _has_both(leg, knot):
        if knot.was_revoked:
            return BreakKind.UNEXPLAINED
        if knot.is_tie:
            return BreakKind.AMBIGUOUS
        payouts = [item for item in knot.items if item.source is Source.PAYOUT]
        returned = [item for item in payouts if item.state is State.RETURNED]
        if leg is Leg.BANKED and payouts and len(returned) == len(payouts):
            # Whatever amounts the bank has booked it with, it is what came back.
            return BreakKind.RETURNED
        return _UNEQUAL[leg]
    if leg is Leg.CONTENT:
        return BreakKind.CONTENT_UNKNOWN
    (item,) = knot.items
    if item.source is Source.BANK:
        is_debit = item.amount_minor < 0
        return BreakKind.DEBIT_UNEXPECTED if is_debit else BreakKind.BANK_UNEXPECTED
    return _ONE_SIDED[leg, item.source]


def _since(leg: Leg, knot: Knot) -> datetime:
    """When it began: one side waits from its own time on, two differ from the later one's on.

    Of a payout's way to the bank days count, on which the banks' own times say nothing.
    """
    if leg is Leg.BANKED:
        return datetime.combine(max(item.book_date for item in knot.items), time(), UTC)
    payouts = [item.instant for item in knot.items if item.source is Source.PAYOUT]
    if leg is Leg.CONTENT and payouts and not content_is_complete(knot.items):
        return max(payouts)
    return (max if _has_both(leg, knot) else min)(item.instant for item in knot.items)


def _has_both(leg: Leg, knot: Knot) -> bool:
    return leg.has_both_sides(item.source for item in knot.items)


def _amounts(leg: Leg, kind: BreakKind, items: Iterable[Item]) -> tuple[tuple[str, int], ...]:
    known = tuple(items)
    sums = differences(leg, known)
    if kind in (BreakKind.AMBIGUOUS, BreakKind.RETURNED, BreakKind.UNEXPLAINED):
        left = differences(leg, [item for item in known if leg.is_left(item.source)])
        right = differences(leg, [item for item in known if item.source is leg.right])
        sums = {code: max(abs(left.get(code, 0)), abs(right.get(code, 0))) for code in sums}
    return tuple(sorted((code, amount) for code, amount in sums.items() if amount)) or tuple(
        (code, 0) for code in sorted(sums)
    )


def _proposal(leg: Leg, items: tuple[Item, ...]) -> tuple[tuple[ItemKey, ...], str]:
    """The only part of the larger side that comes to the sum of the other one, and a note."""
    if len({item.currency for item in items}) > 1:
        return (), "sums of parts were not tried: there are several currencies"
    left = [item for item in items if leg.is_left(item.source)]
    right = [item for item in items if item.source is leg.right]
    one, many = sorted((left, right), key=len)
    if len(many) < 2:
        return (), ""
    subset = only_subset(
        [item.amount_minor for item in many], sum(item.amount_minor for item in one)
    )
    if not subset.places:
        return (), subset.note
    chosen = [*one, *(many[place] for place in subset.places)]
    return tuple(sorted(item.id for item in chosen)), "a part comes to the sum and is proposed"


def _sentence(
    leg: Leg,
    kind: BreakKind,
    items: tuple[Item, ...],
    amounts: tuple[tuple[str, int], ...],
    since: datetime,
    action: str,
    notes: Iterable[str],
) -> str:
    """What differs, by how much, since when, and what to do."""
    names = {
        "left": _named([item for item in items if leg.is_left(item.source)]),
        "right": _named([item for item in items if item.source is leg.right]),
        "all": _named(items),
    }
    says = _SAYS[kind]
    if all(item.source is Source.ADJUSTMENT for item in items):
        says = _SAYS_OF_ADJUSTMENT
    return sentence(says.format(**names), amounts, since, action, notes)


def sentence(
    what: str,
    amounts: Iterable[tuple[str, int]],
    since: datetime,
    action: str,
    notes: Iterable[str] = (),
) -> str:
    """What differs, by how much where that is known, since when, and what to do."""
    how_much = " and ".join(amount_text(code, amount) for code, amount in amounts)
    colon = ": " if how_much else ""
    when = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    said = "".join(f" ({note})" for note in notes if note)
    return f"{what[0].upper()}{what[1:]}{colon}{how_much} since {when}{said}; {action}."


def _named(items: Iterable[Item]) -> str:
    keys = [item.key for item in items]
    if len(keys) <= MAX_NAMED_KEYS:
        return ", ".join(keys)
    return f"{', '.join(keys[:MAX_NAMED_KEYS])} and {len(keys) - MAX_NAMED_KEYS} more"


def amount_text(currency: str, minor_units: int) -> str:
    """An amount as people write it, "-10.50 EUR"; of codes without decimals in minor units."""
    places = EXPONENTS.get(currency, 0)
    whole, rest = divmod(abs(minor_units), 10**places)
    sign = "-" if minor_units < 0 else ""
    decimals = f".{rest:0{places}}" if places else ""
    return f"{sign}{whole}{decimals} {currency}"


def standings(
    matched: Iterable[ItemKey],
    found: Iterable[Difference],
    ignored: Iterable[ItemKey],
    now: datetime,
) -> Mapping[ItemKey, Standing]:
    """How each item of a leg stands. Asserts that it is in one of them only."""
    every = [
        *((key, Standing.MATCHED) for key in matched),
        *((key, difference.standing(now)) for difference in found for key in difference.items),
        *((key, Standing.IGNORED) for key in ignored),
    ]
    by_key = dict(every)
    assert len(by_key) == len(every), "an item stands in two ways"
    return by_key
