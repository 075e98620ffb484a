"""What a merchant is told and when: the rules against every history that the state allows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.accounts.link_collection import Collection, minimal_collection
from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    EVENTUALLY_DUE,
    PAST_DUE,
    PENDING_VERIFICATION,
    Requirement,
)
from compliance.collection.rules import (
    CHANGE_REST,
    DAY,
    LOOK_AGAIN,
    MAX_REFUSALS,
    SAME_DEADLINE,
    STEPS,
    TO_MERCHANT,
    NoticeKind,
    Told,
    next_look,
    notices,
    step_of,
    wish_of,
)

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REVIEW = timedelta(days=3)
TICK = timedelta(microseconds=1)


def wanted(
    field: str = "company.tax_id",
    days: float | None = 30,
    severity: int = CURRENTLY_DUE,
    *,
    future: bool = False,
) -> Requirement:
    """Due so many days after the start."""
    deadline = None if days is None else START + days * DAY
    return Requirement(field, severity, deadline, (), (), future, (), hosted_only=False)


class Chase:
    """An account that is looked at as time goes by."""

    def __init__(self) -> None:
        self.now = START
        self.history: list[Told] = []
        self.refusals: dict[str, int] = {}

    def look(
        self, *requirements: Requirement, review: timedelta = REVIEW, takes_part: bool = True
    ) -> list[str]:
        """What is told, as KIND or KIND-DAYS."""
        wish = wish_of(requirements, self.refusals)
        told = notices(wish, self.history, review, self.now, takes_part=takes_part)
        self.history += told
        return [f"{n.kind.value}-{n.days}" if n.days else n.kind.value for n in told]


def test_a_chase_from_first_sight_to_the_answer() -> None:
    chase = Chase()
    item = wanted(days=30)
    assert chase.look(item) == ["FIRST"]
    assert chase.look(item) == []
    for step in STEPS:
        # To be handed in on day 27, a review's time before Stripe's deadline.
        moment = START + (27 - step) * DAY
        chase.now = moment - TICK
        assert chase.look(item) == []
        wish = wish_of([item], {})
        assert next_look(wish, chase.history, REVIEW, chase.now) == moment
        chase.now = moment
        assert chase.look(item) == [f"REMINDER-{step}"]
        assert chase.history[-1].act_by_time == START + 27 * DAY
        assert chase.look(item) == []
    chase.now = START + 40 * DAY
    assert chase.look(wanted(days=30, severity=PAST_DUE)) == []
    # Handed in: it is Stripe's turn. Refused: a chase anew.
    assert chase.look(wanted(severity=PENDING_VERIFICATION)) == ["ANSWERED"]
    assert chase.look(wanted(severity=PENDING_VERIFICATION)) == []
    assert chase.look(wanted(severity=PAST_DUE)) == ["FIRST"]


def test_first_sight_covers_the_steps_that_have_passed() -> None:
    chase = Chase()
    assert chase.look(wanted(days=3 + 5)) == ["FIRST"]
    chase.now += 2 * DAY - TICK
    assert chase.look(wanted(days=3 + 5)) == []
    chase.now += TICK
    assert chase.look(wanted(days=3 + 5)) == ["REMINDER-3"]


def test_what_was_missed_is_told_once_and_late() -> None:
    chase = Chase()
    assert chase.look(wanted(days=33)) == ["FIRST"]
    # Nobody looked for three weeks and a half: 14 and 7 days have passed.
    chase.now = START + 27.5 * DAY
    assert chase.look(wanted(days=33)) == ["REMINDER-3"]
    chase.now = START + 31 * DAY
    assert chase.look(wanted(days=33)) == ["REMINDER-1"], "the time to act has passed"
    assert chase.look(wanted(days=33)) == []


def test_a_deadline_that_moves() -> None:
    chase = Chase()
    assert chase.look(wanted(days=17)) == ["FIRST"]
    # By hours it is the same one, by a day it is another.
    assert chase.look(wanted(days=16.5)) == []
    chase.now += 7 * DAY
    assert chase.look(wanted(days=17)) == ["REMINDER-7"]
    moved = wanted(days=31)
    assert chase.look(moved) == []
    chase.now = START + 14 * DAY
    assert chase.look(moved) == ["REMINDER-14"]
    # Sooner than it was: what is left counts, at once.
    assert chase.look(wanted(days=19)) == ["REMINDER-3"]
    # There and back again.
    assert chase.look(moved) == []
    assert chase.look(wanted(days=19)) == []


def test_a_later_deadline_beside_one_that_has_passed() -> None:
    chase = Chase()
    late = wanted("company.name", -10, PAST_DUE)
    assert chase.look(late, wanted(days=33)) == ["FIRST"]
    chase.now = START + 16 * DAY
    assert chase.look(late, wanted(days=33)) == ["REMINDER-14"]


def test_a_set_that_changes_is_told_of_once_a_day() -> None:
    chase = Chase()
    one, two, three = (wanted(name, None) for name in ("one", "two", "three"))
    assert chase.look(one) == ["FIRST"]
    assert chase.look(one, two) == ["CHANGED"]
    assert chase.look(two, one) == []
    assert chase.look(one, two, three) == []
    chase.now += CHANGE_REST - TICK
    assert chase.look(two, three) == []
    wish = wish_of([two, three], {})
    assert next_look(wish, chase.history, REVIEW, chase.now) == chase.now + TICK
    chase.now += TICK
    assert chase.look(two, three) == ["CHANGED"]
    assert [item.field for item in chase.history[-1].requirements] == ["two", "three"]


def test_who_was_refused_too_often_is_left_to_a_person() -> None:
    chase = Chase()
    chase.refusals["company.tax_id"] = MAX_REFUSALS - 1
    assert chase.look(wanted()) == ["FIRST"]
    chase.refusals["company.tax_id"] = MAX_REFUSALS
    assert chase.look(wanted()) == ["ATTEMPTS_LOW"]
    chase.now += 26 * DAY
    assert chase.look(wanted()) == []
    # Something else is still asked for, and only that.
    assert chase.look(wanted(), wanted("company.name", None)) == ["CHANGED"]
    assert [item.field for item in chase.history[-1].requirements] == ["company.name"]
    assert chase.look() == ["ANSWERED"]


def test_who_does_not_take_part_is_told_nothing() -> None:
    chase = Chase()
    assert chase.look(wanted(), takes_part=False) == []
    assert chase.look(wanted()) == ["FIRST"]
    chase.now += 26 * DAY
    assert chase.look(wanted(), takes_part=False) == []
    assert chase.look(takes_part=False) == ["ANSWERED"]


@pytest.mark.parametrize(
    ("left", "step"),
    [
        (14 * DAY + TICK, None),
        (14 * DAY, 14),
        (7 * DAY + TICK, 14),
        (7 * DAY, 7),
        (3 * DAY, 3),
        (DAY + TICK, 3),
        (DAY, 1),
        (timedelta(0), 1),
        (-DAY, 1),
    ],
)
def test_a_step_is_reached_at_its_edge(left: timedelta, step: int | None) -> None:
    assert step_of(left) == step


def test_what_is_only_due_one_day_is_not_asked_for() -> None:
    announced = wanted("announced", 30, EVENTUALLY_DUE, future=True)
    later = wanted("later", None, EVENTUALLY_DUE)
    pending = wanted("pending", 30, PENDING_VERIFICATION)
    wish = wish_of([announced, later, pending], {})
    assert [item.field for item in wish.asked] == ["announced"]
    assert next_look(wish_of([later], {}), [], REVIEW, START) is None
    assert next_look(wish_of([announced], {}), [], REVIEW, START) == START + LOOK_AGAIN


def test_a_page_asks_for_no_more_than_is_wanted() -> None:
    due, late = wanted("due"), wanted("late", -1, PAST_DUE)
    announced = wanted("announced", 30, EVENTUALLY_DUE, future=True)
    later = wanted("later", None, EVENTUALLY_DUE)
    pending = wanted("pending", 30, PENDING_VERIFICATION)
    for said, expected in (
        ((late, due, later, pending), (Collection.CURRENTLY_DUE, (late, due))),
        ((due, announced, later), (Collection.WITH_ANNOUNCED, (due, announced))),
        ((announced, later), (Collection.WITH_ANNOUNCED, (announced,))),
        ((pending, later), (Collection.EVENTUALLY_DUE, (later,))),
        ((pending,), None),
        ((), None),
    ):
        assert minimal_collection(said) == expected


FIELDS = ("one", "two", "three")
states = st.dictionaries(
    st.sampled_from(FIELDS),
    st.tuples(
        st.sampled_from([CURRENTLY_DUE, PAST_DUE, PENDING_VERIFICATION]),
        # Deadlines that move by hours, days and weeks, forth and back, and none.
        st.sampled_from([None, -2.0, 5.0, 5.4, 20.0, 20.9, 21.1, 34.0]),
    ),
    max_size=3,
)
looks = st.lists(
    st.tuples(
        st.integers(0, 24 * 12).map(lambda hours: timedelta(hours=hours)),
        states,
        st.sampled_from([REVIEW, timedelta(days=1), timedelta(days=6)]),
        st.booleans(),
    ),
    max_size=25,
)


@given(looks)
def test_no_reminder_twice_none_after_the_answer_none_lost(
    steps: list[tuple[timedelta, dict[str, tuple[int, float | None]], timedelta, bool]],
) -> None:
    chase = Chase()
    for pause, said, review, again in steps:
        chase.now += pause
        items = [wanted(field, days, severity) for field, (severity, days) in said.items()]
        before = len(chase.history)
        chase.look(*items, review=review)
        new = chase.history[before:]
        asked = [item for item in items if item.severity >= CURRENTLY_DUE]
        if not asked:
            # None after it is answered.
            assert [told.kind for told in new] in ([], [NoticeKind.ANSWERED])
        assert len(new) <= 1
        # A restart looks again and says nothing twice.
        assert not again or chase.look(*items, review=review) == []
        since = next(
            (
                at
                for at in range(len(chase.history), 0, -1)
                if chase.history[at - 1].kind is NoticeKind.ANSWERED
            ),
            0,
        )
        told = chase.history[since:]
        for item in asked:
            # None is lost: each step that is reached was told of, for this deadline.
            assert told, "at first sight"
            if item.deadline_time is None:
                continue
            reached = step_of(item.deadline_time - review - chase.now)
            covered = [
                step_of(other.deadline_time - notice.review_time - notice.record_time)
                for notice in told
                for other in notice.requirements
                if other.deadline_time is not None
                and abs(other.deadline_time - item.deadline_time) < SAME_DEADLINE
            ]
            assert reached is None or any(step is not None and step <= reached for step in covered)
    _none_twice(chase.history)


def _none_twice(history: list[Told]) -> None:
    """Of two reminders of a step in one chase, the later one is about a deadline that the one
    before had not told of so urgently."""
    chase: list[Told] = []
    for told in history:
        if told.kind is NoticeKind.ANSWERED:
            chase = []
            continue
        assert told.kind in TO_MERCHANT
        assert (told.kind is NoticeKind.FIRST) == (not chase), "a chase has one first notice"
        for before in chase:
            if told.kind is NoticeKind.REMINDER and before.days == told.days:
                assert _deadlines_at(told) - _deadlines_at(before)
        chase.append(told)
    for kind in (NoticeKind.CHANGED,):
        times = [told.record_time for told in chase if told.kind is kind]
        assert all(later - earlier >= CHANGE_REST for earlier, later in pairwise(times))


def _deadlines_at(told: Told) -> set[datetime]:
    """The deadlines that are at the reminder's step or nearer."""
    return {
        item.deadline_time
        for item in told.requirements
        if item.deadline_time is not None
        and (step_of(item.deadline_time - told.review_time - told.record_time) or 99) <= told.days
    }
