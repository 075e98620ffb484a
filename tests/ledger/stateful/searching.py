"""Hypothesis looks for a history that fails, over a service that runs in this process's loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.ledger.stateful.steps import STEPS, Step

STEPS_OF_HISTORY = 50
# What is left out or made simpler after a failure takes as long to play as the first history.
MAX_SHRINKING_SECONDS = 30.0

HISTORIES = st.lists(STEPS, min_size=STEPS_OF_HISTORY, max_size=STEPS_OF_HISTORY)
PlayHistory = Callable[[Sequence[Step]], Awaitable[None]]


async def search(play: PlayHistory, number: int, histories: int) -> None:
    """Plays so many random histories, which the number determines; raises the simplest failure.

    Hypothesis waits for each history, so it runs in a thread of its own and this loop plays.
    """
    loop = asyncio.get_running_loop()
    failed: set[tuple[Step, ...]] = set()
    first_failure = 0.0

    @seed(number)
    @settings(
        max_examples=histories,
        derandomize=False,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(HISTORIES)
    def play_one(history: list[Step]) -> None:
        nonlocal first_failure
        is_late = failed and time.monotonic() > first_failure + MAX_SHRINKING_SECONDS
        if is_late and tuple(history) not in failed:
            return
        try:
            asyncio.run_coroutine_threadsafe(_played(play, history), loop).result()
        except BaseException:
            first_failure = first_failure or time.monotonic()
            failed.add(tuple(history))
            raise

    await asyncio.to_thread(play_one)


async def _played(play: PlayHistory, history: Sequence[Step]) -> None:
    await play(history)
