"""Events about payments: hints to look at Stripe's objects again.

What an event says is never applied, only what it is about: the object is fetched, compared and
applied, so that events may come twice, late, in any order, and before our own commit. What an event
says is used for one thing: to see that it tells nothing that is not known already, and then nothing
is fetched. Whatever happens later at Stripe has an event of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.bookkeeping.reporting import enqueue
from gateway.ids import RequestMetadata, derived_id
from gateway.money import from_stripe
from gateway.operations import store as operation_store
from gateway.operations.gate import LossGuard
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.intents import (
    IntentStatus,
    UnreadableIntentError,
    id_of,
    read_intent,
)
from gateway.payments.domain.money_facts import (
    ChargeFee,
    fee_facts,
    fee_of,
    fee_step,
    is_fee_of,
)
from gateway.payments.domain.payment import Change, Payment
from gateway.payments.domain.radar import RadarOutcome, radar_outcome_of
from gateway.payments.domain.reconcile import (
    ContradictionError,
    Timing,
    covers,
    radar_step,
    reconcile,
)
from gateway.payments.domain.refund import RETURNED, as_stripe_says
from gateway.payments.domain.refund_outcome import (
    refund_made_elsewhere,
    refund_step,
    takes_back_debit,
)
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.domain.stripe_params import (
    EXPAND_BALANCE,
    EXPAND_CAPTURE,
    EXPAND_REFUND_NOW,
    PAYMENT_KEY,
    REFUND_KEY,
)
from gateway.payments.store import payments as store
from gateway.payments.store.recording import captured_time, record_changes, record_refund
from gateway.payments.store.snapshot import PaymentWriter
from gateway.payments.store.writes import News
from gateway.payments.telemetry import trace_radar
from gateway.stripe_client.client import StripeClient
from gateway.stripe_times import made_time
from gateway.webhooks_in.event import (
    EventHandler,
    OutsideUnavailable,
    PoisonEventError,
    RetryEventLater,
    StripeEvent,
    object_of,
)
from gateway.webhooks_in.router import of_the_platform
from runtime.notifier import Notifier, SubjectNotifiers

# Of a charge: https://docs.stripe.com/api/charges/object#charge_object-status.
_NOT_PAID = frozenset({"pending", "failed"})
SUCCEEDED_EVENT = "payment_intent.succeeded"


class PaymentEvents:
    """The handler of events about PaymentIntents, charges and refunds."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        context: Callable[[], DecisionContext],
        writer: PaymentWriter,
        notifiers: SubjectNotifiers,
        worker_notifier: Notifier,
        timing: Timing,
        guard: LossGuard,
    ) -> None:
        self._engine = engine
        # Reads need no transaction around them.
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._stripe = stripe_client
        self._context = context
        self._writer = writer
        self._notifiers = notifiers
        self._worker_notifier = worker_notifier
        self._timing = timing
        self._guard = guard

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with: the engine's charges are all the
        platform's, also where a connected account receives the money."""
        return of_the_platform(
            {
                "payment_intent.*": self.apply_intent,
                "charge.succeeded": self.apply_charge,
                "charge.captured": self.apply_charge,
                "charge.updated": self.apply_charge,
                "refund.*": self.apply_refund,
                "charge.refund.updated": self.apply_refund,
            }
        )

    async def apply_intent(self, event: StripeEvent) -> None:
        """Looks at the PaymentIntent and takes the payment where it is."""
        if await self._is_known(event):
            return
        intent = object_of(
            await self._stripe.retrieve_payment_intent(
                event.corridor, event.object_id, {"expand": EXPAND_CAPTURE}
            )
        )
        payment_id = await self._payment_id(event.object_id, intent)
        if payment_id is None:
            return
        try:
            # A PaymentIntent succeeds once: this event has the time where the object has none.
            told = event.created_time if event.event_type == SUCCEEDED_EVENT else None
            await self._apply_intent(payment_id, intent, looked=False, succeeded=told)
        except ContradictionError as error:
            if error.never_sent and self._guard.is_ours(intent):
                await self._lost(payment_id, intent)
            raise PoisonEventError("STRIPE_CONTRADICTS") from error
        except UnreadableIntentError as error:
            raise PoisonEventError("INTENT_UNREADABLE") from error

    async def take_processing(self, payment_id: str, intent: Mapping[str, Any]) -> None:
        """Takes a payment that is PROCESSING where its PaymentIntent is, which was looked at just
        now. Raises ContradictionError or UnreadableIntentError."""
        await self._apply_intent(payment_id, intent, looked=True)

    async def apply_charge(self, event: StripeEvent) -> None:
        """Looks at the charge for Stripe's fee, which comes after the charge itself."""
        if event.object.get("balance_transaction", "") is None:
            # There was no fee yet: charge.updated brings it.
            return
        charge = object_of(
            await self._stripe.retrieve_charge(
                event.corridor, event.object_id, {"expand": EXPAND_BALANCE}
            )
        )
        if charge.get("status") in _NOT_PAID:
            # A bank debit has a balance transaction before its bank has paid, or though not.
            return
        await self.take_charge(charge)

    async def take_charge(self, charge: Mapping[str, Any]) -> bool:
        """Takes over what a charge with its balance transaction says; whether it is the charge of
        a payment of ours. A second charge for one payment is not: its money is nobody's yet.

        Raises RetryEventLater while the payment does not know of its success.
        """
        fee = fee_of(charge)
        if fee is None:
            return False
        recent = self._writer.recent.of_intent(id_of(charge.get("payment_intent")))
        outcome = radar_outcome_of(charge)
        if recent is not None and await self._take_fee_of(recent, fee, outcome):
            return True
        payment_id = await self.payment_of(charge)
        if payment_id is None:
            return False
        async with self._engine.begin() as connection:
            payment = await self._lock(connection, payment_id)
            if payment.state is not PaymentState.SUCCEEDED:
                # The charge comes before the news of its success: once that is in, so is this.
                # Until then the payment may name the charge of an attempt that was declined.
                raise RetryEventLater("PAYMENT_NOT_CAPTURED_YET")
            if not is_fee_of(payment, fee):
                return False
            now = self._context().now
            changes: list[Change] = []
            if payment.fee_minor is None:
                changes.append(fee_step(payment, fee, now))
                payment = changes[-1].after
            told = radar_step(payment, fee.charge_id, outcome, now)
            if told is not None:
                changes.append(told)
                payment = told.after
            await record_changes(connection, changes, now)
            payment = replace(payment, capture_time=await captured_time(connection, payment))
            for fact in fee_facts(payment, fee, now):
                await enqueue(connection, fact, now)
        self._notifiers.notify(payment_id)
        return True

    async def _take_fee_of(
        self, payment: Payment, fee: ChargeFee, outcome: RadarOutcome | None
    ) -> bool:
        """Writes the fee of a payment that this process wrote last, if it still stands so."""
        if payment.state is not PaymentState.SUCCEEDED or payment.fee_minor is not None:
            return False
        if payment.capture_time is None:
            return False
        if not is_fee_of(payment, fee):
            return False
        now = self._context().now
        if radar_step(payment, fee.charge_id, outcome, now) is not None:
            return False
        news = News(payment, fee_step(payment, fee, now), fee_facts(payment, fee, now), now)
        written = await self._writer.write(news)
        if written:
            self._notifiers.notify(payment.id)
        return written

    async def apply_refund(self, event: StripeEvent) -> None:
        """Looks at the refund."""
        await self.take_refund(
            object_of(
                await self._stripe.retrieve_refund(
                    event.corridor, event.object_id, {"expand": EXPAND_REFUND_NOW}
                )
            )
        )

    async def take_refund(self, stripe_refund: Mapping[str, Any]) -> None:
        """Takes over what a refund with its balance transaction says, also one that was made
        outside the engine, if it is of a payment of ours."""
        payment_id = await self.payment_of(stripe_refund)
        if payment_id is None:
            return
        lost = False
        async with self._engine.begin() as connection:
            payment = await self._lock(connection, payment_id)
            if takes_back_debit(payment, stripe_refund):
                return
            if payment.state is not PaymentState.SUCCEEDED:
                raise RetryEventLater("PAYMENT_NOT_CAPTURED_YET")
            context = self._context()
            refund = await store.refund_of_stripe(connection, str(stripe_refund["id"]))
            metadata = stripe_refund.get("metadata") or {}
            ours = str(metadata.get(REFUND_KEY) or "")
            if refund is None:
                refund = await store.get_refund(connection, ours) if ours else None
            if refund is not None and refund.payment_id != payment.id:
                raise PoisonEventError("REFUND_OF_ANOTHER_PAYMENT")
            if refund is not None:
                after = as_stripe_says(refund, stripe_refund, context.now)
                surfaced = refund.state in RETURNED and after.state not in RETURNED
                if surfaced and refund.amount_minor > payment.refundable_minor:
                    raise RetryEventLater("REFUND_EXCEEDS_WHAT_IS_LEFT")
                change = refund_step(payment, refund, after, context, stripe_refund)
            else:
                amount_minor = from_stripe(payment.currency, int(stripe_refund["amount"]))
                if amount_minor > payment.refundable_minor:
                    raise RetryEventLater("REFUND_EXCEEDS_WHAT_IS_LEFT")
                # One of ours that the database has lost keeps its name.
                request_metadata = RequestMetadata.read(metadata)
                refund, started = refund_made_elsewhere(
                    payment,
                    stripe_refund,
                    ours or derived_id("ref", str(stripe_refund["id"])),
                    request_metadata.request_id if ours and request_metadata is not None else "",
                    context,
                    ours=bool(ours),
                )
                await store.add_refund(connection, refund)
                if ours:
                    lost = await store.remember_carried_requests(
                        connection, stripe_refund, payment.id, context.now, refund.id
                    )
                await record_changes(connection, [started], context.now)
                after = as_stripe_says(refund, stripe_refund, context.now)
                change = refund_step(started.after, refund, after, context, stripe_refund)
            await record_changes(connection, [change] if change is not None else [], context.now)
            await record_refund(connection, payment, refund, after, context.now)
            hurried = await operation_store.hurry(connection, payment.id, context.now)
            if lost and self._guard.is_ours(stripe_refund):
                await self._guard.write_lost(
                    connection,
                    f"a refund of {payment_id} is at Stripe and not known",
                    made_time(stripe_refund),
                )
        self._tell(payment_id, hurried=hurried)

    async def _apply_intent(
        self,
        payment_id: str,
        intent: Mapping[str, Any],
        *,
        looked: bool,
        succeeded: datetime | None = None,
    ) -> None:
        seen = read_intent(intent)
        if seen.status is IntentStatus.CAPTURED and seen.effective_time is None:
            seen = replace(seen, effective_time=succeeded)
        async with self._engine.begin() as connection:
            payment = await self._lock(connection, payment_id)
            context = self._context()
            now = context.now
            change = reconcile(
                payment,
                seen,
                now,
                self._timing,
                # While a bank decides, nothing of ours is under way.
                decided=looked and payment.state is PaymentState.PROCESSING,
                jitter=context.jitter,
            )
            if change is None:
                # Stripe's answer to a decline names the charge, and not what Radar made of it.
                change = radar_step(payment, seen.charge_id, seen.radar_outcome, now, seen.card)
            if change is None:
                return
            if change.moves_money and not await self._may_book(connection, payment, change):
                # It may be of an attempt that is lost: the recovery knows how it is booked.
                raise OutsideUnavailable("DATABASE_BEHIND")
            await record_changes(connection, [change], now)
            lost = (
                change.transition is Transition.CAPTURED
                and await store.remember_carried_requests(connection, intent, payment.id, now)
            )
            hurried = await operation_store.hurry(connection, payment.id, now)
            if lost and self._guard.is_ours(intent):
                await self._guard.write_lost(
                    connection, f"a request on {payment_id} is at Stripe and not known"
                )
        trace_radar([change])
        self._tell(payment_id, hurried=hurried)

    async def _may_book(
        self, connection: AsyncConnection, payment: Payment, change: Change
    ) -> bool:
        """Whether the database has lost no attempt that may have moved the money. What surfaces,
        and what comes of a first attempt, waits until that is certain."""
        if change.surfaces or payment.is_first_attempt:
            return await self._guard.is_whole(connection, payment.corridor)
        return not self._guard.closed

    async def _is_known(self, event: StripeEvent) -> bool:
        """Whether the PaymentIntent as the event shows it tells nothing new of our payment."""
        try:
            seen = read_intent({"id": event.object_id, **event.object})
        except UnreadableIntentError:
            return False
        recent = self._writer.recent.of_intent(event.object_id)
        if recent is not None and covers(recent, seen):
            return True
        async with self._reading.connect() as connection:
            payment = await store.payment_of_intent(connection, event.object_id)
        return payment is not None and covers(payment, seen)

    async def payment_of(self, carrier: Mapping[str, Any]) -> str | None:
        """The payment that a charge, a refund or a dispute belongs to; None if it is not ours."""
        return await self._payment_id(id_of(carrier.get("payment_intent")), carrier)

    async def _payment_id(self, intent_id: str, carrier: Mapping[str, Any]) -> str | None:
        """The payment that one of Stripe's objects belongs to; None if it is none of ours.

        Our own commit may not have brought the PaymentIntent's id yet: then the metadata tells.
        """
        named = str((carrier.get("metadata") or {}).get(PAYMENT_KEY) or "")
        async with self._reading.connect() as connection:
            known = await store.payment_id_of_intent(connection, intent_id)
            if known is not None or not named:
                return known
            if await store.get_payment(connection, named) is not None:
                return named
        if self._guard.is_ours(carrier):
            await self._lost(named, carrier)
        return None

    async def _lost(self, payment_id: str, carrier: Mapping[str, Any]) -> NoReturn:
        """What the database does not know any more waits until it does, however long that lasts."""
        await self._guard.lost(f"{payment_id} is at Stripe and not known", made_time(carrier))
        raise OutsideUnavailable("PAYMENT_LOST")

    @staticmethod
    async def _lock(connection: Any, payment_id: str) -> Payment:
        payment = await store.lock_payment(connection, payment_id)
        assert payment is not None, "it was found a moment ago"
        return payment

    def _tell(self, payment_id: str, *, hurried: bool) -> None:
        self._notifiers.notify(payment_id)
        if hurried:
            self._worker_notifier.notify()
