"""Whether an account's statements are a chain without a gap, and whether they come in time.

What is said follows from the set of statements, in whatever order they came: a late one closes the
gap, and one that goes on from two that overlap shows that their lines were counted right.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from reconciliation.bank.accounts import BankAccount
from reconciliation.conditions.condition import Condition, Identity
from reconciliation.matching.policy import BreakKind
from reconciliation.statements.continuity import Continuity, Past, gap

# Refusals that say that what a bank counted does not come out.
FALSE_BALANCES = frozenset({"BALANCE", "BATCH", "TOTALS", "PROOF_MISSING"})
# How the subjects of all conditions begin that are told here.
SUBJECTS = "statements of "
# Of a file's SHA-256, for people.
SHOWN_HEX = 12
KINDS = (
    BreakKind.STATEMENT_GAP,
    BreakKind.STATEMENT_OVERLAP,
    BreakKind.STATEMENT_DUPLICATE,
    BreakKind.STATEMENT_BALANCE,
    BreakKind.FEED_STALE,
    BreakKind.BANK_BALANCE_DIFFERS,
)
_DAY = timedelta(days=1)
_KIND_OF = {
    Continuity.DUPLICATE: BreakKind.STATEMENT_DUPLICATE,
    Continuity.OVERLAP: BreakKind.STATEMENT_OVERLAP,
}


@dataclass(frozen=True)
class Exclusion:
    """Two statements, by their ids, that have the same lines."""

    one: int
    other: int
    continuity: Continuity
    why: str


@dataclass(frozen=True)
class Refused:
    """A file that was refused after the last statement was taken."""

    sha256: bytes
    problem: str
    place: str
    time: datetime


@dataclass(frozen=True)
class Statements:
    """What is there of an account. Statements by their ids, without entries: `exclusions` say what
    those have in common."""

    account: BankAccount
    known: Mapping[int, Past]
    exclusions: Collection[Exclusion] = ()
    refused: Collection[Refused] = ()


def conditions_of(statements: Statements, now: datetime) -> list[Condition]:
    """All that is wrong with an account's statements at a time."""
    chain = _Chain(statements)
    return [
        *chain.gaps(),
        *chain.shared(),
        *_false_balances(statements),
        *_stale(statements, now),
    ]


def chain_of(statements: Statements) -> list[int]:
    """The ids of an account's statements in their order, each once."""
    return _Chain(statements).order


def lacks(statements: Statements, day: date, accepted: Collection[Identity] = ()) -> str:
    """Why not all that the bank has booked until a day is there; empty if it is. What is missing in
    a gap that people have `accepted` will not come: banks leave numbers out, for instance.

    A statement of the bank's last business day is of the days without business behind it, too.
    """
    account = statements.account
    if day < account.from_day:
        return ""
    booked = day
    while not account.calendar.is_business_day(booked) and booked > account.from_day:
        booked -= _DAY
    if last_day(statements) < booked:
        return f"no statement of {account.name} until {booked} has been taken"
    chain = _Chain(statements)
    for one, other in chain.missing():
        before, after = statements.known[one], statements.known[other]
        if before.closing.date < day and chain.gap(one, other).identity not in accepted:
            return (
                f"statements of {account.name} between {before.closing.date} and"
                f" {after.closing.date} are missing"
            )
    return ""


@dataclass
class _Chain:
    """The statements in their order, each once."""

    statements: Statements
    order: list[int] = field(default_factory=list)
    left_out: dict[int, int] = field(default_factory=dict)
    """Those that are left out, by those that have all of their lines."""

    def __post_init__(self) -> None:
        self._leave_out()
        rest = [key for key in self.statements.known if key not in self.left_out]
        rest.sort(key=self._place)
        self.order = list(self._joined(rest))

    def missing(self) -> Iterator[tuple[int, int]]:
        """Those that follow each other and have something missing between them."""
        account = self.statements.account
        overlapping = {frozenset((e.one, e.other)) for e in self.statements.exclusions}
        for one, other in zip(self.order, self.order[1:], strict=False):
            after = self.statements.known[other]
            if frozenset((one, other)) in overlapping or after.last_day < account.from_day:
                continue
            if self._gap(one, other):
                yield one, other

    def gaps(self) -> Iterator[Condition]:
        """Where a statement is missing, or several."""
        return (self.gap(one, other) for one, other in self.missing())

    def gap(self, one: int, other: int) -> Condition:
        """That something is missing between two."""
        account = self.statements.account
        before, after = self.statements.known[one], self.statements.known[other]
        difference = after.opening.amount_minor - before.closing.amount_minor
        return Condition(
            kind=BreakKind.STATEMENT_GAP,
            corridor=account.corridor,
            subject=f"{SUBJECTS}{account.name} {_name(before)} and {_name(after)}",
            since=midnight(after.closing.date),
            says=f"between the statements of {account.name} until {before.closing.date}"
            f" and until {after.closing.date} {self._gap(one, other)}",
            amounts=((account.currency, difference),),
        )

    def shared(self) -> Iterator[Condition]:
        """Statements that have the same lines, until one that follows shows that these were
        counted right."""
        account = self.statements.account
        for exclusion in sorted(self.statements.exclusions, key=lambda e: (e.one, e.other)):
            pair = sorted((exclusion.one, exclusion.other), key=self._place)
            if self._is_followed(pair):
                continue
            first, last = (self.statements.known[key] for key in pair)
            yield Condition(
                kind=_KIND_OF[exclusion.continuity],
                corridor=account.corridor,
                subject=f"{SUBJECTS}{account.name} {_name(first)} and {_name(last)}",
                since=midnight(last.closing.date),
                says=f"statements of {account.name} until {first.closing.date} and until"
                f" {last.closing.date} have {exclusion.why}",
            )

    def _leave_out(self) -> None:
        """Of the same statement in several files one is kept, and of one within another the
        larger."""
        known = self.statements.known
        for exclusion in sorted(
            self.statements.exclusions, key=lambda e: e.continuity is not Continuity.DUPLICATE
        ):
            pair = (exclusion.one, exclusion.other)
            inner, outer = sorted(pair, key=self._extent)
            within = (
                known[outer].first_day <= known[inner].first_day
                and known[inner].last_day <= known[outer].last_day
            )
            if exclusion.continuity is Continuity.DUPLICATE or within:
                self.left_out[inner] = outer

    def _extent(self, key: int) -> tuple[timedelta, bool, tuple[object, ...]]:
        """The larger is the outer one; of equal ones the one that sorts last."""
        past = self.statements.known[key]
        return past.last_day - past.first_day, True, self._place(key)

    def _is_followed(self, pair: Sequence[int]) -> bool:
        kept = {self._kept(key) for key in pair}
        place = max(self.order.index(key) for key in kept)
        if place + 1 == len(self.order):
            return False
        return not self._gap(self.order[place], self.order[place + 1])

    def _gap(self, one: int, other: int) -> str:
        """Why something is missing between two; a statement within another has its number, too."""
        known = self.statements.known
        before, after = known[one], known[other]
        why = gap(before, after)
        if not why or before.closing.amount_minor != after.opening.amount_minor:
            return why
        pairs = ((a, b) for a in self._all_within(one) for b in self._all_within(other))
        return "" if any(not gap(known[a], known[b]) for a, b in pairs) else why

    def _all_within(self, key: int) -> list[int]:
        return [key, *(inner for inner in self.left_out if self._kept(inner) == key)]

    def _kept(self, key: int) -> int:
        while key in self.left_out:
            key = self.left_out[key]
        return key

    def _joined(self, keys: Sequence[int]) -> Iterator[int]:
        """In order; those of one day that have no numbers by their balances."""
        known = self.statements.known
        left = list(keys)
        closing: int | None = None
        while left:
            same = [key for key in left if known[key].order == known[left[0]].order]
            following = [key for key in same if known[key].opening.amount_minor == closing]
            # With nothing before it, the first is the one that no other of the day leads to.
            ends = {known[key].closing.amount_minor for key in same}
            first = [key for key in same if known[key].opening.amount_minor not in ends]
            chosen = (following or first or same)[0]
            left.remove(chosen)
            closing = known[chosen].closing.amount_minor
            yield chosen

    def _place(self, key: int) -> tuple[object, ...]:
        """Where a statement is, in whatever order they came."""
        past = self.statements.known[key]
        return *past.order, past.first_day, past.file_sha256, past.position


def _false_balances(statements: Statements) -> Iterator[Condition]:
    account = statements.account
    for refused in statements.refused:
        if refused.problem in FALSE_BALANCES:
            yield Condition(
                kind=BreakKind.STATEMENT_BALANCE,
                corridor=account.corridor,
                subject=f"{SUBJECTS}{account.name}, file {refused.sha256.hex()[:SHOWN_HEX]}",
                since=refused.time,
                says=f"a file of {account.name} was refused, {refused.problem} at {refused.place},"
                " and no other has come",
            )


def last_day(statements: Statements) -> date:
    """Until when statements are there; the day before the first one where there is none."""
    closed = [past.closing.date for past in statements.known.values()]
    return max([statements.account.from_day - _DAY, *closed])


def stale_times(account: BankAccount, last: date) -> tuple[datetime, datetime]:
    """When a statement has not come in time, and when not even in twice the time: the ends of the
    bank's days."""
    interval = account.interval_business_days
    due, overdue = (account.calendar.add(last, interval * times) for times in (1, 2))
    return midnight(due + _DAY), midnight(overdue + _DAY)


def _stale(statements: Statements, now: datetime) -> Iterator[Condition]:
    account, last = statements.account, last_day(statements)
    due, overdue = stale_times(account, last)
    if now >= due:
        yield Condition(
            kind=BreakKind.FEED_STALE,
            corridor=account.corridor,
            subject=f"{SUBJECTS}{account.name} after {last}",
            since=due,
            says=f"no statement of {account.name} has come for a day after {last}",
            overdue=overdue,
        )


def midnight(day: date) -> datetime:
    """The beginning of a day."""
    return datetime.combine(day, time(), UTC)


def _name(past: Past) -> str:
    """A statement, the same whenever it is named."""
    return f"{past.file_sha256.hex()[:SHOWN_HEX]}/{past.position}"
