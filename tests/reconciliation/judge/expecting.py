"""What has to be matched and what has to be told of, worked out from the truth of a history."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.reconciliation.judge.banking import Difference, Members, compare_bank, gaps, is_stale
from tests.reconciliation.judge.history import Booked, History, Movement, Name

# Kind, corridor, and amounts by currency.
Condition = tuple[str, str, tuple[tuple[str, int], ...]]


@dataclass
class Stand:
    """How everything stands: by leg what is matched and what differs, and breaks of statements."""

    matches: dict[str, set[Members]] = field(default_factory=lambda: defaultdict(set))
    differences: dict[str, set[Difference]] = field(default_factory=lambda: defaultdict(set))
    conditions: Counter[Condition] = field(default_factory=Counter)


def expected(history: History) -> Stand:
    """The stand that follows from a history once all of it has come and all that is missing is
    due."""
    stand = Stand()
    _booked(history, stand)
    _content(history, stand)
    for bank in history.banks:
        matches, found = compare_bank(bank, history.true_payouts)
        stand.matches["BANKED"] |= matches
        stand.differences["BANKED"] |= found
        stand.conditions.update(gaps(bank))
        if is_stale(bank, history.last_day):
            stand.conditions["FEED_STALE", bank.corridor, ()] += 1
    _balances(history, stand)
    return stand


def _booked(history: History, stand: Stand) -> None:
    """What moved at Stripe and what was booked of it; all that one thing has moved agrees together,
    or each movement by itself."""
    bookings: dict[tuple[str, str], list[Booked]] = defaultdict(list)
    for booked in history.true_bookings:
        bookings[booked.name.corridor, booked.movement].append(booked)
    moved_by: dict[tuple[str, str], list[Movement]] = defaultdict(list)
    for movement in history.true_movements:
        moved_by[movement.name.corridor, movement.moved_by].append(movement)
    for (corridor, _), its in moved_by.items():
        of_each = [(each, bookings.pop((corridor, each.name.key), [])) for each in its]
        told = [each for each in its if each.is_told]
        all_booked = [booked for _, some in of_each for booked in some]
        if told and all_booked and not any(_off(told, all_booked).values()):
            stand.matches["BOOKED"].add(_names(told, all_booked))
            continue
        for movement, some in of_each:
            _booked_of_one(movement, some, stand)
    for invented in bookings.values():
        _missing_at_stripe(invented, stand)


def _booked_of_one(movement: Movement, some: list[Booked], stand: Stand) -> None:
    found = stand.differences["BOOKED"]
    if not movement.is_told:
        _missing_at_stripe(some, stand)
        return
    members, off = _names([movement], some), _off([movement], some)
    if not some:
        found.add(Difference("LEDGER_MISSING", members, _shown(off)))
    elif not any(off.values()):
        stand.matches["BOOKED"].add(members)
    elif _alike(movement, some) > 1:
        # Two that are booked alike: nobody knows which of them is right.
        left = _sums(some)
        at_stake = {code: max(abs(left[code]), abs(left[code] - off[code])) for code in off}
        found.add(Difference("AMBIGUOUS", members, _shown(at_stake)))
    else:
        found.add(Difference("AMOUNT_DIFFERS", members, _shown(off)))


def _alike(movement: Movement, some: Iterable[Booked]) -> int:
    return sum((each.currency, each.amount) == (movement.currency, movement.net) for each in some)


def _missing_at_stripe(some: Iterable[Booked], stand: Stand) -> None:
    for booked in some:
        amounts = ((booked.currency, booked.amount),)
        members = frozenset([booked.name])
        stand.differences["BOOKED"].add(Difference("STRIPE_MISSING", members, amounts))


def _sums(some: Iterable[Booked]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for booked in some:
        sums[booked.currency] += booked.amount
    return sums


def _off(movements: Iterable[Movement], some: Iterable[Booked]) -> Counter[str]:
    """What is booked less what moved."""
    off = _sums(some)
    for movement in movements:
        off[movement.currency] -= movement.net
    return off


def _names(movements: Iterable[Movement], some: Iterable[Booked]) -> Members:
    return frozenset([*(each.name for each in movements), *(each.name for each in some)])


def _shown(amounts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((code, amount) for code, amount in amounts.items() if amount))


def _content(history: History, stand: Stand) -> None:
    """What a payout contains, those that it was split into included, comes to it."""
    groups: dict[tuple[str, str], list[Name]] = defaultdict(list)
    sums: Counter[tuple[str, str]] = Counter()
    currency: dict[tuple[str, str], str] = {}
    heads = {}
    has_content = set()
    for payout in history.true_payouts:
        where = payout.name.corridor, payout.group
        if payout.is_listed and payout.is_told:
            groups[where].append(payout.name)
            sums[where] -= payout.amount
            currency[where] = payout.currency
            if payout.name.key == payout.group:
                heads[where] = payout
    for movement in history.true_movements:
        if movement.is_told and movement.payout_id:
            where = movement.name.corridor, movement.payout_id
            groups[where].append(movement.name)
            sums[where] += movement.net
            currency[where] = movement.currency
            has_content.add(where)
    for where, names in groups.items():
        head = heads.get(where)
        members = frozenset(names)
        amounts = ((currency[where], sums[where]),)
        if head is not None and not head.is_complete:
            kind = "CONTENT_LATE"
        elif head is None or where not in has_content:
            kind = "CONTENT_UNKNOWN"
        elif sums[where]:
            kind = "CONTENT_SUM"
        else:
            stand.matches["CONTENT"].add(members)
            continue
        stand.differences["CONTENT"].add(Difference(kind, members, amounts))


def _balances(history: History, stand: Stand) -> None:
    """Payouts of the ledger are what the bank's statements have of them and what is under way."""
    matched = {name for members in stand.matches["BANKED"] for name in members}
    for bank in history.banks:
        where = bank.corridor, bank.currency
        ledger = -sum(
            each.amount
            for each in history.true_bookings
            if each.is_of_a_payout and (each.name.corridor, each.currency) == where
        )
        under_way = sum(
            each.amount
            for each in history.true_payouts
            if each.is_told
            and not each.is_returned
            and (each.name.corridor, each.currency) == where
            and each.name not in matched
        )
        first, last = bank.statements[0], max(bank.statements, key=lambda each: each.day)
        open_lines = sum(line.amount for line in bank.lines if line.name not in matched)
        off = ledger - (last.closing - first.opening - open_lines + under_way)
        if off:
            stand.conditions["BANK_BALANCE_DIFFERS", bank.corridor, ((bank.currency, off),)] += 1
