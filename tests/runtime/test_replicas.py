"""Two replicas behind client-side load balancing, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from runtime.client import open_channel
from runtime.server import RpcServer
from sandbox.polling import poll
from tests.runtime.echo import Dependency, Echo, EchoSettings, pb, running_echo, services

NOTICE_SECONDS = 0.2
CALL_SECONDS = 10


class CountingEcho(Echo):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def Echo(self, request: Any, context: Any) -> Any:
        self.calls += 1
        return await super().Echo(request, context)


@dataclass
class Replica:
    server: RpcServer
    echo: CountingEcho
    dependency: Dependency


@asynccontextmanager
async def replica() -> AsyncIterator[Replica]:
    echo, dependency = CountingEcho(), Dependency()
    settings = EchoSettings(drain_notice_seconds=NOTICE_SECONDS)
    async with running_echo(settings, echo, dependency) as server:
        yield Replica(server, echo, dependency)


@dataclass
class Caller:
    """Calls one after the other; nothing that fails is hidden."""

    stub: Any
    answered: int = 0
    failed: list[grpc.StatusCode] = field(default_factory=list)

    async def call(self, text: str = "hi") -> None:
        request = pb.EchoRequest(request_id="r", text=text)
        try:
            await self.stub.Echo(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            self.failed.append(error.code())
        else:
            self.answered += 1

    async def go_on(self) -> None:
        while True:
            await self.call()


@asynccontextmanager
async def calling(target: str, *idempotent_services: str) -> AsyncIterator[Caller]:
    channel = open_channel(target, EchoSettings(), idempotent_services=idempotent_services)
    async with channel:
        yield Caller(services.EchoServiceStub(channel))


def at(*replicas: Replica) -> str:
    return "ipv4:" + ",".join(f"127.0.0.1:{one.server.port}" for one in replicas)


async def all_called(caller: Caller, *replicas: Replica) -> None:
    """Returns when each has had a call since."""
    before = [one.echo.calls for one in replicas]

    async def calls() -> list[int]:
        await caller.call()
        return [one.echo.calls for one in replicas]

    await poll(calls, lambda now: all(map(int.__gt__, now, before)))


async def test_a_replica_that_is_not_well_has_no_calls_and_gets_them_again() -> None:
    async with replica() as one, replica() as two, calling(at(one, two)) as caller:
        await all_called(caller, one, two)
        one.dependency.is_up = False
        await one.server.health.check_once()
        begun = time.monotonic()

        async def has_left() -> bool:
            before = one.echo.calls
            for _ in range(4):
                await caller.call()
            return one.echo.calls == before

        await poll(has_left, bool)
        assert time.monotonic() - begun < 1
        one.dependency.is_up = True
        await one.server.health.check_once()
        await all_called(caller, one, two)
        # It was well enough to answer whoever did not know yet.
        assert caller.failed == []


async def test_no_call_fails_while_replicas_are_stopped_one_after_the_other() -> None:
    """Nothing is retried here: who stops says so, and still takes what is on its way."""
    async with replica() as one, replica() as two, calling(at(one, two)) as caller:
        await all_called(caller, one, two)
        work = [asyncio.create_task(caller.go_on()) for _ in range(8)]
        begun = time.monotonic()
        await one.server.stop()
        took = time.monotonic() - begun
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        assert caller.failed == []
        assert caller.answered > 0
        # Those who watch its health do not hold it.
        assert NOTICE_SECONDS <= took < NOTICE_SECONDS + 2
        await caller.call()
        assert caller.failed == []


async def test_calls_that_a_killed_replica_had_are_repeated_where_that_is_safe() -> None:
    """As when its process is killed, everything it had ends at once."""
    async with replica() as one, replica() as two:
        safe = calling(at(one, two), "echo.v1.EchoService")
        async with safe as caller:
            await all_called(caller, one, two)
            both = [asyncio.create_task(caller.call("wait")) for _ in range(40)]
            await asyncio.gather(one.echo.started.wait(), two.echo.started.wait())
            two.echo.release.set()
            await one.server._server.stop(0)
            await asyncio.gather(*both)
            assert caller.failed == []


async def test_when_no_replica_is_well_a_call_fails_at_once() -> None:
    async with replica() as one, replica() as two, calling(at(one, two)) as caller:
        await all_called(caller, one, two)
        for each in (one, two):
            each.dependency.is_up = False
            await each.server.health.check_once()

        async def failed() -> list[grpc.StatusCode]:
            await caller.call()
            return caller.failed

        assert (await poll(failed, bool))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_name_is_every_address_that_it_has() -> None:
    async with replica() as one:
        async with calling(f"dns:///localhost:{one.server.port}") as caller:
            await all_called(caller, one)
        with pytest.raises(ValueError, match="is not host:port"):
            open_channel("nowhere", EchoSettings(), idempotent_services=[])
