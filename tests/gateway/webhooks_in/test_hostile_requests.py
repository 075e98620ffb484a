"""The webhook port and those who mean ill: precise answers, nothing stored, nothing in the logs."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.webhooks_in.buffer import PostgresBuffer
from gateway.webhooks_in.receiver import MAX_BODY_BYTES, WebhookReceiver
from runtime.clock import ManualClock
from runtime.health import HealthMonitor
from runtime.operations_http import OperationsServer
from tests.gateway.webhooks_in.conftest import SECRET, Intake, corridor, event_body, signature

PERSONAL = "jenny.rosen@example.com"
PATH = "/webhooks/stripe/default"
ANSWER_SECONDS = 30
MAX_ANSWER_BYTES = 65_536


Logged = Callable[[], str]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Logged:
    """What we and the libraries have logged."""
    return lambda: caplog.text + "".join(capfd.readouterr())


@pytest.fixture
async def port(intake: Intake, clock: ManualClock) -> AsyncIterator[int]:
    """The port of the gateway's own HTTP server, with little patience and room."""
    receiver = WebhookReceiver(
        [corridor("default", SECRET)],
        PostgresBuffer(intake.inbox, clock),
        clock,
        body_seconds=0.2,
        max_bytes_in_flight=3 * MAX_BODY_BYTES // 2,
    )
    server = OperationsServer("127.0.0.1:0", HealthMonitor("gateway", [], {}), receiver.routes())
    await server.start()
    yield server.port
    await server.stop()


async def answer(port: int, *parts: bytes) -> tuple[int, str]:
    """Status and body of what is answered to raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for part in parts:
                writer.write(part)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            body = await reader.readexactly(length)
    finally:
        writer.close()
    return int(head.split(b" ", 2)[1]), body.decode()


def request(body: bytes, **headers: str) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "Host: gateway", f"Stripe-Signature: {signature(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


BODY = event_body(object={"id": "pi_1", "receipt_email": PERSONAL}).encode()

ZIPPED = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (request(ZIPPED, Content_Encoding="gzip", Content_Length=str(len(ZIPPED))), 415, "encoded"),
        (request(BODY, Content_Encoding="br", Content_Length=str(len(BODY))), 415, "encoded"),
        (request(BODY, Content_Length=str(10 * 1024 * 1024)), 413, "too_large"),
        (request(BODY[:20], Content_Length=str(len(BODY))), 408, "too_slow"),
        (request(b"1a\r\n" + BODY[:20], Transfer_Encoding="chunked"), 408, "too_slow"),
        (request(b"", Content_Length="0"), 400, "not_an_event"),
    ],
    ids=["gzip", "br", "10 MB announced", "slow", "slow chunks", "empty"],
)
async def test_bodies_that_stripe_would_not_send(
    intake: Intake,
    port: int,
    logged: Logged,
    sent: bytes,
    status: int,
    reason: str,
) -> None:
    assert await answer(port, sent) == (status, json.dumps({"error": reason}))
    await nothing_happened(intake, logged)


@pytest.mark.parametrize(
    "sent",
    [
        request(b"zz\r\n" + BODY, Transfer_Encoding="chunked"),
        request(BODY, Content_Length="-1"),
        request(BODY, Content_Length="10", Transfer_Encoding="chunked"),
        request(BODY, **{f"X_{number}": PERSONAL for number in range(500)}, Content_Length="0"),
        request(BODY, X_Long="x" * 100_000),
        b"POST " + PATH.encode() + b"x" * 100_000 + b" HTTP/1.1\r\nHost: gateway\r\n\r\n",
        PERSONAL.encode() + b"\r\n\r\n",
    ],
    ids=["chunks", "length", "smuggling", "many headers", "long header", "long path", "no HTTP"],
)
async def test_what_is_hardly_http(intake: Intake, port: int, logged: Logged, sent: bytes) -> None:
    status, _ = await answer(port, sent)
    assert status in (400, 431)
    await nothing_happened(intake, logged)


async def test_a_10_mb_body_is_not_read_to_its_end(intake: Intake, port: int) -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    head = request(b"", Transfer_Encoding="chunked")
    status, body = await answer(port, head, *[chunk] * (MAX_BODY_BYTES // 65_536 + 1))
    assert (status, body) == (413, json.dumps({"error": "too_large"}))
    assert await intake.stored() == 0


async def test_the_content_type_says_nothing(intake: Intake, port: int) -> None:
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
        body = event_body().encode()
        sent = request(body, Content_Type=kind, Content_Length=str(len(body)))
        assert (await answer(port, sent))[0] == 200
    assert await intake.stored() == 3


async def test_many_bodies_at_once_have_a_bound(intake: Intake, port: int) -> None:
    """Two large ones do not fit; when one has gone, the next is taken."""
    large = event_body(pad="x" * (MAX_BODY_BYTES - 500)).encode()
    held = request(large, Content_Length=str(len(large)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # All but the last bytes: it stays in memory until it is too slow.
    writer.write(held[:-2])
    await writer.drain()
    other = event_body(pad="y" * (MAX_BODY_BYTES - 500)).encode()
    answers = await asyncio.gather(
        *(answer(port, request(other, Content_Length=str(len(other)))) for _ in range(3))
    )
    assert (503, json.dumps({"error": "busy"})) in answers
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    assert (await answer(port, request(other, Content_Length=str(len(other)))))[0] == 200
    assert await intake.stored() == 1


async def nothing_happened(intake: Intake, logged: Logged) -> None:
    assert await intake.stored() == 0
    text = logged()
    assert PERSONAL not in text
    assert SECRET not in text
