"""Work on large requests, which is done beside the event loop, so that small ones do not wait for
it: threads take turns of some milliseconds, whereas a coroutine keeps its own for as long as it
likes."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

# Above this a request is large: it is decoded and worked on beside the event loop, and counts
# against the budget of runtime.intake.
LARGE_REQUEST_BYTES = 256 * 1024

# How long a thread keeps the interpreter while another wants it. Small calls hand it over some ten
# times each, and Python's own 5 ms would be 50 for each of them.
SWITCH_SECONDS = 0.001

Result = TypeVar("Result")

# One for the process: a second one would only take the interpreter from the first, and memory.
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large requests")

_is_large: ContextVar[bool] = ContextVar("large_request", default=False)


def this_request_is_large() -> None:
    """Says so to what is done for the call that is being served."""
    _is_large.set(True)


def share_the_interpreter() -> None:
    """Called once, at the start of a process that serves."""
    sys.setswitchinterval(SWITCH_SECONDS)


async def beside(
    work: Callable[..., Result], *arguments: object, size: int | None = None
) -> Result:
    """What some work gives that touches nothing of the event loop's: in a thread if the call's
    request is large, or what is worked on has so large a `size` in bytes; else at once."""
    if _is_large.get() if size is None else size > LARGE_REQUEST_BYTES:
        return await asyncio.get_running_loop().run_in_executor(_thread, work, *arguments)
    return work(*arguments)
