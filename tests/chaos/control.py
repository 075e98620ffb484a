"""What the test controls in a running process without asking it: its clock, and when it dies.

A file of two numbers that both sides have mapped. The process looks at it whenever it tells the
time and before each step of each of its tasks.
"""

import asyncio
import mmap
import os
import signal
import struct
from collections.abc import Callable, Generator
from collections.abc import Coroutine as CoroutineABC
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

_LAYOUT = struct.Struct("=qq")
MILLISECOND = timedelta(milliseconds=1)


class Control:
    """The two numbers: how far the clock is off, and how many steps are left to live."""

    @classmethod
    def fresh(cls, path: Path) -> "Control":
        """Both zero, whatever a run before has left there."""
        path.unlink(missing_ok=True)
        path.write_bytes(_LAYOUT.pack(0, 0))
        return cls(path)

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._numbers = memoryview(self._memory).cast("q")
        self.path = path

    @property
    def offset(self) -> timedelta:
        """How far the process's clock is ahead of the machine's."""
        return self._numbers[0] * MILLISECOND

    @offset.setter
    def offset(self, offset: timedelta) -> None:
        self._numbers[0] = offset // MILLISECOND

    @property
    def steps_left(self) -> int:
        """The process kills itself before the step that makes this zero; zero is never."""
        return self._numbers[1]

    @steps_left.setter
    def steps_left(self, steps: int) -> None:
        self._numbers[1] = steps

    def now(self) -> datetime:
        """The process's time: it is the clock that the service is given."""
        return datetime.now(UTC) + self.offset

    def step(self) -> None:
        """A task of the process goes on from an await; it may be the last time that one does."""
        numbers = self._numbers
        if numbers[1] > 0:
            numbers[1] -= 1
            if numbers[1] == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Counted(CoroutineABC[Any, Any, Any]):
    """A coroutine whose every step is counted."""

    def __init__(self, inner: Any, step: Callable[[], None]) -> None:
        self._inner = inner
        self._step = step

    def send(self, value: Any) -> Any:
        self._step()
        return self._inner.send(value)

    def throw(
        self,
        kind: Any,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        self._step()
        if value is None and traceback is None:
            return self._inner.throw(kind)
        return self._inner.throw(kind, value, traceback)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._inner.__await__())


def count_steps(loop: asyncio.AbstractEventLoop, step: Callable[[], None]) -> None:
    """Has every task that begins from now on call `step` before each of its steps."""

    def make(loop: asyncio.AbstractEventLoop, inner: Any, **options: Any) -> "asyncio.Future[Any]":
        return asyncio.Task(Counted(inner, step), loop=loop, **options)

    loop.set_task_factory(make)
