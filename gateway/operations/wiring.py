"""Operations of one process: who runs them, whatever they are on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.identity import RequestIdentity
from gateway.operations.commands import Commands
from gateway.operations.gate import DurableGate, Gate
from gateway.operations.kind import Kind
from gateway.operations.operation import OperationKind
from gateway.operations.runner import RunLimits, Runner
from gateway.operations.store import CHANNEL
from gateway.part import Part
from runtime.clock import Clock
from runtime.durability_watch import DurabilityWatch
from runtime.idempotency import RequestIds
from runtime.loops import Loop
from runtime.notifier import Notifier, SubjectNotifiers

POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class OpenOperations(Part):
    """The runner, and who takes the requests that begin operations."""

    runner: Runner
    # Tells a request that comes again from another one with its id.
    request_ids: RequestIds
    # Derives ids from requests.
    identity: RequestIdentity
    # Closed while the database has lost something.
    gate: Gate
    # By the table that requests are kept in.
    commands: Callable[[Table], Commands]
    # Notified when there may be an operation to go on with, or something else to do.
    worker_notifier: Notifier
    # Those of subjects: payments, disputes and so on.
    subjects: SubjectNotifiers
    kinds: dict[OperationKind, Kind] = field(default_factory=dict)

    def register(self, kinds: Mapping[OperationKind, Kind]) -> None:
        """Has operations of these kinds run so; each kind is registered once."""
        twice = self.kinds.keys() & kinds.keys()
        if twice:
            raise ValueError(f"registered twice: {sorted(twice)}")
        self.kinds.update(kinds)


def open_operations(
    settings: GatewaySettings,
    engine: AsyncEngine,
    request_ids: RequestIds,
    identity: RequestIdentity,
    gate: Gate,
    worker_notifier: Notifier,
    clock: Clock,
    durability: DurabilityWatch,
) -> OpenOperations:
    """Whoever has kinds of operations registers them before the loops start."""
    kinds: dict[OperationKind, Kind] = {}
    limits = RunLimits(settings.call_seconds, settings.lease, settings.worker_concurrency)
    subjects = SubjectNotifiers()
    durable = DurableGate(gate, durability)
    runner = Runner(engine, kinds, clock, limits, subjects, worker_notifier, durable)

    def commands(table: Table) -> Commands:
        return Commands(
            engine, runner, clock, settings.answer_seconds, request_ids, identity, gate, table
        )

    loop = Loop("operations", runner.round, notifier=worker_notifier, poll_seconds=POLL_SECONDS)
    return OpenOperations(
        runner=runner,
        request_ids=request_ids,
        identity=identity,
        gate=gate,
        commands=commands,
        worker_notifier=worker_notifier,
        subjects=subjects,
        kinds=kinds,
        worker_loops=(loop,),
        notifiers={CHANNEL: worker_notifier},
        drains=(runner.drain,),
    )
