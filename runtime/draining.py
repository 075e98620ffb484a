"""Ends open streams when the server drains: a watcher would else hold the process for ever."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from runtime.tasks import cancel


class Drain:
    """Set once, when the server begins to stop."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """From now on streams end."""
        self._begun.set()

    async def wait(self) -> None:
        """Returns when the server begins to stop."""
        await self._begun.wait()

    @property
    def begun(self) -> bool:
        """Whether the server is stopping."""
        return self._begun.is_set()

    async def until(self, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The responses for as long as the server is not draining."""
        stop = asyncio.ensure_future(self._begun.wait())
        pending: asyncio.Future[Any] | None = None
        try:
            while not stop.done():
                pending = asyncio.ensure_future(anext(responses))
                await asyncio.wait((pending, stop), return_when=asyncio.FIRST_COMPLETED)
                if not pending.done():
                    return
                try:
                    response = pending.result()
                except StopAsyncIteration:
                    return
                yield response
        finally:
            stop.cancel()
            if pending is not None:
                await cancel(pending)
            close = getattr(responses, "aclose", None)
            if close is not None:
                await close()
