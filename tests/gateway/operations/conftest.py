"""A gateway as for payments, and processes that die between two steps of one kind of operation."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NoReturn

import pytest

from gateway.operations.kind import Asked, Claimed
from gateway.operations.operation import OperationKind
from gateway.operations.runner import Runner


class Point(Enum):
    """Between which two steps a process dies."""

    WRITTEN_BEFORE_SENT = "written down, not sent"
    SENT_BEFORE_APPLIED = "sent, not applied"
    APPLIED_BEFORE_ANSWERED = "applied, nobody told"


class DiedError(Exception):
    """Stands for the end of the process."""


@dataclass
class Death:
    """While armed, whoever runs an operation of this kind dies at this point."""

    kind: OperationKind | None = None
    point: Point | None = None
    # Runs between the answer and what is written of it.
    before_applying: Callable[[Asked], Any] | None = None
    # What applying gave, of the kind that is watched.
    applied: list[Any] = field(default_factory=list)
    # Somebody has died.
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, kind: OperationKind, point: Point) -> None:
        self.kind, self.point = kind, point

    def die(self) -> NoReturn:
        """Ends whoever calls it."""
        self.struck.set()
        raise DiedError

    def disarm(self) -> None:
        self.kind = self.point = self.before_applying = None

    def strikes(self, kind: OperationKind, point: Point) -> bool:
        return (self.kind, self.point) == (kind, point)


@pytest.fixture
def death(monkeypatch: pytest.MonkeyPatch) -> Death:
    death = Death()
    reply, finish = Runner._reply, Runner.finish

    async def replied(
        self: Any, kind: Any, subject: Any, operation: Any, *more: Any, **named: Any
    ) -> Any:
        if death.strikes(operation.kind, Point.WRITTEN_BEFORE_SENT):
            death.die()
        return await reply(self, kind, subject, operation, *more, **named)

    async def finished(self: Runner, asked: Asked) -> tuple[Any, Claimed | None]:
        kind = asked.operation.kind
        if death.strikes(kind, Point.SENT_BEFORE_APPLIED):
            death.die()
        if death.before_applying is not None and kind is death.kind:
            await death.before_applying(asked)
            death.applied.append(await finish(self, asked))
            death.die()
        result = await finish(self, asked)
        if death.strikes(kind, Point.APPLIED_BEFORE_ANSWERED):
            death.die()
        return result

    monkeypatch.setattr(Runner, "_reply", replied)
    monkeypatch.setattr(Runner, "finish", finished)
    return death
