"""What happens to a cluster under load, and how long nobody may be answered because of it.

Each event returns Patroni's own time P: from what happened until another node takes writes, or None
where nobody is to be promoted. It returns when what was broken is mended and all nodes follow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.polling import poll
from tests.chaos.restores import NOTICED_AFTER
from tests.ha.brokers import jetstream_leader
from tests.ha.cluster import NODES, Cluster
from tests.ha.engine import Engine
from tests.ha.load import Load
from tests.ha.network import Network
from tests.ha.node import Node

# As PostgreSQL shows it.
BEHIND = "1500ms"
BEHIND_SECONDS = 1.5
REFUSED = "PRIMARY_NOT_SYNCHRONOUS"
# How many refusals show that all are refused, and for how long it is looked whether they are.
REFUSALS = 20
REFUSED_SECONDS = 5.0
FROZEN_SECONDS = 60.0
CUT_OFF_SECONDS = 40.0
ETCD_LOST_SECONDS = 40.0
BROKER_FROZEN_SECONDS = 20.0
# PostgreSQL's setting for a standby that applies what it has only later.
APPLY_DELAY = "recovery_min_apply_delay"


@dataclass(frozen=True)
class Scene:
    """All that an event may touch."""

    network: Network
    cluster: Cluster
    engine: Engine
    load: Load
    # Whether an event lasts until all nodes follow again.
    whole: bool = True


@dataclass(frozen=True)
class Event:
    """`beyond_seconds` is the longest gap beyond P, `longest_seconds` that in all; `webhooks` says
    that it is about the answers to Stripe's webhooks, and `failures` how many calls may fail."""

    name: str
    what: str
    happen: Callable[[Scene], Awaitable[float | None]]
    beyond_seconds: float | None = None
    longest_seconds: float | None = None
    needs_cut: bool = False
    webhooks: bool = False
    refusals: int | None = None
    failures: int | None = None
    # Of a cluster of its own, whose services do not require a synchronous primary.
    loses: bool = False

    def limit(self, promoted: float | None) -> float | None:
        """The longest gap in seconds, by P; None if there is none."""
        bounds = [] if self.longest_seconds is None else [self.longest_seconds]
        if promoted is not None and self.beyond_seconds is not None:
            bounds.append(promoted + self.beyond_seconds)
        return min(bounds) if bounds else None


async def _postmaster_killed(scene: Scene) -> float:
    primary = await scene.cluster.primary()
    began = time.monotonic()
    primary.kill_postmaster()
    return await _promoted(scene, primary, began)


async def _node_lost(scene: Scene) -> float:
    """While the standbys apply what they have 1.5 s late."""
    await _set_apply_delay(scene, BEHIND)
    primary = await scene.cluster.primary()
    began = time.monotonic()
    primary.kill()
    promoted = await scene.cluster.promotion(primary) - began
    primary.start()
    await scene.cluster.whole()
    await _set_apply_delay(scene, None)
    return promoted


async def _node_frozen(scene: Scene) -> float:
    return await _frozen(scene, Node.freeze)


async def _postgres_frozen(scene: Scene) -> float:
    return await _frozen(scene, Node.freeze_postgres)


async def _postmaster_frozen(scene: Scene) -> float | None:
    """Nobody gets in any more; who is in goes on, Patroni too, and nobody is promoted."""
    primary = await scene.cluster.primary()
    primary.freeze_postgres(backends=False)
    try:
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        primary.thaw()
    await scene.cluster.whole()
    return None


async def _standby_frozen(scene: Scene) -> float | None:
    """The one that commits wait for."""
    standby = await scene.cluster.synchronous_standby()
    standby.freeze()
    try:
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        standby.thaw()
    await scene.cluster.whole()
    return None


async def _cut_off(scene: Scene) -> float:
    primary = await scene.cluster.primary()
    began = time.monotonic()
    scene.network.cut_off(primary.number)
    try:
        promoted = await scene.cluster.promotion(primary) - began
        await asyncio.sleep(max(0.0, CUT_OFF_SECONDS - promoted))
    finally:
        scene.network.rejoin(primary.number)
    await scene.cluster.whole()
    return promoted


async def _etcd_lost(scene: Scene) -> float | None:
    members = [node.etcd for node in scene.cluster.nodes.values() if hasattr(node, "etcd")]
    for member in members:
        member.kill()
    await asyncio.sleep(ETCD_LOST_SECONDS)
    for member in members:
        member.start()
    await scene.cluster.whole()
    return None


async def _broker_killed(scene: Scene) -> float | None:
    leader = await jetstream_leader(scene.cluster)
    leader.nats.kill()
    await asyncio.sleep(BROKER_FROZEN_SECONDS)
    leader.nats.start()
    return None


async def _broker_frozen(scene: Scene) -> float | None:
    leader = await jetstream_leader(scene.cluster)
    leader.freeze_nats()
    try:
        await asyncio.sleep(BROKER_FROZEN_SECONDS)
    finally:
        leader.thaw()
    return None


async def _services_restarted(scene: Scene) -> float | None:
    for service in scene.engine.services.values():
        await service.restart()
    return None


async def _nodes_restarted(scene: Scene) -> float | None:
    """One after the other, the primary last and after another was made it."""
    cluster = scene.cluster
    primary = await cluster.primary()
    standbys = [node for node in cluster.nodes.values() if node is not primary]
    for node in standbys:
        await _restart(cluster, node)
    await cluster.switch_over()
    await cluster.whole()
    await _restart(cluster, primary)
    return None


async def _asynchronous_refused(scene: Scene) -> float | None:
    """Patroni is told not to wait for a standby, and told otherwise once writes are refused."""
    record, before = scene.load.records["ledger"], scene.load.causes()
    await scene.cluster.configure(synchronous_mode=False)

    async def refused() -> int:
        return (scene.load.causes() - before)[f"ledger {REFUSED}"]

    await poll(refused, lambda count: count >= REFUSALS)
    answered = len(record.answered)
    await asyncio.sleep(REFUSED_SECONDS)
    assert len(record.answered) == answered, "something was acknowledged without a standby"
    await scene.cluster.configure(synchronous_mode=True)
    await scene.cluster.whole()
    return None


async def _asynchronous_lost(scene: Scene) -> float:
    """The last 1.5 seconds are on no other node when the primary is gone."""
    await scene.cluster.configure(synchronous_mode=False)
    await scene.cluster.followed_without_waiting()
    await scene.load.records["ledger"].more(REFUSALS)
    primary = await scene.cluster.primary()
    primary.freeze_senders()
    await asyncio.sleep(BEHIND_SECONDS)
    began = time.monotonic()
    scene.load.restores += 1
    primary.kill()
    promoted = await scene.cluster.promotion(primary) - began
    scene.load.lost_until = datetime.now(UTC) + NOTICED_AFTER
    primary.start()
    await scene.cluster.configure(synchronous_mode=True)
    await scene.cluster.whole()
    return promoted


async def _restart(cluster: Cluster, node: Node) -> None:
    await node.stop()
    node.start()
    await cluster.whole()


async def _promoted(scene: Scene, old: Node, began: float) -> float:
    promoted = await scene.cluster.promotion(old) - began
    if scene.whole:
        await scene.cluster.whole()
    return promoted


async def _frozen(scene: Scene, freeze: Callable[[Node], None]) -> float:
    primary = await scene.cluster.primary()
    began = time.monotonic()
    freeze(primary)
    try:
        promoted = await scene.cluster.promotion(primary) - began
        await asyncio.sleep(max(0.0, FROZEN_SECONDS - promoted))
    finally:
        primary.thaw()
    await scene.cluster.whole()
    return promoted


async def _set_apply_delay(scene: Scene, delay: str | None) -> None:
    await scene.cluster.configure(postgresql={"parameters": {APPLY_DELAY: delay}})
    await scene.cluster.setting_is(APPLY_DELAY, delay or "0")


EVENTS = {
    event.name: event
    for event in (
        Event("postmaster-killed", "postmaster killed", _postmaster_killed, 3.0, 10.0),
        Event("node-lost", "node lost, standbys 1.5 s behind", _node_lost, 5.0),
        Event("node-frozen", "node frozen 60 s", _node_frozen, 5.0),
        Event("postgres-frozen", "PostgreSQL alone frozen 60 s", _postgres_frozen, 5.0),
        Event("postmaster-frozen", "postmaster alone frozen 60 s", _postmaster_frozen, 0.0, 5.0),
        Event("standby-frozen", "synchronous standby frozen 60 s", _standby_frozen, 0.0, 15.0),
        Event("cut-off", "node cut off, clients reach it", _cut_off, 5.0, needs_cut=True),
        Event("etcd-lost", "etcd lost 40 s", _etcd_lost, 0.0, 1.0),
        Event(
            "broker-killed", "JetStream leader killed", _broker_killed, webhooks=True, refusals=0
        ),
        Event(
            *("broker-frozen", "JetStream leader frozen", _broker_frozen),
            *(0.0, 10.0),
            webhooks=True,
        ),
        Event("services-restarted", "services restarted in turn", _services_restarted, failures=0),
        Event("asynchronous-refused", "asynchronous by order: refused", _asynchronous_refused),
        Event(
            "asynchronous-lost",
            "asynchronous allowed, node lost 1.5 s ahead",
            _asynchronous_lost,
            loses=True,
        ),
        Event("nodes-restarted", "nodes restarted in turn", _nodes_restarted, 0.0, 15.0),
    )
}
assert NODES > 2, "two of three nodes are a majority"
