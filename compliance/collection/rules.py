"""Which notice a merchant is due: pure, by what is wanted, what was told before, and `as_of`.

A merchant is told when something is wanted for the first time, 14, 7, 3 and 1 days before it has to
be handed in, and when something else is wanted than it was told. Everything told until nothing is
wanted any more is one chase. What was told says what is covered, so that a restart loses nothing
and repeats nothing: no state but the notices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from compliance.accounts.requirements import CURRENTLY_DUE, Requirement

DAY = timedelta(days=1)
# Days before the time to act by, at which a merchant is reminded.
STEPS = (14, 7, 3, 1)
# Deadlines nearer to each other than this are one: Stripe moving one by hours reminds nobody again.
SAME_DEADLINE = DAY
# After a notice that something else is wanted, the next one of its kind: who hands in one thing
# after another is not told of each.
CHANGE_REST = DAY
# Stripe does not say how often something may be tried. Who was refused so often is not asked for it
# again by machine: a person looks at it first, while there are attempts left.
MAX_REFUSALS = 3
# Other merchants' reviews change the time to act by, and a merchant may be blocked meanwhile.
LOOK_AGAIN = timedelta(hours=6)


class NoticeKind(StrEnum):
    """Why a notice is given; see NoticeKind in notice.proto."""

    FIRST = "FIRST"
    REMINDER = "REMINDER"
    CHANGED = "CHANGED"
    ATTEMPTS_LOW = "ATTEMPTS_LOW"
    ANSWERED = "ANSWERED"


TO_MERCHANT = (NoticeKind.FIRST, NoticeKind.REMINDER, NoticeKind.CHANGED)


@dataclass(frozen=True)
class Told:
    """A notice: what it asks for, with the length of a review that it goes by.

    `days` is the step of a reminder, else 0. Times are the earliest of all that is asked for.
    """

    kind: NoticeKind
    requirements: tuple[Requirement, ...]
    review_time: timedelta
    deadline_time: datetime | None
    act_by_time: datetime | None
    days: int
    record_time: datetime


@dataclass(frozen=True)
class Wish:
    """What Stripe wants of the merchant itself, and whether the merchant is asked for it."""

    asked: tuple[Requirement, ...]
    withheld: tuple[Requirement, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted."""
        return not self.asked and not self.withheld


def wish_of(requirements: Sequence[Requirement], refusals: Mapping[str, int]) -> Wish:
    """What is due, or announced to be; what is being verified is Stripe's turn.

    `refusals` says how often what was handed in for a field was refused.
    """
    wanted = [item for item in requirements if is_wanted(item)]
    return Wish(
        tuple(item for item in wanted if refusals.get(item.field, 0) < MAX_REFUSALS),
        tuple(item for item in wanted if refusals.get(item.field, 0) >= MAX_REFUSALS),
    )


def is_wanted(item: Requirement) -> bool:
    """Whether the merchant has to hand it in by a date, or at once."""
    return item.severity >= CURRENTLY_DUE or item.future


def takes_the_place_of(kind: NoticeKind) -> tuple[NoticeKind, ...]:
    """Whose e-mails are not sent any more: a newer notice to the same reader says all that is
    wanted, and the answer ends everything."""
    if kind is NoticeKind.ANSWERED:
        return tuple(NoticeKind)
    return TO_MERCHANT if kind in TO_MERCHANT else (kind,)


def step_of(left: timedelta) -> int | None:
    """The smallest step that is reached with so much time left; None while none is."""
    reached = [step for step in STEPS if left <= step * DAY]
    return min(reached) if reached else None


def notices(
    wish: Wish,
    history: Sequence[Told],
    review_time: timedelta,
    as_of: datetime,
    *,
    takes_part: bool = True,
) -> tuple[Told, ...]:
    """What is to be told now: at most one notice for the merchant and one for the operator.

    `history` is everything told of the account, in order. A merchant that does not take part (it
    is blocked or closed) is told nothing.
    """
    chase = _chase(history)
    if wish.is_empty:
        return (_told(NoticeKind.ANSWERED, (), review_time, as_of),) if chase else ()
    if not takes_part:
        return ()
    found: list[Told] = []
    if wish.asked and (told := _to_merchant(wish.asked, chase, review_time, as_of)):
        found.append(told)
    known = {
        item.field
        for told in chase
        if told.kind is NoticeKind.ATTEMPTS_LOW
        for item in told.requirements
    }
    if any(item.field not in known for item in wish.withheld):
        found.append(_told(NoticeKind.ATTEMPTS_LOW, wish.withheld, review_time, as_of))
    return tuple(found)


def next_look(
    wish: Wish, history: Sequence[Told], review_time: timedelta, as_of: datetime
) -> datetime | None:
    """When something may be due to be told next though nothing changes; None if never."""
    if wish.is_empty:
        return None
    moments = [as_of + LOOK_AGAIN]
    for item in wish.asked:
        if item.deadline_time is not None:
            act_by = item.deadline_time - review_time
            moments += [act_by - step * DAY for step in STEPS]
    moments += [
        told.record_time + CHANGE_REST
        for told in _chase(history)
        if told.kind is NoticeKind.CHANGED
    ]
    return min(moment for moment in moments if moment > as_of)


def _chase(history: Sequence[Told]) -> Sequence[Told]:
    """What was told since nothing was wanted."""
    ends = [at for at, told in enumerate(history, 1) if told.kind is NoticeKind.ANSWERED]
    return history[max(ends, default=0) :]


def _to_merchant(
    asked: tuple[Requirement, ...],
    chase: Sequence[Told],
    review_time: timedelta,
    as_of: datetime,
) -> Told | None:
    told = [item for item in chase if item.kind in TO_MERCHANT]
    if not told:
        return _told(NoticeKind.FIRST, asked, review_time, as_of)
    steps = [
        step
        for deadline in {item.deadline_time for item in asked}
        if deadline is not None
        and (step := step_of(deadline - review_time - as_of)) is not None
        and step < _covered(deadline, told)
    ]
    if steps:
        return _told(NoticeKind.REMINDER, asked, review_time, as_of, days=min(steps))
    if {item.field for item in asked} == {item.field for item in told[-1].requirements}:
        return None
    changes = [item.record_time for item in told if item.kind is NoticeKind.CHANGED]
    if changes and as_of < changes[-1] + CHANGE_REST:
        return None
    return _told(NoticeKind.CHANGED, asked, review_time, as_of)


def _covered(deadline: datetime, told: Sequence[Told]) -> int:
    """The smallest step of this deadline that a notice has told of, whatever its kind."""
    steps = [
        step_of(item.deadline_time - notice.review_time - notice.record_time)
        for notice in told
        for item in notice.requirements
        if item.deadline_time is not None and abs(item.deadline_time - deadline) < SAME_DEADLINE
    ]
    return min((step for step in steps if step is not None), default=STEPS[0] + 1)


def _told(
    kind: NoticeKind,
    requirements: tuple[Requirement, ...],
    review_time: timedelta,
    as_of: datetime,
    days: int = 0,
) -> Told:
    deadlines = [item.deadline_time for item in requirements if item.deadline_time is not None]
    deadline = min(deadlines, default=None)
    return Told(
        kind=kind,
        requirements=requirements,
        review_time=review_time,
        deadline_time=deadline,
        act_by_time=None if deadline is None else deadline - review_time,
        days=days,
        record_time=as_of,
    )
