"""A service that comes back is noticed, and one that nobody needs any more is ended."""

import asyncio
import signal
from pathlib import Path
from typing import cast

import grpc
import pytest

from runtime.tasks import cancel
from tests.chaos import service
from tests.chaos.children import Child, Nursery


class _Nursery:
    """Starts something that does not end by itself."""

    def __init__(self) -> None:
        self.started: list[asyncio.subprocess.Process] = []
        self.has_started = asyncio.Event()
        self._reaping: list[asyncio.Task[None]] = []

    async def start(self, *_order: object) -> Child:
        process = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
        self.started.append(process)
        self.has_started.set()
        child = Child(process.pid)
        self._reaping.append(asyncio.create_task(self._reap(child, process)))
        return child

    async def _reap(self, child: Child, process: asyncio.subprocess.Process) -> None:
        child.code = await process.wait()
        child.ended.set()


async def test_a_look_that_breaks_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the connection was still one to the process before, which died just then."""
    broken = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
    )
    looks: list[BaseException | None] = [broken, TimeoutError(), None]

    async def look(_address: str, *, credentials: object) -> None:
        if (ending := looks.pop(0)) is not None:
            raise ending

    monkeypatch.setattr(service, "wait_until_serving", look)
    nursery = _Nursery()
    watched = service.Service("ledger", cast("Nursery", nursery), {}, 1, tmp_path)
    running = asyncio.create_task(watched.run())
    async with asyncio.timeout(10):
        await watched.serving()
    assert looks == []
    await cancel(running)
    [process] = nursery.started
    assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGKILL


async def test_one_that_does_not_serve_goes_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody else has killed it a moment before."""

    async def look(_address: str, **_more: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(service, "wait_until_serving", look)
    nursery = _Nursery()
    watched = service.Service("ledger", cast("Nursery", nursery), {}, 1, tmp_path)
    running = asyncio.create_task(watched.run())
    async with asyncio.timeout(10):
        await nursery.has_started.wait()
        await watched.go_down()
    assert [process.returncode for process in nursery.started] == [-signal.SIGKILL]
    await cancel(running)
