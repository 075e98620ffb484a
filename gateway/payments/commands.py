"""Commands on payments: written down once per request, run, and answered in time.

The process that takes a command runs its first operation itself, under a lease, as long as the
caller waits. What is not decided by then goes on in the background, or at a worker.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import database_behind
from gateway.identity import RequestIdentity
from gateway.ids import derived_id
from gateway.operations import store as operation_store
from gateway.operations.gate import Gate
from gateway.operations.kind import Applied, Claimed
from gateway.operations.operation import OperationKind, OperationState, decided
from gateway.operations.runner import Runner
from gateway.payments.domain.apply import known_state
from gateway.payments.domain.commands import WAITING, CommandContext, Start, check_operation
from gateway.payments.domain.failover import at_home, is_away, next_route
from gateway.payments.domain.payment import (
    CREATED,
    Change,
    Payment,
    QueueReason,
    UnavailablePolicy,
    take,
)
from gateway.payments.domain.refusal import Refusal
from gateway.payments.domain.routing import Choice, Router, come_home, routed
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.errors import (
    not_begun,
    operation_in_progress,
    payment_not_found,
    queue_full,
    refusal_of_json,
    refusal_to_json,
    refused,
)
from gateway.payments.operations import Subject
from gateway.payments.requests import Command, Done, find_request, known_request
from gateway.payments.store import payments as store
from gateway.payments.store.group_commit import commit_span
from gateway.payments.store.payments import RequestRecord
from gateway.payments.store.queue import queue_length
from gateway.payments.store.recording import record_changes, record_new
from gateway.payments.store.snapshot import PaymentSnapshot, PaymentWriter
from gateway.payments.store.writes import NewPayment
from gateway.payments.stripe.dependencies import Dependencies
from gateway.payments.waiting import Patience, Until
from runtime.clock import Clock

# How long compliance may be asked about a payment that is not in the queue.
CHECK_WINDOW = timedelta(minutes=10)

Rule = Callable[[Payment, CommandContext], Start | Refusal]


class Payments:
    """Takes commands. Every method raises ServiceError as error_reason.proto says."""

    def __init__(
        self,
        engine: AsyncEngine,
        runner: Runner,
        writer: PaymentWriter,
        dependencies: Dependencies,
        patience: Patience,
        identity: RequestIdentity,
        gate: Gate,
        clock: Clock,
        *,
        max_queue_length: int,
        router: Router | None = None,
    ) -> None:
        """Without a `router` the operators' rules alone say where a payment is charged."""
        self._engine = engine
        self._runner = runner
        self._writer = writer
        self._dependencies = dependencies
        self._patience = patience
        self._identity = identity
        self._gate = gate
        self._clock = clock
        self._max_queue_length = max_queue_length
        self._router = router

    async def create(self, command: Command, payment: Payment) -> Done:
        """Checks and charges a new payment, or repeats the answer about the one it made."""
        self._gate.check()
        choice: Choice | None = None
        if self._router is not None:
            choice = await self._router.choose(payment, self._dependencies.elsewhere)
            if choice is not None:
                payment = routed(payment, choice.route, choice.order)
        until = self._patience.until(payment.corridor)
        record = command.record(payment.id, payment.create_time)
        new = self._new(record, payment, choice)
        snapshot = PaymentSnapshot.of_new(new)
        run = await self._begin_grouped(new, snapshot)
        if run is not None:
            await self._patience.run(run, payment.id, None, until)
            if run.done() and snapshot.is_current:
                return _begun(snapshot.payment, snapshot)
            return await self._created(payment.id)
        async with self._engine.begin() as connection:
            known: RequestRecord | None = None
            claimed: Claimed | None = None
            if await store.remember_request(connection, record):
                claimed = await self._begin(connection, payment, choice)
            else:
                known = await known_request(connection, command)
        if known is not None:
            assert known.payment_id is not None, "a payment was made"
            return await self._create_again(known.payment_id, until)
        if claimed is not None:
            await self._patience.run(self._runner.start(claimed), payment.id, None, until)
        return await self._created(payment.id)

    async def command(self, command: Command, payment_id: str, rule: Rule) -> Done:
        """Starts what `rule` says on a payment, or repeats the answer about what it started."""
        self._gate.check()
        async with self._engine.begin() as connection:
            payment = await store.lock_payment(connection, payment_id)
            until = self._patience.until(payment.corridor if payment is not None else "")
            if payment is not None:
                command = command.about(payment)
            known = await find_request(connection, command, payment)
            claimed: Claimed | None = None
            if known is None:
                if payment is None:
                    raise payment_not_found(payment_id)
                started = await self._apply(connection, command, payment, rule)
                record = _record(command, payment_id, started, self._clock.now())
                if not await store.remember_request(connection, record):
                    # The same id at the same moment for another payment.
                    known = await known_request(connection, command, payment)
                elif isinstance(started, Start):
                    claimed = await self._set_in_motion(connection, started)
        if known is not None:
            return await self._repeat(known, until)
        if claimed is not None:
            task = self._runner.start(claimed)
            await self._patience.run(task, payment_id, claimed.operation.id, until)
            return Done(payment_id, record.refund_id)
        return await self._repeat(record, until)

    async def _begin_grouped(
        self, new: NewPayment, snapshot: PaymentSnapshot
    ) -> asyncio.Task[Applied | None] | None:
        """Writes a new payment, then runs its operation; None if it could not be written so.

        Once it is being written it is run, too, though the caller may have gone away by then.
        """
        subject = Subject(new.change.after)
        claimed = Claimed(new.operation, subject, begun=True, snapshot=snapshot)
        run: asyncio.Task[Applied | None] | None = None

        def start(written: asyncio.Future[bool]) -> None:
            nonlocal run
            if not written.cancelled() and written.exception() is None and written.result():
                run = self._runner.start(claimed)

        written = self._writer.committer.submit(new)
        written.add_done_callback(start)
        with commit_span():
            await asyncio.shield(written)
        return run

    def _new(self, record: RequestRecord, payment: Payment, choice: Choice | None) -> NewPayment:
        """What a new payment writes where nobody is in the queue and its request_id is new."""
        context = self._dependencies.context()
        operation = check_operation(
            payment, derived_id("op", payment.id), context.now, CHECK_WINDOW
        )
        return NewPayment(
            record,
            Change(None, payment, CREATED),
            self._runner.begin(operation, context.now),
            context.now,
            alone=payment.unavailable_policy is UnavailablePolicy.QUEUE,
            routing=choice.record if choice is not None else None,
        )

    async def _begin(
        self, connection: AsyncConnection, payment: Payment, choice: Choice | None
    ) -> Claimed | None:
        """Writes a new payment and its first operation: ours to run, unless others are queued."""
        queues = payment.unavailable_policy is UnavailablePolicy.QUEUE
        if queues and is_away(payment) and await queue_length(connection, payment.corridor, 1):
            payment = come_home(payment, self._clock.now())
        joins_queue = await self._joins_queue(connection, payment)
        context = self._dependencies.context()
        await record_new(connection, payment)
        if choice is not None:
            await store.add_routing_decision(connection, choice.record)
        operation = check_operation(
            payment, derived_id("op", payment.id), context.now, CHECK_WINDOW
        )
        if not joins_queue:
            operation = self._runner.begin(operation, context.now)
            await operation_store.add(connection, operation)
            return Claimed(operation, Subject(payment), begun=True)
        assert payment.queue_deadline is not None
        change = take(
            payment,
            Transition.QUEUED,
            context.now,
            queue_reason=QueueReason.QUEUE_AHEAD,
            wake_time=payment.queue_deadline,
        )
        await record_changes(connection, [change], context.now)
        operation = replace(operation, queued=True, deadline=payment.queue_deadline)
        await operation_store.add(connection, operation)
        return None

    async def _joins_queue(self, connection: AsyncConnection, payment: Payment) -> bool:
        """Whether others wait already, so that this payment waits behind them."""
        if payment.unavailable_policy is not UnavailablePolicy.QUEUE:
            return False
        limit = self._max_queue_length
        length = await queue_length(connection, payment.corridor, limit)
        elsewhere = self._dependencies.context().elsewhere
        waits = length > 0 and not elsewhere.available(payment.corridor)
        if waits and next_route(payment, elsewhere) is not None:
            # Those in the queue wait for a corridor that this payment need not wait for.
            return False
        if length >= limit:
            raise queue_full(payment.corridor, limit)
        return length > 0

    async def _create_again(self, payment_id: str, until: Until) -> Done:
        """The answer to a request that came before; what was never sent is tried anew."""
        claimed: Claimed | None = None
        async with self._engine.begin() as connection:
            payment = await store.lock_payment(connection, payment_id)
            if payment is None:
                raise database_behind()
            retriable = payment.failure is not None and payment.failure.retriable
            if payment.state is PaymentState.FAILED and retriable:
                claimed = await self._retry(connection, payment)
        if claimed is None:
            await self._patience.wait(payment_id, None, until)
        else:
            await self._patience.run(self._runner.start(claimed), payment_id, None, until)
        return await self._created(payment_id)

    async def _retry(self, connection: AsyncConnection, payment: Payment) -> Claimed:
        context = self._dependencies.context()
        queue_deadline = None
        if payment.queue_timeout is not None:
            queue_deadline = context.now + payment.queue_timeout
        change = take(
            payment,
            Transition.RETRIED,
            context.now,
            failure=None,
            queue_deadline=queue_deadline,
            **at_home(payment),
        )
        await record_changes(connection, [change], context.now)
        # Another one than before: the hold that it may place is another, too.
        operation_id = derived_id("op", payment.id, str(change.after.revision))
        operation = check_operation(change.after, operation_id, context.now, CHECK_WINDOW)
        operation = self._runner.begin(operation, context.now)
        await operation_store.add(connection, operation)
        return Claimed(operation, Subject(change.after), begun=True)

    async def _created(self, payment_id: str) -> Done:
        """The answer about a payment; raises if it never began, so that it can be repeated."""
        async with self._engine.connect() as connection:
            payment = await store.get_payment(connection, payment_id)
        if payment is None:
            raise database_behind()
        return _begun(payment)

    async def _apply(
        self, connection: AsyncConnection, command: Command, payment: Payment, rule: Rule
    ) -> Start | Refusal:
        """What the rule says, unless something on the payment is under way. An operation whose
        outcome an event has told ends here, whoever still waits for Stripe's answer."""
        now = self._clock.now()
        waits = payment.state in WAITING
        refunds = payment.state is PaymentState.SUCCEEDED
        pending = await operation_store.open_operation_of(connection, payment.id)
        if pending is not None and not waits and pending.kind is not OperationKind.REFUND:
            known = known_state(payment, pending, None)
            if known is not None:
                await operation_store.end_known(connection, decided(pending, known, now))
            elif not refunds:
                raise operation_in_progress(payment, pending)
        count, charged_back = 0, False
        if refunds:
            count = await store.count_refunds(connection, payment.id)
            charged_back = await store.is_charged_back(connection, payment.id)
        context = CommandContext(
            now,
            self._identity.of("op", command.message),
            self._identity.of("ref", command.message),
            count,
            self._identity.metadata_of(command.message),
            charged_back=charged_back,
        )
        return rule(payment, context)

    async def _set_in_motion(self, connection: AsyncConnection, started: Start) -> Claimed | None:
        """Writes down what a command starts; ours to run unless something is before it."""
        if started.change is None:
            return None
        now = started.payment.update_time
        await record_changes(connection, [started.change], now)
        if started.refund is not None:
            await store.add_refund(connection, started.refund)
        pending = await operation_store.open_operation_of(connection, started.payment.id)
        if started.withdraws and pending is not None:
            withdrawn = decided(pending, OperationState.CANCELED, now, "withdrawn")
            await operation_store.take_over(connection, withdrawn)
        if started.operation is None:
            return None
        if pending is not None:
            await operation_store.add(connection, started.operation)
            return None
        operation = self._runner.begin(started.operation, now)
        await operation_store.add(connection, operation)
        return Claimed(operation, Subject(started.payment), begun=True)

    async def _repeat(self, known: RequestRecord, until: Until) -> Done:
        """The answer to a command that was written down before."""
        if known.refusal is not None:
            raise refused(refusal_of_json(known.refusal))
        assert known.payment_id is not None, "a command names its payment"
        if known.operation_id is not None:
            await self._patience.wait(known.payment_id, known.operation_id, until)
        return Done(known.payment_id, known.refund_id)


def _begun(payment: Payment, snapshot: PaymentSnapshot | None = None) -> Done:
    """The answer about a new payment; raises if it never began, so that it can be repeated."""
    failure = payment.failure
    if payment.state is PaymentState.FAILED and failure is not None and failure.retriable:
        raise not_begun(payment, failure)
    return Done(payment.id, snapshot=snapshot)


def _record(
    command: Command, payment_id: str, started: Start | Refusal, now: datetime
) -> RequestRecord:
    if isinstance(started, Refusal):
        return command.record(payment_id, now, refusal=refusal_to_json(started))
    return command.record(
        payment_id,
        now,
        operation_id=started.operation.id if started.operation is not None else None,
        refund_id=started.refund.id if started.refund is not None else None,
    )
