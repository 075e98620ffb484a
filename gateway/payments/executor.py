"""Running operations whose lease this process holds: one, and what follows from it at once."""

import asyncio

from gateway.payments.claims import Claimed
from gateway.payments.committer import PaymentCommitter, commit_span
from gateway.payments.deciding import report
from gateway.payments.payment import Payment
from gateway.payments.steps import Steps
from gateway.payments.story import Story
from gateway.payments.writes import NewPayment
from gateway.rails.failover import MAX_HOPS
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
