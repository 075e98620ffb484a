"""The test's side of the nursery: orders services and hears when they end."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from sandbox.child import child_command
from sandbox.processes import PROJECT


class Child:
    """One process; `code` is what it ended with, once `ended` is set."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        self.code: int | None = None

    def signal(self, number: int) -> None:
        """Sends a signal, unless the process has ended: its id may be another's by then."""
        if not self.ended.is_set():
            # The news of its end may be on its way.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Nursery:
    """Orders are answered in their order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._children: dict[int, Child] = {}
        self._early: dict[int, int] = {}
        self._ordering = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, log: Path) -> AsyncIterator[Self]:
        """Runs a nursery, whose children end with it."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *child_command("tests.nursery"),
                cwd=PROJECT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        nursery = cls(process)
        reading = asyncio.create_task(nursery._read())
        try:
            yield nursery
        finally:
            for child in list(nursery._children.values()):
                child.signal(9)
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await reading

    async def start(
        self, service: str, environment: Mapping[str, str], log: Path, *arguments: str
    ) -> Child:
        """Starts one service."""
        return await self.order(
            {
                "service": service,
                "arguments": arguments,
                "environment": dict(environment),
                "log": str(log),
            }
        )

    async def order(self, order: Mapping[str, Any]) -> Child:
        """Starts what is ordered in one of the ways that `tests/nursery.py` knows."""
        async with self._ordering:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
            child = Child(await self._born.get())
        self._children[child.pid] = child
        if child.pid in self._early:
            self._end(child.pid, self._early.pop(child.pid))
        return child

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "code" not in message:
                self._born.put_nowait(message["pid"])
            elif message["pid"] in self._children:
                self._end(message["pid"], message["code"])
            else:
                # It ended before whoever ordered it has looked.
                self._early[message["pid"]] = message["code"]

    def _end(self, pid: int, code: int) -> None:
        child = self._children.pop(pid)
        child.code = code
        child.ended.set()
