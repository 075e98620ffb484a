"""Three nodes as one database and one broker: who is the primary, and what operators do with it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp
import psycopg

from sandbox.credentials import make_credentials
from sandbox.polling import poll
from tests.ha.guardian import guarded_folder
from tests.ha.network import Network
from tests.ha.node import Node, Plan, Ports

NODES = 3
START_SECONDS = 120.0
LOOK_SECONDS = 0.1
# What takes as long as a node's death does; then all but it are asked.
ANSWER_SECONDS = 2.0
# What a member says of itself when it does what its role says.
WELL = {"leader": "running", "sync_standby": "streaming", "replica": "streaming"}

FOLLOWERS = """
    SELECT count(*) FILTER (WHERE state = 'streaming'),
        count(*) FILTER (WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum'))
    FROM pg_stat_replication HAVING NOT pg_is_in_recovery()
"""


class Cluster:
    """The nodes by their number from 1."""

    def __init__(
        self, nodes: Sequence[Node], session: aiohttp.ClientSession, credentials: Path
    ) -> None:
        self._credentials = credentials
        self.nodes = {node.number: node for node in nodes}
        self._session = session

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        network: Network,
        logs: Path,
        etcd: Sequence[int],
        nats: Sequence[int],
        loop_wait_seconds: int | None = None,
    ) -> AsyncIterator[Self]:
        """All nodes; a primary is chosen and the others follow it when this returns."""
        ports = {number: Ports() for number in range(1, NODES + 1)}
        hosts = ",".join(f"{network.address(n)}:{ports[n].postgres}" for n in ports)
        with guarded_folder() as folder:
            credentials = folder / "credentials"
            credentials.mkdir()
            make_credentials(credentials, datetime.now(UTC), hosts)
            plan = Plan(network, ports, etcd, nats, credentials, loop_wait_seconds)
            nodes = [Node(number, plan, folder / f"node{number}", logs) for number in ports]
            async with aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            ) as session:
                cluster = cls(nodes, session, credentials)
                try:
                    for node in nodes:
                        node.start()
                    await cluster.whole()
                    yield cluster
                finally:
                    for node in nodes:
                        node.kill()

    @property
    def nats_urls(self) -> str:
        """As the gateway's setting wants them."""
        with_nats = [node for node in self.nodes.values() if hasattr(node, "nats")]
        return ",".join(f"nats://{node.address}:{node.ports.nats}" for node in with_nats)

    def settings(self, service: str) -> dict[str, str]:
        """Where a service has its database, as its login and as the owner."""
        return {
            f"{service.upper()}_{name.upper()}_FILE": str(self._credentials / service / name)
            for name in ("database_url", "owner_database_url")
        }

    def owner_url(self, service: str) -> str:
        """A service's database on whichever node takes writes, as its owner."""
        url = (self._credentials / service / "owner_database_url").read_text().strip()
        return f"{url}?target_session_attrs=read-write"

    async def primary(self) -> Node:
        """The node that Patroni calls the leader. Raises `TimeoutError`."""
        members = await poll(self._members, _leaders, START_SECONDS)
        return next(self.nodes[_number(one)] for one in members if one["role"] == "leader")

    async def synchronous_standby(self) -> Node:
        """The node that commits wait for. Raises `TimeoutError`."""

        def synchronous(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [one for one in members if one["role"] == "sync_standby"]

        members = await poll(self._members, lambda found: bool(synchronous(found)), START_SECONDS)
        return self.nodes[_number(synchronous(members)[0])]

    async def whole(self) -> None:
        """Waits until there is a primary, the others follow it, and commits wait for one of them.
        Raises `TimeoutError`."""
        followed = (NODES - 1, 1)
        await poll(self._followers, lambda found: found == followed, START_SECONDS)
        # Patroni's own view is the older one.
        await poll(self._members, self._is_whole, START_SECONDS)

    async def followed_without_waiting(self) -> None:
        """Waits until the others follow the primary, and it waits for none. Raises
        `TimeoutError`."""
        await poll(self._followers, lambda found: found == (NODES - 1, 0), START_SECONDS)

    def _is_whole(self, members: list[dict[str, Any]]) -> bool:
        return len(members) == NODES and all(
            one["state"] == WELL.get(one["role"]) for one in members
        )

    async def _followers(self) -> tuple[int, int]:
        """How many servers the primary sends its log to, and how many of them commits wait for;
        none while there is no primary."""
        for node in self.nodes.values():
            with contextlib.suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(node.conninfo) as connection:
                    looked = await (await connection.execute(FOLLOWERS)).fetchone()
                    if looked is not None:
                        return looked[0], looked[1]
        return 0, 0

    async def promotion(self, old: Node) -> float:
        """Waits until another node than the old primary takes writes; the moment, monotonic."""
        others = [node for node in self.nodes.values() if node is not old]
        looking = [asyncio.create_task(_until_promoted(node)) for node in others]
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.wait(looking, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for look in looking:
                look.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
        return time.monotonic()

    async def configure(self, **settings: Any) -> None:
        """Changes Patroni's settings of the whole cluster, as `patronictl edit-config` does."""
        for node in self.nodes.values():
            with contextlib.suppress(aiohttp.ClientConnectionError, TimeoutError):
                async with self._session.patch(
                    f"{node.patroni_url}/config", json=settings
                ) as answer:
                    answer.raise_for_status()
                    return
        raise TimeoutError("no node's Patroni answers")

    async def setting_is(self, name: str, value: str) -> None:
        """Waits until every server that follows has a setting. Raises `TimeoutError`."""
        primary = await self.primary()
        for node in self.nodes.values():
            if node is not primary:
                await poll(partial(_setting, node, name), lambda found: found == value)

    async def switch_over(self) -> None:
        """Has another node be the primary, as `patronictl switchover` does."""
        primary, standby = await self.primary(), await self.synchronous_standby()
        asked = {"leader": primary.name, "candidate": standby.name}
        timeout = aiohttp.ClientTimeout(total=START_SECONDS)
        async with self._session.post(
            f"{primary.patroni_url}/switchover", json=asked, timeout=timeout
        ) as answer:
            answer.raise_for_status()

    async def _members(self) -> list[dict[str, Any]]:
        """As the first node shows them that answers."""
        for node in self.nodes.values():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.get(f"{node.patroni_url}/cluster") as answer:
                    shown: dict[str, Any] = await answer.json()
                    return list(shown["members"])
        return []


def _leaders(members: list[dict[str, Any]]) -> bool:
    return any(one["role"] == "leader" and one["state"] == "running" for one in members)


def _number(member: dict[str, Any]) -> int:
    return int(member["name"].removeprefix("node"))


async def _setting(node: Node, name: str) -> str:
    async with await psycopg.AsyncConnection.connect(node.conninfo) as connection:
        row = await (await connection.execute("SELECT current_setting(%s)", [name])).fetchone()
    assert row is not None
    return str(row[0])


async def _until_promoted(node: Node) -> None:
    while True:  # Bounded by who waits.
        with contextlib.suppress(psycopg.OperationalError):
            async with await psycopg.AsyncConnection.connect(
                node.conninfo, autocommit=True
            ) as connection:
                while True:
                    looked = await connection.execute("SELECT pg_is_in_recovery()")
                    if await looked.fetchone() == (False,):
                        return
                    await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)
