"""Running operations: a commit before and a commit after each call to the outside, never across.

What follows from an answer is decided from the payment as it was written last, and written by
group commit if that still stands; else the payment is locked, read and decided anew.

Whoever runs an operation holds its lease. When it is lost, whatever came back is dropped: the
process that has the lease now finds out by itself.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.payments import operation_store, store
from gateway.payments.asking import Outside
from gateway.payments.checking import Circumstances
from gateway.payments.claims import Claimed, RunLimits
from gateway.payments.committer import PaymentCommitter
from gateway.payments.deciding import decide, report, unreadable
from gateway.payments.decision import Decision
from gateway.payments.failover_events import announce_failover
from gateway.payments.ids import new_id
from gateway.payments.intents import UnreadableIntentError
from gateway.payments.observing import Timing
from gateway.payments.operation import (
    Operation,
    OperationKind,
    OperationState,
    Step,
    next_step,
    sent,
)
from gateway.payments.payment import Payment
from gateway.payments.recent import RecentPayments
from gateway.payments.recording import record_changes, record_refund
from gateway.payments.refund import Refund
from gateway.payments.reply import Reply
from gateway.payments.settling import end_moot, is_moot
from gateway.payments.story import Story
from gateway.payments.wakeups import PaymentBells
from gateway.payments.writes import NewPayment, Progress, Writes, is_grouped
from gateway.rails.failover import MAX_HOPS
from runtime.clock import Clock
from runtime.deadline import detached, within
from runtime.logs import get_logger
from runtime.notifications import Bell
from runtime.tasks import cancel
from runtime.telemetry import child_span, tracer

# A check and an authorisation for each corridor that is tried: more cannot follow from one
# operation.
MAX_CHAIN = 2 + 2 * MAX_HOPS

OPERATIONS = Counter(
    "gateway_payment_operations_total", "Operations by kind and the state they were left in.",
    ["kind", "state"],
)  # fmt: skip
LEASES_LOST = Counter("gateway_payment_leases_lost_total", "Results dropped by fencing.", ["kind"])

log = get_logger(__name__)
_uniform = random.SystemRandom().random
_tracer = tracer(__name__)


class Executor:
    """Runs operations whose lease this process holds."""

    def __init__(
        self,
        engine: AsyncEngine,
        committer: PaymentCommitter,
        outside: Outside,
        clock: Clock,
        bells: PaymentBells,
        worker_bell: Bell,
        *,
        limits: RunLimits,
        timing: Timing,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._committer = committer
        self._outside = outside
        self._clock = clock
        self._bells = bells
        self._worker_bell = worker_bell
        self._limits = limits
        self._timing = timing
        self._uniform = uniform
        self.recent = RecentPayments()
        self._running: set[asyncio.Task[Payment | None]] = set()

    def circumstances(self) -> Circumstances:
        """What a decision made now needs to know."""
        now = self._clock.now()
        return Circumstances(
            now, self._timing, self._uniform(), new_id("op", now), self._outside.elsewhere
        )

    def lease(self, operation: Operation, now: datetime) -> Operation:
        """A new operation under our lease, to be inserted before it is run."""
        return replace(operation, lease_until=now + self._limits.lease, fencing_token=1)

    async def write(self, part: Writes) -> bool:
        """Whether a part was written as it was decided; False if it must be decided anew."""
        with _commit_span():
            written = await self._committer.submit(part)
        if written and part.changes:
            self.recent.remember(part.changes[-1].after)
        return written

    async def begin(self, new: NewPayment, story: Story) -> asyncio.Task[Payment | None] | None:
        """Writes a new payment, then runs its operation; None if it could not be written so.

        Once it is being written it is run, too, though the caller may have gone away by then.
        """
        claimed = Claimed(new.operation, new.change.after, begun=True, story=story)
        run: asyncio.Task[Payment | None] | None = None

        def start(written: asyncio.Future[bool]) -> None:
            nonlocal run
            if not written.cancelled() and written.exception() is None and written.result():
                run = self.start(claimed)

        written = self._committer.submit(new)
        written.add_done_callback(start)
        with _commit_span():
            await asyncio.shield(written)
        return run

    def start(self, claimed: Claimed) -> asyncio.Task[Payment | None]:
        """Runs an operation in the background: whoever waits for it may go away."""
        task = asyncio.create_task(self._run_logged(claimed), name=claimed.operation.id)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def drain(self, seconds: float) -> None:
        """Lets running operations finish, for so long. The rest is left to their leases."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=seconds)
        await cancel(*late)

    async def run(self, claimed: Claimed) -> Payment | None:
        """Runs an operation and what follows from it at once; the payment as it is then.

        Returns None when the lease was lost.
        """
        current: Claimed | None = claimed
        payment = claimed.payment
        for _ in range(MAX_CHAIN):
            if current is None:
                break
            payment, current = await self.run_one(current)
        return payment

    async def run_one(self, claimed: Claimed) -> tuple[Payment | None, Claimed | None]:
        """Runs one operation: the payment as it is then, and what follows at once, if anything.

        The payment is None when the lease was lost.
        """
        try:
            return await self._step(claimed)
        except operation_store.LeaseLostError:
            LEASES_LOST.labels(claimed.operation.kind).inc()
            log.warning("lease_lost", operation_id=claimed.operation.id)
            return None, None

    async def _run_logged(self, claimed: Claimed) -> Payment | None:
        with detached():
            try:
                return await self.run(claimed)
            except Exception as error:  # noqa: BLE001 (the lease ends, and another try begins)
                report(claimed.operation, "operation_failed_unexpectedly", error)
                return None

    async def _step(self, claimed: Claimed) -> tuple[Payment, Claimed | None]:
        operation = claimed.operation
        step, resend = Step.SEND, False
        payment = claimed.payment
        if payment is None or not claimed.begun:
            step = next_step(operation, self._clock.now())
            resend = operation.may_have_been_sent
            async with self._engine.begin() as connection:
                payment = await store.get_payment(connection, operation.payment_id)
                assert payment is not None, "an operation has its payment"
                refund = await self._refund(connection, operation)
                if is_moot(payment, operation, refund):
                    decision = end_moot(payment, operation, self.circumstances())
                    await operation_store.save_operation(connection, decision.operation)
                    self._tell(decision)
                    return payment, None
                now = self._clock.now()
                if step is Step.SEND:
                    operation = replace(sent(operation, now), lease_until=now + self._limits.lease)
                    await operation_store.save_operation(connection, operation)
                elif step is Step.FIND_OUT:
                    lease_until = now + self._limits.find_out_lease
                    operation = replace(operation, lease_until=lease_until)
                    await operation_store.save_operation(connection, operation)
        with within(self._limits.seconds_of(step)):
            reply = await self._ask(payment, operation, step, resend=resend)
        return await self._finish(operation, payment, reply, resend=resend, story=claimed.story)

    async def _ask(
        self, payment: Payment, operation: Operation, step: Step, *, resend: bool
    ) -> Reply:
        try:
            return await self._outside.ask(
                payment, operation, step, self._clock.now(), resend=resend
            )
        except UnreadableIntentError as error:
            report(operation, "intent_unreadable", error)
            return unreadable()

    async def _finish(
        self,
        operation: Operation,
        known: Payment,
        reply: Reply,
        *,
        resend: bool,
        story: Story | None,
    ) -> tuple[Payment, Claimed | None]:
        """Writes down what came back, if the lease is still ours."""
        if operation.kind is not OperationKind.REFUND:
            given = self.circumstances()
            decision = decide(known, operation, None, reply, given, resend=resend)
            decision = self._leased(decision, given.now)
            progress = Progress(
                known, decision.changes, decision.operation, given.now, decision.follow_up
            )
            if is_grouped(decision) and await self.write(progress):
                if story is not None:
                    story.goes_on(progress)
                return self._told(decision, story)
        if story is not None:
            story.end()
        return await self._finish_locked(operation, reply, resend=resend)

    async def _finish_locked(
        self, operation: Operation, reply: Reply, *, resend: bool
    ) -> tuple[Payment, Claimed | None]:
        """The same on the payment as it is now, whoever changed it meanwhile."""
        async with self._engine.begin() as connection:
            payment = await store.lock_payment(connection, operation.payment_id)
            assert payment is not None, "an operation has its payment"
            refund = await self._refund(connection, operation)
            given = self.circumstances()
            decision = decide(payment, operation, refund, reply, given, resend=resend)
            decision = self._leased(decision, given.now)
            await operation_store.save_operation(connection, decision.operation)
            await record_changes(connection, decision.changes, given.now)
            if refund is not None and decision.refund is not None:
                await record_refund(
                    connection, decision.payment, refund, decision.refund, given.now
                )
            if decision.follow_up is not None:
                await operation_store.add_operation(connection, decision.follow_up)
        return self._told(decision)

    def _leased(self, decision: Decision, now: datetime) -> Decision:
        """The decision with what we go on with at once under our lease."""
        if decision.follow_up is None or decision.follow_up.state is not OperationState.RUNNING:
            return decision
        return replace(decision, follow_up=self.lease(decision.follow_up, now))

    def _told(
        self, decision: Decision, story: Story | None = None
    ) -> tuple[Payment, Claimed | None]:
        """After the commit: who waits is told, and what is ours to go on with is handed on."""
        self._tell(decision)
        follow_up = decision.follow_up
        if follow_up is None or follow_up.state is not OperationState.RUNNING:
            return decision.payment, None
        return decision.payment, Claimed(follow_up, decision.payment, begun=True, story=story)

    def _tell(self, decision: Decision) -> None:
        operation = decision.operation
        OPERATIONS.labels(operation.kind, operation.state).inc()
        announce_failover(decision, self._outside.elsewhere)
        follow_up = decision.follow_up
        if follow_up is not None and follow_up.state is OperationState.RUNNING:
            # We go on by ourselves: nobody who waits for an outcome has one yet.
            self._bells.any.ring()
            return
        self._bells.ring(operation.payment_id)
        if operation.open or follow_up is not None:
            self._worker_bell.ring()

    @staticmethod
    async def _refund(connection: AsyncConnection, operation: Operation) -> Refund | None:
        if operation.kind is not OperationKind.REFUND:
            return None
        assert operation.refund_id is not None
        return await store.get_refund(connection, operation.refund_id)


def _commit_span() -> AbstractContextManager[object]:
    """Covers the wait for group commit, whose own statement belongs to many traces."""
    return child_span(_tracer, "gateway.commit", {"db.system": "postgresql"})
