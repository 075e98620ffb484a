"""A process beside this one that is asked and answers by lines, and is gone with who started it.

For work that would take the interpreter from the calls of the serving process.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

# What one line may hold.
MAX_LINE_BYTES = 64 * 1024 * 1024
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class ChildProcess:
    """The process, and the streams to talk with it. It ends by itself when they do."""

    process: "subprocess.Popen[bytes]"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, lines: bytes) -> None:
        """Writes lines. Raises ConnectionError if it listens no more."""
        if self.writer.is_closing():
            # uvloop takes nothing more for who is known to be gone: it raises a RuntimeError.
            raise ConnectionResetError
        self.writer.write(lines)
        await self.writer.drain()

    async def ended(self) -> int:
        """Waits for its end; its exit code."""
        return await asyncio.to_thread(self.process.wait)


@asynccontextmanager
async def open_child_process(
    *arguments: str, open_files: Sequence[int] = ()
) -> AsyncIterator[ChildProcess]:
    """Runs this interpreter with the arguments; the process is gone afterwards, whatever happens.

    `open_files` are open in it, too, by the same numbers. Raises OSError if it cannot be started.
    """
    process, ours = _started(arguments, open_files)
    try:
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        try:
            yield ChildProcess(process, reader, writer)
        finally:
            writer.close()
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def _started(
    arguments: Sequence[str], open_files: Sequence[int]
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """By the standard library, whose vfork runs no handlers: gRPC's would write a line, and a
    loop's own way would copy this process."""
    ours, its = socket.socketpair()
    with its:
        try:
            process = subprocess.Popen(  # noqa: S603 (this interpreter)
                [sys.executable, *arguments],
                pass_fds=tuple(open_files),
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
            )
        except OSError:
            ours.close()
            raise
    return process, ours


def nameless_file(name: str) -> int:
    """An open file, to be handed to a process, that nobody else finds and that goes with its last
    user. `name` is for people who look at what is open."""
    if sys.platform == "linux":
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
