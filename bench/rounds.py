"""Rounds that alternate between what is compared, because the machine drifts; medians count.

Requests are made before the clock starts and answers are looked at after it has stopped, so that
what is measured is the server and not the one who asks.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from bench.cpu import MICROSECONDS, CpuSeconds, Meter, spent_between

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Round(NamedTuple):
    """What one round did: how many items, in which time, at whose expense."""

    items: int
    seconds: float
    cpu: CpuSeconds

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.items / self.seconds


@dataclass
class Measured:
    """The rounds of one side of a comparison."""

    rounds: list[Round] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Items per second: the median over the rounds."""
        return statistics.median(taken.rate for taken in self.rounds)

    @property
    def items(self) -> int:
        """How many items in all rounds."""
        return sum(taken.items for taken in self.rounds)

    @property
    def cpu_us(self) -> dict[str, float]:
        """Microseconds of processor time per item, as `cpu_us_service` and so on."""
        names = self.rounds[0].cpu
        return {
            f"cpu_us_{name}": round(
                sum(taken.cpu[name] for taken in self.rounds) / self.items * MICROSECONDS, 1
            )
            for name in names
        }


async def alternate(rounds: int, *sides: Callable[[], Awaitable[Round]]) -> list[Measured]:
    """So many rounds of each side in turn, after one of each that does not count."""
    measured = [Measured() for _ in sides]
    for number in range(rounds + 1):
        for side, result in zip(sides, measured, strict=True):
            # What is left of the round before is not collected at the expense of this one.
            gc.collect()
            taken = await side()
            if number:
                result.rounds.append(taken)
    return measured


async def send(
    call: Callable[[Request], Awaitable[Answer]],
    requests: Sequence[Request],
    *,
    callers: int,
    meter: Meter,
    items_per_request: int = 1,
) -> tuple[Round, list[Answer]]:
    """Callers that each send their next request when one is answered, until all are.

    The first call that fails ends the round with its error.
    """
    left = iter(requests)
    answers: list[Answer] = []

    async def caller() -> None:
        answers.extend([await call(request) for request in left])

    cpu = meter()
    started = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    seconds = time.perf_counter() - started
    spent = spent_between(cpu, meter())
    return Round(len(requests) * items_per_request, seconds, spent), answers


def compared(
    name: str, unit: str, value: Measured, limit: Measured, limit_name: str, **more: Any
) -> dict[str, Any]:
    """A benchmark's line of two sides: the rate, the limit's, and the share of it."""
    return {
        "name": name,
        "value": round(value.rate, 1),
        "unit": unit,
        "limit": round(limit.rate, 1),
        "limit_name": limit_name,
        "ratio": round(value.rate / limit.rate, 3),
        **more,
        "rounds": len(value.rounds),
        "items": value.items,
        **value.cpu_us,
        **{f"limit_{key}": figure for key, figure in limit.cpu_us.items()},
    }
