"""The whole engine as processes that die: two gateways on one database, ledger, compliance,
PostgreSQL, and the Stripe twin, which is the only one that lives through it."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import grpc

from runtime.tasks import cancel
from sandbox.addresses import Ports, at
from sandbox.certificates import channel_credentials, make_certificates
from sandbox.databases import with_database
from sandbox.engine import wait_until_answering
from sandbox.stripe_twin.accounts import ACCOUNTS
from tests.backups import Backup
from tests.chaos.child import TWIN
from tests.chaos.children import Nursery
from tests.chaos.mutations import MUTATION_VARIABLE, STAGE_VARIABLE
from tests.chaos.plan import LATENCY_MS, TAKEN, WEBHOOK_LAG_SECONDS
from tests.chaos.service import Service
from tests.chaos.twin import ChaosTwin
from tests.ledger.killing.postgres import MortalPostgres

SERVICES = ("ledger", "gateway", "compliance")
# A killed process must not make its clients wait a second before they try again.
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
# Clients by the names in their certificates; the last one has no role.
CLIENT, OPERATOR, STRANGER = "client", "operator", "stranger"
# Short bounds, so that what hangs or lost its process is taken up again soon. The same rules.
GATEWAY = {
    "GATEWAY_CALL_SECONDS": "4",
    "GATEWAY_LEASE_SECONDS": "5",
    "GATEWAY_ANSWER_SECONDS": "5",
    "GATEWAY_COMPLIANCE_TIMEOUT_SECONDS": "1.5",
    "GATEWAY_DRAIN_SECONDS": "3",
    "GATEWAY_WORKER_CONCURRENCY": "48",
}
# Routing may go as far as operators let it, and foresight does all it can do, without a day of
# learning first. Minutes pass at once, and events that were under way then are a minute late.
INTELLIGENCE = {
    "GATEWAY_ROUTING": "staged",
    "GATEWAY_FORESIGHT": "1",
    "GATEWAY_FORESIGHT_LEARNING_MINUTES": "0",
    "GATEWAY_FORESIGHT_LATENCY_MS": str(LATENCY_MS),
    "GATEWAY_FORESIGHT_WEBHOOK_LAG_SECONDS": str(WEBHOOK_LAG_SECONDS),
}
BREAKER = {"window_seconds": 5, "min_calls": 20, "slow_seconds": 1.5, "open_seconds": 1.0}
REQUEST_SECONDS = 2.0
# Stripe's retries, in less time.
WEBHOOK_RETRY_SECONDS = [0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
# Shorter and longer than what it takes until a service notices.
FROZEN_SECONDS = (0.5, 6.0)
QUIET_LOGS = {"LOG_LEVEL": "WARNING"}


class Cluster:
    """`kills` counts what was killed, by name."""

    def __init__(self, nursery: Nursery, ports: Ports, second: Ports, logs: Path) -> None:
        self.logs = logs
        self.kills: Counter[str] = Counter()
        self.twin_url = f"http://{at(ports.stripe_twin)}"
        self.gateway_http = {
            "gateway-1": at(ports.gateway_http),
            "gateway-2": at(second.gateway_http),
        }
        self._nursery = nursery
        self._ports = ports
        self._second = second
        self._certificates = make_certificates(
            logs / "certificates", datetime.now(UTC), (*SERVICES, CLIENT, OPERATOR, STRANGER)
        )
        self._stack = AsyncExitStack()
        self._postgres = MortalPostgres(logs / "postgres.log", durable=False)
        self.services: dict[str, Service] = {}
        self.databases: dict[str, str] = {}
        # Who copies databases is not killed in the midst of it.
        self._copying = asyncio.Lock()

    async def start(self, mutations: Sequence[str], databases: Mapping[str, str] | None) -> None:
        """Starts everything and waits until it serves; PostgreSQL unless databases are given."""
        if databases is None:
            self._stack.push_async_callback(self._postgres.stop)
            await self._postgres.start()
            for name in SERVICES:
                self.databases[name] = await self._postgres.database_url(name)
        else:
            self.databases = dict(databases)
        await self._start_twin()
        environment = self._environment()
        mutated = {MUTATION_VARIABLE: ",".join(mutations), STAGE_VARIABLE: str(self.logs)}
        first, second = self._ports, self._second
        self._supervise("ledger", first.ledger, environment)
        self._supervise("compliance", first.compliance, environment)
        self._supervise("gateway-1", first.gateway, environment | mutated)
        await self.serving()
        # It finds the tables that the first has made.
        own = {
            "GATEWAY_LISTEN_ADDRESS": at(second.gateway),
            "GATEWAY_HTTP_ADDRESS": at(second.gateway_http),
        }
        self._supervise("gateway-2", second.gateway, environment | mutated | own)
        await self.serving()

    async def stop(self) -> None:
        """Ends everything."""
        await self._stack.aclose()

    async def serving(self) -> None:
        """Waits until every service serves."""
        for service in self.services.values():
            await service.serving()

    async def kill(self, victim: str, steps: int | None, draw: Random) -> None:
        """Kills one thing, or both gateways, or has it stand; what supervises it brings it back."""
        match victim:
            case "postgres":
                async with self._copying:
                    await self._postgres.kill()
            case "backend":
                async with self._copying:
                    await self._postgres.kill_backend(draw)
            case "frozen postgres":
                async with self._copying:
                    await self._postgres.freeze(draw.uniform(*FROZEN_SECONDS))
            case "gateways":
                await asyncio.gather(*(one.kill(steps) for one in self._replicas("gateway")))
            case _:
                await self.services[victim].kill(steps)
        self.kills[victim] += 1

    async def copy(self, work: Callable[[Backup], None], name: str) -> None:
        """Takes, restores or drops the backup of a service's database; the first two end its
        connections."""
        url = self.databases[name]
        async with self._copying:
            await asyncio.to_thread(work, Backup(with_database(url, "postgres"), url))

    async def replicas_down(self, name: str) -> None:
        """All processes of a service are killed, and nobody starts them again."""
        await asyncio.gather(*(service.go_down() for service in self._replicas(name)))

    async def replicas_up(self, name: str) -> None:
        """They are started again; waits until they serve."""
        await asyncio.gather(*(service.come_up() for service in self._replicas(name)))

    async def command(self, name: str, command: str) -> int:
        """Runs a command of a service with its settings; its exit code."""
        replica = self._replicas(name)[0]
        log = self.logs / f"{command}.log"
        child = await self._nursery.start(name, replica.environment, log, command)
        await child.ended.wait()
        assert child.code is not None
        return child.code

    def _replicas(self, name: str) -> list[Service]:
        return [one for label, one in self.services.items() if label.partition("-")[0] == name]

    async def freeze(self, victim: str, seconds: float) -> None:
        """A service answers nobody for a while, and goes on as if nothing had been."""
        await self.services[victim].freeze(seconds)

    def channel(self, name: str, client: str = OPERATOR) -> grpc.aio.Channel:
        """A client's channel that finds a service again soon after its restart."""
        credentials = channel_credentials(self._certificates[client])
        return grpc.aio.secure_channel(self.services[name].address, credentials, options=RECONNECT)

    def _supervise(self, name: str, port: int, environment: Mapping[str, str]) -> None:
        credentials = channel_credentials(self._certificates[OPERATOR])
        service = Service(name, self._nursery, environment, port, self.logs, credentials)
        self.services[name] = service
        self._stack.push_async_callback(cancel, asyncio.create_task(service.run()))

    async def _start_twin(self) -> None:
        port = str(self._ports.stripe_twin)
        child = await self._nursery.start(TWIN, {}, self.logs / f"{TWIN}.log", "--port", port)
        self._stack.callback(child.signal, signal.SIGKILL)
        await wait_until_answering(self.twin_url)
        async with ChaosTwin.open(self.twin_url) as twin:
            await twin.change_settings(webhook_retry_seconds=WEBHOOK_RETRY_SECONDS)
            for account, gateway in zip(ACCOUNTS, self.gateway_http.values(), strict=True):
                url = f"http://{gateway}/webhooks/stripe/{account.name}"
                await twin.send_webhooks_to(url, account.name)

    def _environment(self) -> dict[str, str]:
        ports = self._ports
        corridors = self.logs / "corridors.json"
        corridors.touch(mode=0o600)
        corridors.write_text(
            json.dumps(
                [
                    {
                        "name": account.name,
                        "api_key": account.secret_key,
                        "api_base": self.twin_url,
                        "webhook_secrets": [account.webhook_secret],
                        "breaker": BREAKER,
                        "request_timeout_seconds": REQUEST_SECONDS,
                        "currencies": TAKEN[account.name],
                        "failover_to": [other.name for other in ACCOUNTS if other != account],
                        "shared_tokens_with": [
                            other.name for other in ACCOUNTS if other != account
                        ],
                    }
                    for account in ACCOUNTS
                ]
            )
        )
        return {
            **QUIET_LOGS,
            **GATEWAY,
            **INTELLIGENCE,
            "ENV": "sandbox",
            **{
                f"{name.upper()}_TLS_{what}_FILE": str(path)
                for name in SERVICES
                for what, path in (
                    ("CERTIFICATE", self._certificates[name].certificate),
                    ("KEY", self._certificates[name].key),
                    ("CA", self._certificates[name].ca),
                )
            },
            **{f"{name.upper()}_DATABASE_URL": url for name, url in self.databases.items()},
            "LEDGER_LISTEN_ADDRESS": at(ports.ledger),
            "LEDGER_HTTP_ADDRESS": at(ports.ledger_http),
            "COMPLIANCE_LISTEN_ADDRESS": at(ports.compliance),
            "COMPLIANCE_HTTP_ADDRESS": at(ports.compliance_http),
            "COMPLIANCE_GATEWAY_ADDRESS": at(ports.gateway),
            "GATEWAY_LISTEN_ADDRESS": at(ports.gateway),
            "GATEWAY_HTTP_ADDRESS": at(ports.gateway_http),
            "GATEWAY_LEDGER_ADDRESS": at(ports.ledger),
            "GATEWAY_COMPLIANCE_ADDRESS": at(ports.compliance),
            "GATEWAY_STRIPE_CORRIDORS_FILE": str(corridors),
        }


@asynccontextmanager
async def running_cluster(
    nursery: Nursery,
    logs: Path,
    mutations: Sequence[str] = (),
    databases: Mapping[str, str] | None = None,
) -> AsyncIterator[Cluster]:
    """Everything, serving, on given databases or a PostgreSQL of its own that can be killed.

    `logs` is a folder; mutations are installed in both gateways.
    """
    cluster = Cluster(nursery, Ports.free(), Ports.free(), logs)
    try:
        await cluster.start(mutations, databases)
        yield cluster
    finally:
        await cluster.stop()
