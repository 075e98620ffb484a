"""Reads a feed that never ends in bounded batches, for as long as it has something to tell."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from runtime.errors import from_rpc_error

CURSOR_OUTDATED = "CURSOR_OUTDATED"
# A feed that has told nothing for so long has nothing for now.
QUIET_SECONDS = 1.0


class OutdatedError(Exception):
    """The other side was restored from a backup: its feed goes on elsewhere."""

    def __init__(self, metadata: dict[str, str]) -> None:
        super().__init__("the feed goes on elsewhere")
        self.metadata = metadata


async def messages(
    call: Any, max_messages: int, *, quiet_seconds: float = QUIET_SECONDS
) -> AsyncIterator[list[Any]]:
    """What a streaming call tells, so many at the most together; ends when it falls quiet, and the
    call with it. Raises `OutdatedError`, and what else the call ends with."""
    gathered: list[Any] = []
    try:
        while True:
            try:
                async with asyncio.timeout(quiet_seconds):
                    message = await call.read()
            except TimeoutError:
                break
            if message is grpc.aio.EOF:
                raise ConnectionError("the feed has ended")
            gathered.append(message)
            if len(gathered) >= max_messages:
                yield gathered
                gathered = []
        if gathered:
            yield gathered
    except grpc.aio.AioRpcError as error:
        received = from_rpc_error(error)
        if received.reason != CURSOR_OUTDATED:
            raise
        raise OutdatedError(dict(received.metadata)) from error
    finally:
        call.cancel()
