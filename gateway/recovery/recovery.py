"""Makes a database whole that has lost its last commits, from what Stripe keeps of the engine.

Every step finds what is there already, so that it may be stopped anywhere and begun again. Nothing
is asked of Stripe but to read.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.bookkeeping.ledger_log import LedgerHold, LedgerLog
from gateway.bookkeeping.reporting import enqueue
from gateway.epochs import begin_epoch
from gateway.merchants.store import MerchantStore
from gateway.operations import store as operation_store
from gateway.operations.operation import MAX_REQUEST_LIFETIME, OperationState, decided
from gateway.payments.domain.intents import IntentStatus, UnreadableIntentError, id_of, read_intent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import ContradictionError, Timing, reconcile
from gateway.payments.domain.stripe_params import EXPAND_CAPTURE, EXPAND_REFUND_NOW, PAYMENT_KEY
from gateway.payments.store import payments as payment_store
from gateway.payments.store.recording import record_changes, record_new
from gateway.payments.stripe.events import PaymentEvents
from gateway.payouts.stripe_events import Payouts
from gateway.recovery import store
from gateway.recovery.guard import RestoreGuard
from gateway.recovery.holds import HoldCheck
from gateway.recovery.rules import (
    asking_attempt,
    carries_only_an_id,
    facts_of_left_holds,
    has_news,
    knows_charge,
    later_attempt,
    lost_payment,
    standing_hold,
    steps_to_stripe,
    under_hold,
)
from gateway.recovery.subjects import AccountUnreadableError, LostSubjects, Rebuilt
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.webhooks_in.event import OutsideUnavailable, PoisonEventError, RetryEventLater
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.recovery import received_from
from gateway.webhooks_in.walks import EVENTS_KEPT
from runtime.clock import Clock

PAGE = 100
# Before the last change that the database has: clocks differ, and requests are under way for some.
MARGIN = timedelta(hours=1)
# A card's hold may be captured so long after it was placed, by a request that is lost.
CAPTURED_WITHIN = timedelta(days=8)
_BEGINNING = datetime.fromtimestamp(0, UTC)

Progress = Callable[[str], None]
Listing = Callable[[str, Mapping[str, Any]], Awaitable[Outcome]]
RebuildSubject = Callable[[str, Mapping[str, Any]], Awaitable[Rebuilt]]


class StripeUnavailableError(Exception):
    """Stripe could not be asked: begin again, what is done is found done."""


class ListingRefusedError(StripeUnavailableError):
    """Stripe does not let us list something: with this key we can have made none of it."""


class Recovery:
    """One run over all corridors."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        events: PaymentEvents,
        inbox: PostgresInbox,
        ledger: LedgerLog,
        holds: HoldCheck,
        subjects: LostSubjects,
        merchants: MerchantStore,
        payouts: Payouts,
        guard: RestoreGuard,
        clock: Clock,
        timing: Timing,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._events = events
        self._inbox = inbox
        self._ledger = ledger
        self._holds = holds
        self._subjects = subjects
        self._merchants = merchants
        self._payouts = payouts
        self._guard = guard
        self._clock = clock
        self._timing = timing
        self._progress = progress

    async def run(self, since: datetime | None = None) -> None:
        """Recovers what was made since then; without it, since a while before the last change that
        the database had when it was noticed. Raises `StripeUnavailableError` and
        `LedgerUnavailableError`."""
        async with self._engine.begin() as connection:
            # Nobody begins anything meanwhile, whatever was noticed so far.
            newest = await store.newest_event(connection)
            known_until = newest[2] if newest is not None else None
            asked_for = store.Gap("a person recovers it", known_until, self._clock.now())
            await store.report_gap(connection, asked_for)
            gap = await store.open_gap(connection)
            assert gap is not None, "it was reported"
            # The changes that follow have the sequences of those that were lost.
            await begin_epoch(connection)
            unknown = await store.set_open_operations_unknown(connection, self._clock.now())
        self._progress(f"{unknown} open operations will be looked up")
        if since is None:
            since = gap.known_until - MARGIN if gap.known_until is not None else _BEGINNING
        placed = await self._holds.place_anew(since)
        self._progress(f"{placed} holds are placed anew, which lost attempts had released")
        self._progress(f"reading what Stripe has since {since:%Y-%m-%d %H:%M:%S} UTC")
        for corridor in self._stripe.corridors:
            await self._subjects_of(corridor, since)
            await self._payouts_of(corridor, since)
            await self._payments(corridor, max(since - CAPTURED_WITHIN, _BEGINNING))
            await self._charges(corridor, since)
            await self._refunds(corridor, since)
            await self._tell_events(corridor, since)
        await self._end_holds(gap.found_time)
        async with self._engine.begin() as connection:
            await store.close_gap(connection, self._clock.now())
        self._progress("recovered: payments are taken again")

    async def _subjects_of(self, corridor: str, since: datetime) -> None:
        """Rebuilds merchants, customers and what these have saved."""
        lost, customers = self._subjects, self._stripe.customers
        for listing, rebuild, what in (
            (self._stripe.accounts.list_accounts, lost.merchant, "accounts"),
            (customers.list_customers, lost.customer, "customers"),
            (customers.list_setup_intents, lost.setup, "SetupIntents"),
        ):
            try:
                await self._each(corridor, since, listing, rebuild, what)
            except ListingRefusedError:
                # A platform without Connect has no accounts, a key may lack the right.
                self._progress(f"{corridor}: Stripe does not let us list {what}")

    async def _payouts_of(self, corridor: str, since: datetime) -> None:
        """Rebuilds the payouts of merchants, each of whom has a list of his own."""
        read = rebuilt = merchants = last_number = 0
        while accounts := await self._merchants.accounts_after(corridor, last_number, PAGE):
            last_number = accounts[-1][0]
            merchants += len(accounts)
            for _number, account in accounts:
                listing = partial(self._stripe.payouts.list_payouts, connected_account=account)
                try:
                    async for page in self._pages(listing, corridor, since, [], "payouts"):
                        for made in page:
                            if self._guard.is_ours(made):
                                rebuilt += await self._payout(corridor, made, account)
                        read += len(page)
                except ListingRefusedError:
                    self._progress(f"{corridor}: Stripe does not let us list payouts of {account}")
        self._progress(
            f"{corridor}: {read} payouts of {merchants} merchants read, {rebuilt} rebuilt"
        )

    async def _payout(self, corridor: str, made: Mapping[str, Any], account: str) -> bool:
        """Whether the payout had been lost."""
        try:
            return await self._payouts.take_payout(corridor, made, account)
        except PoisonEventError as error:
            self._progress(f"{made['id']} of {account} is {error.reason}: look at it")
            return False

    async def _each(
        self, corridor: str, since: datetime, listing: Listing, rebuild: RebuildSubject, what: str
    ) -> None:
        read = rebuilt = 0
        async for page in self._pages(listing, corridor, since, [], what):
            for made in page:
                if self._guard.is_ours(made):
                    try:
                        found = await rebuild(corridor, made)
                    except AccountUnreadableError as error:
                        raise StripeUnavailableError(corridor) from error
                    rebuilt += found.is_new
                    if found.problem:
                        self._progress(f"{found.problem}: look at it")
            read += len(page)
            self._progress(f"{corridor}: {read} {what} read, {rebuilt} rebuilt")

    async def _end_holds(self, lost_until: datetime) -> None:
        """Ends what stands in the ledger of attempts that nobody knows, Stripe neither."""
        found = await self._holds.check(lost_until, self._payment)
        self._progress(f"{found.ended} holds of the ledger were of lost attempts, and are released")
        for payment in found.contradicted:
            self._progress(f"the ledger has another hold of {payment}: look at it")
        if found.waiting:
            wait = MAX_REQUEST_LIFETIME // timedelta(minutes=1)
            self._progress(
                f"{found.waiting} more will be {wait} minutes after the loss was noticed, unless"
                " Stripe has something of them then"
            )

    async def _payments(self, corridor: str, since: datetime) -> None:
        read = rebuilt = 0
        listing: Listing = self._stripe.list_payment_intents
        async for page in self._pages(
            listing, corridor, since, [f"data.{path}" for path in EXPAND_CAPTURE], "PaymentIntents"
        ):
            for intent in page:
                if self._guard.is_ours(intent):
                    rebuilt += await self._payment(corridor, intent)
            read += len(page)
            self._progress(f"{corridor}: {read} PaymentIntents read, {rebuilt} payments rebuilt")

    async def _charges(self, corridor: str, since: datetime) -> None:
        """Looks at what was charged in another attempt of an older PaymentIntent."""
        read = rebuilt = 0
        async for page in self._pages(self._stripe.list_charges, corridor, since, []):
            for charge in page:
                if self._guard.is_ours(charge) and charge.get("status") != "failed":
                    rebuilt += await self._charge(corridor, charge)
            read += len(page)
            self._progress(f"{corridor}: {read} charges read, {rebuilt} of older PaymentIntents")

    async def _charge(self, corridor: str, charge: Mapping[str, Any]) -> bool:
        """Whether the charge was news of its payment."""
        payment_id = str(charge["metadata"].get(PAYMENT_KEY) or "")
        async with self._engine.connect() as connection:
            payment = await payment_store.get_payment(connection, payment_id)
        if payment is not None and knows_charge(payment, str(charge["id"])):
            return False
        outcome = await self._stripe.retrieve_payment_intent(
            corridor, id_of(charge.get("payment_intent")), {"expand": EXPAND_CAPTURE}
        )
        if outcome.object is None:
            raise StripeUnavailableError(corridor)
        return await self._payment(corridor, outcome.object)

    async def _payment(self, corridor: str, intent: Mapping[str, Any]) -> bool:
        """Whether the payment had been lost, or what had become of it. One that cannot be read
        keeps nobody from the others."""
        try:
            return await self._take_payment(corridor, intent)
        except UnreadableIntentError as error:
            self._progress(f"{error} cannot be read: look at it")
            return False

    async def _take_payment(self, corridor: str, intent: Mapping[str, Any]) -> bool:
        now = self._clock.now()
        asked = lost_payment(intent, corridor)
        if asked is None:
            return False
        async with self._engine.connect() as connection:
            payment = await payment_store.get_payment(connection, asked.id)
        # The ledger knows the holds; it is asked where one has to be written down.
        holds: Sequence[LedgerHold] = ()
        if payment is None or not payment.payment_intent_id or has_news(payment, intent):
            holds = await self._ledger.holds_of(asked.id)
        async with self._engine.begin() as connection:
            payment = await payment_store.lock_payment(connection, asked.id)
            known = payment is not None
            if payment is None:
                payment = asked
                await record_new(connection, payment)
            steps = await self._apply(connection, payment, asked, intent, holds, now)
            await payment_store.remember_carried_requests(connection, intent, payment.id, now)
        return steps > 0 or not known

    async def _apply(
        self,
        connection: AsyncConnection,
        payment: Payment,
        asked: Payment,
        intent: Mapping[str, Any],
        holds: Sequence[LedgerHold],
        now: datetime,
    ) -> int:
        """Takes a payment to where Stripe has it; the number of steps."""
        snapshot = read_intent(intent)
        known = [one.id for one in await operation_store.operations_of(connection, payment.id)]
        operation_id = asking_attempt(payment, asked, known, holds)
        changes, operation = steps_to_stripe(payment, asked, str(intent["id"]), operation_id, now)
        if operation is None and payment.payment_intent_id:
            hold_id = standing_hold(holds, payment.corridor)
            return await self._catch_up(connection, payment, intent, hold_id, now)
        if changes:
            waiting = await operation_store.open_operation_of(connection, payment.id)
            if waiting is not None:
                ended = decided(waiting, OperationState.CANCELED, now, "recovered")
                await operation_store.take_over(connection, ended)
            payment = changes[-1].after
        try:
            change = reconcile(payment, snapshot, now, self._timing, decided=True)
        except ContradictionError as error:
            # It ended here after the restore and before anybody noticed that.
            self._progress(f"{error}: look at it")
            return 0
        if change is not None:
            changes.append(change)
        await record_changes(connection, changes, now)
        if operation is not None:
            if snapshot.status is not IntentStatus.NOT_CONFIRMED:
                operation = decided(operation, OperationState.SUCCEEDED, now)
            await operation_store.add(connection, operation)
            for fact in facts_of_left_holds(payment, known, holds, operation.id, now):
                await enqueue(connection, fact, now)
        return len(changes)

    async def _catch_up(
        self,
        connection: AsyncConnection,
        payment: Payment,
        intent: Mapping[str, Any],
        hold_id: str | None,
        now: datetime,
    ) -> int:
        """Takes a payment that is known to be at Stripe to what became of it there; 1 if there is
        news. Refunds follow, which need it. What contradicts the database is left to its event."""
        if payment.payment_intent_id != str(intent["id"]):
            return 0
        snapshot = read_intent(intent)
        try:
            change = later_attempt(payment, snapshot, now, self._timing) or reconcile(
                payment, snapshot, now, self._timing, decided=False
            )
        except ContradictionError:
            self._progress(f"{intent['id']} is left to its event: it contradicts the database")
            return 0
        if change is None:
            return 0
        moved, left = under_hold(change, hold_id, now)
        for fact in left:
            await enqueue(connection, fact, now)
        await record_changes(connection, [moved], now)
        await operation_store.hurry(connection, payment.id, now)
        return 1

    async def _refunds(self, corridor: str, since: datetime) -> None:
        read = ours = 0
        listing: Listing = self._stripe.list_refunds
        async for page in self._pages(
            listing, corridor, since, [f"data.{path}" for path in EXPAND_REFUND_NOW], "refunds"
        ):
            for refund in page:
                if self._guard.is_ours(refund):
                    ours += 1
                    await self._refund(refund)
            read += len(page)
            self._progress(f"{corridor}: {read} refunds read, {ours} of the engine")

    async def _refund(self, stripe_refund: Mapping[str, Any]) -> None:
        try:
            await self._events.take_refund(stripe_refund)
        except (RetryEventLater, OutsideUnavailable) as later:
            # The event about it is told again, too.
            self._progress(f"{stripe_refund['id']} is left to its event: {later.reason}")
        except PoisonEventError as error:
            self._progress(f"{stripe_refund['id']} is {error.reason}: look at it")

    async def _tell_events(self, corridor: str, since: datetime) -> None:
        """Puts into the inbox what Stripe has told since, so that it is dealt with once more."""
        since = max(since, self._clock.now() - EVENTS_KEPT)
        read = stored = 0
        async for page in self._pages(self._stripe.records.list_events, corridor, since, []):
            received = received_from(page, corridor, None, self._clock.now())
            stored += (await self._inbox.store_all(received)).count(True)
            read += len(page)
            self._progress(f"{corridor}: {read} events read, {stored} told again")

    async def _pages(
        self, listing: Listing, corridor: str, since: datetime, expand: list[str], what: str = ""
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """What was created since then, newest first, page by page. With `what` it is, it is told
        how many of them nothing can be rebuilt from."""
        without_request = 0
        params: dict[str, Any] = {"limit": PAGE, "created": {"gte": int(since.timestamp())}}
        if expand:
            params["expand"] = expand
        while True:
            outcome = await listing(corridor, params)
            if outcome.object is None:
                reason = f" ({outcome.not_sent_reason})" if outcome.not_sent_reason else ""
                if outcome.outcome_class is OutcomeClass.REJECTED:
                    raise ListingRefusedError(corridor)
                raise StripeUnavailableError(f"{corridor}{reason}")
            page: list[dict[str, Any]] = outcome.object["data"]
            if page:
                without_request += sum(map(carries_only_an_id, page))
                yield page
            if not page or not outcome.object["has_more"]:
                break
            params = {**params, "starting_after": page[-1]["id"]}
        if what and without_request:
            self._progress(
                f"{corridor}: {without_request} {what} carry only an id, as an earlier release made"
                " them: they are not rebuilt if the database does not have them"
            )
