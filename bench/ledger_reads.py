"""How the reads at scale are measured: one kind of call on the history, against a stated bound.

Callers each make their next call when one is answered; every answer is looked at after the clock
has stopped. The figure is the 99th percentile through gRPC, in a process beside the service's.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bench.benchmark import Target, with_target
from bench.cpu import MICROSECONDS, spent_between
from bench.ledger_history import history_size, ledger_with_history
from bench.ledger_parts import ACCOUNTS, Line, RunningLedger
from bench.ledger_requests import SEED

Answer = TypeVar("Answer")
WARM_UP_CALLS = 200
CALLS = 2_000
# One read after another: it is the latency of a read that is promised, and a second caller on two
# cores would measure how they queue.
CALLERS = 1
MILLISECONDS = 1_000


async def measured(
    name: str,
    ask: Callable[[RunningLedger, random.Random], Any],
    check: Callable[[Any], bool],
    *,
    limit_ms: float,
    calls: int = CALLS,
) -> Line:
    """The benchmark's line: p99 in milliseconds, and its ratio to the bound.

    `ask` makes the call of one request; a wrong answer raises `RuntimeError`.
    """
    async with ledger_with_history() as ledger:
        numbers = random.Random(SEED)
        await _timed(ledger, numbers, ask, WARM_UP_CALLS)
        before = ledger.meter()
        timed = await _timed(ledger, numbers, ask, calls)
        spent = spent_between(before, ledger.meter())
    if not all(check(answer) for _, answer in timed):
        raise RuntimeError(f"{name}: a wrong answer")
    taken = sorted(seconds * MILLISECONDS for seconds, _ in timed)
    p99 = taken[len(taken) * 99 // 100]
    line = {
        "name": name,
        "value": round(p99, 2),
        "unit": "ms (p99)",
        "limit": limit_ms,
        "limit_name": "stated bound",
        "ratio": round(p99 / limit_ms, 3),
        "p50_ms": round(taken[len(taken) // 2], 2),
        "max_ms": round(taken[-1], 2),
        "calls": calls,
        "callers": CALLERS,
        "history": history_size(),
        **{
            f"cpu_us_{name}": round(seconds / calls * MICROSECONDS, 1)
            for name, seconds in spent.items()
        },
    }
    return with_target(line, Target("ratio", "<=", 1.0))


async def _timed(
    ledger: RunningLedger,
    numbers: random.Random,
    ask: Callable[[RunningLedger, random.Random], Any],
    calls: int,
) -> list[tuple[float, Any]]:
    """Seconds and answer of each call."""
    timed: list[tuple[float, Any]] = []
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            call = ask(ledger, numbers)
            started = time.perf_counter()
            answer = await call
            timed.append((time.perf_counter() - started, answer))

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return timed


def zipf_account(numbers: random.Random) -> int:
    """An account as transactions choose it: the k-th with a likelihood in proportion to 1 / k."""
    return int(ACCOUNTS ** numbers.random()) - 1


def any_sequence(numbers: random.Random) -> int:
    """A sequence of the history, each as likely as the others."""
    return numbers.randint(1, history_size())
