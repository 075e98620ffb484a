"""What is promised of foresight (docs/foresight.md), as rules over evidence.

All that it does follows from the minutes that it has seen, which are kept: they are gone through
again here, by the pure rules of `gateway/foresight`, and have to come to the same alarms and to the
same treatment of corridors. What routing took off a corridor must be what foresight asked for then.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from gateway.foresight.actions import NEUTRAL, Bounds, Posture
from gateway.foresight.alarm import AlarmTerms
from gateway.foresight.model import built_in_model
from gateway.foresight.objective import Objective
from gateway.foresight.signals import Minute
from gateway.foresight.standing import Standing, Terms, step
from tests.chaos.drawing import MAX_JUMP_MS
from tests.chaos.evidence import AlarmRecord, OutcomeLookup, StandingRecord
from tests.chaos.plan import LATENCY_MS, WEBHOOK_LAG_SECONDS
from tests.chaos.verdict import Rule, Violation

# How a corridor is treated holds for so long after the minute that says so.
HOLD = timedelta(minutes=3)
# One process may be ahead and another behind, and a clock may be set between two looks at it.
TOLERANCE = 2 * timedelta(milliseconds=MAX_JUMP_MS) + timedelta(seconds=30)
# In which order states of an incident may be told.
ORDER = {"FORESEEN": 0, "BROKEN": 1, "ENDED": 2, "PASSED": 2, "ABANDONED": 2}
OVER = frozenset({"ENDED", "PASSED"})
STANDING = frozenset({"FORESEEN", "BROKEN"})


@dataclass(frozen=True)
class Course:
    """How a corridor went: its alarms, how it was treated in each minute, and how it stands."""

    alarms: tuple[AlarmRecord, ...]
    postures: tuple[tuple[int, Posture], ...]
    standing: StandingRecord


@cache
def terms() -> Terms:
    """By what the engine of a run foresees: its settings, and else what is built in."""
    return Terms(
        objective=Objective(latency_p95_ms=LATENCY_MS, webhook_lag_s=WEBHOOK_LAG_SECONDS),
        model=built_in_model(),
        alarm=AlarmTerms(),
        bounds=Bounds(),
        learning_minutes=0,
    )


def course_of(corridor: str, minutes: Sequence[Minute]) -> Course:
    """What follows from these minutes."""
    standing = Standing()
    alarms: dict[int, AlarmRecord] = {}
    postures = []
    for seen in minutes:
        standing, _, _ = step(standing, seen, terms())
        postures.append((seen.minute, standing.posture))
        if (found := standing.incident) is not None:
            alarms[found.raise_minute] = AlarmRecord(
                corridor,
                found.raise_minute,
                found.state.value,
                found.acted,
                found.breach_minute,
                found.end_minute,
            )
    treated = standing.posture
    return Course(
        tuple(alarms.values()),
        tuple(postures),
        StandingRecord(
            corridor,
            minutes[-1].minute if minutes else 0,
            standing.alarm.since,
            treated.discount,
            treated.concurrency,
            treated.incident,
        ),
    )


def alarms(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Each alarm is what was seen asks for, and is open or over, as its corridor is treated."""
    intelligence = evidence.intelligence
    written: dict[str, list[AlarmRecord]] = defaultdict(list)
    for alarm in intelligence.alarms:
        written[alarm.corridor].append(alarm)
    for standing in intelligence.standings:
        corridor = standing.corridor
        found = sorted(written.pop(corridor, ()), key=lambda alarm: alarm.raise_minute)
        course = course_of(corridor, intelligence.minutes.get(corridor, ()))
        if tuple(found) != course.alarms:
            why = f"alarms {found}, by what was seen {list(course.alarms)}"
            yield Violation("alarm", corridor, why)
        # Minutes in which nobody could be understood are read and not looked at.
        expected = course.standing
        if _treated(standing) != _treated(expected):
            why = f"treated as {_treated(standing)}, by what was seen {_treated(expected)}"
            yield Violation("alarm", corridor, why)
        yield from _disordered(standing, found)
        if evidence.past_horizon and _treated(standing) != (None, 0.0, 1.0, False):
            why = f"all is calm, and it is treated as {_treated(standing)}"
            yield Violation("alarm", corridor, why)
    for corridor in written:
        yield Violation("alarm", corridor, "has alarms, and nobody looks at it")


def _treated(standing: StandingRecord) -> tuple[int | None, float, float, bool]:
    return (
        standing.alarm_minute,
        standing.discount,
        standing.concurrency,
        standing.has_incident,
    )


def _disordered(standing: StandingRecord, found: Sequence[AlarmRecord]) -> Iterator[Violation]:
    """Alarms that overlap, or do not stand as their corridor says."""
    last_end = 0
    for alarm in found:
        if alarm.raise_minute < last_end:
            why = f"raised in {alarm.raise_minute}, when another one stood"
            yield Violation("alarm", standing.corridor, why)
        if (alarm.end_minute is not None) != (alarm.state in OVER):
            why = f"is {alarm.state}, ended in {alarm.end_minute}"
            yield Violation("alarm", standing.corridor, why)
        last_end = alarm.end_minute if alarm.end_minute is not None else standing.minute + 1
    stands = [alarm.raise_minute for alarm in found if alarm.end_minute is None]
    if stands != [minute for minute in (standing.alarm_minute,) if minute is not None]:
        why = f"alarms of {stands} stand, the corridor says {standing.alarm_minute}"
        yield Violation("alarm", standing.corridor, why)


def incidents(evidence: OutcomeLookup) -> Iterator[Violation]:
    """The feed of incidents has no holes, and tells of each alarm up to its last state: perhaps
    more than once while it stands, and never again when it is over."""
    told: dict[tuple[str, int], str] = {}
    for place, change in enumerate(evidence.intelligence.incidents, start=1):
        name = f"{change.corridor} {change.raise_minute}"
        if change.sequence != place:
            yield Violation("incident", name, f"{change.sequence} is at place {place}")
            return
        before = told.get((change.corridor, change.raise_minute))
        if before is not None and (before not in STANDING or ORDER[before] > ORDER[change.state]):
            yield Violation("incident", name, f"{change.state} was told after {before}")
        told[change.corridor, change.raise_minute] = change.state
    written = {(a.corridor, a.raise_minute): a.state for a in evidence.intelligence.alarms}
    for corridor, minute in sorted(told.keys() | written.keys()):
        last, state = told.get((corridor, minute)), written.get((corridor, minute))
        if last != state:
            yield Violation("incident", f"{corridor} {minute}", f"told as {last}, but is {state}")


def discounts(evidence: OutcomeLookup) -> Iterator[Violation]:
    """What a decision took off a corridor was asked for by what was foreseen, and not before or
    long after."""
    intelligence = evidence.intelligence
    said: Mapping[str, Sequence[tuple[int, Posture]]] = {
        corridor: course_of(corridor, minutes).postures
        for corridor, minutes in intelligence.minutes.items()
    }
    for decided in intelligence.decided:
        for each in decided.believed:
            if each.discount == NEUTRAL.discount or evidence.may_be_lost(decided.decide_time):
                # Processes go on for some seconds with what was said in a history that is lost.
                continue
            if not any(
                posture.discount == each.discount and _holds(minute, decided.decide_time)
                for minute, posture in said.get(each.corridor, ())
            ):
                why = (
                    f"{each.discount} was taken off {each.corridor}, for which nothing was foreseen"
                )
                yield Violation("alarm", decided.payment_id, why)


def _holds(minute: int, at: datetime) -> bool:
    over = datetime.fromtimestamp((minute + 1) * 60, UTC)
    return over - TOLERANCE <= at < over + HOLD + TOLERANCE


RULES: tuple[Rule, ...] = (alarms, incidents, discounts)
