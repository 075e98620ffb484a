"""The worker: goes on with operations that nobody runs, wherever they were left."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments import operation_store
from gateway.payments.claims import Claimed
from gateway.payments.executor import Executor
from gateway.payments.payment import Payment
from runtime.clock import Clock

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
