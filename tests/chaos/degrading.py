"""A corridor that degrades, minute by minute: what routing and foresight are there for.

It gets worse until half of its minutes have passed, and stays so until the trouble ends. A minute
passes at once, for everybody, so that foresight has minutes to look at while payments are made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from sandbox.stripe_twin.courses import Course, Point
from tests.chaos.healing import MINUTE, Time
from tests.chaos.plan import Trouble
from tests.chaos.progress import Progress

# Answers that take so long are late but mostly come: the gateways wait for two seconds.
SLOW_MS, SLOWER_MS = 900.0, 1_800.0
# Longer than the gateways wait.
HANG_SECONDS = 3.0
# Of a corridor with which everything is wrong, the parts of the share that fails.
PARTS_OF_EVERYTHING = {"errors": 0.5, "rate_limited": 0.3, "timeouts": 0.2}
# No minute passes sooner: processes look at each several times, and the leader reads it.
MIN_SECONDS_A_MINUTE = 1.2


def course_of(detail: Mapping[str, Any]) -> Course:
    """How the account does."""
    minutes = detail["minutes"]
    return Course(
        seed=detail["seed"],
        hang_seconds=HANG_SECONDS,
        points=[
            _point(detail["how"], detail["share"], minute, min(1.0, 2 * (minute + 1) / minutes))
            for minute in range(minutes)
        ],
    )


def _point(how: str, share: float, minute: int, of_worst: float) -> Point:
    at_seconds = MINUTE.total_seconds() * minute
    match how:
        case "errors":
            return Point(at_seconds=at_seconds, errors=share * of_worst)
        case "limits":
            return Point(at_seconds=at_seconds, rate_limited=share * of_worst)
        case "slow":
            return Point(
                at_seconds=at_seconds,
                latency_p50_ms=SLOW_MS * of_worst,
                latency_p95_ms=SLOWER_MS * of_worst,
            )
        case _:
            failing = {name: part * share for name, part in PARTS_OF_EVERYTHING.items()}
            return Point(
                at_seconds=at_seconds,
                latency_p50_ms=SLOW_MS / 4 * of_worst,
                latency_p95_ms=SLOWER_MS / 4 * of_worst,
                **{name: part * of_worst for name, part in failing.items()},
            )


async def degrade(
    trouble: Trouble,
    time: Time[Any],
    progress: Progress,
    until: Callable[[int, timedelta], Awaitable[None]],
) -> None:
    """Plays it; `until` waits until a payment begins, for so long at most."""
    corridor, minutes = trouble.detail["corridor"], trouble.detail["minutes"]
    await time.twin.set_course(corridor, course_of(trouble.detail))
    try:
        longest = timedelta(milliseconds=trouble.longest_ms) / minutes
        span = trouble.until_payment - trouble.at_payment
        for minute in range(1, minutes + 1):
            await asyncio.sleep(MIN_SECONDS_A_MINUTE)
            await until(trouble.at_payment + span * minute // minutes, longest)
            if progress.over:
                break
            await time.go_on(MINUTE)
    finally:
        await time.twin.clear_course(corridor)
