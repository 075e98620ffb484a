"""One operation, step by step: a commit, the call to the outside, and a commit of what it meant.

What follows from an answer is decided from the payment as it was written last, and written by
group commit if that still stands; else the payment is locked, read and decided anew.

Whoever takes these steps holds the operation's lease. When it is lost, whatever came back is
dropped: the process that has the lease now finds out by itself.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.ids import new_id
from gateway.payments.deciding import decide, report, unreadable
from gateway.payments.domain.apply import end_moot, is_moot
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, Reply
from gateway.payments.domain.intents import UnreadableIntentError
from gateway.payments.domain.operation import (
    Operation,
    OperationKind,
    OperationState,
    Step,
    next_attempt,
    next_step,
    sent,
)
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.refund import Refund
from gateway.payments.store import operations as operation_store
from gateway.payments.store import payments as store
from gateway.payments.store.group_commit import PaymentCommitter, commit_span
from gateway.payments.store.recording import record_changes, record_refund
from gateway.payments.store.snapshot import PaymentSnapshot, RecentPayments
from gateway.payments.store.writes import Progress, Writes, is_grouped
from gateway.payments.stripe.dependencies import Dependencies
from gateway.payments.telemetry import announce_failover
from gateway.payments.waiting import PaymentNotifiers
from runtime.clock import Clock
from runtime.deadline import within
from runtime.logs import get_logger
from runtime.notifications import Notifier

# Resolving asks several sources one after the other, page by page. Were it cut off after the time
# of one call, it would begin anew each time, and a payment with much traffic around it would stay
# undecided for ever.
RESOLVE_CALLS = 10


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds of one call to the outside and of the lease under which it is made."""

    call_seconds: float = 30.0
    lease: timedelta = timedelta(seconds=45)

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


@dataclass(frozen=True, slots=True)
class Claimed:
    """An operation whose lease we hold. `begun` says that the commit before the call is done."""

    operation: Operation
    payment: Payment | None = None
    begun: bool = False
    snapshot: PaymentSnapshot | None = None


OPERATIONS = Counter(
    "gateway_payment_operations_total", "Operations by kind and the state they were left in.",
    ["kind", "state"],
)  # fmt: skip
LEASES_LOST = Counter("gateway_payment_leases_lost_total", "Results dropped by fencing.", ["kind"])

log = get_logger(__name__)
_uniform = random.SystemRandom().random


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that the outside was asked for, and what it said; not written down yet.

    `reply` is None if there was nothing left to ask, which is written down.
    """

    operation: Operation
    payment: Payment
    reply: Reply | None
    resend: bool = False
    snapshot: PaymentSnapshot | None = None


class Steps:
    """The steps of operations whose lease this process holds."""

    def __init__(
        self,
        engine: AsyncEngine,
        committer: PaymentCommitter,
        dependencies: Dependencies,
        clock: Clock,
        notifiers: PaymentNotifiers,
        worker_notifier: Notifier,
        *,
        limits: RunLimits,
        timing: Timing,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._committer = committer
        self._dependencies = dependencies
        self._clock = clock
        self._notifiers = notifiers
        self._worker_notifier = worker_notifier
        self._limits = limits
        self._timing = timing
        self._uniform = uniform
        self.recent = RecentPayments()

    def circumstances(self) -> DecisionContext:
        """What a decision made now needs to know."""
        now = self._clock.now()
        return DecisionContext(
            now, self._timing, self._uniform(), new_id("op", now), self._dependencies.elsewhere
        )

    def lease(self, operation: Operation, now: datetime) -> Operation:
        """A new operation under our lease, to be inserted before it is run."""
        return replace(operation, lease_until=now + self._limits.lease, fencing_token=1)

    async def write(self, part: Writes) -> bool:
        """Whether a part was written as it was decided; False if it must be decided anew."""
        with commit_span():
            written = await self._committer.submit(part)
        if written and part.changes:
            self.recent.remember(part.changes[-1].after)
        return written

    async def ask(self, claimed: Claimed) -> Asked | None:
        """Commits that an operation is sent, and sends it; None when the lease was lost."""
        try:
            return await self._ask(claimed)
        except operation_store.LeaseLostError:
            _lost(claimed.operation)
            return None

    async def finish(self, asked: Asked) -> tuple[Payment | None, Claimed | None]:
        """Commits what came back: the payment as it is then, and what follows at once, if anything.

        The payment is None when the lease was lost.
        """
        if asked.reply is None:
            return asked.payment, None
        try:
            return await self._finish(asked, asked.reply)
        except operation_store.LeaseLostError:
            _lost(asked.operation)
            return None, None

    async def put_back(self, unused: Sequence[Asked]) -> None:
        """Leaves checks whose answers are not used to be asked anew: they may be old by then."""
        async with self._engine.begin() as connection:
            for asked in unused:
                assert asked.operation.kind is OperationKind.CHECK, "nothing else may be forgotten"
                if asked.reply is not None:
                    again = next_attempt(asked.operation, self._clock.now())
                    with suppress(operation_store.LeaseLostError):
                        await operation_store.save_operation(connection, again)

    async def _ask(self, claimed: Claimed) -> Asked:
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
                    return Asked(decision.operation, payment, None)
                now = self._clock.now()
                if step is Step.SEND:
                    operation = replace(sent(operation, now), lease_until=now + self._limits.lease)
                    await operation_store.save_operation(connection, operation)
                elif step is Step.RESOLVE:
                    lease_until = now + self._limits.resolve_lease
                    operation = replace(operation, lease_until=lease_until)
                    await operation_store.save_operation(connection, operation)
        with within(self._limits.seconds_of(step)):
            reply = await self._reply(payment, operation, step, resend=resend)
        return Asked(operation, payment, reply, resend, claimed.snapshot)

    async def _reply(
        self, payment: Payment, operation: Operation, step: Step, *, resend: bool
    ) -> Reply:
        try:
            return await self._dependencies.ask(
                payment, operation, step, self._clock.now(), resend=resend
            )
        except UnreadableIntentError as error:
            report(operation, "intent_unreadable", error)
            return unreadable()

    async def _finish(self, asked: Asked, reply: Reply) -> tuple[Payment, Claimed | None]:
        """Writes down what came back, if the lease is still ours."""
        known, operation, snapshot = asked.payment, asked.operation, asked.snapshot
        if operation.kind is not OperationKind.REFUND:
            context = self.circumstances()
            decision = decide(known, operation, None, reply, context, resend=asked.resend)
            decision = self._leased(decision, context.now)
            progress = Progress(
                known, decision.changes, decision.operation, context.now, decision.follow_up
            )
            if is_grouped(decision) and await self.write(progress):
                if snapshot is not None:
                    snapshot.apply(progress)
                return self._told(decision, snapshot)
        if snapshot is not None:
            snapshot.end()
        return await self._finish_locked(operation, reply, resend=asked.resend)

    async def _finish_locked(
        self, operation: Operation, reply: Reply, *, resend: bool
    ) -> tuple[Payment, Claimed | None]:
        """The same on the payment as it is now, whoever changed it meanwhile."""
        async with self._engine.begin() as connection:
            payment = await store.lock_payment(connection, operation.payment_id)
            assert payment is not None, "an operation has its payment"
            refund = await self._refund(connection, operation)
            context = self.circumstances()
            decision = decide(payment, operation, refund, reply, context, resend=resend)
            decision = self._leased(decision, context.now)
            await operation_store.save_operation(connection, decision.operation)
            await record_changes(connection, decision.changes, context.now)
            if refund is not None and decision.refund is not None:
                await record_refund(
                    connection, decision.payment, refund, decision.refund, context.now
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
        self, decision: Decision, snapshot: PaymentSnapshot | None = None
    ) -> tuple[Payment, Claimed | None]:
        """After the commit: who waits is told, and what is ours to go on with is handed on."""
        self._tell(decision)
        follow_up = decision.follow_up
        if follow_up is None or follow_up.state is not OperationState.RUNNING:
            return decision.payment, None
        return decision.payment, Claimed(follow_up, decision.payment, begun=True, snapshot=snapshot)

    def _tell(self, decision: Decision) -> None:
        operation = decision.operation
        OPERATIONS.labels(operation.kind, operation.state).inc()
        announce_failover(decision, self._dependencies.elsewhere)
        follow_up = decision.follow_up
        if follow_up is not None and follow_up.state is OperationState.RUNNING:
            # We go on by ourselves: nobody who waits for an outcome has one yet.
            self._notifiers.any.notify()
            return
        self._notifiers.notify(operation.payment_id)
        if operation.open or follow_up is not None:
            self._worker_notifier.notify()

    @staticmethod
    async def _refund(connection: AsyncConnection, operation: Operation) -> Refund | None:
        if operation.kind is not OperationKind.REFUND:
            return None
        assert operation.refund_id is not None
        return await store.get_refund(connection, operation.refund_id)


def _lost(operation: Operation) -> None:
    LEASES_LOST.labels(operation.kind).inc()
    log.warning("lease_lost", operation_id=operation.id)
