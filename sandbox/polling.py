"""Waiting for what other processes do and do not announce."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

INTERVAL_SECONDS = 0.05
DEFAULT_SECONDS = 60.0

Read = TypeVar("Read")


async def poll(
    read: Callable[[], Awaitable[Read]],
    condition: Callable[[Read], bool],
    seconds: float = DEFAULT_SECONDS,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
) -> Read:
    """Reads until the condition holds and gives what was read then.

    Raises `TimeoutError` after `seconds`, with what was read last.
    """
    found = await read()
    try:
        async with asyncio.timeout(seconds):
            while True:  # Bounded by the timeout.
                if condition(found):
                    return found
                await asyncio.sleep(interval_seconds)
                found = await read()
    except TimeoutError as error:
        raise TimeoutError(f"still so after {seconds} s: {found}") from error
