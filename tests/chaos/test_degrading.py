"""A corridor degrades from minute to minute, and is well again whatever ends it."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandbox.stripe_twin.courses import Course
from tests.chaos import degrading
from tests.chaos.degrading import course_of, degrade
from tests.chaos.drawing import DEGRADATIONS, DEGRADED_MINUTES
from tests.chaos.healing import MINUTE, Time
from tests.chaos.plan import Trouble
from tests.chaos.progress import Progress

BAD = {
    "errors": lambda point: point.errors,
    "limits": lambda point: point.rate_limited,
    "slow": lambda point: point.latency_p50_ms,
    "everything": lambda point: point.errors + point.rate_limited + point.timeouts,
}


def trouble(how: str = "errors", minutes: int = DEGRADED_MINUTES) -> Trouble:
    detail = {"corridor": "backup", "how": how, "share": 0.8, "minutes": minutes, "seed": 1}
    return Trouble(10, 46, 60_000, "degradation", detail)


class _Twin:
    """Notes what an account is to do."""

    def __init__(self) -> None:
        self.courses: dict[str, Course] = {}
        self.cleared: list[str] = []

    async def set_course(self, account: str, course: Course) -> None:
        self.courses[account] = course

    async def clear_course(self, account: str) -> None:
        self.cleared.append(account)


class _Time:
    """Notes how time goes on, and may break."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.twin = _Twin()
        self.steps: list[timedelta] = []
        self._breaks_after = breaks_after

    async def go_on(self, step: timedelta) -> None:
        if len(self.steps) == self._breaks_after:
            raise ConnectionError
        self.steps.append(step)


def test_every_way_is_drawn() -> None:
    assert BAD.keys() == DEGRADATIONS.keys()


@pytest.mark.parametrize("how", BAD)
def test_it_gets_worse_until_half_of_it_is_over(how: str) -> None:
    points = course_of(trouble(how).detail).points
    assert [point.at_seconds for point in points] == [60.0 * n for n in range(DEGRADED_MINUTES)]
    badness = [BAD[how](point) for point in points]
    assert badness[0] > 0
    middle = DEGRADED_MINUTES // 2 - 1
    assert badness[: middle + 1] == sorted(set(badness))
    assert set(badness[middle:]) == {max(badness)}


@pytest.mark.parametrize("breaks_after", [None, 2])
async def test_minutes_pass_with_payments_and_then_it_is_over(
    breaks_after: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(degrading, "MIN_SECONDS_A_MINUTE", 0.0)
    time, waited = _Time(breaks_after), []

    async def until(payment: int, longest: timedelta) -> None:
        waited.append((payment, longest))

    playing: Any = degrade(trouble(), cast("Time[Any]", time), Progress(), until)
    if breaks_after is None:
        await playing
        assert waited == [(payment, timedelta(seconds=10)) for payment in range(16, 47, 6)]
        assert time.steps == [MINUTE] * DEGRADED_MINUTES
    else:
        with pytest.raises(ConnectionError):
            await playing
    assert list(time.twin.courses) == time.twin.cleared == ["backup"]


async def test_no_minute_passes_when_all_payments_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(degrading, "MIN_SECONDS_A_MINUTE", 0.0)
    time, over = _Time(), SimpleNamespace(over=True)

    async def until(_payment: int, _longest: timedelta) -> None:
        return

    await degrade(trouble(), cast("Time[Any]", time), cast("Progress", over), until)
    assert time.steps == []
    assert time.twin.cleared == ["backup"]
