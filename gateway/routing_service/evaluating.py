"""Has a candidate judged over the decisions of a window by another process (evaluator.py)."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing_service import decision_log
from gateway.routing_service.evaluator import START, Asked
from runtime.child_process import ChildProcess, open_child_process

# Decisions that are judged by unless fewer or more are asked for, and at most.
DEFAULT_DECISIONS = 20_000
MAX_DECISIONS = 100_000
# Decisions read at once: each is a line of some 2 KB.
PAGE_SIZE = 500


class EvaluatorGoneError(OSError):
    """The process ended before it had answered."""


@dataclass(frozen=True, slots=True)
class Window:
    """Decisions since a time and before another, the newest `limit` of them."""

    since: datetime
    until: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What the process says, and of how much."""

    answer: dict[str, Any]
    unjudged: int
    truncated: bool


class Evaluations:
    """One at a time in this process: the next caller waits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._one = asyncio.Lock()

    async def judge(self, asked: Asked, window: Window) -> Judged:
        """The judgement of a candidate. Raises EvaluatorGoneError, and `SQLAlchemyError` if the
        database does not answer."""
        async with self._one, open_child_process("-c", START) as child:
            truncated = await self._tell(child, asked, window)
            async with self._engine.connect() as connection:
                unjudged = await decision_log.count_unjudged(
                    connection, window.since, window.until, asked.subject
                )
            return Judged(await _answer(child), unjudged, truncated)

    async def _tell(self, child: ChildProcess, asked: Asked, window: Window) -> bool:
        """Sends the candidate and the decisions; whether there are more than the limit."""
        sent, before = 0, decision_log.Place(window.until, "")
        try:
            await _send(child, asked.to_line())
            while page := await self._page(
                asked, window, before, min(PAGE_SIZE, window.limit - sent)
            ):
                await _send(child, b"".join(row.line.encode() + b"\n" for row in page))
                sent += len(page)
                before = decision_log.Place(page[-1].decide_time, page[-1].payment_id)
                if sent == window.limit:
                    break
            await _send(child, b"\n")
        except ConnectionError as error:
            raise EvaluatorGoneError("the evaluator listens no more") from error
        return sent == window.limit and bool(await self._page(asked, window, before, 1))

    async def _page(
        self, asked: Asked, window: Window, before: decision_log.Place, size: int
    ) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            return await decision_log.judged_decisions(
                connection, window.since, before, size, asked.subject
            )


async def _send(child: ChildProcess, lines: bytes) -> None:
    child.writer.write(lines)
    await child.writer.drain()


async def _answer(child: ChildProcess) -> dict[str, Any]:
    try:
        line = await child.reader.readline()
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise EvaluatorGoneError(f"the evaluator ended with {await child.ended()}")
    answer: dict[str, Any] = json.loads(line)
    return answer
