"""How long a caller waits for an outcome, and when what it waits for is decided."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import database_behind
from gateway.operations import store as operation_store
from gateway.operations.kind import Applied
from gateway.operations.operation import OperationKind
from gateway.payments.domain.states import PaymentState
from gateway.payments.operations import Subject
from gateway.payments.store import payments as store
from runtime.deadline import remaining
from runtime.notifier import Notifier, SubjectNotifiers

# Another process may decide; it is looked for this often.
POLL_SECONDS = 0.2
# A corridor may become slow while a caller waits; it is looked at this often.
LOOK_SECONDS = 0.1

_UNDECIDED = frozenset(
    {
        *(PaymentState.RECEIVED, PaymentState.COMPLIANCE_CHECKED, PaymentState.AUTHORIZING),
        *(PaymentState.CAPTURING, PaymentState.CANCELING),
    }
)


@dataclass(frozen=True, slots=True)
class Until:
    """When to answer one caller, on the event loop's clock: `latest`, or `early` while the corridor
    is slow. It may become so while the caller waits."""

    latest: float
    early: float
    is_slow: Callable[[], bool]

    @property
    def left(self) -> float:
        """Seconds until the caller must be answered as things stand; never negative."""
        ends = min(self.latest, self.early) if self.is_slow() else self.latest
        return max(0.0, ends - asyncio.get_running_loop().time())

    @property
    def nap(self) -> float:
        """Seconds to wait before looking again: then the corridor may be slow."""
        early = self.early - asyncio.get_running_loop().time()
        return min(self.left, early if early > 0 else LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits for outcomes. Giving up changes nothing: what was begun goes on."""

    engine: AsyncEngine
    notifiers: SubjectNotifiers
    # A caller without a deadline, or with a distant one, is answered after this long.
    limit_seconds: float
    # And after this long while the corridor is slow.
    slow_seconds: float
    is_slow: Callable[[str], bool]
    # Kept for writing the answer before a caller's deadline.
    reserve_seconds: float

    def until(self, corridor: str) -> Until:
        """When to answer a caller who has come now and waits for a corridor."""
        left = remaining()
        seconds = self.limit_seconds
        if left is not None:
            seconds = min(seconds, max(0.0, left - self.reserve_seconds))
        now = asyncio.get_running_loop().time()
        return Until(now + seconds, now + self.slow_seconds, partial(self.is_slow, corridor))

    async def run(
        self,
        task: asyncio.Task[Applied | None],
        payment_id: str,
        operation_id: str | None,
        until: Until,
    ) -> None:
        """Waits for our own run of an operation; other news may be faster. If the run left the
        operation open, waits for its outcome."""
        with self.notifiers.listening(payment_id) as notifier:
            task.add_done_callback(lambda _: notifier.notify())
            while not task.done():
                token = notifier.token()
                await Notifier.wait(token, until.nap)
                if task.done():
                    break
                if until.left <= 0:
                    return
                if token.is_set() and await self._decided(payment_id, operation_id):
                    return
        applied = task.result() if not task.cancelled() else None
        if operation_id is None and applied is not None:
            subject: Subject = applied.subject
            if subject.payment.state not in _UNDECIDED:
                return
        await self.wait(payment_id, operation_id, until)

    async def wait(self, payment_id: str, operation_id: str | None, until: Until) -> None:
        """Waits until what the operation is for, or without one the payment, is decided, or time
        is up."""
        with self.notifiers.listening(payment_id) as notifier:
            while True:
                token = notifier.token()
                if await self._decided(payment_id, operation_id):
                    return
                if until.left <= 0:
                    return
                await Notifier.wait(token, min(until.nap, POLL_SECONDS))

    async def _decided(self, payment_id: str, operation_id: str | None) -> bool:
        async with self.engine.connect() as connection:
            payment = await store.get_payment(connection, payment_id)
            if payment is None:
                # Somebody waits for it, so it was there: the database was put back.
                raise database_behind()
            if payment.state in _UNDECIDED:
                return False
            if operation_id is None:
                return True
            operation = await operation_store.get(connection, operation_id)
            # The payment's state says nothing about a refund, nor, while what it was declined with
            # is tried again because its customer came back, that this was tried.
            tells_nothing = operation.kind is OperationKind.REFUND or (
                payment.state is PaymentState.RETRY_SCHEDULED and payment.customer_returned
            )
            return not tells_nothing or not operation.open
