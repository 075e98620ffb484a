"""Child processes of the sandbox: started with a log file, waited for, and never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sandbox.child import child_command

PROJECT = Path(__file__).resolve().parent.parent
STOP_TIMEOUT_SECONDS = 30.0
LOG_TAIL_BYTES = 4_000


class ProcessEndedError(RuntimeError):
    """A process ended although it should run; the message has the end of its log."""


@contextmanager
def told_plainly() -> Iterator[None]:
    """Ends a command with what its processes said when they ended at their start, such as a setting
    that is refused, and without a traceback."""
    try:
        yield
    except* ProcessEndedError as failed:
        sys.exit("\n".join(str(error) for error in failed.exceptions))


class RunningProcess(Protocol):
    """What a `ServiceProcess` needs of the process that was started for it."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def returncode(self) -> int | None:
        """The code it ended with; None while it runs."""

    def send_signal(self, signal: int, /) -> None:
        """Sends a signal, unless it has ended."""

    def kill(self) -> None:
        """Sends SIGKILL."""

    async def wait(self) -> int:
        """Waits for its end; the code it ended with."""


Launch = Callable[[Sequence[str], Mapping[str, str], Path], Awaitable[RunningProcess]]


async def start_interpreter(
    arguments: Sequence[str], environment: Mapping[str, str], log_file: Path
) -> RunningProcess:
    """Runs `python -m` with these arguments and this environment, and appends to the log."""
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *child_command(*arguments),
            cwd=PROJECT,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C reaches the sandbox alone, which then stops all in order.
            start_new_session=True,
        )


# How every process is started; tests fork most of theirs, for most of a start is imports.
launch: Launch = start_interpreter


class ServiceProcess:
    """One Python module as a process, which can be killed and started again."""

    def __init__(
        self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str], log_file: Path
    ) -> None:
        """`arguments` are the module's name and what is passed to it."""
        self.name = name
        self.log_file = log_file
        self._arguments = arguments
        self.environment = os.environ | dict(environment)
        self._process: RunningProcess | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process's id. Raises `ProcessEndedError` when there is none."""
        return self._running().pid

    @property
    def exit_code(self) -> int | None:
        """The code it ended with; None while it runs or before it was started."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Starts the process; the log file is appended to."""
        if self._process is not None and self._process.returncode is None:
            raise RuntimeError(f"{self.name} runs already")
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._process = await launch(self._arguments, self.environment, self.log_file)

    async def wait_until(self, ready: Coroutine[None, None, None]) -> None:
        """Waits for `ready`. Raises `ProcessEndedError` when the process ends before it."""
        ended = asyncio.ensure_future(self._running().wait())
        waiting = asyncio.ensure_future(ready)
        try:
            await asyncio.wait((ended, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ProcessEndedError(f"{self.name} ended at start:\n{self.log_tail()}")
            await waiting
        finally:
            ended.cancel()
            waiting.cancel()
            await asyncio.gather(ended, waiting, return_exceptions=True)

    async def terminate(self) -> int:
        """SIGTERM, which drains; SIGKILL when that takes too long. Gives the exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """SIGKILL: the process gets no chance to finish anything."""
        return await self._end(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal and does not wait."""
        self._running().send_signal(number)

    async def wait(self) -> int:
        """Waits until the process has ended; gives the exit code."""
        return await self._running().wait()

    def log_tail(self) -> str:
        """The end of what it has logged since it was started last."""
        if not self.log_file.exists():
            return ""
        text = self.log_file.read_bytes()[self._log_start :][-LOG_TAIL_BYTES:]
        return text.decode(errors="replace")

    async def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.returncode is not None:
            return process.returncode
        process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    def _running(self) -> RunningProcess:
        if self._process is None:
            raise ProcessEndedError(f"{self.name} was not started")
        return self._process
