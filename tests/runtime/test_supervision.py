"""A loop that ends by itself: health says so within a second, and the process ends with why."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from runtime.loops import Loop
from runtime.process import EXIT_LOOP_ENDED
from tests.deploy.compose import PROJECT
from tests.runtime.echo import pb, running_echo, services
from tests.runtime.faulty_service import PERSON

SERVICE = "echo.v1.EchoService"
WITHIN_SECONDS = 1.0
PATIENCE_SECONDS = 30.0
NEVER_SECONDS = 3600.0
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def healthz(port: int) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        return answer.status, await answer.json()


async def status(channel: grpc.aio.Channel, service: str) -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(channel).Check(request)).status


async def test_where_a_loop_has_ended_nothing_serves_and_the_interpreter_lives() -> None:
    go_wrong = asyncio.Event()

    async def work() -> bool:
        await go_wrong.wait()
        raise ValueError(PERSON)

    async with (
        running_echo() as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        server.supervisor.running(Loop("broken", work, poll_seconds=NEVER_SECONDS)),
    ):
        assert [await status(channel, name) for name in ("", SERVICE)] == [SERVING] * 2
        go_wrong.set()
        async with asyncio.timeout(WITHIN_SECONDS):
            ended = await server.supervisor.ended()
            assert [await status(channel, name) for name in ("", SERVICE)] == [NOT_SERVING] * 2
        # A dependency that answers does not make up for it.
        with capture_logs() as logs:
            await server.health.check_once()
        assert logs == []
        assert [await status(channel, name) for name in ("", SERVICE)] == [NOT_SERVING] * 2
        code, body = await healthz(server.http_port)
    assert (code, body) == (503, {"serving": False, "down": {"broken": ended.reason}})
    assert ended.reason.startswith("ValueError at ")


@asynccontextmanager
async def faulty(fault: str, drain_seconds: float) -> AsyncIterator[tuple[Any, int, int]]:
    """The process, its port and its HTTP port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.runtime.faulty_service",
        cwd=PROJECT,
        env={**os.environ, "FAULT": fault, "ECHO_DRAIN_SECONDS": str(drain_seconds)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            port, http_port = map(int, (await process.stdout.readline()).split())
        yield process, port, http_port
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Any) -> tuple[int, list[dict[str, Any]], list[str]]:
    """The exit status, what was logged, and what else was said."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, said = await process.communicate()
    assert PERSON not in said.decode()
    lines = said.decode().splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    return process.returncode, logged, [line for line in lines if not line.startswith("{")]


@pytest.mark.parametrize(
    ("fault", "reason"), [("raises", "RuntimeError at "), ("returns", "it returned")]
)
async def test_a_process_whose_loop_has_ended_says_why_and_ends(fault: str, reason: str) -> None:
    async with (
        faulty(fault, drain_seconds=2) as (process, port, http_port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = services.EchoServiceStub(channel)
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=SERVICE)
        )
        assert (await watch.read()).status == SERVING
        # Holds the process, so that there is something to look at.
        waiting = stub.Echo(pb.EchoRequest(request_id="a", text="wait"))
        await stub.Echo(pb.EchoRequest(request_id="b", text="break"))
        async with asyncio.timeout(WITHIN_SECONDS):
            assert (await watch.read()).status == NOT_SERVING
        code, body = await healthz(http_port)
        assert (code, body["serving"]) == (503, False)
        assert body["down"]["faulty"].startswith(reason)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await waiting
        exit_status, logged, said = await ended(process)
    assert exit_status == EXIT_LOOP_ENDED != 0
    (critical,) = (entry for entry in logged if entry["level"] == "critical")
    assert (critical["event"], critical["loop"]) == ("loop_ended", "faulty")
    assert critical["reason"].startswith(reason)
    assert said == [f"echo: loop 'faulty' ended: {critical['reason']}"]


async def test_a_process_that_does_not_get_to_its_end_is_ended() -> None:
    async with (
        faulty("hangs", drain_seconds=0.1) as (process, port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        await services.EchoServiceStub(channel).Echo(pb.EchoRequest(request_id="a", text="break"))
        exit_status, logged, _ = await ended(process)
    assert exit_status == EXIT_LOOP_ENDED
    assert [entry["event"] for entry in logged if entry["level"] == "critical"] == [
        "loop_ended",
        "stop_did_not_end",
    ]


async def test_a_process_that_is_told_to_stop_ends_well() -> None:
    async with faulty("raises", drain_seconds=1) as (process, _, _):
        process.terminate()
        exit_status, logged, said = await ended(process)
    assert (exit_status, said) == (0, [])
    assert {entry["level"] for entry in logged} == {"info"}
