"""Running operations: a commit before and after each call, never across.

Whoever runs an operation holds its lease; when it is lost, what came back is dropped, and the
process that has the lease now finds out by itself.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.operations import store
from gateway.operations.gate import Gate
from gateway.operations.kind import Applied, ApplyContext, Asked, Claimed, Kind, Kinds
from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationKind,
    Step,
    decided,
    next_attempt,
    next_step,
    sent,
    what_is_known,
)
from gateway.stripe_client.failover import MAX_HOPS
from gateway.stripe_client.outcome import Outcome
from runtime.clock import Clock
from runtime.deadline import detached, within
from runtime.logs import get_logger, place_of
from runtime.notifier import Notifier, SubjectNotifiers
from runtime.tasks import cancel

# What follows at once from one operation, itself included: a check and an authorisation for each
# corridor that is tried, or a check and its payout.
MAX_CHAIN = 2 + 2 * MAX_HOPS
MAX_BATCH = 16
# Resolving asks several sources one after the other, page by page. Were it cut off after the time
# of one call, it would begin anew each time, and what has much traffic around it would stay
# undecided for ever.
RESOLVE_CALLS = 10

OPERATIONS = Counter(
    "gateway_operations_total", "Operations by kind and the state they were left in.",
    ["kind", "state"],
)  # fmt: skip
LEASES_LOST = Counter(
    "gateway_operation_leases_lost_total", "Results dropped by fencing.", ["kind"]
)

log = get_logger(__name__)
_uniform = random.SystemRandom().random


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds of one call to the outside and of the lease under which it is made."""

    call_seconds: float = 30.0
    lease: timedelta = timedelta(seconds=45)
    # Claimed operations that run at a time in this process, besides those that callers began.
    concurrency: int = 16

    def __post_init__(self) -> None:
        if self.lease.total_seconds() <= self.call_seconds:
            raise ValueError("a lease must outlast the call that is made under it")

    def seconds_of(self, step: Step) -> float:
        """How long the outside may be asked in one step."""
        return self.call_seconds * (RESOLVE_CALLS if step is Step.RESOLVE else 1)

    @property
    def resolve_lease(self) -> timedelta:
        """The lease under which it is found out what became of an operation."""
        return self.lease + timedelta(seconds=self.seconds_of(Step.RESOLVE) - self.call_seconds)


class Runner:
    """Runs operations whose lease this process holds, and claims those that nobody runs.

    Any number of processes may: leases keep them apart.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        kinds: Kinds,
        clock: Clock,
        limits: RunLimits,
        notifiers: SubjectNotifiers,
        worker_notifier: Notifier,
        gate: Gate,
        *,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._kinds = kinds
        self._clock = clock
        self._limits = limits
        self.notifiers = notifiers
        self._worker_notifier = worker_notifier
        self._gate = gate
        self._uniform = uniform
        self._running: set[asyncio.Task[Applied | None]] = set()
        self._claimed: set[asyncio.Task[Applied | None]] = set()

    def leased(self, operation: Operation, now: datetime) -> Operation:
        """A new operation under our lease, to be inserted before it is run."""
        return replace(operation, lease_until=now + self._limits.lease, fencing_token=1)

    def begin(self, operation: Operation, now: datetime) -> Operation:
        """A new operation under our lease, sent as soon as it is committed."""
        return self.leased(sent(operation, now), now)

    def start(self, claimed: Claimed) -> asyncio.Task[Applied | None]:
        """Runs an operation and what follows from it at once, in the background: whoever waits
        for it may go away.

        The task gives what came of the last of them; None when the lease was lost, or on a fault
        of ours, which is logged.
        """
        task = asyncio.create_task(self._run_logged(claimed), name=claimed.operation.id)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def resume(self, operation_id: str) -> asyncio.Task[Applied | None] | None:
        """Goes on with an open operation before its time; None if somebody has it, or if others
        come first."""
        now = self._clock.now()
        lease_until = now + self._limits.lease
        async with self._engine.begin() as connection:
            claimed = await store.claim_one(connection, operation_id, now, lease_until)
        return self.start(Claimed(claimed)) if claimed is not None else None

    async def round(self) -> bool:
        """Claims what is due, as far as there is room; True if there may be more at once."""
        if self._gate.closed:
            return False
        room = self._limits.concurrency - len(self._claimed)
        if room <= 0:
            await asyncio.wait(self._claimed, return_when=asyncio.FIRST_COMPLETED)
            return True
        now, limit = self._clock.now(), min(room, MAX_BATCH)
        lease_until = now + self._limits.lease
        async with self._engine.begin() as connection:
            claimed = await store.claim(connection, self._kinds.keys(), now, lease_until, limit)
        for operation in claimed:
            task = self.start(Claimed(operation))
            self._claimed.add(task)
            task.add_done_callback(self._claimed.discard)
        return len(claimed) == limit

    async def drain(self, seconds: float) -> None:
        """Lets running operations finish, for so long. The rest is left to their leases."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            await cancel(*late)

    async def ask(self, claimed: Claimed) -> Asked | None:
        """Commits that an operation is sent, and sends it; None when the lease was lost."""
        try:
            return await self._ask(claimed)
        except store.LeaseLostError:
            _report_lost(claimed.operation)
            return None

    async def finish(self, asked: Asked) -> tuple[Applied | None, Claimed | None]:
        """Commits what came back, and gives what follows at once, if anything.

        Nothing was applied when the lease was lost.
        """
        if asked.reply is None:
            return Applied(asked.operation, asked.subject), None
        try:
            applied = await self._finish(asked)
        except store.LeaseLostError:
            _report_lost(asked.operation)
            return None, None
        applied = replace(applied, reply=asked.reply)
        self._tell(applied)
        if not applied.goes_on or applied.follow_up is None:
            return applied, None
        snapshot = asked.snapshot
        return applied, Claimed(applied.follow_up, applied.subject, begun=True, snapshot=snapshot)

    async def put_back(self, unused: Sequence[Asked]) -> None:
        """Leaves checks whose answers are not used to be asked anew: they may be old by then."""
        async with self._engine.begin() as connection:
            for asked in unused:
                assert asked.operation.kind is OperationKind.CHECK, "nothing else may be forgotten"
                if asked.reply is not None:
                    again = next_attempt(asked.operation, self._clock.now())
                    with suppress(store.LeaseLostError):
                        await store.save(connection, again)

    async def _run_logged(self, claimed: Claimed) -> Applied | None:
        with detached():
            try:
                return await self._run(claimed)
            except Exception as error:  # noqa: BLE001 (the lease ends, and another try begins)
                operation = claimed.operation
                log.error(
                    "operation_failed_unexpectedly",
                    operation_id=operation.id,
                    kind=operation.kind.value,
                    **place_of(error),
                )
                return None

    async def _run(self, claimed: Claimed) -> Applied | None:
        current: Claimed | None = claimed
        applied: Applied | None = None
        for _ in range(MAX_CHAIN):
            if current is None:
                break
            asked = await self.ask(current)
            if asked is None:
                return None
            applied, current = await self.finish(asked)
        return applied

    async def _ask(self, claimed: Claimed) -> Asked:
        operation, subject = claimed.operation, claimed.subject
        kind = self._kinds[operation.kind]
        step, resend = Step.SEND, False
        if not claimed.begun:
            now = self._clock.now()
            step, resend = next_step(operation, now), operation.may_have_been_sent
            async with self._engine.begin() as connection:
                subject = await kind.load(connection, operation)
                known = kind.known(subject, operation)
                if known is not None:
                    ended = decided(operation, known, now)
                    await store.save(connection, ended)
                elif step is Step.SEND:
                    operation = replace(sent(operation, now), lease_until=now + self._limits.lease)
                    await store.save(connection, operation)
                elif step is Step.RESOLVE:
                    lease_until = now + self._limits.resolve_lease
                    operation = replace(operation, lease_until=lease_until)
                    await store.save(connection, operation)
            if known is not None:
                self._tell(Applied(ended, subject))
                return Asked(ended, subject, None)
        elif subject is None:
            async with self._engine.connect() as connection:
                subject = await kind.load(connection, operation)
        with within(self._limits.seconds_of(step)):
            reply = await self._reply(kind, subject, operation, step, resend=resend)
        return Asked(operation, subject, reply, resend, claimed.snapshot)

    async def _reply(
        self, kind: Kind, subject: Any, operation: Operation, step: Step, *, resend: bool
    ) -> Any:
        if step is Step.GIVE_UP:
            return GivenUp()
        if step is Step.RESOLVE:
            return await kind.resolve(subject, operation, self._clock.now())
        answer = await kind.send(subject, operation, resend)
        if not isinstance(answer, Outcome):
            return answer
        return await kind.complete(subject, operation, what_is_known(answer, resend=resend))

    async def _finish(self, asked: Asked) -> Applied:
        """Writes down what came back, if the lease is still ours."""
        kind = self._kinds[asked.operation.kind]
        if kind.writer is not None:
            context = self._context(asked)
            applied = await kind.writer.write(asked, context, partial(self.leased, now=context.now))
            if applied is not None:
                return applied
        async with self._engine.begin() as connection:
            subject = await kind.lock(connection, asked.operation)
            context = self._context(asked)
            known = kind.known(subject, asked.operation)
            if known is not None:
                # An event told it first: it has ended, whatever came back.
                applied = Applied(decided(asked.operation, known, context.now), subject)
            else:
                applied = await kind.apply(
                    connection, subject, asked.operation, asked.reply, context
                )
            if applied.goes_on and applied.follow_up is not None:
                leased = self.leased(applied.follow_up, context.now)
                applied = replace(applied, follow_up=leased)
            await store.save(connection, applied.operation)
            if applied.follow_up is not None:
                await store.add(connection, applied.follow_up)
        return applied

    def _context(self, asked: Asked) -> ApplyContext:
        return ApplyContext(self._clock.now(), self._uniform(), asked.resend)

    def _tell(self, applied: Applied) -> None:
        """After the commit: who waits is told."""
        operation = applied.operation
        OPERATIONS.labels(operation.kind, operation.state).inc()
        if applied.announce is not None:
            applied.announce()
        if applied.goes_on:
            # We go on by ourselves: nobody who waits for an outcome has one yet.
            self.notifiers.any.notify()
            return
        self.notifiers.notify(operation.subject_id)
        if operation.open or applied.follow_up is not None:
            self._worker_notifier.notify()


def _report_lost(operation: Operation) -> None:
    LEASES_LOST.labels(operation.kind).inc()
    log.warning("lease_lost", operation_id=operation.id)
