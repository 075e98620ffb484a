"""Connections to an HTTP port that say little: each goes in time, and none keeps others out."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import ClientConnectorDNSError, ClientConnectorError, web
from aiohttp.client_reqrep import ConnectionKey
from prometheus_client import REGISTRY

from runtime.counted_log import MAX_KINDS, CountedLog
from runtime.descriptors import is_own_shortage
from runtime.health import HealthMonitor
from runtime.http_connections import ConnectionPolicy
from runtime.operations_http import OperationsServer

PATIENCE_SECONDS = 10.0
HEAD = b"GET /quick HTTP/1.1\r\nHost: gateway\r\n"
KEY = ConnectionKey("stripe", 443, False, True, None, None, None)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def quick(_request: web.Request) -> web.Response:
    return web.Response()


@asynccontextmanager
async def serving(
    begun: asyncio.Semaphore | None = None, /, **limits: float
) -> AsyncIterator[Callable[..., Awaitable[Stream]]]:
    """Opens connections to a server with such limits, and sends what is given. `begun` is released
    by each request that is never answered, when the server has it."""
    policy = ConnectionPolicy(**limits)  # type: ignore[arg-type]
    health = HealthMonitor("gateway", [], {})
    over = asyncio.Event()

    async def never(_request: web.Request) -> web.Response:
        if begun is not None:
            begun.release()
        await over.wait()
        return web.Response()

    routes = [web.get("/quick", quick), web.get("/never", never)]
    server = OperationsServer("127.0.0.1:0", health, routes, policy)
    await server.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        stack.callback(over.set)

        async def opened(sent: bytes = b"") -> Stream:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(sent)
            await writer.drain()
            return reader, writer

        yield opened


async def status_of(stream: Stream) -> bytes:
    """The first line that is answered; empty if the connection is closed instead."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return (await stream[0].readline()).strip()
        except ConnectionResetError:
            return b""


def closed(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("http_connections_closed_total", labels) or 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"", "head_too_slow"), (HEAD, "head_too_slow"), (HEAD + b"X-More: 1", "head_too_slow")],
    ids=["nothing", "half a head", "half a line"],
)
async def test_a_head_has_to_come_in_time(sent: bytes, reason: str) -> None:
    before = closed(reason)
    async with serving(head_seconds=0.05) as opened:
        assert await status_of(await opened(sent)) == b""
    assert closed(reason) == before + 1


async def test_a_head_that_comes_byte_by_byte_has_no_more_time() -> None:
    async with serving(head_seconds=0.1) as opened:
        stream = await opened(HEAD)
        began = time.monotonic()
        while not stream[0].at_eof() and time.monotonic() < began + PATIENCE_SECONDS:
            stream[1].write(b"X")
            with suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(stream[0].read(), 0.01)
        assert stream[0].at_eof()


async def test_a_second_head_has_to_come_in_time_and_so_has_a_second_request() -> None:
    async with serving(head_seconds=0.05, idle_seconds=PATIENCE_SECONDS) as opened:
        stream = await opened(HEAD + b"\r\n")
        assert await status_of(stream) == b"HTTP/1.1 200 OK"
        before = closed("head_too_slow")
        stream[1].write(HEAD)
        await stream[0].read()
        assert closed("head_too_slow") == before + 1
    async with serving(idle_seconds=0.05) as opened:
        stream = await opened(HEAD + b"\r\n")
        before = closed("idle_too_slow")
        assert await status_of(stream) == b"HTTP/1.1 200 OK"
        await stream[0].read()
        assert closed("idle_too_slow") == before + 1


async def test_a_request_is_over_in_time() -> None:
    before = closed("request_too_slow")
    async with serving(request_seconds=0.05) as opened:
        stream = await opened(HEAD.replace(b"quick", b"never") + b"\r\n")
        assert await status_of(stream) == b""
    assert closed("request_too_slow") == before + 1


@pytest.mark.parametrize("limits", [{"max_connections": 3}, {"max_per_address": 3}])
async def test_the_longest_silent_makes_room(limits: dict[str, float]) -> None:
    async with serving(**limits) as opened:
        silent = [await opened(HEAD) for _ in range(3)]
        newcomer = await opened(HEAD + b"\r\n")
        assert await status_of(newcomer) == b"HTTP/1.1 200 OK"
        assert await status_of(silent[0]) == b""
        # The others can still say what they want.
        silent[1][1].write(b"\r\n")
        assert await status_of(silent[1]) == b"HTTP/1.1 200 OK"


async def test_who_is_being_served_stays_and_the_newcomer_goes() -> None:
    begun = asyncio.Semaphore(0)
    async with serving(begun, max_connections=2, request_seconds=1.0) as opened:
        busy = [await opened(HEAD.replace(b"quick", b"never") + b"\r\n") for _ in range(2)]
        for _ in busy:
            await begun.acquire()
        before = closed("request_too_slow")
        assert await status_of(await opened()) == b""
        assert [await status_of(stream) for stream in busy] == [b"", b""]
        assert closed("request_too_slow") == before + 2


def test_there_are_never_more_than_a_quarter_of_the_descriptors() -> None:
    policy = ConnectionPolicy(max_connections=512, max_per_address=256)
    assert policy.within(2048) == policy
    few = policy.within(2047)
    assert (few.max_connections, few.max_per_address) == (511, 256)
    fewer = policy.within(256)
    assert (fewer.max_connections, fewer.max_per_address) == (64, 64)
    assert policy.within(3).max_connections == 1


def test_a_line_a_second_says_how_often() -> None:
    lines: list[tuple[int, dict[str, int]]] = []
    timers: list[Callable[[], None]] = []
    counted = CountedLog(
        lambda count, kinds: lines.append((count, dict(kinds))),
        lambda _seconds, then: timers.append(then),
    )
    for kind in ("a", "a", "b", "a"):
        counted.add(kind)
    assert lines == [(1, {"a": 1})]
    timers.pop()()
    assert lines[1:] == [(3, {"a": 2, "b": 1})]
    # After a second without any, the next is told at once.
    timers.pop()()
    assert len(lines) == 2
    assert timers == []
    counted.add("c")
    assert lines[2:] == [(1, {"c": 1})]
    for number in range(MAX_KINDS + 2):
        counted.add(str(number))
    timers.pop()()
    assert lines[3][0] == MAX_KINDS + 2
    assert lines[3][1]["other"] == 2


def test_a_shortage_of_our_own_is_told_from_a_peer_that_is_away() -> None:
    def of(number: int | None) -> ClientConnectorError:
        return ClientConnectorError(KEY, OSError(number, "x") if number else OSError("several"))

    unknown = ClientConnectorDNSError(KEY, OSError("the name is not known"))
    assert is_own_shortage(of(24))
    assert is_own_shortage(of(23))
    for peer in (of(111), of(110), of(None), unknown, TimeoutError()):
        assert not is_own_shortage(peer)
    # A name's look-up does not say why it failed.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        short = [is_own_shortage(error) for error in (unknown, of(None), of(111))]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert short == [True, True, False]
