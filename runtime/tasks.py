"""Stopping tasks for certain.

`asyncio.wait_for` before Python 3.12 loses a cancellation that comes in the moment its awaitable
is done (https://github.com/python/cpython/issues/86296), and psycopg waits with it. A task that is
cancelled once may therefore go on, and who awaits it would wait for ever.
"""

import asyncio
from typing import Any

CANCEL_AGAIN_SECONDS = 0.5


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancels the tasks until each has ended. How they ended is not looked at."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
