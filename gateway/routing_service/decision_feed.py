"""Has another process read the decisions of a window, a line each: judging and training take up to
a minute of one core, and calls would wait for the interpreter.

It is told in lines of JSON what is asked, then a decision in each line, the newest first, then an
empty line; it answers with one line and ends. `decision_log.py` writes the lines.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing_service import decision_log
from gateway.routing_service.steps import Subject
from runtime.child_process import ChildProcess, open_child_process

# Decisions that are read unless fewer or more are asked for, and at most.
DEFAULT_DECISIONS = 20_000
MAX_DECISIONS = 100_000
# Decisions read at once: each is a line of some 2 KB.
PAGE_SIZE = 500


class ReaderGoneError(OSError):
    """The process ended before it had answered."""


@dataclass(frozen=True, slots=True)
class Window:
    """Decisions since a time and before another, the newest `limit` of them."""

    since: datetime
    until: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process says, and whether the window has more decisions than it was told."""

    said: dict[str, Any]
    truncated: bool


class DecisionFeed:
    """One reader at a time in this process: the next caller waits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._one = asyncio.Lock()

    async def ask(
        self, start: str, asked: bytes, window: Window, subject: Subject = Subject.CORRIDOR
    ) -> Answer:
        """What the process that `start` begins says of the window's decisions on a subject. Raises
        ReaderGoneError, and `SQLAlchemyError` if the database does not answer."""
        async with self._one, open_child_process("-c", start) as child:
            truncated = await self._tell(child, asked, window, subject)
            return Answer(await _answer(child), truncated)

    async def _tell(
        self, child: ChildProcess, asked: bytes, window: Window, subject: Subject
    ) -> bool:
        """Sends what is asked and the decisions; whether there are more than the limit."""
        sent, before = 0, decision_log.Place(window.until, "")
        try:
            await child.send(asked)
            while page := await self._page(
                window, before, min(PAGE_SIZE, window.limit - sent), subject
            ):
                await child.send(b"".join(row.line.encode() + b"\n" for row in page))
                sent += len(page)
                before = decision_log.Place(page[-1].decide_time, page[-1].payment_id)
                if sent == window.limit:
                    break
            await child.send(b"\n")
        except ConnectionError as error:
            raise ReaderGoneError("the process listens no more") from error
        return sent == window.limit and bool(await self._page(window, before, 1, subject))

    async def _page(
        self, window: Window, before: decision_log.Place, size: int, subject: Subject
    ) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            return await decision_log.judged_decisions(
                connection, window.since, before, size, subject
            )


async def _answer(child: ChildProcess) -> dict[str, Any]:
    try:
        line = await child.reader.readline()
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise ReaderGoneError(f"the process ended with {await child.ended()}")
    said: dict[str, Any] = json.loads(line)
    return said
