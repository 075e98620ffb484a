"""Has a candidate judged over the decisions of a window by another process (evaluator.py)."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing_service import decision_log
from gateway.routing_service.decision_feed import DecisionFeed, Window
from gateway.routing_service.evaluator import START, Asked


@dataclass(frozen=True, slots=True)
class Judged:
    """What the process says, and of how much."""

    answer: dict[str, Any]
    unjudged: int
    truncated: bool


class Evaluations:
    """Judgements of candidates."""

    def __init__(self, engine: AsyncEngine, feed: DecisionFeed) -> None:
        self._engine = engine
        self._feed = feed

    async def judge(self, asked: Asked, window: Window) -> Judged:
        """The judgement of a candidate. Raises ReaderGoneError, and `SQLAlchemyError` if the
        database does not answer."""
        async with self._engine.connect() as connection:
            unjudged = await decision_log.count_unjudged(
                connection, window.since, window.until, asked.subject
            )
        answer = await self._feed.ask(START, asked.to_line(), window, asked.subject)
        return Judged(answer.said, unjudged, answer.truncated)
