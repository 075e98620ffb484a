"""Replicas of each service on the cluster, and the Stripe twin."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc

from runtime.tasks import cancel
from sandbox.addresses import Ports, at
from sandbox.engine import wait_until_answering
from sandbox.stripe_twin.accounts import ACCOUNTS
from tests.chaos.child import TWIN
from tests.chaos.children import Nursery
from tests.chaos.service import Service
from tests.chaos.twin import ChaosTwin
from tests.ha.cluster import Cluster

SERVICES = ("ledger", "compliance", "gateway")
# So that a run ends soon after its events: the same rules, by shorter bounds.
GATEWAY = {
    "GATEWAY_CALL_SECONDS": "8",
    "GATEWAY_LEASE_SECONDS": "10",
    "GATEWAY_ANSWER_SECONDS": "8",
    "GATEWAY_BALANCE_SWEEP_SECONDS": "1",
}
# What a client of ours is told to use: both replicas in turn, those alone that say they serve, and
# a second try of what was not taken.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}


class Engine:
    """`services` and `databases` are by name: processes are called ledger-1, ledger-2, …"""

    def __init__(self, nursery: Nursery, logs: Path, replicas: Sequence[int]) -> None:
        self.services: dict[str, Service] = {}
        self.databases: dict[str, str] = {}
        self._ports = {number: Ports.free() for number in replicas}
        self.twin_url = f"http://{at(self._ports[1].stripe_twin)}"
        self._nursery = nursery
        self._logs = logs
        self._stack = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        nursery: Nursery,
        cluster: Cluster,
        logs: Path,
        settings: Mapping[str, str],
        replicas: Sequence[int],
    ) -> AsyncIterator[Self]:
        """Everything, serving, on databases that are made. `settings` come on top of all."""
        engine = cls(nursery, logs, replicas)
        try:
            for name in SERVICES:
                engine.databases[name] = cluster.owner_url(name)
            await engine._start_twin()
            common = _buffer(cluster) if cluster.nats_urls else {}
            for name in SERVICES:
                common |= cluster.settings(name)
            # The first replica makes the tables that the second finds.
            for number in replicas:
                for name in SERVICES:
                    environment = engine._environment(number) | common | dict(settings)
                    engine._supervise(name, number, environment)
                await engine.serving()
            yield engine
        finally:
            await engine._stack.aclose()

    async def serving(self) -> None:
        """Waits until every service serves."""
        for service in self.services.values():
            await service.serving()

    def channel(self, name: str) -> grpc.aio.Channel:
        """A channel to a process, or to the first of a service."""
        service = self.services.get(name) or self.services[f"{name}-1"]
        return grpc.aio.insecure_channel(service.address)

    def balanced_channel(self, name: str) -> grpc.aio.Channel:
        """A client's channel to all replicas of a service."""
        addresses = ",".join(self.services[f"{name}-{number}"].address for number in self._ports)
        return grpc.aio.insecure_channel(
            f"ipv4:{addresses}",
            options=[
                ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1_000),
                # Each channel has connections of its own.
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )

    async def command(self, name: str, command: str) -> int:
        """Runs a command of a service with its settings; its exit code."""
        environment = self.services[f"{name}-1"].environment
        log = self._logs / f"{command}.log"
        child = await self._nursery.start(name, environment, log, command)
        await child.ended.wait()
        assert child.code is not None
        return child.code

    def _supervise(self, name: str, number: int, environment: Mapping[str, str]) -> None:
        label = f"{name}-{number}"
        port = getattr(self._ports[number], name)
        service = Service(label, self._nursery, environment, port, self._logs)
        self.services[label] = service
        self._stack.push_async_callback(cancel, asyncio.create_task(service.run()))

    async def _start_twin(self) -> None:
        port = str(self._ports[1].stripe_twin)
        child = await self._nursery.start(TWIN, {}, self._logs / f"{TWIN}.log", "--port", port)
        self._stack.callback(child.signal, signal.SIGKILL)
        await wait_until_answering(self.twin_url)
        async with ChaosTwin.open(self.twin_url) as twin:
            for account in ACCOUNTS:
                gateway = at(self._ports[1].gateway_http)
                await twin.send_webhooks_to(
                    f"http://{gateway}/webhooks/stripe/{account.name}", account.name
                )

    def _replicas(self, name: str) -> str:
        """The target of all replicas of a service."""
        return "ipv4:" + ",".join(at(getattr(ports, name)) for ports in self._ports.values())

    def _environment(self, number: int) -> dict[str, str]:
        ports = self._ports[number]
        corridors = self._logs / "corridors.json"
        corridors.touch(mode=0o600)
        corridors.write_text(json.dumps([self._corridor(account) for account in ACCOUNTS]))
        listening = {
            f"{name.upper()}_{kind}_ADDRESS": at(getattr(ports, f"{name}{port}"))
            for name in SERVICES
            for kind, port in (("LISTEN", ""), ("HTTP", "_http"))
        }
        return {
            **GATEWAY,
            **listening,
            "ENV": "sandbox",
            # As in production, where it is the default.
            "LEDGER_REQUIRE_SYNCHRONOUS": "1",
            "GATEWAY_REQUIRE_SYNCHRONOUS": "1",
            "COMPLIANCE_GATEWAY_ADDRESS": self._replicas("gateway"),
            "GATEWAY_LEDGER_ADDRESS": self._replicas("ledger"),
            "GATEWAY_COMPLIANCE_ADDRESS": self._replicas("compliance"),
            "GATEWAY_STRIPE_CORRIDORS_FILE": str(corridors),
        }

    def _corridor(self, account: Any) -> dict[str, Any]:
        return {
            "name": account.name,
            "api_key": account.secret_key,
            "api_base": self.twin_url,
            "webhook_secrets": [account.webhook_secret],
        }


def _buffer(cluster: Cluster) -> dict[str, str]:
    """Webhooks wait in a stream of which every server has a copy."""
    return {
        "GATEWAY_WEBHOOK_BUFFER": "nats",
        "GATEWAY_WEBHOOK_NATS_URLS": cluster.nats_urls,
        "GATEWAY_WEBHOOK_NATS_REPLICAS": str(len(cluster.nodes)),
    }
