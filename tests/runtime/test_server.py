"""Every promise of the server over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from runtime.client import open_channel
from runtime.errors import FieldViolation, ReceivedError, from_rpc_error
from tests.runtime.echo import Dependency, Echo, EchoSettings, pb, running_echo, services

# A channel that nobody holds is closed by the collector.
_channels: list[grpc.aio.Channel] = []


@pytest.fixture(autouse=True)
async def close_channels() -> AsyncIterator[None]:
    yield
    while _channels:
        await _channels.pop().close()


def stub_of(port: int) -> Any:
    return services.EchoServiceStub(channel_to(port))


def channel_to(port: int) -> grpc.aio.Channel:
    channel = open_channel(f"127.0.0.1:{port}", EchoSettings(), idempotent_services=[])
    _channels.append(channel)
    return channel


async def failure_of(call: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_an_allowed_whole_request_reaches_the_handler() -> None:
    async with running_echo() as server:
        answer = await stub_of(server.port).Echo(pb.EchoRequest(request_id="a", text="hi"))
    assert answer.text == "hi"
    assert answer.client == "sandbox"


async def test_bad_fields_are_named_by_path() -> None:
    async with running_echo() as server:
        error = await failure_of(
            stub_of(server.port).Echo(
                pb.EchoRequest(amount=-1, parts=[pb.Part(name="x", inner=pb.Part())])
            )
        )
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.domain == "echo"
    assert error.violations == (
        FieldViolation("request_id", "is required"),
        FieldViolation("amount", "is less than 0"),
        FieldViolation("parts[0].inner.name", "is required"),
    )


async def test_text_that_is_not_utf8_is_named_by_path() -> None:
    broken = pb.EchoRequest(request_id="a", parts=[pb.Part(name="ok"), pb.Part(name="AAAA")])
    data = broken.SerializeToString().replace(b"AAAA", b"A\xff\xfeA")
    async with running_echo() as server:
        channel = channel_to(server.port)
        error = await failure_of(channel.unary_unary("/echo.v1.EchoService/Echo")(data))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == (FieldViolation("parts[1].name", "is not valid UTF-8"),)


async def test_a_refusal_carries_reason_and_metadata() -> None:
    async with running_echo() as server:
        error = await failure_of(
            stub_of(server.port).Echo(pb.EchoRequest(request_id="a", text="refuse"))
        )
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OVERLOADED")
    assert error.metadata == {"limit": "1"}


async def test_an_unexpected_error_says_nothing_but_a_trace_id() -> None:
    async with running_echo() as server:
        error = await failure_of(
            stub_of(server.port).Echo(pb.EchoRequest(request_id="a", text="crash"))
        )
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.message == f"internal error, trace {error.metadata['trace_id']}"
    assert len(error.metadata["trace_id"]) == 32


async def test_what_is_not_implemented_says_so_but_checks_its_request_first() -> None:
    async with running_echo() as server:
        stub = stub_of(server.port)
        missing = await failure_of(stub.Later(pb.LaterRequest()))
        bad = await failure_of(stub.Later(pb.LaterRequest(text="far too long")))
    assert (missing.code, missing.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")
    assert missing.metadata == {"method": "echo.v1.EchoService/Later"}
    assert bad.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_deadline_is_known_to_the_handler() -> None:
    async with running_echo() as server:
        stub = stub_of(server.port)
        given = await stub.Echo(pb.EchoRequest(request_id="a"), timeout=5)
        default = await stub.Echo(pb.EchoRequest(request_id="a"))
    assert 4 < given.deadline_seconds < 6
    assert 9 < default.deadline_seconds < 11  # The default of the channel, rounded up by gRPC.


async def test_a_call_past_the_servers_own_bound_is_ended() -> None:
    settings = EchoSettings(default_timeout_seconds=0.05)
    async with running_echo(settings) as server:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        stub = services.EchoServiceStub(channel)
        error = await failure_of(stub.Echo(pb.EchoRequest(request_id="a", text="wait")))
        await channel.close()
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_more_calls_than_fit_are_refused() -> None:
    servicer = Echo()
    async with running_echo(EchoSettings(max_concurrent_calls=1), servicer) as server:
        stub = stub_of(server.port)
        call = asyncio.ensure_future(stub.Echo(pb.EchoRequest(request_id="a", text="wait")))
        await servicer.started.wait()
        error = await failure_of(stub.Echo(pb.EchoRequest(request_id="b")))
        servicer.release.set()
        await call
        again = await stub.Echo(pb.EchoRequest(request_id="b", text="now"))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.retry_delay is not None
    assert again.text == "now"


async def test_health_follows_the_dependency() -> None:
    dependency = Dependency()
    async with running_echo(dependency=dependency) as server:
        channel = channel_to(server.port)
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="echo.v1.EchoService")
        before = await health.Check(request)
        dependency.is_up = False
        await server.health.check_once()
        after = await health.Check(request)
        async with aiohttp.ClientSession() as session:
            healthz = await session.get(f"http://127.0.0.1:{server.http_port}/healthz")
            body = await healthz.json()
            metrics = await (
                await session.get(f"http://127.0.0.1:{server.http_port}/metrics")
            ).text()
    assert before.status == health_pb2.HealthCheckResponse.SERVING
    assert after.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert (healthz.status, body) == (503, {"serving": False, "down": {"thing": "ConnectionError"}})
    assert 'dependency_up{dependency="thing",service="echo"} 0.0' in metrics


async def test_reflection_lists_the_services() -> None:
    async with running_echo() as server:
        channel = channel_to(server.port)
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([request])):
            names = {service.name for service in answer.list_services_response.service}
            break
    assert {"echo.v1.EchoService", "grpc.health.v1.Health"} <= names


async def test_draining_lets_a_call_in_flight_finish() -> None:
    servicer = Echo()
    async with running_echo(servicer=servicer) as server:
        channel = channel_to(server.port)
        stub, health = services.EchoServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        call = asyncio.ensure_future(stub.Echo(pb.EchoRequest(request_id="a", text="wait")))
        await servicer.started.wait()
        stopping = asyncio.create_task(server.stop())
        # gRPC cancels a call that arrives while the port closes, or leaves it unanswered.
        assert await _refusal_within(health, attempts=1000) in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        servicer.release.set()
        assert (await call).text == "wait"
        await stopping


async def _refusal_within(health: Any, attempts: int) -> grpc.StatusCode:
    """How a server that is told to stop comes to refuse new calls; OK if it never does."""
    for _ in range(attempts):
        try:
            await health.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def test_draining_ends_a_stream_so_that_the_client_resumes_elsewhere() -> None:
    servicer = Echo()
    async with running_echo(servicer=servicer) as server:
        stream = stub_of(server.port).Count(pb.CountRequest(up_to=2))
        numbers = [(await stream.read()).number, (await stream.read()).number]
        await servicer.started.wait()
        await server.stop()
        error = await failure_of(stream.read())
    assert numbers == [0, 1]
    assert error.code is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_ends_by_itself() -> None:
    async with running_echo() as server:
        stream = stub_of(server.port).Count(pb.CountRequest(up_to=3))
        assert [answer.number async for answer in stream] == [0, 1, 2]


async def test_a_taken_port_is_an_error() -> None:
    async with running_echo() as server:
        settings = EchoSettings(listen_address=f"127.0.0.1:{server.port}")
        with pytest.raises(RuntimeError):
            async with running_echo(settings):
                raise AssertionError("two servers on one port")
