"""A service with a fault, as a process: `FAULT=raises python -m tests.runtime.faulty_service`.

Its loop goes wrong when somebody asks for the echo of "break".
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runtime.loops import Loop
from runtime.process import run_service
from runtime.server import RpcServer
from tests.runtime.echo import Echo, EchoSettings, running_echo

NEVER_SECONDS = 3600.0
CLOSE_SECONDS = 0.5
PERSON = "Ada Lovelace"


class Breakable(Echo):
    """Tells its loop when to go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = asyncio.Event()

    async def Echo(self, request: Any, context: Any) -> Any:
        if request.text == "break":
            self.broken.set()
        return await super().Echo(request, context)


class Returning(Loop):
    """A loop that dies silently."""

    async def run(self) -> None:
        await self.attempt()


@asynccontextmanager
async def open_faulty(settings: EchoSettings, fault: str) -> AsyncIterator[RpcServer]:
    servicer = Breakable()

    async def work() -> bool:
        await servicer.broken.wait()
        if fault != "returns":
            raise RuntimeError(f"what nobody foresaw about {PERSON}")
        return True

    kind = Returning if fault == "returns" else Loop
    async with running_echo(settings, servicer) as server:
        async with server.supervisor.running(kind("faulty", work, poll_seconds=NEVER_SECONDS)):
            print(server.port, server.http_port, flush=True)
            yield server
        if fault == "hangs":
            await asyncio.sleep(NEVER_SECONDS)


def main() -> None:
    fault = os.environ["FAULT"]
    run_service(
        EchoSettings, lambda settings: open_faulty(settings, fault), close_seconds=CLOSE_SECONDS
    )


if __name__ == "__main__":
    main()
