"""The queue of payments that wait for a corridor: let through in order, as long as it works.

One process at a time is elected to drain the queues; should two ever try, the leases at its front
let only one go on. Payments are started one after the other, in the order in which they were made,
at the pace of the corridor's tokens. Once one of them has shown that the corridor works, some are
checked ahead, and Stripe's answers may overlap.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.operations.gate import Gate
from gateway.operations.kind import Applied, Asked, Claimed
from gateway.operations.operation import Operation
from gateway.operations.runner import Runner
from gateway.payments.domain.states import PaymentState
from gateway.payments.operations import Subject
from gateway.payments.store.queue import claim_queue_head, queued_corridors
from gateway.stripe_client.client import StripeClient
from runtime.clock import Clock
from runtime.items import Items

# Answers that may be outstanding while the next payments are started.
MAX_OVERLAP = 8
# Payments that compliance is asked about at a time, and for how long what it said of one may wait
# for its turn behind others.
MAX_CHECKED_AHEAD = 8
MAX_CHECK_AGE_SECONDS = 1.0
# After so many looks at its front a round ends, so that other corridors get their turn.
MAX_LOOKS = 50

DRAINED = Counter(
    "gateway_payment_queue_drained_total", "Payments let through from the queue.", ["corridor"]
)


class Answers:
    """Stripe's answers that are outstanding. `proven` once one has shown that the corridor works;
    one that shows the contrary ends the round."""

    def __init__(self) -> None:
        self.proven = False
        self._under_way: set[asyncio.Task[Applied | None]] = set()

    def expect(self, task: "asyncio.Task[Applied | None]") -> None:
        """One more is under way."""
        self._under_way.add(task)

    async def fewer_than(self, limit: int) -> bool:
        """Waits until fewer are outstanding; False if one did not get through."""
        while len(self._under_way) >= limit:
            done, self._under_way = await asyncio.wait(
                self._under_way, return_when=asyncio.FIRST_COMPLETED
            )
            if not all(_got_through(task) for task in done):
                return False
            self.proven = True
        return True

    async def all(self) -> None:
        """Waits for all of them, whatever they say."""
        if self._under_way:
            await asyncio.wait(self._under_way)


class PaymentQueue:
    """Drains the queues of all corridors."""

    def __init__(
        self,
        engine: AsyncEngine,
        runner: Runner,
        stripe_client: StripeClient,
        gate: Gate,
        clock: Clock,
        *,
        lease: timedelta,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._runner = runner
        self._stripe = stripe_client
        self._gate = gate
        self._clock = clock
        self._lease = lease
        self._sleep = sleep
        self._items = Items("corridors to drain")

    async def round(self) -> bool:
        """Lets through what can be; True if there may be more at once."""
        if self._gate.closed:
            return False
        async with self._engine.connect() as connection:
            waiting = await queued_corridors(connection)
        more = False
        for corridor in waiting:
            if corridor not in self._stripe.corridors or not self._stripe.available(corridor):
                continue
            with self._items.kept_apart(corridor):
                more = await self._drain(corridor) or more
        return more

    async def _drain(self, corridor: str) -> bool:
        """Starts payments in order until one has to go back; True if the queue may go on."""
        answers = Answers()
        try:
            for _ in range(MAX_LOOKS):
                overlap = 1 if self._one_by_one(corridor, answers) else MAX_OVERLAP
                if not await answers.fewer_than(overlap):
                    return False
                if not self._stripe.available(corridor):
                    return False
                wait = self._stripe.seconds_to_token(corridor)
                await self._sleep(wait)
                alone = wait > 0 or self._one_by_one(corridor, answers)
                heads = await self._claim(corridor, 1 if alone else MAX_CHECKED_AHEAD)
                asked = await self._ask(heads)
                if not asked or not await self._start(corridor, asked, answers):
                    return False
            return True
        finally:
            await answers.all()

    async def _start(self, corridor: str, asked: Sequence[Asked | None], answers: Answers) -> bool:
        """Starts those that compliance allowed, in order, as long as the corridor takes them; False
        if one of them has to go back."""
        fresh_until = asyncio.get_running_loop().time() + MAX_CHECK_AGE_SECONDS
        for number, each in enumerate(asked):
            if number and not self._may_follow(corridor, fresh_until):
                await self._put_back(asked[number:])
                return True
            if not await answers.fewer_than(MAX_OVERLAP):
                await self._put_back(asked[number:])
                return False
            await self._sleep(self._stripe.seconds_to_token(corridor))
            if each is None or not await self._start_one(corridor, each, answers):
                await self._put_back(asked[number + 1 :])
                return False
        return True

    async def _start_one(self, corridor: str, asked: Asked, answers: Answers) -> bool:
        applied, follow_up = await self._runner.finish(asked)
        if follow_up is None:
            return applied is not None and _state_of(applied) is not PaymentState.QUEUED
        DRAINED.labels(corridor).inc()
        answers.expect(self._runner.start(follow_up))
        return True

    def _one_by_one(self, corridor: str, answers: Answers) -> bool:
        """Whether each has to wait for the answer about the one before."""
        return not (answers.proven and self._is_well(corridor))

    def _is_well(self, corridor: str) -> bool:
        """False while a corridor is slow, or has its breaker half open."""
        return self._stripe.available(corridor) and not self._stripe.is_slow(corridor)

    def _may_follow(self, corridor: str, fresh_until: float) -> bool:
        """Whether one that was checked ahead may still be started."""
        turn = asyncio.get_running_loop().time() + self._stripe.seconds_to_token(corridor)
        return self._is_well(corridor) and turn <= fresh_until

    async def _claim(self, corridor: str, limit: int) -> list[Operation]:
        now = self._clock.now()
        async with self._engine.begin() as connection:
            return await claim_queue_head(connection, corridor, now, now + self._lease, limit)

    async def _ask(self, heads: Sequence[Operation]) -> list[Asked | None]:
        """Asks compliance about each of them; all have ended when one has failed."""
        replies = await asyncio.gather(
            *(self._runner.ask(Claimed(head)) for head in heads), return_exceptions=True
        )
        asked: list[Asked | None] = []
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
            asked.append(reply)
        return asked

    async def _put_back(self, rest: Sequence[Asked | None]) -> None:
        await self._runner.put_back([asked for asked in rest if asked is not None])


def _got_through(task: "asyncio.Task[Applied | None]") -> bool:
    """Whether the corridor took the payment, whatever the bank said."""
    applied = task.result()
    return applied is not None and _state_of(applied) not in (
        PaymentState.QUEUED,
        PaymentState.AUTHORIZING,
    )


def _state_of(applied: Applied) -> PaymentState:
    subject: Subject = applied.subject
    return subject.payment.state
