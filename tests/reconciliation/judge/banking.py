"""What has to be matched between payouts and lines of the bank, by names, sums and windows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from sandbox.twin_bank import Calendar
from sandbox.twin_bank.business_days import business_days_after, is_business_day
from tests.reconciliation.judge.history import AtBank, Line, Name, PaidOut, Told

Members = frozenset[Name]
# Around its arrival date a payout's line is booked from so many days before it to so many business
# days after it.
DAYS_BEFORE, BUSINESS_DAYS_AFTER = 1, 5


@dataclass(frozen=True)
class Thing:
    """A payout or a line. `words` are what it may be known by."""

    name: Name
    amount: int
    first: date
    last: date
    """The days on which a payout's line may be booked; of a line its day."""
    words: frozenset[str]
    is_returned: bool = False

    @property
    def is_payout(self) -> bool:
        return self.name.source == "PAYOUT"


@dataclass(frozen=True)
class Difference:
    """A difference by what it is and what is in it."""

    kind: str
    members: Members
    amounts: tuple[tuple[str, int], ...]


def compare_bank(bank: AtBank, payouts: Iterable[PaidOut]) -> tuple[set[Members], set[Difference]]:
    """What is matched and what differs at one bank account."""
    things = [
        _payout(payout, Calendar(bank.calendar))
        for payout in payouts
        if payout.is_told
        and (payout.name.corridor, payout.currency) == (bank.corridor, bank.currency)
    ]
    things += [_line(line) for line in bank.lines]
    return _Comparison(bank.currency, things).run()


def _payout(payout: PaidOut, calendar: Calendar) -> Thing:
    last = payout.arrival
    for _ in range(BUSINESS_DAYS_AFTER):
        last = next_business_day(calendar, last)
    first = payout.arrival - timedelta(days=DAYS_BEFORE)
    words = frozenset(filter(None, [payout.trace]))
    return Thing(payout.name, payout.amount, first, last, words, payout.is_returned)


def _line(line: Line) -> Thing:
    words = line.traces | {line.reference}
    return Thing(line.name, line.amount, line.day, line.day, words)


def next_business_day(calendar: Calendar, day: date) -> date:
    """The business day after a day."""
    if is_business_day(calendar, day):
        return business_days_after(calendar, day, 1)
    return business_days_after(calendar, day, 0)


class _Comparison:
    def __init__(self, currency: str, things: Sequence[Thing]) -> None:
        self.currency = currency
        self.free = list(things)
        self.matches: set[Members] = set()
        self.found: set[Difference] = set()
        self.ties: set[Thing] = set()

    def run(self) -> tuple[set[Members], set[Difference]]:
        named = [group for group in hanging(self.free, share_a_word) if has_both(group)]
        for group in named:
            self._match_named(group)
        tied = self._match_by_amount()
        for group in hanging(self.free, lambda a, b: share_a_word(a, b) or (a, b) in tied):
            self._leave(group)
        return self.matches, self.found

    def _match_named(self, group: list[Thing]) -> None:
        """Pairs of one amount, then all of one word, then all that hang together."""
        left = list(group)

        def take(members: Iterable[Thing]) -> None:
            chosen = list(members)
            self._take(chosen)
            left[:] = [thing for thing in left if thing not in chosen]

        for payout in [thing for thing in left if thing.is_payout and thing.is_returned]:
            told = [line for line in left if not line.is_payout and share_a_word(payout, line)]
            rivals = [
                other
                for other in left
                if other.is_payout
                and other is not payout
                and any(share_a_word(other, thing) for thing in (payout, *told))
            ]
            if told and not rivals and booked(told) == 0:
                # The bank has booked it and sent it back.
                self.matches.add(frozenset(thing.name for thing in (payout, *told)))
                left[:] = [thing for thing in left if thing not in (payout, *told)]
                names = {thing.name for thing in (payout, *told)}
                self.free = [thing for thing in self.free if thing.name not in names]
        pairs = [(p, o) for p in left for o in left if share_a_word(p, o) and is_pair(p, o)]
        self._take_pairs(pairs, take)
        words = {word for thing in left for word in thing.words}
        sums = {frozenset(thing for thing in left if word in thing.words) for word in words}
        sums = {members for members in sums if comes_out(members)}
        for members in sums:
            if any(members & other for other in sums if other != members):
                self.ties |= members
            else:
                take(members)
        for rest in hanging(left, share_a_word):
            if comes_out(rest):
                take(rest)

    def _match_by_amount(self) -> set[tuple[Thing, Thing]]:
        """Of those that nothing names: the only one of its amount in the window. Payouts that came
        back are looked for last."""
        alone = [group[0] for group in hanging(self.free, share_a_word) if len(group) == 1]
        by_amount: dict[int, list[Thing]] = {}
        for thing in alone:
            by_amount.setdefault(thing.amount, []).append(thing)
        fits = [
            (p, line)
            for same in by_amount.values()
            for p in same
            for line in same
            if is_pair(p, line) and p.first <= line.first <= p.last
        ]
        good = [pair for pair in fits if not pair[0].is_returned]
        used = {thing for pair in good for thing in pair}
        poor = [pair for pair in fits if pair[0].is_returned and pair[1] not in used]
        self._take_pairs(good, self._take)
        self._take_pairs(poor, self._take)
        both = [*good, *poor]
        return {*both, *((line, p) for p, line in both)}

    def _take_pairs(
        self, pairs: list[tuple[Thing, Thing]], take: Callable[[Iterable[Thing]], None]
    ) -> None:
        of: dict[Thing, list[Thing]] = {}
        for one, other in pairs:
            of.setdefault(one, []).append(other)
            of.setdefault(other, []).append(one)
        for one, other in pairs:
            if len(of[one]) == len(of[other]) == 1:
                take((one, other))
            else:
                self.ties |= {one, other}

    def _take(self, group: Iterable[Thing]) -> None:
        things = list(group)
        if any(thing.is_returned for thing in things):
            self._differ("RETURNED", things, at_stake(things))
        else:
            self.matches.add(frozenset(thing.name for thing in things))
        taken = {thing.name for thing in things}
        self.free = [thing for thing in self.free if thing.name not in taken]

    def _leave(self, group: list[Thing]) -> None:
        """What nothing matches."""
        if not has_both(group):
            for thing in group:
                if not thing.is_payout:
                    kind = "DEBIT_UNEXPECTED" if thing.amount < 0 else "BANK_UNEXPECTED"
                    self._differ(kind, [thing], -thing.amount)
                elif not thing.is_returned:
                    self._differ("PAYOUT_NOT_IN_BANK", [thing], thing.amount)
        elif self.ties & set(group):
            self._differ("AMBIGUOUS", group, at_stake(group))
        elif all(thing.is_returned for thing in group if thing.is_payout):
            self._differ("RETURNED", group, at_stake(group))
        else:
            self._differ("BANK_AMOUNT", group, paid(group) - booked(group))

    def _differ(self, kind: str, group: Iterable[Thing], amount: int) -> None:
        members = frozenset(thing.name for thing in group)
        self.found.add(Difference(kind, members, ((self.currency, amount),)))


def share_a_word(one: Thing, other: Thing) -> bool:
    return bool(one.words & other.words)


def is_pair(one: Thing, other: Thing) -> bool:
    return one.is_payout and not other.is_payout and one.amount == other.amount


def has_both(group: Iterable[Thing]) -> bool:
    return len({thing.is_payout for thing in group}) == 2


def paid(group: Iterable[Thing]) -> int:
    return sum(thing.amount for thing in group if thing.is_payout)


def booked(group: Iterable[Thing]) -> int:
    return sum(thing.amount for thing in group if not thing.is_payout)


def at_stake(group: Iterable[Thing]) -> int:
    things = list(group)
    return max(abs(paid(things)), abs(booked(things)))


def comes_out(group: Iterable[Thing]) -> bool:
    things = list(group)
    return has_both(things) and paid(things) == booked(things)


def hanging(things: Sequence[Thing], near: Callable[[Thing, Thing], bool]) -> list[list[Thing]]:
    """Groups that hang together."""
    groups: list[list[Thing]] = []
    for thing in things:
        joined = [group for group in groups if any(near(thing, other) for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([thing, *(other for group in joined for other in group)])
    return groups


def gaps(bank: AtBank) -> list[tuple[str, str, tuple[tuple[str, int], ...]]]:
    """Breaks of an account's statements, as (kind, corridor, amounts), but for that of a file that
    was refused, which ends with the next file that comes."""
    found: list[tuple[str, str, tuple[tuple[str, int], ...]]] = []
    chain = [
        each
        for each in bank.statements
        if not any(each in _within(other, bank.statements) for other in bank.statements)
    ]
    numbers = {each.number for each in bank.statements}
    for before, after in pairwise(chain):
        missing = after.opening - before.closing
        between = range(before.number or 0, after.number or 0)
        is_whole = all(number in numbers for number in between)
        if (missing or not is_whole) and not _overlap(before, after):
            found.append(("STATEMENT_GAP", bank.corridor, ((bank.currency, missing),)))
    for place, outer in enumerate(chain):
        shared = len(_within(outer, bank.statements))
        shared += place > 0 and _overlap(chain[place - 1], outer)
        after_it = chain[place + 1 : place + 2]
        # What goes on from it shows that its lines were counted right.
        goes_on = after_it and after_it[0].opening == outer.closing
        between = range(outer.number or 0, (after_it[0].number if after_it else None) or 0)
        goes_on = goes_on and all(number in numbers for number in between)
        if not goes_on:
            found += [("STATEMENT_OVERLAP", bank.corridor, ())] * shared
    return found


def _within(outer: Told, statements: Sequence[Told]) -> list[Told]:
    """Those that have lines, and no day and no line that the outer one has not."""
    return [
        each
        for each in statements
        if each is not outer
        and outer.first_day <= each.first_day
        and each.day <= outer.day
        and each.references & outer.references
    ]


def _overlap(before: Told, after: Told) -> bool:
    """Whether two that follow each other have lines in common."""
    return after.first_day <= before.day and bool(before.references & after.references)


def is_stale(bank: AtBank, today: date) -> bool:
    """Whether no statement has come for the next business day, though that is over."""
    last = max(each.day for each in bank.statements)
    return today > next_business_day(Calendar(bank.calendar), last)
