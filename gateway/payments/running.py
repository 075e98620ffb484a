"""Running operations whose lease this process holds, and what follows from them at once; and the
worker that goes on with operations that nobody runs."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.deciding import report
from gateway.payments.domain.payment import Payment
from gateway.payments.steps import Claimed, Steps
from gateway.payments.store import operations as operation_store
from gateway.payments.store.group_commit import PaymentCommitter, commit_span
from gateway.payments.store.snapshot import PaymentSnapshot
from gateway.payments.store.writes import NewPayment
from gateway.stripe_client.failover import MAX_HOPS
from runtime.clock import Clock
from runtime.deadline import detached
from runtime.tasks import cancel

# A check and an authorisation for each corridor that is tried: more cannot follow from one
# operation.
MAX_CHAIN = 2 + 2 * MAX_HOPS


class Executor:
    """Runs operations in the background: whoever waits for them may go away."""

    def __init__(self, steps: Steps, committer: PaymentCommitter) -> None:
        self._steps = steps
        self._committer = committer
        self._running: set[asyncio.Task[Payment | None]] = set()

    async def begin(
        self, new: NewPayment, snapshot: PaymentSnapshot
    ) -> asyncio.Task[Payment | None] | None:
        """Writes a new payment, then runs its operation; None if it could not be written so.

        Once it is being written it is run, too, though the caller may have gone away by then.
        """
        claimed = Claimed(new.operation, new.change.after, begun=True, snapshot=snapshot)
        run: asyncio.Task[Payment | None] | None = None

        def start(written: asyncio.Future[bool]) -> None:
            nonlocal run
            if not written.cancelled() and written.exception() is None and written.result():
                run = self.start(claimed)

        written = self._committer.submit(new)
        written.add_done_callback(start)
        with commit_span():
            await asyncio.shield(written)
        return run

    def start(self, claimed: Claimed) -> asyncio.Task[Payment | None]:
        """Runs an operation and what follows from it at once.

        The task gives the payment as it is then; None when the lease was lost, or on a fault of
        ours, which is logged.
        """
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

    async def _run_logged(self, claimed: Claimed) -> Payment | None:
        with detached():
            try:
                return await self._run(claimed)
            except Exception as error:  # noqa: BLE001 (the lease ends, and another try begins)
                report(claimed.operation, "operation_failed_unexpectedly", error)
                return None

    async def _run(self, claimed: Claimed) -> Payment | None:
        current: Claimed | None = claimed
        payment = claimed.payment
        for _ in range(MAX_CHAIN):
            if current is None:
                break
            asked = await self._steps.ask(current)
            if asked is None:
                return None
            payment, current = await self._steps.finish(asked)
        return payment


MAX_BATCH = 16


class OperationWorker:
    """Claims operations in batches and runs a bounded number of them at once.

    Any number of workers, in any number of processes, may run: leases keep them apart.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        executor: Executor,
        clock: Clock,
        *,
        lease: timedelta,
        concurrency: int,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._clock = clock
        self._lease = lease
        self._concurrency = concurrency
        self._running: set[asyncio.Task[Payment | None]] = set()

    async def round(self) -> bool:
        """Claims what is due, as far as there is room; True if there may be more at once."""
        room = self._concurrency - len(self._running)
        if room <= 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._clock.now()
        limit = min(room, MAX_BATCH)
        async with self._engine.begin() as connection:
            claimed = await operation_store.claim(connection, now, now + self._lease, limit)
        for operation in claimed:
            task = self._executor.start(Claimed(operation))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(claimed) == limit
