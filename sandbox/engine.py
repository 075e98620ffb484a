"""The whole engine as processes of this machine: the Stripe twin and the services."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sandbox.addresses import Ports, at
from sandbox.processes import ServiceProcess
from sandbox.stripe_twin.accounts import ACCOUNTS
from sandbox.twin_admin import TwinAdmin

START_TIMEOUT_SECONDS = 60.0
RETRY_SECONDS = 0.05
# A sandbox has little traffic and nobody who likes to wait: the circuit breaker decides sooner than
# by default, by the same rules.
BREAKER = {"min_calls": 5, "open_seconds": 3.0}


class Engine:
    """The processes; each can be killed and started again by itself.

    Reconciliation, which no payment waits for, is one of them if it has a database.
    """

    def __init__(
        self,
        ports: Ports,
        log_directory: Path,
        databases: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        corridors: Mapping[str, Mapping[str, Any]] | None = None,
        clock: Path | None = None,
    ) -> None:
        """`databases` are the services' `*_DATABASE_URL`; `environment` comes on top of all, and
        `corridors` on top of what is usual of each, by name. `clock` is the file of a
        `SharedClock`, by which gateway and twin live then."""
        log_directory.mkdir(parents=True, exist_ok=True)
        self.ports = ports
        self.log_directory = log_directory
        corridors_file = log_directory / "corridors.json"
        _write_corridors(corridors_file, self.twin_url, corridors or {})
        settings = _settings(ports, corridors_file) | dict(databases) | dict(environment or {})

        def process(name: str, *arguments: str, **more: str) -> ServiceProcess:
            log_file = log_directory / f"{name}.log"
            return ServiceProcess(name, arguments, settings | more, log_file)

        self._process = process
        twin = ["sandbox.stripe_twin", "--port", str(ports.stripe_twin)]
        gateway = ["gateway"]
        if clock is not None:
            twin += ["--clock", str(clock)]
            gateway = ["sandbox.timed_gateway", str(clock)]
        self.stripe_twin = process("stripe_twin", *twin)
        self.ledger = process("ledger", "ledger")
        self.gateway = process("gateway", *gateway)
        self.compliance = process("compliance", "compliance")
        self.reconciliation = process("reconciliation", "reconciliation")
        self.reconciles = "RECONCILIATION_DATABASE_URL" in settings

    @property
    def processes(self) -> tuple[ServiceProcess, ...]:
        """All of them, in the order in which they are stopped."""
        paying = (self.gateway, self.compliance, self.ledger, self.stripe_twin)
        return (self.reconciliation, *paying) if self.reconciles else paying

    @property
    def twin_url(self) -> str:
        """Base URL of the Stripe twin."""
        return f"http://{at(self.ports.stripe_twin)}"

    def webhook_url(self, corridor: str) -> str:
        """Where the gateway takes Stripe's events of a corridor."""
        return f"http://{at(self.ports.gateway_http)}/webhooks/stripe/{corridor}"

    async def start(self) -> None:
        """Starts all and waits until each serves. Raises `ProcessEndedError` or `TimeoutError`."""
        await self.start_twin()
        async with asyncio.TaskGroup() as starting:
            starting.create_task(self.start_service(self.ledger, self.ports.ledger))
            starting.create_task(self.start_service(self.compliance, self.ports.compliance))
            starting.create_task(self.start_service(self.gateway, self.ports.gateway))
            if self.reconciles:
                starting.create_task(
                    self.start_service(self.reconciliation, self.ports.reconciliation)
                )

    async def start_twin(self) -> None:
        """Starts the Stripe twin, which forgets everything when it ends."""
        await self.stripe_twin.start()
        await self.stripe_twin.wait_until(wait_until_answering(self.twin_url))
        async with TwinAdmin.open(self.twin_url) as twin:
            for account in ACCOUNTS:
                await twin.send_webhooks_to(self.webhook_url(account.name), account.name)

    async def start_service(self, process: ServiceProcess, port: int) -> None:
        """Starts one service and waits until gRPC health says SERVING."""
        await process.start()
        await process.wait_until(wait_until_serving(at(port)))

    async def replace_reconciliation(self, *arguments: str, **settings: str) -> None:
        """Stops reconciliation and starts a module in its place that serves the same."""
        await self.reconciliation.terminate()
        self.reconciliation = self._process("reconciliation", *arguments, **settings)
        await self.start_service(self.reconciliation, self.ports.reconciliation)

    async def stop(self) -> None:
        """Drains and stops all, callers before those whom they call."""
        for process in self.processes:
            await process.terminate()

    async def kill(self) -> None:
        """Ends at once what `stop` could not."""
        for process in self.processes:
            await process.kill()


@asynccontextmanager
async def running_engine(
    ports: Ports,
    log_directory: Path,
    databases: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    corridors: Mapping[str, Mapping[str, Any]] | None = None,
    clock: Path | None = None,
) -> AsyncIterator[Engine]:
    """The engine, started; stopped when the block ends, however it ends."""
    engine = Engine(ports, log_directory, databases, environment, corridors, clock)
    try:
        await engine.start()
        yield engine
        await engine.stop()
    finally:
        await engine.kill()


async def wait_until_serving(
    address: str, service: str = "", credentials: grpc.ChannelCredentials | None = None
) -> None:
    """Waits until gRPC health at `host:port` says SERVING, over TLS with credentials.

    Raises `TimeoutError` after `START_TIMEOUT_SECONDS`.
    """
    request = health_pb2.HealthCheckRequest(service=service)
    # A refused first connection must not make the client wait a second for the next.
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    opened = (
        grpc.aio.insecure_channel(address, options=options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=options)
    )
    async with asyncio.timeout(START_TIMEOUT_SECONDS), opened as channel:
        while True:  # Bounded by the timeout.
            watch = health_pb2_grpc.HealthStub(channel).Watch(request, wait_for_ready=True)
            try:
                async for response in watch:
                    if response.status == health_pb2.HealthCheckResponse.SERVING:
                        return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            # It was the stream of the process that had the address before.
            await asyncio.sleep(RETRY_SECONDS)


async def wait_until_answering(url: str) -> None:
    """Waits until an HTTP server answers, whatever it answers.

    Raises `TimeoutError` after `START_TIMEOUT_SECONDS`.
    """
    async with asyncio.timeout(START_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
        while True:  # Bounded by the timeout.
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(RETRY_SECONDS)


def _settings(ports: Ports, corridors_file: Path) -> dict[str, str]:
    """The environment of the services; each reads its own part."""
    settings = {
        "ENV": "sandbox",
        "GATEWAY_LEDGER_ADDRESS": at(ports.ledger),
        "GATEWAY_COMPLIANCE_ADDRESS": at(ports.compliance),
        "GATEWAY_STRIPE_CORRIDORS_FILE": str(corridors_file),
        "COMPLIANCE_GATEWAY_ADDRESS": at(ports.gateway),
        "RECONCILIATION_LEDGER_ADDRESS": at(ports.ledger),
        "RECONCILIATION_GATEWAY_ADDRESS": at(ports.gateway),
        # So that the books are whole as soon as somebody looks.
        "GATEWAY_BALANCE_SWEEP_SECONDS": "1",
    }
    listeners = {
        "ledger": (ports.ledger, ports.ledger_http),
        "gateway": (ports.gateway, ports.gateway_http),
        "compliance": (ports.compliance, ports.compliance_http),
        "reconciliation": (ports.reconciliation, ports.reconciliation_http),
    }
    for service, (port, http_port) in listeners.items():
        prefix = service.upper()
        settings[f"{prefix}_LISTEN_ADDRESS"] = at(port)
        settings[f"{prefix}_HTTP_ADDRESS"] = at(http_port)
    return settings


def _write_corridors(path: Path, twin_url: str, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """The twin's two platform accounts as the gateway's corridors, `default` first."""
    corridors = [
        {
            "name": account.name,
            "api_key": account.secret_key,
            "api_base": twin_url,
            "webhook_secrets": [account.webhook_secret],
            "breaker": BREAKER,
            **settings.get(account.name, {}),
        }
        for account in ACCOUNTS
    ]
    path.touch(mode=0o600)
    path.write_text(json.dumps(corridors))
