"""A service that comes back is noticed, whatever the looks at it end with."""

import asyncio
from pathlib import Path
from typing import cast

import grpc
import pytest

from runtime.tasks import cancel
from tests.chaos import service
from tests.chaos.children import Child, Nursery


class _Nursery:
    """Starts nothing that ends."""

    async def start(self, *_order: object) -> Child:
        return Child(pid=0)


async def test_a_look_that_breaks_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the connection was still one to the process before, which died just then."""
    broken = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
    )
    looks: list[BaseException | None] = [broken, TimeoutError(), None]

    async def look(_address: str) -> None:
        if (ending := looks.pop(0)) is not None:
            raise ending

    monkeypatch.setattr(service, "wait_until_serving", look)
    watched = service.Service("ledger", cast("Nursery", _Nursery()), {}, 1, tmp_path)
    running = asyncio.create_task(watched.run())
    async with asyncio.timeout(10):
        await watched.serving()
    assert looks == []
    await cancel(running)
