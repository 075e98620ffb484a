"""Alarms against a model that looks at the whole past, and their terms at the edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.foresight.alarm import MOST_COUNTED, Alarm, AlarmTerms, Change, watch
from gateway.foresight.forecast import Forecast
from gateway.foresight.objective import Part

TERMS = AlarmTerms(
    raise_at=0.4,
    clear_at=0.2,
    confirm_minutes=2,
    stirring_minutes=4,
    within_minutes=6,
    quiet_minutes=3,
)


def forecast(
    minute: int, chance: float, *, broken: bool = False, stepped: bool = False, stayed: bool = False
) -> Forecast:
    part = Part.LATENCY
    return Forecast(
        minute,
        probabilities=(chance / 2, chance, chance),
        minutes_to_breach=None,
        broken=(part,) if broken else (),
        part=part if chance else None,
        evidence=(),
        steps=(part,) if stepped else (),
        stayed=(part,) if stayed else (),
    )


def stood(chances: list[float]) -> list[bool]:
    """Minute by minute, by looking back over everything: an independent model."""
    found: list[bool] = []
    since = 0
    for at in range(len(chances)):
        if found and found[-1]:
            quiet = at - since >= 3 and all(chance < 0.2 for chance in chances[at - 2 : at + 1])
            found.append(not quiet)
            since = at + 1 if quiet else since
        else:
            recent = chances[max(since, at - 5) : at + 1]
            likely = chances[at] >= 0.4 and sum(chance >= 0.4 for chance in recent) >= 2
            raised = likely and sum(chance > 0 for chance in recent) >= 4
            found.append(raised)
            since = at if raised else since
    return found


@given(st.lists(st.sampled_from([0.0, 0.19, 0.2, 0.3, 0.39, 0.4, 0.9]), max_size=40))
def test_alarms_follow_the_terms(chances: list[float]) -> None:
    alarm, found = Alarm(), []
    for at, chance in enumerate(chances):
        before = alarm.stands
        alarm, change = watch(alarm, forecast(at, chance), TERMS)
        found.append(alarm.stands)
        assert (change is Change.RAISED) == (alarm.stands and not before)
        assert (change is Change.CLEARED) == (before and not alarm.stands)
    assert found == stood(chances)


def test_a_breach_raises_at_once() -> None:
    alarm, change = watch(Alarm(), forecast(7, 0.0, broken=True), TERMS)
    assert (alarm.since, change) == (7, Change.RAISED)


def raised_at(course: list[Forecast]) -> int | None:
    alarm = Alarm()
    for told in course:
        alarm, _ = watch(alarm, told, TERMS)
    return alarm.since


def test_a_step_raises_one_a_minute_after_it_was_found_if_it_stays() -> None:
    step = [forecast(0, 0.1), forecast(1, 0.3), forecast(2, 0.5, stepped=True)]
    assert raised_at(step) is None
    assert raised_at([*step, forecast(3, 0.3, stayed=True)]) == 3
    assert raised_at([*step, forecast(3, 0.3)]) is None


def test_teeth_that_return_need_not_begin_anew() -> None:
    tooth = [0.1, 0.5, 0.0, 0.0]
    assert raised_at([forecast(at, chance) for at, chance in enumerate(tooth * 2)]) == 5
    apart = tooth + [0.0] * 2 + tooth
    assert raised_at([forecast(at, chance) for at, chance in enumerate(apart)]) is None


@pytest.mark.parametrize(
    "told",
    [
        {"raise_at": 1.0},
        {"raise_at": 0.07},
        {"clear_at": 0.0},
        {"clear_at": 0.21},
        {"confirm_minutes": 0},
        {"confirm_minutes": 13},
        {"stirring_minutes": 0},
        {"stirring_minutes": 13},
        {"within_minutes": 3},
        {"within_minutes": 61},
        {"quiet_minutes": 0},
        {"quiet_minutes": 61},
    ],
)
def test_terms_that_make_no_sense_are_refused(told: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AlarmTerms(**told)  # type: ignore[arg-type]


def test_terms_at_their_edges_are_taken() -> None:
    terms = AlarmTerms(
        raise_at=0.2,
        clear_at=0.2,
        confirm_minutes=1,
        stirring_minutes=60,
        within_minutes=60,
        quiet_minutes=60,
    )
    assert terms.stirring_minutes == terms.within_minutes == terms.quiet_minutes == MOST_COUNTED
