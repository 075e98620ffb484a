"""Taking over what Stripe says of a dispute: the dispute, its payment's events, the books.

Events are hints: the dispute is fetched and compared, so that they may come twice, late, in any
order, and before our own commit.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.balance.movement import Movement
from gateway.bookkeeping.reporting import enqueue
from gateway.disputes import store
from gateway.disputes.domain import (
    Dispute,
    UnreadableDisputeError,
    decided,
    dispute_facts,
    dispute_movement,
    in_order,
    newer,
    read_dispute,
)
from gateway.ids import derived_id
from gateway.operations import store as operation_store
from gateway.payments.domain.payment import Change, Payment, take
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.store import payments as payment_store
from gateway.payments.store.recording import record_changes
from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.event import (
    EventHandler,
    PoisonEventError,
    RetryEventLater,
    StripeEvent,
    object_of,
)
from gateway.webhooks_in.router import of_the_platform
from runtime.clock import Clock
from runtime.notifier import SubjectNotifiers

EVENT_TYPE = "charge.dispute.*"
CLOSED_EVENT = "charge.dispute.closed"


class PaymentFinder(Protocol):
    """Finds the payment that one of Stripe's objects belongs to; `PaymentEvents`."""

    async def payment_of(self, carrier: Mapping[str, Any]) -> str | None: ...


class Disputes:
    """The handler of events about disputes, and what else learns of them goes through it."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        payments: PaymentFinder,
        notifiers: SubjectNotifiers,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._payments = payments
        self._notifiers = notifiers
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with: a dispute of a merchant's own charge
        is the merchant's, and none of the engine's."""
        return of_the_platform({EVENT_TYPE: self.apply})

    async def apply(self, event: StripeEvent) -> None:
        """Looks at the dispute."""
        told = event.created_time if event.event_type == CLOSED_EVENT else None
        await self.look(event.corridor, event.object_id, closed=told)

    async def look(
        self,
        corridor: str,
        dispute_id: str,
        movement: Movement | None = None,
        *,
        closed: datetime | None = None,
    ) -> bool:
        """Takes over what Stripe says of a dispute now; False if it is of no payment of ours.

        `movement` is a balance transaction whose source the dispute is, whether or not the dispute
        lists it: https://docs.stripe.com/api/disputes/object lists two at most; `closed` is when it
        was, if an event has told. Raises RetryEventLater while the payment's own news is missing.
        """
        look_time = self._clock.now()
        outcome = await self._stripe.records.retrieve_dispute(corridor, dispute_id)
        stripe_dispute = object_of(outcome)
        payment_id = await self._payment_id(corridor, stripe_dispute)
        if payment_id is None:
            return False
        async with self._engine.begin() as connection:
            payment = await payment_store.lock_payment(connection, payment_id)
            assert payment is not None, "it was found a moment ago"
            if payment.state is not PaymentState.SUCCEEDED:
                raise RetryEventLater("PAYMENT_NOT_CAPTURED_YET")
            await self.write(
                connection, payment, stripe_dispute, look_time, movement, closed=closed
            )
        self._notifiers.notify(payment_id)
        return True

    async def write(
        self,
        connection: AsyncConnection,
        payment: Payment,
        stripe_dispute: Mapping[str, Any],
        look_time: datetime,
        movement: Movement | None = None,
        *,
        closed: datetime | None = None,
    ) -> Dispute:
        """Writes what Stripe says of a dispute of a payment that the caller has locked;
        `look_time` is when Stripe was asked, `movement` what else is known to be the dispute's,
        `closed` when it was, if that is known."""
        now = self._clock.now()
        try:
            seen = read_dispute(
                stripe_dispute,
                dispute_id=derived_id("dsp", str(stripe_dispute["id"])),
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                corridor=payment.corridor,
                look_time=look_time,
                now=now,
            )
        except UnreadableDisputeError as error:
            raise PoisonEventError("DISPUTE_UNREADABLE") from error
        if movement is not None:
            also = dispute_movement(movement)
            seen = replace(seen, movements=in_order((*seen.movements, also)))
        seen = decided(seen, closed)
        before = await store.of_stripe(connection, payment.corridor, seen.stripe_dispute_id)
        after = seen if before is None else newer(before, seen)
        await store.save(connection, before, after)
        held_minor = await store.held_minor(connection, payment.id)
        changes = steps(payment, before, after, held_minor, now)
        await record_changes(connection, changes, now)
        for fact in dispute_facts(after):
            await enqueue(connection, fact, now)
        if before != after:
            await operation_store.hurry(connection, after.id, now)
        return after

    async def _payment_id(self, corridor: str, stripe_dispute: Mapping[str, Any]) -> str | None:
        known = await self._payments.payment_of(stripe_dispute)
        charge_id = stripe_dispute.get("charge")
        if known is not None or not isinstance(charge_id, str):
            return known
        # Our commit may not have brought the PaymentIntent's id yet: the charge names the payment.
        charge = object_of(await self._stripe.retrieve_charge(corridor, charge_id))
        return await self._payments.payment_of(charge)


def steps(
    payment: Payment, before: Dispute | None, after: Dispute, held_minor: int, now: datetime
) -> list[Change]:
    """The payment's steps when a dispute became another; `held_minor` is what all its disputes
    keep now."""
    transitions = []
    if before is None:
        transitions.append(Transition.DISPUTE_OPENED)
    if after.closed and (before is None or not before.closed):
        transitions.append(Transition.DISPUTE_CLOSED)
    elif before is not None and before != after:
        transitions.append(Transition.DISPUTE_UPDATED)
    changes: list[Change] = []
    for transition in transitions:
        change = take(payment, transition, now, disputed_minor=held_minor)
        changes.append(change)
        payment = change.after
    return changes
