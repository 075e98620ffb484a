"""A run: the cluster, the services, the callers, and one event after the other."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import MappingProxyType

from runtime.tasks import cancel
from tests.chaos.children import Nursery
from tests.chaos.restores import OnCall
from tests.chaos.twin import ChaosTwin
from tests.chaos.verdict import Violation
from tests.ha.cluster import NODES, Cluster
from tests.ha.engine import Engine
from tests.ha.events import Event, Scene
from tests.ha.judging import Toll, toll, verdict
from tests.ha.load import CALLERS, Load
from tests.ha.network import open_network
from tests.ha.webhooks import Webhooks

# How many answers of each service show that all goes well, before an event and after it.
WARM = MappingProxyType({"ledger": 200, "gateway": 20, "compliance": 10})
EVENT_SECONDS = 300.0
WITH_STANDBYS: Mapping[str, str] = MappingProxyType({})
WITHOUT_STANDBYS = {"LEDGER_REQUIRE_SYNCHRONOUS": "0", "GATEWAY_REQUIRE_SYNCHRONOUS": "0"}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much runs. `etcd` and `nats` are the nodes that have a member and a server; without any
    of the latter, webhooks go to the database. `loop_wait_seconds` is Patroni's, if it is not as
    deployed; `warm` how many answers of each service show that all goes well. Unless `whole`, a run
    ends when it does so again: no node is waited for, and the chaos test's judge is not asked."""

    etcd: Sequence[int] = tuple(range(1, NODES + 1))
    nats: Sequence[int] = tuple(range(1, NODES + 1))
    replicas: Sequence[int] = (1, 2)
    loop_wait_seconds: int | None = None
    warm: Mapping[str, int] = field(default_factory=lambda: WARM)
    whole: bool = True


FULL = Size()


@dataclass(frozen=True)
class Outcome:
    """What an event did: times in seconds. `gaps` are by service, and for `webhooks`."""

    event: Event
    promoted: float | None
    gaps: dict[str, float]
    failed: int
    refused_webhooks: int
    toll: Toll
    causes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A whole run; `skipped` are events that this machine does not allow."""

    outcomes: tuple[Outcome, ...]
    skipped: tuple[Event, ...]
    violations: tuple[Violation, ...]
    payments: int
    transactions: int


@dataclass(frozen=True)
class Stage:
    """Everything that runs."""

    scene: Scene
    load: Load
    twin: ChaosTwin
    warm: Mapping[str, int]


@asynccontextmanager
async def opened(
    logs: Path, say: Say, size: Size, settings: Mapping[str, str]
) -> AsyncIterator[Stage]:
    """Cluster, services and callers, who do not call yet; all of it ends with the block. The
    settings of services come on top of what is usual."""
    network = open_network(NODES)
    began = time.monotonic()
    try:
        async with (
            Nursery.open(logs / "nursery.log") as nursery,
            Cluster.start(network, logs, size.etcd, size.nats, size.loop_wait_seconds) as cluster,
        ):
            say(f"three nodes after {time.monotonic() - began:.0f} s")
            async with (
                Engine.start(nursery, cluster, logs, settings, size.replicas) as engine,
                ChaosTwin.open(engine.twin_url) as twin,
                Load.open(engine, twin) as load,
            ):
                say(f"two replicas of each service after {time.monotonic() - began:.0f} s")
                yield Stage(
                    Scene(network, cluster, engine, load, size.whole), load, twin, size.warm
                )
    finally:
        network.close()


@dataclass(frozen=True)
class Drawing:
    """Events go on, drawn at random, until so many payments are answered."""

    random: Random
    payments: int


async def play(
    events: Sequence[Event],
    logs: Path,
    say: Say,
    size: Size = FULL,
    drawing: Drawing | None = None,
) -> Report:
    """All events in their order on one cluster, and then the verdict; those that lose something
    each on one of its own."""
    together = [event for event in events if not event.loses]
    groups = [(together, WITH_STANDBYS)] if together else []
    groups += [([event], WITHOUT_STANDBYS) for event in events if event.loses]
    reports = [
        await _play(group, _folder(logs, number), say, size, settings, drawing)
        for number, (group, settings) in enumerate(groups)
    ]
    return Report(
        tuple(outcome for one in reports for outcome in one.outcomes),
        tuple(event for one in reports for event in one.skipped),
        tuple(violation for one in reports for violation in one.violations),
        sum(one.payments for one in reports),
        sum(one.transactions for one in reports),
    )


async def _play(
    events: Sequence[Event],
    logs: Path,
    say: Say,
    size: Size,
    settings: Mapping[str, str],
    drawing: Drawing | None,
) -> Report:
    async with opened(logs, say, size, settings) as stage:
        scene, load, twin = stage.scene, stage.load, stage.twin
        possible = [one for one in events if scene.network.can_cut or not one.needs_cut]
        on_call = asyncio.create_task(OnCall(scene.engine).watch())
        outcomes = []
        try:
            for event in _in_turn(possible, load, drawing):
                outcomes.append(await one_event(event, stage))
                say(line(outcomes[-1]))
            violations = await verdict(scene.engine, load, twin) if size.whole else []
        finally:
            await cancel(on_call)
        return Report(
            tuple(outcomes),
            tuple(one for one in events if one not in possible),
            tuple(violations),
            len(load.records["gateway"].answered),
            len(load.records["ledger"].answered),
        )


def _in_turn(events: Sequence[Event], load: Load, drawing: Drawing | None) -> Iterator[Event]:
    """Each once, or until enough payments are answered."""
    if drawing is None or any(event.loses for event in events):
        yield from events
        return
    while len(load.records["gateway"].answered) < drawing.payments:
        yield drawing.random.choice(events)


def _folder(logs: Path, number: int) -> Path:
    folder = logs / str(number)
    folder.mkdir()
    return folder


async def one_event(event: Event, stage: Stage) -> Outcome:
    """One event under load, from when all goes well until it does so again."""
    scene, load, twin = stage.scene, stage.load, stage.twin
    webhooks = Webhooks(twin)
    async with asyncio.timeout(EVENT_SECONDS), load.running():
        await _goes_well(load, stage.warm)
        watching = asyncio.create_task(webhooks.watch()) if event.webhooks else None
        failed, causes = load.failed, load.causes()
        began = time.monotonic()
        try:
            promoted = await event.happen(scene)
            await _goes_well(load, stage.warm)
        finally:
            if watching is not None:
                await cancel(watching)
        ended = time.monotonic()
    gaps = {name: load.records[name].longest_gap(began, ended) for name in CALLERS}
    if event.webhooks:
        gaps["webhooks"] = webhooks.longest_gap(began, ended)
    return Outcome(
        event,
        promoted,
        gaps,
        load.failed - failed,
        webhooks.refused,
        await toll(scene.engine, load, twin),
        dict(load.causes() - causes),
    )


def line(outcome: Outcome) -> str:
    """What an event did, in a line."""
    gaps = ", ".join(f"{name} {gap:.1f}" for name, gap in outcome.gaps.items())
    promoted = "–" if outcome.promoted is None else f"{outcome.promoted:.1f} s"
    return (
        f"{outcome.event.what}: P {promoted}; longest gaps {gaps} s; {outcome.failed} calls failed"
        f" {outcome.causes}; {outcome.toll.lost} lost, {outcome.toll.doubled} doubled"
    )


async def _goes_well(load: Load, warm: Mapping[str, int]) -> None:
    await asyncio.gather(*(load.records[service].more(count) for service, count in warm.items()))
