"""Running operations on disputes and payouts: a commit before and after each call, never across.

Whoever runs an operation holds its lease; when it is lost, what came back is dropped, and the
process that has the lease now finds out by itself.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.operations import store
from gateway.operations.operation import Operation, OperationKind, given_up, next_step, sent, settle
from gateway.payments.domain.decision import IDEMPOTENCY_ERROR
from gateway.payments.domain.operation import Step
from gateway.payments.waiting import PaymentNotifiers
from gateway.stripe_client.outcome import Outcome, OutcomeClass, follow
from runtime.clock import Clock
from runtime.deadline import detached, within
from runtime.logs import get_logger, place_of
from runtime.tasks import cancel

MAX_RUNNING = 8
# A check, and the payout that it allows.
MAX_CHAIN = 2

OPERATIONS = Counter(
    "gateway_stripe_operations_total",
    "Operations on disputes and payouts by kind and the state they were left in.",
    ["kind", "state"],
)

log = get_logger(__name__)
_uniform = random.SystemRandom().random


class Handler(Protocol):
    """What one kind of operation does."""

    async def send(self, operation: Operation, /) -> Outcome:
        """Asks, with the operation's key and parameters."""
        ...

    async def resolve(self, operation: Operation, now: datetime, /) -> Outcome:
        """What became of an operation that must not be sent again; it only reads."""
        ...

    async def write(
        self,
        connection: AsyncConnection,
        operation: Operation,
        outcome: Outcome,
        now: datetime,
    ) -> tuple[Operation, Operation | None]:
        """Writes what came of it to its dispute or payout: the operation as it then is, which is
        still to be saved, and what follows at once."""
        ...


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds of one call to the outside and of the lease under which it is made."""

    call_seconds: float = 30.0
    lease: timedelta = timedelta(seconds=45)


class Runner:
    """Runs operations whose lease this process holds."""

    def __init__(
        self,
        engine: AsyncEngine,
        handlers: Mapping[OperationKind, Handler],
        clock: Clock,
        limits: RunLimits,
        *,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._handlers = handlers
        self._clock = clock
        self._limits = limits
        self._uniform = uniform
        # By subject: a dispute or a payout.
        self.notifiers = PaymentNotifiers()
        self._running: set[asyncio.Task[None]] = set()

    def leased(self, operation: Operation, now: datetime) -> Operation:
        """A new operation under our lease, sent as soon as that is committed."""
        return replace(sent(operation, now), lease_until=now + self._limits.lease, fencing_token=1)

    def start(self, operation: Operation, *, begun: bool) -> asyncio.Task[None]:
        """Runs it in the background: whoever waits for it may go away. `begun` says that the
        commit before the call is done."""
        task = asyncio.create_task(self._run_logged(operation, begun=begun), name=operation.id)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def round(self) -> bool:
        """Claims what is due, as far as there is room; True if there may be more at once."""
        room = MAX_RUNNING - len(self._running)
        if room <= 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._clock.now()
        async with self._engine.begin() as connection:
            claimed = await store.claim(connection, now, now + self._limits.lease, room)
        for operation in claimed:
            self.start(operation, begun=False)
        return len(claimed) == room

    async def drain(self, seconds: float) -> None:
        """Lets running operations finish, for so long. The rest is left to their leases."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            await cancel(*late)

    async def _run_logged(self, operation: Operation, *, begun: bool) -> None:
        with detached():
            try:
                await self._run(operation, begun=begun)
            except store.LeaseLostError:
                log.warning("lease_lost", operation_id=operation.id)
            except Exception as error:  # noqa: BLE001 (the lease ends, and another try begins)
                log.error(
                    "operation_failed_unexpectedly", operation_id=operation.id, **place_of(error)
                )

    async def _run(self, operation: Operation, *, begun: bool) -> None:
        current: Operation | None = operation
        for _ in range(MAX_CHAIN):
            if current is None:
                return
            current = await self._step(current, begun=begun)
            begun = True

    async def _step(self, operation: Operation, *, begun: bool) -> Operation | None:
        step, resend = Step.SEND, False
        if not begun:
            now = self._clock.now()
            step, resend = next_step(operation, now), operation.first_send_time is not None
            if step is Step.SEND:
                operation = replace(sent(operation, now), lease_until=now + self._limits.lease)
                async with self._engine.begin() as connection:
                    await store.save(connection, operation)
        with within(self._limits.call_seconds):
            outcome = await self._ask(operation, step, resend=resend)
        handler = self._handlers[operation.kind]
        async with self._engine.begin() as connection:
            now = self._clock.now()
            after = settle(operation, outcome, now, self._uniform())
            after, follow_up = await handler.write(connection, after, outcome, now)
            await store.save(connection, after)
            if follow_up is not None:
                follow_up = self.leased(follow_up, now)
                await store.add(connection, follow_up)
        OPERATIONS.labels(after.kind, after.state).inc()
        self.notifiers.notify(after.subject_id)
        return follow_up

    async def _ask(self, operation: Operation, step: Step, *, resend: bool) -> Outcome:
        handler = self._handlers[operation.kind]
        if step is Step.GIVE_UP:
            return given_up()
        if step is Step.RESOLVE:
            return await handler.resolve(operation, self._clock.now())
        outcome = await handler.send(operation)
        if outcome.failure is not None and outcome.failure.type == IDEMPOTENCY_ERROR:
            # A quarrel about the key says nothing about what was asked with it.
            outcome = replace(outcome, outcome_class=OutcomeClass.UNKNOWN)
        # What was unknown is only settled by an answer that knows the key.
        return follow(Outcome(OutcomeClass.UNKNOWN), outcome) if resend else outcome
