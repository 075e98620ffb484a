"""Follows a streaming call that never ends, as the rounds of a loop.

Where to go on is the follower's: it keeps its place with what it has made of the messages. A
service that was restored from a backup says with CURSOR_OUTDATED where its feed goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc

from runtime.errors import from_rpc_error
from runtime.loops import Rounds
from runtime.notifier import Notifier

FAILS_WITHIN_SECONDS = 1.0
CURSOR_OUTDATED = "CURSOR_OUTDATED"


async def rounds_of(
    feed: Any,
    handle: Callable[[Sequence[Any]], Awaitable[None]],
    notifier: Notifier,
    *,
    max_batch: int = 1,
    gather_seconds: float = 0.0,
) -> Rounds:
    """Has handled what a call tells: at most `max_batch` of what comes within `gather_seconds`
    together. Yields True after each batch, and False while there is nothing; `notifier` tells when
    there is again. Ends with what the call ends with, and cancels it.
    """
    read: asyncio.Task[Any] | None = None

    def read_on() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(feed.read())
        task.add_done_callback(lambda _: notifier.notify())
        return task

    try:
        while True:  # Until the feed ends or the loop closes it.
            read = read or read_on()
            # A feed that fails at once has not gone well before: it is asked for less and less.
            await asyncio.wait({read}, timeout=FAILS_WITHIN_SECONDS)
            while not read.done():
                yield False
            batch: list[Any] = []
            until = asyncio.get_running_loop().time() + gather_seconds
            while read is not None and read.done():
                response = read.result()
                if response is grpc.aio.EOF:
                    raise ConnectionError("the feed has ended")
                batch.append(response)
                read = read_on() if len(batch) < max_batch else None
                left = until - asyncio.get_running_loop().time()
                if read is not None and left > 0:
                    await asyncio.wait({read}, timeout=left)
            await handle(batch)
            yield True
    finally:
        feed.cancel()
        if read is not None:
            read.cancel()


def place_after_restore(error: grpc.aio.AioRpcError) -> Mapping[str, str]:
    """What a service that was restored says of where its feed goes on. Raises the error itself if
    it says anything else."""
    received = from_rpc_error(error)
    if received.reason != CURSOR_OUTDATED:
        raise error
    return received.metadata
