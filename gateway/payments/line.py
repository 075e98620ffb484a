"""The line of payments that wait for a corridor: let through in order, as long as it works.

One process at a time is elected to drain the lines; should two ever try, the head's lease lets only
one go on. Payments are checked and started one after the other, in the order in which they were
made, at the pace of the corridor's tokens; Stripe's answers may overlap, once one payment has shown
that the corridor works.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments import operation_store
from gateway.payments.claims import Claimed
from gateway.payments.executor import Executor
from gateway.payments.operation import Operation
from gateway.payments.payment import Payment
from gateway.payments.states import PaymentState
from gateway.rails.rails import Rails
from runtime.clock import Clock

# Answers that may be outstanding while the next payments are started.
MAX_OVERLAP = 8
# After so many a round ends, so that other corridors get their turn.
MAX_PER_ROUND = 200

DRAINED = Counter(
    "gateway_payment_queue_drained_total", "Payments let through from the line.", ["corridor"]
)


class Line:
    """Drains the lines of all corridors."""

    def __init__(
        self,
        engine: AsyncEngine,
        executor: Executor,
        rails: Rails,
        clock: Clock,
        *,
        lease: timedelta,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._rails = rails
        self._clock = clock
        self._lease = lease
        self._sleep = sleep

    async def round(self) -> bool:
        """Lets through what can be; True if there may be more at once."""
        async with self._engine.connect() as connection:
            waiting = await operation_store.corridors_with_a_line(connection)
        more = False
        for corridor in waiting:
            if corridor not in self._rails.corridors or not self._rails.available(corridor):
                continue
            more = await self._drain(corridor) or more
        return more

    async def _drain(self, corridor: str) -> bool:
        """Starts payments in order until one has to go back; True if the line may go on."""
        under_way: set[asyncio.Task[Payment | None]] = set()
        proven = False
        try:
            for _ in range(MAX_PER_ROUND):
                while under_way and (not proven or self._must_wait(corridor, len(under_way))):
                    done, under_way = await asyncio.wait(
                        under_way, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not all(_got_through(task) for task in done):
                        return False
                    proven = True
                if not self._rails.available(corridor):
                    return False
                await self._sleep(self._rails.seconds_to_turn(corridor))
                head = await self._claim_head(corridor)
                if head is None:
                    return False
                payment, follow_up = await self._executor.run_one(Claimed(head))
                if follow_up is None:
                    if payment is None or payment.state is PaymentState.QUEUED:
                        return False
                    continue
                DRAINED.labels(corridor).inc()
                under_way.add(self._executor.start(follow_up))
            return True
        finally:
            if under_way:
                await asyncio.wait(under_way)

    def _must_wait(self, corridor: str, under_way: int) -> bool:
        """Whether an answer has to come before the next payment goes out: one at a time while the
        corridor is slow, or has its breaker half open."""
        return (
            under_way >= MAX_OVERLAP
            or self._rails.is_slow(corridor)
            or not self._rails.available(corridor)
        )

    async def _claim_head(self, corridor: str) -> Operation | None:
        now = self._clock.now()
        async with self._engine.begin() as connection:
            return await operation_store.claim_head_of_line(
                connection, corridor, now, now + self._lease
            )


def _got_through(task: asyncio.Task[Payment | None]) -> bool:
    """Whether the corridor took the payment, whatever the bank said."""
    payment = task.result()
    return payment is not None and payment.state not in (
        PaymentState.QUEUED,
        PaymentState.AUTHORIZING,
    )
