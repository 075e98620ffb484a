"""Ends holds that stand in the ledger and that nobody knows.

A hold is booked before Stripe is asked. When the database is put back to before that, the ledger
has a hold whose attempt nobody goes on with: Stripe may have nothing of it, and its client may
never ask again. Such a hold is found by comparing the ledger's open holds with the facts that were
reported. It waits until no request of the lost attempt can be under way any more; then Stripe is
asked once more, and if it has nothing, bookkeeping is told that the hold is over. Should the same
attempt be made later after all, bookkeeping places its hold anew.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import StripeBalance
from gateway.bookkeeping.ledger_log import LedgerLog, PlacedHold
from gateway.bookkeeping.reporting import enqueue
from gateway.bookkeeping.standing import StandingStore
from gateway.operations.operation import (
    KEY_HORIZON,
    MAX_REQUEST_LIFETIME,
    Operation,
    OperationKind,
)
from gateway.payments.domain.intents import UnreadableIntentError, read_intent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.stripe_params import EXPAND_CAPTURE
from gateway.payments.store import payments as payment_store
from gateway.payments.stripe.outcome_lookup import OutcomeLookup
from gateway.recovery import hold_store
from gateway.recovery.guard import RestoreGuard
from gateway.recovery.histories import write_holds_checked
from gateway.recovery.rules import Fate, fate_of
from gateway.stripe_client.call import background
from gateway.stripe_client.client import StripeClient
from money.currencies import EXPONENTS
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop

POLL_SECONDS = 5.0
# All open holds are compared so often, by the clock.
CHECK_INTERVAL = timedelta(minutes=10)
# So many unknown holds are dealt with at a time; the others are found by the next comparison.
MAX_UNKNOWN = 1_000

log = get_logger(__name__)

# Makes of a PaymentIntent the payment that was lost; whether it could.
Rebuild = Callable[[str, Mapping[str, Any]], Awaitable[bool]]


@dataclass(slots=True)
class HoldsFound:
    """Unknown holds: how many were ended, how many wait, until when the first of them, and those
    that a person has to look at."""

    ended: int = 0
    waiting: int = 0
    due_time: datetime | None = None
    contradicted: list[str] = field(default_factory=list)


class HoldCheck:
    """Compares one ledger's open holds with the facts of this database."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        ledger: LedgerLog,
        guard: RestoreGuard,
        clock: Clock,
        timing: Timing,
        max_unknown: int = MAX_UNKNOWN,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._lookup = OutcomeLookup(stripe_client)
        self._ledger = ledger
        self._standing = StandingStore(engine, ledger.ledger)
        self._guard = guard
        self._clock = clock
        self._timing = timing
        self._max_unknown = max_unknown
        self._next_check = clock.now()
        # Of the database, the last history after whose beginning holds were compared.
        self._checked_history = 0

    def loop(self) -> Loop:
        """Compares now and then; what Stripe has and the database lost closes the guard."""
        return Loop("hold check", self._round, poll_seconds=POLL_SECONDS)

    async def place_anew(self, since: datetime) -> int:
        """Has holds that were reported placed anew if the ledger has released them since then, of
        which nothing was reported: their attempts took nothing in the history that is lost, and are
        under way again. How many. Raises LedgerUnavailableError."""
        placed = 0
        async for voided in self._ledger.voided_since(since):
            async with self._engine.connect() as connection:
                standing = await hold_store.standing_facts(
                    connection, {hold.fact_id for hold in voided}
                )
            for one in voided:
                revision = standing.get(one.fact_id)
                hold = (
                    await self._ledger.placed_hold(one.sequence) if revision is not None else None
                )
                if hold is not None and hold.revision == revision:
                    async with self._engine.begin() as connection:
                        placed += await hold_store.place_anew(
                            connection, hold.fact_id, hold.revision, self._clock.now()
                        )
        return placed

    async def check(
        self, lost_until: datetime | None = None, rebuild: Rebuild | None = None
    ) -> HoldsFound:
        """Compares once. Raises LedgerUnavailableError.

        A hold waits since it was found, or since `lost_until` if it was placed before then: nothing
        that was lost goes on after that. `rebuild` is given what Stripe has of a lost payment;
        without it the guard is told.
        """
        found = HoldsFound()
        unknown = await self._unknown()
        now = self._clock.now()
        async with self._engine.begin() as connection:
            before = [hold for hold in unknown if lost_until and hold.record_time <= lost_until]
            if lost_until is not None:
                # Those of the backup may have been tried again since, which is lost, too.
                await hold_store.forget_waiting(connection)
                await hold_store.keep_unknown(connection, before, lost_until)
            await hold_store.keep_unknown(connection, unknown, now)
            waiting = await hold_store.waiting(connection)
            if len(unknown) < self._max_unknown:
                keys = {(hold.fact_id, hold.revision) for hold in unknown}
                await hold_store.drop_unknown(connection, waiting.keys() - keys)
        for hold in unknown:
            # Another leader may have dealt with it just now.
            since = waiting.get((hold.fact_id, hold.revision), now)
            due_time = since + MAX_REQUEST_LIFETIME
            if now < due_time:
                found.waiting += 1
                found.due_time = min(found.due_time or due_time, due_time)
            else:
                await self._decide(hold, since, found, rebuild)
        return found

    async def _round(self) -> bool:
        now = self._clock.now()
        history = self._guard.unchecked_history
        is_new = history > self._checked_history
        if self._guard.closed or (now < self._next_check and not is_new):
            return False
        if (await self._standing.read()).stop_reason is not None:
            # What is booked where is not certain.
            return False
        with background():
            found = await self.check()
        if is_new:
            async with self._engine.begin() as connection:
                await write_holds_checked(connection, history, now)
            self._checked_history = history
        # One that failed is made again.
        next_check = now + CHECK_INTERVAL
        self._next_check = min(found.due_time or next_check, next_check)
        return found.ended > 0

    async def _unknown(self) -> list[PlacedHold]:
        """Open holds that no fact of ours has reported, `max_unknown` of them at most. What the
        ledger has is read before what was reported: that is reported first."""
        unknown: list[PlacedHold] = []
        for account in self._accounts():
            async for sequences in self._ledger.open_holds(account):
                async with self._engine.connect() as connection:
                    unbooked = await hold_store.unbooked(connection, self._ledger.ledger, sequences)
                for sequence in unbooked:
                    hold = await self._ledger.placed_hold(sequence)
                    if hold is not None:
                        unknown += await self._unreported(hold)
                    if len(unknown) == self._max_unknown:
                        return unknown
        return unknown

    async def _unreported(self, hold: PlacedHold) -> list[PlacedHold]:
        """The hold, unless it was reported, or that it is over."""
        forgotten = hold.forgotten(self._clock.now())
        async with self._engine.connect() as connection:
            known = await hold_store.reported(connection, {hold.fact_id, forgotten.id})
        return [] if known else [hold]

    def _accounts(self) -> Iterator[str]:
        """Where holds are placed: a restored database need not know a currency."""
        for corridor in self._stripe.corridors:
            for currency in EXPONENTS:
                yield Chart(corridor, currency).stripe(StripeBalance.PENDING).path

    async def _decide(
        self, hold: PlacedHold, since: datetime, found: HoldsFound, rebuild: Rebuild | None
    ) -> None:
        async with self._engine.connect() as connection:
            payment = await payment_store.get_payment(connection, hold.payment_id)
        told, intent = await self._ask_stripe(hold, payment, since)
        if not told:
            found.waiting += 1
            return
        try:
            seen = read_intent(intent) if intent is not None else None
        except UnreadableIntentError as error:
            log.error("intent_unreadable", payment_id=hold.payment_id, error=str(error))
            found.waiting += 1
            return
        match fate_of(payment, seen, self._clock.now(), self._timing):
            case Fate.FORGOTTEN:
                await self._end(hold)
                found.ended += 1
            case Fate.BEHIND if rebuild is not None and intent is not None:
                if not await rebuild(hold.corridor, intent):
                    found.waiting += 1
            case Fate.BEHIND:
                found.waiting += 1
                await self._guard.lost("a hold of the ledger is of a payment that is not known")
            case Fate.CONTRADICTED:
                assert seen is not None, "nothing contradicts nothing"
                found.contradicted.append(f"{hold.payment_id}, {seen.payment_intent_id}")
                log.error("unknown_hold_contradicted", payment_id=hold.payment_id)

    async def _end(self, hold: PlacedHold) -> None:
        now = self._clock.now()
        async with self._engine.begin() as connection:
            await enqueue(connection, hold.forgotten(now), now)
            await hold_store.drop_unknown(connection, [(hold.fact_id, hold.revision)])
        log.info("unknown_hold_ended", payment_id=hold.payment_id, corridor=hold.corridor)

    async def _ask_stripe(
        self, hold: PlacedHold, payment: Payment | None, since: datetime
    ) -> tuple[bool, Mapping[str, Any] | None]:
        """Whether Stripe has told, and the payment's PaymentIntent in the hold's corridor."""
        if payment is not None and payment.payment_intent_id and payment.corridor == hold.corridor:
            intent_id = payment.payment_intent_id
        else:
            found = await self._lookup.intent_of(_attempt(hold, since))
            if found.object is None:
                return found.silent, None
            # An event or a movement tells of it as it was.
            intent_id = str(found.object["id"])
        outcome = await self._stripe.retrieve_payment_intent(
            hold.corridor, intent_id, {"expand": EXPAND_CAPTURE}
        )
        return outcome.object is not None, outcome.object


def _attempt(hold: PlacedHold, since: datetime) -> Operation:
    """The lost operation as far as it is to be looked for: it was sent when its hold had been
    reported, for as long as its key is known, and not any more when it was lost."""
    return Operation(
        id=hold.id,
        kind=OperationKind.AUTHORIZE,
        subject_id=hold.payment_id,
        corridor=hold.corridor,
        create_time=hold.record_time,
        next_attempt_time=since,
        deadline=since,
        first_send_time=hold.record_time,
        last_send_time=max(hold.record_time, min(since, hold.record_time + KEY_HORIZON)),
    )
