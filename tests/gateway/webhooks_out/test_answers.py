"""What an endpoint may answer, and how little of it is read."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from runtime import webhook_sending as sending
from runtime.webhook_addresses import Destinations
from runtime.webhook_sending import MAX_HEAD_BYTES, Sender
from runtime.webhooks import Attempt

BODY = b'{"type": "payment.captured"}'
PATIENCE_SECONDS = 20.0
# Of a server that sends without end: what fits into buffers on the way, and no more.
MOST_SENT = 64 * 1024 * 1024

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def endpoint(*parts: bytes, endless: bytes = b"") -> AsyncIterator[tuple[str, list[int]]]:
    """A server that answers with these bytes, and then for as long as it can with others; its URL,
    and how many bytes each connection took."""
    sent: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        count = 0
        try:
            for part in parts:
                writer.write(part)
                count += len(part)
                await writer.drain()
            while endless and count < 2 * MOST_SENT:
                writer.write(endless)
                count += len(endless)
                await writer.drain()
        except ConnectionError:
            pass
        sent.append(count)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?x=1", sent


async def attempt_at(url: str) -> Attempt:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await Sender(Destinations(anywhere=True)).post(url, BODY, {"webhook-id": "1"})


def head(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


FULL = b"X-Fill: "
BAD_ANSWER = Attempt(failure="bad_answer")
OK = head(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, Attempt(200)),
        (head(b"HTTP/1.0 204"), Attempt(204)),
        (head(b"HTTP/1.1 100 Continue") + head(b"HTTP/1.1 103 Early Hints") + OK, Attempt(200)),
        (head(b"HTTP/1.1 302 Found", b"location: http://10.0.0.1/"), Attempt(302, "redirect")),
        (head(b"HTTP/1.1 410 Gone"), Attempt(410, "http_status")),
        (
            head(b"HTTP/1.1 503 Busy", b"Retry-After:  120 "),
            Attempt(503, "http_status", timedelta(seconds=120)),
        ),
        (head(b"HTTP/1.1 503 Busy", b"retry-after: 9999999999"), Attempt(503, "http_status")),
        (head(b"HTTP/1.1 503 Busy", b"retry-after: Fri, 1 Jan"), Attempt(503, "http_status")),
        (OK[:-2] + FULL.ljust(MAX_HEAD_BYTES - len(OK) - 2, b"x") + b"\r\n\r\n", Attempt(200)),
        # Interim answers count, too.
        (head(b"HTTP/1.1 103 Early Hints", FULL.ljust(8_192, b"x")) * 2 + OK, BAD_ANSWER),
        (head(b"HTTP/2 200"), BAD_ANSWER),
        (head(b"SSH-2.0-OpenSSH_9.6"), BAD_ANSWER),
        (head(b"HTTP/1.1 2000 OK"), BAD_ANSWER),
        (b"HTTP/1.1 200 OK\r\n", Attempt(failure="connection_lost")),
        (b"", Attempt(failure="connection_lost")),
    ],
)
async def test_the_status_is_what_counts(answer: bytes, expected: Attempt) -> None:
    async with endpoint(answer) as (url, _):
        assert await attempt_at(url) == expected


@pytest.mark.parametrize(
    ("first", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 10_000),
        (b"", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65_536),
    ],
    ids=["fields", "no line", "a long field"],
)
async def test_an_answer_without_end_is_left(first: bytes, endless: bytes) -> None:
    async with endpoint(first, endless=endless) as (url, sent):
        assert await attempt_at(url) == BAD_ANSWER
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not sent:  # noqa: ASYNC110 (another task of this loop)
                await asyncio.sleep(0)
    assert sent[0] < MOST_SENT


async def test_a_body_without_end_is_not_read() -> None:
    async with endpoint(OK, endless=b"x" * 65_536) as (url, _):
        assert await attempt_at(url) == Attempt(200)


async def test_an_answer_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "REQUEST_SECONDS", 0.05)
    hanging = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hanging.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await attempt_at(f"http://127.0.0.1:{port}/") == Attempt(failure="timeout")
        assert await attempt_at(f"https://127.0.0.1:{port}/") == Attempt(failure="timeout")
        hanging.set()


async def test_a_server_without_tls_or_none_at_all() -> None:
    async with endpoint(OK) as (url, _):
        pass
    assert await attempt_at(url) == Attempt(failure="connect")
    long = f"http://{'x' * 64}.example/"
    assert await attempt_at(long) == Attempt(failure="connect")

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await attempt_at(f"https://127.0.0.1:{port}/") == Attempt(failure="tls")


async def test_a_want_of_descriptors_is_no_attempt() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="no descriptor"):
            await attempt_at("http://127.0.0.1:1/")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await attempt_at("http://127.0.0.1:1/")).failure == "connect"
