"""States that end by time: the queue, the review, the customer's action, the time to capture."""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.ids import derived_id
from gateway.operations import store as operation_store
from gateway.operations.gate import Gate
from gateway.operations.operation import OperationState, decided
from gateway.payments.domain.commands import CommandContext, start_cancel
from gateway.payments.domain.decline_retries import due_step, longest_window
from gateway.payments.domain.payment import Payment, take
from gateway.payments.domain.refusal import Refusal
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.store import payments as store
from gateway.payments.store.recording import record_changes
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import is_unavailable
from runtime.notifier import Notifier, SubjectNotifiers

MAX_PER_ROUND = 100
MAX_PASSED_OVER = 1_000

log = get_logger(__name__)


class Deadlines:
    """Ends what has lasted too long, one payment per transaction."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        notifiers: SubjectNotifiers,
        worker_notifier: Notifier,
        gate: Gate,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._notifiers = notifiers
        self._worker_notifier = worker_notifier
        self._gate = gate
        self._items = Items("payments to end")
        # What cannot be ended is passed over until all others have been looked at.
        self._passed_over: list[str] = []

    async def round(self) -> bool:
        """Looks at payments whose time has come; True if there may be more at once."""
        if self._gate.closed:
            return False
        for _ in range(MAX_PER_ROUND):
            payment_id: str | None = None
            try:
                async with self._engine.begin() as connection:
                    payment_id = await store.lock_payment_to_wake(
                        connection, self._clock.now(), self._passed_over
                    )
                    if payment_id is None:
                        break
                    payment = await store.lock_payment(connection, payment_id)
                    assert payment is not None, "it is locked"
                    await self._wake(connection, payment)
            except Exception as error:
                if payment_id is None or is_unavailable(error):
                    raise
                self._items.unhandled(payment_id, error)
                self._passed_over.append(payment_id)
                if len(self._passed_over) >= MAX_PASSED_OVER:
                    break
                continue
            self._notifiers.notify(payment_id)
            self._worker_notifier.notify()
        else:
            return True
        self._passed_over.clear()
        return False

    async def _wake(self, connection: AsyncConnection, payment: Payment) -> None:
        now = self._clock.now()
        if payment.state is PaymentState.RETRY_SCHEDULED:
            await self._retry(connection, payment)
            return
        if payment.state is PaymentState.AUTHORIZED:
            assert payment.capture_before is not None, "an authorisation has its end"
            if now < payment.capture_before:
                warned = take(
                    payment,
                    Transition.CAPTURE_WINDOW_CLOSING,
                    now,
                    wake_time=payment.capture_before,
                )
                log.warning("capture_window_closing", payment_id=payment.id)
                await record_changes(connection, [warned], now)
                return
        operation_id = derived_id("op", payment.id, "expire", str(payment.revision))
        context = CommandContext(now, operation_id, refund_id="", refund_count=0)
        started = start_cancel(payment, context, expires=True)
        assert not isinstance(started, Refusal), started
        assert started.change is not None, "something ends"
        pending = await operation_store.open_operation_of(connection, payment.id)
        await record_changes(connection, [started.change], now)
        if started.withdraws and pending is not None:
            withdrawn = decided(pending, OperationState.CANCELED, now, "expired")
            await operation_store.take_over(connection, withdrawn)
        if started.operation is not None:
            await operation_store.add(connection, started.operation)

    async def _retry(self, connection: AsyncConnection, payment: Payment) -> None:
        """Begins the next attempt, unless the networks want it later or it comes too late."""
        now = self._clock.now()
        since = now - longest_window()
        declines = await store.decline_times(connection, payment, since)
        operation_id = derived_id("op", payment.id, "retry", str(payment.revision))
        change, operation = due_step(payment, declines, now, operation_id)
        await record_changes(connection, [change], now)
        if operation is not None:
            await operation_store.add(connection, operation)
