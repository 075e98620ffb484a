"""How long a caller waits for an outcome, and when what it waits for is decided."""

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments import operation_store, store
from gateway.payments.operation import OperationKind
from gateway.payments.payment import Payment
from gateway.payments.states import PaymentState
from gateway.payments.wakeups import PaymentBells
from runtime.deadline import remaining
from runtime.notifications import Bell

# Time kept for writing the answer before the caller's deadline.
ANSWER_SECONDS = 0.25
# Another process may decide; it is looked for this often.
POLL_SECONDS = 0.2

_UNDECIDED = frozenset(
    {
        *(PaymentState.RECEIVED, PaymentState.COMPLIANCE_CHECKED, PaymentState.AUTHORIZING),
        *(PaymentState.CAPTURING, PaymentState.CANCELING),
    }
)


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits for outcomes. Giving up changes nothing: what was begun goes on."""

    engine: AsyncEngine
    bells: PaymentBells
    # A caller without a deadline, or with a distant one, is answered after this long.
    limit_seconds: float

    def until(self) -> float:
        """When to answer, on the event loop's clock."""
        left = remaining()
        seconds = self.limit_seconds
        if left is not None:
            seconds = min(seconds, max(0.0, left - ANSWER_SECONDS))
        return asyncio.get_running_loop().time() + seconds

    async def run(
        self,
        task: asyncio.Task[Payment | None],
        payment_id: str,
        operation_id: str | None,
        until: float,
    ) -> None:
        """Waits for our own run of an operation; other news may be faster. If the run left the
        operation open, waits for its outcome."""
        with self.bells.listening(payment_id) as bell:
            task.add_done_callback(lambda _: bell.ring())
            while not task.done():
                await Bell.wait(bell.ticket(), _left(until))
                if _left(until) <= 0:
                    return
                if not task.done() and await self._decided(payment_id, operation_id):
                    return
        payment = task.result() if not task.cancelled() else None
        if operation_id is None and payment is not None and payment.state not in _UNDECIDED:
            return
        await self.wait(payment_id, operation_id, until)

    async def wait(self, payment_id: str, operation_id: str | None, until: float) -> None:
        """Waits until what the operation is for, or without one the payment, is decided, or time
        is up."""
        with self.bells.listening(payment_id) as bell:
            while True:
                ticket = bell.ticket()
                if await self._decided(payment_id, operation_id):
                    return
                left = _left(until)
                if left <= 0:
                    return
                await Bell.wait(ticket, min(left, POLL_SECONDS))

    async def _decided(self, payment_id: str, operation_id: str | None) -> bool:
        async with self.engine.connect() as connection:
            payment = await store.get_payment(connection, payment_id)
            assert payment is not None, "somebody waits for it"
            if payment.state in _UNDECIDED:
                return False
            if operation_id is None:
                return True
            # The payment's state says nothing about a refund, but all about the rest.
            operation = await operation_store.get_operation(connection, operation_id)
            assert operation is not None, "its request names it"
            return operation.kind is not OperationKind.REFUND or not operation.open


def _left(until: float) -> float:
    return max(0.0, until - asyncio.get_running_loop().time())
