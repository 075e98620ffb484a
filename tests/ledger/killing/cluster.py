"""Two replicas of the ledger and their PostgreSQL, as processes that can be killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import grpc

from sandbox.addresses import Ports, at
from sandbox.engine import wait_until_serving
from sandbox.processes import ServiceProcess
from tests.ledger.killing.postgres import MortalPostgres

# A killed process must not make its clients wait a second before they try again.
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
MAX_PAUSE_SECONDS = 1.5


class Cluster:
    """`kills` counts what was killed, by name."""

    def __init__(self, stack: AsyncExitStack, logs: Path) -> None:
        self._stack = stack
        self._logs = logs
        self._postgres = MortalPostgres(logs / "postgres.log")
        self.kills: dict[str, int] = {"service": 0, "postgres": 0}
        self.replicas: dict[str, ServiceProcess] = {}

    async def start_all(self) -> None:
        """Starts PostgreSQL and then both replicas."""
        self._stack.push_async_callback(self._postgres.stop)
        await self._postgres.start()
        url = await self._postgres.database_url("ledger")
        ports = Ports.free()
        for listen, http in (
            (ports.ledger, ports.ledger_http),
            (ports.gateway, ports.gateway_http),
        ):
            settings = {
                "LEDGER_DATABASE_URL": url,
                "LEDGER_LISTEN_ADDRESS": at(listen),
                "LEDGER_HTTP_ADDRESS": at(http),
            }
            log = self._logs / f"ledger-{listen}.log"
            replica = ServiceProcess(f"ledger-{listen}", ("ledger",), settings, log)
            self.replicas[at(listen)] = replica
            self._stack.push_async_callback(replica.kill)
            await self.start(at(listen))

    async def start(self, address: str) -> None:
        """Starts one replica and waits until it serves."""
        replica = self.replicas[address]
        await replica.start()
        await replica.wait_until(wait_until_serving(address))

    async def kill_replica(self, address: str) -> None:
        """`kill -9`, and the same again started."""
        await self.replicas[address].kill()
        self.kills["service"] += 1
        await self.start(address)

    async def kill_postgres(self) -> None:
        """The whole server ends at once and recovers from its log."""
        self.kills["postgres"] += 1
        await self._postgres.kill()

    async def harass(self, random: Random, seconds: float) -> None:
        """Kills something at random moments, a round at least, and leaves everything running."""
        ends = asyncio.get_running_loop().time() + seconds
        addresses = list(self.replicas)
        rounds = 0
        while not rounds or asyncio.get_running_loop().time() < ends:
            victims = ["one", "one", "one", "one", "both", "postgres", "postgres"]
            random.shuffle(victims)
            for victim in victims:
                if rounds and asyncio.get_running_loop().time() >= ends:
                    break
                await asyncio.sleep(random.uniform(0.1, MAX_PAUSE_SECONDS))
                if victim == "postgres":
                    await self.kill_postgres()
                elif victim == "both":
                    await asyncio.gather(*map(self.kill_replica, addresses))
                else:
                    await self.kill_replica(random.choice(addresses))
            rounds += 1

    def channel(self, address: str) -> grpc.aio.Channel:
        """A channel that finds the replica again soon after its restart."""
        return grpc.aio.insecure_channel(address, options=RECONNECT)


@asynccontextmanager
async def running_cluster(logs: Path) -> AsyncIterator[Cluster]:
    """Both replicas, serving, on a PostgreSQL of their own with fsync on."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(stack, logs)
        await cluster.start_all()
        yield cluster
