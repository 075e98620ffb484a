"""Who may take how much of a server before it has read what they want."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from grpc_health.v1 import health_pb2

from runtime import intake
from runtime.admission import (
    MAX_BATCH_BYTES,
    MAX_REQUEST_BYTES,
    OPEN_READS,
    OPERATORS_READS,
    READS,
    REFUSED_BYTES,
    ByteBudget,
    NoRoomError,
    Quota,
)
from runtime.beside import LARGE_REQUEST_BYTES, beside, this_request_is_large
from runtime.errors import ReceivedError, from_rpc_error
from runtime.intake import MAX_OPEN_REQUEST_BYTES, Gate, SlowRequestError, UnfitRequestError
from runtime.rights import Rights
from runtime.server import RegisteredService, RpcServer, methods_of
from sandbox.certificates import channel_credentials, make_certificates
from tests.runtime.echo import (
    ECHO_RIGHTS,
    VALIDATOR,
    Echo,
    EchoSettings,
    pb,
    running_echo,
    services,
)

ECHO = "/echo.v1.EchoService/Echo"
COUNT = "/echo.v1.EchoService/Count"
CHECK = "/grpc.health.v1.Health/Check"
HELD_SECONDS = 20.0


class SecureEchoSettings(EchoSettings):
    rights: ClassVar[Rights] = ECHO_RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = {
        "client": "client",
        "operator": "operator",
        "support": "support",
    }


@asynccontextmanager
async def channel_to(server: RpcServer, options: Any = ()) -> AsyncIterator[Any]:
    """Its calls send and answer bytes."""
    address = f"127.0.0.1:{server.port}"
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel


async def failure_of(call: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def test_a_quota_ends_at_its_limit_and_for_operators_at_their_reserve() -> None:
    quota = Quota("calls in flight", 2, reserve=1)
    quota.enter(operator=False)
    quota.enter(operator=True)
    with pytest.raises(NoRoomError, match="calls in flight"):
        quota.enter(operator=False)
    quota.enter(operator=True)
    with pytest.raises(NoRoomError):
        quota.enter(operator=True)
    quota.leave()
    # One place of the reserve is free again, and none of the others'.
    with pytest.raises(NoRoomError):
        quota.enter(operator=False)
    quota.enter(operator=True)


async def test_room_for_bytes_is_given_in_order_and_no_more_than_there_is() -> None:
    budget = ByteBudget(10)
    await budget.take_in_turn(10)
    with pytest.raises(NoRoomError):
        budget.take(1)
    large, small = (asyncio.ensure_future(budget.take_in_turn(count)) for count in (8, 2))
    await asyncio.sleep(0)
    budget.give_back(4)
    await asyncio.sleep(0)
    # The small one would fit, but would let the large one wait for ever.
    assert (large.done(), small.done(), budget.in_hand) == (False, False, 6)
    with pytest.raises(NoRoomError):
        budget.take(1)
    budget.give_back(6)
    await asyncio.gather(large, small)
    assert budget.in_hand == 10
    budget.give_back(10)
    budget.take(10)


async def test_who_waits_too_long_or_goes_leaves_the_others_their_room() -> None:
    budget = ByteBudget(10, max_waiting=2)
    budget.take(10)
    with pytest.raises(NoRoomError):
        await budget.take_in_turn(10, seconds=0)
    gone, patient = (asyncio.ensure_future(budget.take_in_turn(10)) for _ in range(2))
    await asyncio.sleep(0)
    with pytest.raises(NoRoomError):
        await budget.take_in_turn(1)
    # It goes in the moment in which its turn comes.
    budget.give_back(10)
    gone.cancel()
    await asyncio.wait([gone, patient])
    assert (gone.cancelled(), patient.exception(), budget.in_hand) == (True, None, 10)


class Call:
    """A call whose message comes when it is told to."""

    def __init__(self) -> None:
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        return await self.message


async def test_messages_are_read_in_turn_and_a_place_comes_back_however_a_read_ends() -> None:
    gate = Gate(1)
    first, gone, second = Call(), Call(), Call()
    reads = [asyncio.ensure_future(gate.read(call, 4)) for call in (first, gone, second)]
    await asyncio.sleep(0)
    reads[1].cancel()
    second.message.set_result(b"two")
    await asyncio.sleep(0)
    assert not reads[2].done()
    first.message.set_result(b"large")
    with pytest.raises(UnfitRequestError, match="has 5 bytes, and may have 4"):
        await reads[0]
    assert await reads[2] == b"two"
    # The caller goes while it is read.
    reads = [asyncio.ensure_future(gate.read(Call(), 4))]
    await asyncio.sleep(0)
    reads[0].cancel()
    await asyncio.wait(reads)
    assert reads[0].cancelled()
    assert await gate.read(first_of(b"four"), 4) == b"four"


def first_of(message: bytes) -> Call:
    call = Call()
    call.message.set_result(message)
    return call


async def test_a_message_that_does_not_come_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "READ_SECONDS", 0.05)
    gate = Gate(2)
    slow = [asyncio.ensure_future(gate.read(Call(), 4)) for _ in range(2)]
    await asyncio.sleep(0)
    monkeypatch.setattr(intake, "READ_SECONDS", 0)
    with pytest.raises(NoRoomError, match="requests to read"):
        await gate.read(Call(), 4)
    for read in slow:
        with pytest.raises(SlowRequestError):
            await read
    assert await gate.read(first_of(b"four"), 4) == b"four"
    # Who was too slow is not cancelled: its call is answered.
    assert [read.cancelled() for read in slow] == [False, False]


async def test_large_work_is_done_beside_the_event_loop() -> None:
    here = threading.get_ident()
    assert await beside(threading.get_ident, size=LARGE_REQUEST_BYTES) == here
    assert await beside(threading.get_ident, size=LARGE_REQUEST_BYTES + 1) != here
    assert await beside(threading.get_ident) == here

    async def for_a_large_request() -> int:
        this_request_is_large()
        return await beside(threading.get_ident)

    assert await asyncio.ensure_future(for_a_large_request()) != here
    assert await beside(threading.get_ident) == here


def test_methods_say_what_they_take_and_only_of_those_there_are() -> None:
    def of(**more: Any) -> dict[str, tuple[int, bool]]:
        service = RegisteredService(
            add=lambda *_: None,
            servicer=None,
            descriptor=pb.DESCRIPTOR.services_by_name["EchoService"],
            **more,
        )
        found = methods_of([service], VALIDATOR)
        return {method.path.split("/")[2]: (method.max_bytes, method.batch) for method in found}

    assert of(batches=("Echo",), request_bytes={"Count": 1_000_000}) == {
        "Echo": (MAX_BATCH_BYTES, True),
        "Count": (1_000_000, False),
        "Later": (MAX_REQUEST_BYTES, False),
        "Join": (MAX_REQUEST_BYTES, False),
    }
    for wrong in ({"batches": ("None",)}, {"request_bytes": {"None": 1}}):
        with pytest.raises(ValueError, match="has no"):
            of(**wrong)


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        (MAX_REQUEST_BYTES, "is longer than 16 bytes"),
        (MAX_REQUEST_BYTES + 1, f"has {MAX_REQUEST_BYTES + 1} bytes, and may have"),
        (MAX_REQUEST_BYTES + REFUSED_BYTES, "bytes, and may have"),
    ],
)
async def test_a_request_has_a_size_before_it_is_looked_into(size: int, problem: str) -> None:
    frame = len(pb.EchoRequest(request_id="a", text="x" * size).SerializeToString()) - size
    request = pb.EchoRequest(request_id="a", text="x" * (size - frame)).SerializeToString()
    assert len(request) == size
    async with running_echo() as server, channel_to(server) as channel:
        error = await failure_of(channel.unary_unary(ECHO)(request))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert problem in error.message


async def test_what_is_far_too_large_is_refused_by_the_length_that_it_announces() -> None:
    options = [("grpc.max_send_message_length", -1)]
    async with running_echo() as server, channel_to(server, options) as channel:
        request = bytes(MAX_REQUEST_BYTES + REFUSED_BYTES + 1)
        error = await failure_of(channel.unary_unary(ECHO)(request))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.reason == ""


async def test_a_call_without_a_request_or_with_one_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "READ_SECONDS", 0.3)
    async with running_echo() as server, channel_to(server) as channel:
        none = channel.stream_unary(ECHO)()
        await none.done_writing()
        error = await failure_of(none)
        assert (error.reason, error.message) == ("INVALID_REQUEST", "the request is missing")
        error = await failure_of(channel.stream_unary(ECHO)())
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_streams_have_a_quota_of_their_own() -> None:
    settings = EchoSettings(max_concurrent_calls=1, max_concurrent_streams=1)
    servicer = Echo()
    async with running_echo(settings, servicer) as server, channel_to(server) as channel:
        stub = services.EchoServiceStub(channel)
        held = stub.Count(pb.CountRequest(up_to=2))
        await held.read()
        await held.read()
        error = await failure_of(stub.Count(pb.CountRequest(up_to=2)).read())
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert error.message == "this server has too many streams"
        assert (await stub.Echo(pb.EchoRequest(request_id="a", text="b"))).text == "b"
        servicer.release.set()
        assert await held.read() is grpc.aio.EOF


async def test_names_without_rights_are_read_nothing_of_and_operators_have_room_left(
    tmp_path: Path,
) -> None:
    files = make_certificates(tmp_path, datetime.now(UTC))
    settings = SecureEchoSettings(
        tls_certificate_file=files["ledger"].certificate,
        tls_key_file=files["ledger"].key,
        tls_ca_file=files["ledger"].ca,
    )

    @asynccontextmanager
    async def named(name: str) -> AsyncIterator[Any]:
        credentials = channel_credentials(files[name])
        address = f"localhost:{server.port}"
        async with grpc.aio.secure_channel(address, credentials) as channel:
            yield channel

    request = pb.EchoRequest(request_id="a", text="b").SerializeToString()
    async with running_echo(settings) as server, named("compliance") as stranger:
        # Refused although no message has come, nor will.
        error = await failure_of(stranger.stream_unary(ECHO)())
        assert error.reason == "CLIENT_NOT_ALLOWED"
        error = await failure_of(stranger.stream_stream(COUNT)().read())
        assert error.reason == "CLIENT_NOT_ALLOWED"
        # Nor of a role that may not call this.
        async with named("support") as support:
            error = await failure_of(support.stream_unary(ECHO)())
            assert error.reason == "CLIENT_NOT_ALLOWED"
            assert error.metadata["role"] == "support"
        # What is open to all takes little, and of its own: others are not kept waiting.
        silent = [stranger.stream_unary(CHECK)() for _ in range(OPEN_READS + 1)]
        async with named("client") as client:
            assert await client.unary_unary(ECHO)(request, timeout=HELD_SECONDS)
            reading = [client.stream_unary(ECHO)() for _ in range(READS + OPERATORS_READS)]
            async with named("operator") as operator:
                assert await operator.unary_unary(ECHO)(request, timeout=HELD_SECONDS)
            for call in reading:
                call.cancel()
            # Their room is free at once.
            assert await client.unary_unary(ECHO)(request, timeout=HELD_SECONDS)
        for call in silent:
            call.cancel()
        long = health_pb2.HealthCheckRequest(service="x" * MAX_OPEN_REQUEST_BYTES)
        error = await failure_of(stranger.unary_unary(CHECK)(long.SerializeToString()))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert await stranger.unary_unary(CHECK)(b"")
