"""One service as a process that is killed, kept down or restarted, and always comes back."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

import grpc

from runtime.tasks import cancel
from sandbox.addresses import at
from sandbox.engine import wait_until_serving
from tests.chaos.child import CONTROL_VARIABLE
from tests.chaos.children import Child, Nursery
from tests.chaos.control import Control

# What a service that cannot start, because its database is away, waits before it tries again.
RESTART_SECONDS = 0.2
STEP_SECONDS = 3.0
# On a machine that is busy with other things.
SERVING_SECONDS = 120.0


class Service:
    """One service that is started again whenever it has ended, until it is told to stop."""

    def __init__(
        self,
        name: str,
        nursery: Nursery,
        environment: Mapping[str, str],
        port: int,
        logs: Path,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.name = name
        self.address = at(port)
        self.control = Control.fresh(logs / f"{name}.control")
        self.starts = 0
        self._credentials = credentials
        self._nursery = nursery
        self._log = logs / f"{name}.log"
        self.environment = {**environment, CONTROL_VARIABLE: str(self.control.path)}
        self._child: Child | None = None
        self._serving = asyncio.Event()
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._down = asyncio.Event()

    async def run(self) -> None:
        """Keeps it running until cancelled, which ends it."""
        try:
            while True:
                if not self._may_run.is_set():
                    self._down.set()
                    await self._may_run.wait()
                    self._down.clear()
                await self._run_once()
        finally:
            if self._child is not None:
                self._child.signal(signal.SIGKILL)

    async def _run_once(self) -> None:
        child = await self._nursery.start(self.name.partition("-")[0], self.environment, self._log)
        self._child = child
        if not self._may_run.is_set():
            # It was to go down while it was being started.
            child.signal(signal.SIGKILL)
        self.starts += 1
        ready = asyncio.ensure_future(self._until_serving())
        ended = asyncio.ensure_future(child.ended.wait())
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and ready.exception() is None:
            self._serving.set()
        await cancel(ready)
        await ended
        self._serving.clear()
        self.control.steps_left = 0
        if child.code not in (-signal.SIGKILL, 0):
            await asyncio.sleep(RESTART_SECONDS)

    async def _until_serving(self) -> None:
        # For as long as it lives: its database may come back late, and a connection to the process
        # before it may break only now.
        while True:
            with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError):
                await wait_until_serving(self.address, credentials=self._credentials)
                return
            await asyncio.sleep(RESTART_SECONDS)

    async def serving(self) -> None:
        """Waits until it serves. Raises `TimeoutError`."""
        async with asyncio.timeout(SERVING_SECONDS):
            await self._serving.wait()

    async def kill(self, steps: int | None = None) -> None:
        """`kill -9`, at once or by itself before its so-manieth step; waits for the end only."""
        await self.serving()
        child = self._child
        assert child is not None
        if steps is not None:
            self.control.steps_left = steps
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await child.ended.wait()
            except TimeoutError:
                # It had nothing to do.
                child.signal(signal.SIGKILL)
        else:
            child.signal(signal.SIGKILL)
        await self._gone(child)

    async def freeze(self, seconds: float) -> None:
        """Stands still for a while, whatever it is at; a killed one is gone all the same."""
        child = self._child
        if child is None:
            return
        child.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            child.signal(signal.SIGCONT)

    async def go_down(self) -> None:
        """`kill -9`, and nobody starts it again until `come_up`."""
        self._may_run.clear()
        # It may be down already, or on its way: somebody else may just have killed it.
        if self._child is not None:
            self._child.signal(signal.SIGKILL)
        await self._down.wait()

    async def come_up(self) -> None:
        """Starts it again and waits until it serves."""
        self._may_run.set()
        await self.serving()

    async def restart(self) -> None:
        """Lets it drain, and waits until it serves again."""
        await self.serving()
        assert self._child is not None
        child = self._child
        child.signal(signal.SIGTERM)
        await self._gone(child)
        await self.serving()

    async def _gone(self, child: Child) -> None:
        """Waits for the end; from then on it is the next child that serves."""
        await child.ended.wait()
        self._serving.clear()
