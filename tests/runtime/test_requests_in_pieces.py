"""Requests that come in pieces: each is checked by itself, and all are what the handler gets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from runtime import intake, interceptor
from runtime.admission import MAX_REQUEST_BYTES, PIECE_READS
from runtime.errors import ReceivedError, from_rpc_error
from tests.runtime.echo import EchoSettings, pb, running_echo, services

JOIN = "/echo.v1.EchoService/Join"


@asynccontextmanager
async def echo(settings: EchoSettings | None = None) -> AsyncIterator[Any]:
    async with (
        running_echo(settings) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel


async def failure_of(call: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def piece(text: str) -> Any:
    return pb.JoinRequest(text=text)


async def test_the_handler_gets_all_pieces_in_their_order() -> None:
    async with echo() as channel:
        stub = services.EchoServiceStub(channel)
        answer = await stub.Join(iter([piece("a"), piece("b"), piece("c")]))
    assert answer.text == "abc"


async def test_a_piece_that_is_wrong_refuses_the_call_wherever_it_is() -> None:
    async with echo() as channel:
        stub = services.EchoServiceStub(channel)
        for pieces in ([piece("")], [piece("a"), piece("123456789")]):
            error = await failure_of(stub.Join(iter(pieces)))
            assert (error.reason, [v.field for v in error.violations]) == (
                "INVALID_REQUEST",
                ["text"],
            )
        error = await failure_of(stub.Join(iter([])))
        assert (error.reason, error.message) == ("INVALID_REQUEST", "the request is missing")


@pytest.mark.parametrize(
    ("size", "problem"),
    [(MAX_REQUEST_BYTES, "is longer than 8 bytes"), (MAX_REQUEST_BYTES + 1, "and may have")],
)
async def test_each_piece_has_a_size(size: int, problem: str) -> None:
    frame = len(piece("x" * size).SerializeToString()) - size
    async with echo() as channel:
        stub = services.EchoServiceStub(channel)
        error = await failure_of(stub.Join(iter([piece("a"), piece("x" * (size - frame))])))
    assert error.reason == "INVALID_REQUEST"
    assert problem in error.message


async def test_a_piece_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "READ_SECONDS", 0.3)
    async with echo() as channel:
        call = services.EchoServiceStub(channel).Join()
        await call.write(piece("a"))
        error = await failure_of(call)
    assert (error.code, error.reason) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEPENDENCY_UNAVAILABLE",
    )


async def test_a_call_without_a_deadline_has_one_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interceptor, "MAX_UPLOAD_SECONDS", 0.2)
    async with echo() as channel:
        call = services.EchoServiceStub(channel).Join()
        await call.write(piece("a"))
        error = await failure_of(call)
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_slow_senders_keep_nobody_from_other_calls_and_are_streams() -> None:
    async with echo(EchoSettings(max_concurrent_streams=PIECE_READS)) as channel:
        stub = services.EchoServiceStub(channel)
        slow = [stub.Join() for _ in range(PIECE_READS)]
        for call in slow:
            await call.write(piece("a"))
        assert (await stub.Echo(pb.EchoRequest(request_id="a", text="b"))).text == "b"
        error = await failure_of(stub.Join(iter([piece("a")])))
        assert (error.reason, error.message) == ("OVERLOADED", "this server has too many streams")
        for call in slow:
            call.cancel()
