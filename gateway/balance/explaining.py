"""Explaining balance transactions: whose money moved, and which facts it means.

Events report most of it before. What they reported is reported again in the same words and found
booked; what they did not report is reported here, through the same handlers. A movement that
nothing of ours explains is booked in suspense: the ledger has Stripe's balance to the cent anyway.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance import movement_facts, telemetry
from gateway.balance import store as balance_store
from gateway.balance.movement import REFUNDS, Movement
from gateway.balance.types import TYPES, Way
from gateway.bookkeeping.balance_facts import UnknownBalanceTransaction
from gateway.bookkeeping.facts import Fact, StripeBalance
from gateway.bookkeeping.reporting import enqueue
from gateway.bookkeeping.settlement import settled_debit
from gateway.money import to_stripe
from gateway.payments.domain.intents import id_of
from gateway.payments.domain.states import PaymentState
from gateway.payments.store import payments as payment_store
from gateway.payments.store.recording import captured_time
from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.event import RetryEventLater
from runtime.clock import Clock
from runtime.logs import get_logger

Source = Mapping[str, Any]
# What names the balance transaction that brought back what a refund or a payout took.
FAILURE = "failure_balance_transaction"
log = get_logger(__name__)


class PaymentTaker(Protocol):
    """Takes over what Stripe's charges and refunds say; `PaymentEvents`."""

    async def take_charge(self, charge: Source) -> bool: ...
    async def take_refund(self, stripe_refund: Source) -> None: ...
    async def payment_of(self, carrier: Source) -> str | None: ...


class DisputeTaker(Protocol):
    """Takes over what Stripe says of a dispute; False if it is of no payment of ours."""

    async def look(
        self, corridor: str, dispute_id: str, movement: Movement | None = None
    ) -> bool: ...


class PayoutTaker(Protocol):
    """Takes over what Stripe's payouts say."""

    async def take_payout(
        self, corridor: str, stripe_payout: Source, stripe_account: str | None
    ) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Debit:
    """How far the bank debit is that a movement is of; not `ours` if nothing explains it."""

    captured: bool
    ours: bool


class Explainer:
    """Reports to bookkeeping what balance transactions mean."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        payments: PaymentTaker,
        disputes: DisputeTaker,
        payouts: PayoutTaker,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._payments = payments
        self._disputes = disputes
        self._payouts = payouts
        self._clock = clock
        self._ways: dict[Way, Callable[[Movement, Source], Awaitable[Sequence[Fact] | None]]] = {
            Way.CHARGE: self._charge,
            Way.PAYMENT: self._payment,
            Way.PAYMENT_FAILURE: self._payment_failure,
            Way.REFUND: self._refund,
            Way.REFUND_FAILURE: self._refund,
            Way.TRANSFER: self._transfer,
            Way.TRANSFER_REVERSAL: self._transfer_reversal,
            Way.APPLICATION_FEE: self._application_fee,
            Way.APPLICATION_FEE_REFUND: self._application_fee_refund,
            Way.ADJUSTMENT: self._dispute,
            Way.PAYOUT: self._payout,
        }

    async def explain(self, movement: Movement, transaction: Source) -> None:
        """Reports what the movement means; `transaction` is Stripe's, with its source expanded.

        Raises RetryEventLater or FactOutOfOrderError while something else must be known first.
        """
        way, source = TYPES.ways.get(movement.type), transaction.get("source")
        facts: Sequence[Fact] | None = None
        if way is not None and isinstance(source, Mapping):
            facts = await self._ways[way](movement, source)
        if facts is None:
            facts = movement_facts.account_facts(movement)
        now = self._clock.now()
        async with self._engine.begin() as connection:
            for fact in facts:
                if await enqueue(connection, fact, now) and isinstance(
                    fact, UnknownBalanceTransaction
                ):
                    _tell_suspense(fact)
            await balance_store.explained(connection, movement)

    async def _charge(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        transaction = {
            "id": movement.id,
            "amount": to_stripe(movement.currency, movement.amount_minor),
            "currency": movement.currency.lower(),
            "fee": to_stripe(movement.currency, movement.fee_minor),
            "status": movement.counts_in.value,
            "created": _seconds(movement.create_time),
            "available_on": _seconds(movement.available_time),
        }
        charge = {**source, "balance_transaction": transaction}
        return [] if await self._payments.take_charge(charge) else None

    async def _payment(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        """A charge that is not a card's: of a bank debit, maybe before its bank has decided."""
        debit = await self._debit(movement, source, str(source["id"]))
        if debit is None or debit.captured:
            return await self._charge(movement, source)
        return movement_facts.become_available(movement) if debit.ours else None

    async def _payment_failure(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        """A bank refused a debit, or the refund of one: the sign tells, for Stripe does not say
        which of them has this type. The source is the charge, or what takes it back."""
        if movement.amount_minor > 0:
            return await self._refund(movement, source) if _is_refund(source) else None
        return await self._taken_out(movement, source, id_of(source.get("charge")))

    async def _taken_out(
        self, movement: Movement, source: Source, charge_id: str
    ) -> Sequence[Fact] | None:
        """What takes a debit out of the balance; without a `charge_id` the source is the charge."""
        debit = await self._debit(movement, source, charge_id or str(source["id"]))
        # Of one that its bank had paid, this says what nothing else of ours explains.
        if debit is None or debit.captured:
            return None
        return movement_facts.become_available(movement)

    async def _debit(self, movement: Movement, source: Source, charge_id: str) -> "_Debit | None":
        """Reports what moved for a bank debit of ours; None if it is of none."""
        payment_id = await self._payments.payment_of(source)
        if payment_id is None:
            return None
        now = self._clock.now()
        async with self._engine.begin() as connection:
            payment = await payment_store.lock_payment(connection, payment_id)
            assert payment is not None, "it was found a moment ago"
            if not payment.payment_method_type.is_bank_debit:
                return None
            succeeded = payment.state is PaymentState.SUCCEEDED
            captured = succeeded and payment.charge_id == charge_id
            taken_out = movement.amount_minor < 0
            paid = succeeded and not captured and source.get("status") == "succeeded"
            # A second charge that was paid, or one that was paid and is taken out again.
            if captured if taken_out else paid:
                return _Debit(captured=captured, ours=False)
            moved = movement_facts.debit_moved(movement, charge_id, payment.id, payment.merchant_id)
            await enqueue(connection, moved, now)
            if captured:
                when = await captured_time(connection, payment) or now
                facts = settled_debit(moved, payment.currency, payment.captured_minor, when)
                for fact in facts:
                    await enqueue(connection, fact, now)
        return _Debit(captured=captured, ours=True)

    async def _refund(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        if movement.type in REFUNDS:
            transaction = {
                "id": movement.id,
                "status": movement.begins_in.value,
                "created": _seconds(movement.create_time),
            }
            source = {**source, "balance_transaction": transaction}
        else:
            source = {**source, FAILURE: movement.id}
        await self._payments.take_refund(await self._dated(movement, source))
        async with self._engine.connect() as connection:
            refund = await payment_store.refund_of_stripe(connection, str(source["id"]))
        if refund is None:
            return await self._unknown_refund(movement, source)
        async with self._engine.connect() as connection:
            payment = await payment_store.get_payment(connection, refund.payment_id)
        assert payment is not None, "a refund has its payment"
        return movement_facts.refund_facts(
            movement,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            currency=payment.currency,
            refunded_minor=refund.amount_minor,
            balance=StripeBalance(refund.balance),
        )

    async def _unknown_refund(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        """A refund that no payment of ours has: of a bank debit of ours that is not known to be
        paid, the charge tells whether it takes that one out, or whether somebody got it.

        Raises RetryEventLater while the news of a payment's success is still to come."""
        payment_id = await self._payments.payment_of(source)
        charge_id = id_of(source.get("charge"))
        if payment_id is None or not charge_id:
            return None
        outcome = await self._stripe.retrieve_charge(movement.corridor, charge_id)
        if outcome.object is None:
            raise RetryEventLater("CHARGE_NOT_READABLE")
        if outcome.object.get("status") == "failed":
            return await self._taken_out(movement, source, charge_id)
        async with self._engine.connect() as connection:
            payment = await payment_store.get_payment(connection, payment_id)
        assert payment is not None, "it was found a moment ago"
        if payment.state is PaymentState.SUCCEEDED and payment.charge_id != charge_id:
            # Of a second charge, which is in suspense, too.
            return None
        raise RetryEventLater("PAYMENT_NOT_CAPTURED_YET")

    async def _transfer(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        found = await self._payment_of_charge(movement, source.get("source_transaction"))
        if found is None:
            return None
        return movement_facts.transfer_facts(movement, str(source["id"]), *found)

    async def _application_fee(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        found = await self._payment_of_charge(movement, source.get("originating_transaction"))
        if found is None:
            return None
        return movement_facts.application_fee_facts(movement, str(source["id"]), *found)

    async def _transfer_reversal(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        # Of one that did not arrive the source is the transfer.
        is_transfer = source.get("object") == "transfer"
        transfer_id = str(source["id"] if is_transfer else source.get("transfer") or "")
        found = await self._payment_of_fact(movement, f"transfer.{transfer_id}", transfer_id)
        if found is None:
            return None
        return movement_facts.transfer_reversal_facts(movement, transfer_id, *found)

    async def _application_fee_refund(
        self, movement: Movement, source: Source
    ) -> Sequence[Fact] | None:
        fee_id = str(source.get("fee") or "")
        found = await self._payment_of_fact(movement, f"application_fee.{fee_id}", fee_id)
        if found is None:
            return None
        return movement_facts.application_fee_refund_facts(movement, fee_id, *found)

    async def _dispute(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        if source.get("object") != "dispute":
            return None
        if not await self._disputes.look(movement.corridor, str(source["id"]), movement):
            return None
        return movement_facts.become_available(movement)

    async def _payout(self, movement: Movement, source: Source) -> Sequence[Fact] | None:
        payout = await self._dated(movement, source)
        await self._payouts.take_payout(movement.corridor, payout, None)
        return movement_facts.beside(movement, StripeBalance.AVAILABLE)

    async def _dated(self, movement: Movement, source: Source) -> Source:
        """A refund or a payout with the time at which what it took came back, if that is known: a
        list does not expand what its sources name."""
        named = source.get(FAILURE)
        if not isinstance(named, str):
            return source
        made: datetime | None = movement.create_time
        if named != movement.id:
            async with self._engine.connect() as connection:
                made = await balance_store.made_time(connection, movement.corridor, named)
        if made is None:
            return source
        return {**source, FAILURE: {"id": named, "created": _seconds(made)}}

    async def _payment_of_charge(
        self, movement: Movement, charge_id: object
    ) -> tuple[str, str, datetime | None] | None:
        """The payment that a charge captured, its merchant, and when that was."""
        if not isinstance(charge_id, str):
            return None
        async with self._engine.connect() as connection:
            found = await balance_store.payment_of_charge(connection, movement.corridor, charge_id)
        if found is not None:
            return found
        outcome = await self._stripe.retrieve_charge(movement.corridor, charge_id)
        if outcome.object is None:
            raise RetryEventLater("CHARGE_NOT_READABLE")
        if await self._payments.payment_of(outcome.object) is not None:
            raise RetryEventLater("PAYMENT_NOT_CAPTURED_YET")
        return None

    async def _payment_of_fact(
        self, movement: Movement, fact_id: str, source_id: str
    ) -> tuple[str, str] | None:
        """Whose transfer or fee some comes back of. Raises RetryEventLater while that one is known
        but waits to be explained: what comes back of it is no more unknown than it is."""
        async with self._engine.connect() as connection:
            found = await balance_store.payment_of_fact(connection, fact_id)
            if found is None and await balance_store.is_waiting(
                connection, movement.corridor, source_id
            ):
                raise RetryEventLater("ORIGIN_NOT_EXPLAINED_YET")
        return found


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _is_refund(source: Source) -> bool:
    return source.get("object") == "refund"


def _tell_suspense(fact: UnknownBalanceTransaction) -> None:
    telemetry.SUSPENSE.labels(fact.corridor, fact.type).inc()
    log.error(
        "balance_transaction_in_suspense",
        corridor=fact.corridor,
        balance_transaction_id=fact.balance_transaction_id,
        type=fact.type,
        currency=fact.currency,
        amount_minor=fact.amount_minor,
    )
