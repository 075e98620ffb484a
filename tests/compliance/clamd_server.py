"""A daemon that speaks clamd's INSTREAM and answers what a test says. It scans nothing."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class ScriptedClamd:
    """What came, and what is answered: None closes without a word, "" never answers. Unless it is
    `reading` it leaves all that is sent where it is."""

    answer: str | None = "stream: OK"
    contents: list[bytes] = field(default_factory=list)
    port: int = 0
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reading.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one command."""
        try:
            self.tasks.append(asyncio.current_task())
            await self.reading.wait()
            assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
            content = b""
            while size := struct.unpack("!L", await reader.readexactly(4))[0]:
                content += await reader.readexactly(size)
            self.contents.append(content)
            if self.answer == "":
                await reader.read()
            elif self.answer is not None:
                writer.write(self.answer.encode() + b"\0")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # Whoever asked has left.
        finally:
            writer.close()


@asynccontextmanager
async def scripted_clamd() -> AsyncIterator[ScriptedClamd]:
    """Listens on a free loopback port."""
    clamd = ScriptedClamd()
    server = await asyncio.start_server(clamd.serve, "127.0.0.1", 0)
    clamd.port = server.sockets[0].getsockname()[1]
    async with server:
        yield clamd
    clamd.reading.set()
    await asyncio.gather(*filter(None, clamd.tasks))
