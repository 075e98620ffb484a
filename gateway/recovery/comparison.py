"""Which of Stripe's newest objects the database does not know, and which of its newest charges are
of attempts that it does not know.

Charges are compared besides PaymentIntents because each attempt makes one: a payment that is tried
again days later has an old PaymentIntent and a new charge.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.identity import RequestIdentity
from gateway.ids import RequestMetadata
from gateway.operations.requests import (
    CUSTOMER_REQUEST,
    MERCHANT_REQUEST,
    PAYOUT_REQUEST,
    unknown_requests,
)
from gateway.payments.domain.intents import UnreadableIntentError, id_of, read_intent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.stripe_params import PAYMENT_KEY, REFUND_KEY
from gateway.payments.stripe.outcome_lookup import has_several_charges
from gateway.payouts.stripe_events import carried_request
from gateway.recovery import store
from gateway.recovery.rules import LEFT_TO_A_PERSON, is_behind, may_be_behind
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.stripe_times import made_time
from runtime.clock import Clock
from runtime.logs import get_logger

# So many of the newest objects of a kind are compared.
NEWEST_OBJECTS = 100
# Merchants' payouts are listed by merchant: those of so many are compared, who were paid out last
# or came last. What was lost of others is told by their events.
PAYOUT_ACCOUNTS = 20
# Stripe does not take our key, and may soon.
_UNAUTHENTICATED = 401

IsOurs = Callable[[Mapping[str, Any]], bool]
Listing = Callable[[str, Mapping[str, Any]], Awaitable[Outcome]]
Unknown = Callable[[AsyncConnection, Collection[str]], Awaitable[set[str]]]
# Which of a corridor's objects, by what each is known by, the database does not know.
Missed = Callable[[str, Mapping[str, Mapping[str, Any]]], Awaitable[Collection[str]]]
# Of a charge: https://docs.stripe.com/api/charges/object#charge_object-status
_REFUSED = "failed"

log = get_logger(__name__)


class NotToldError(Exception):
    """Stripe could not be asked, or did not say."""


@dataclass(frozen=True, slots=True)
class Missing:
    """How many objects of ours are at Stripe that the database does not know, and when the oldest
    of them was made, if Stripe says so."""

    count: int
    made: datetime | None


@dataclass(frozen=True, slots=True)
class Comparable:
    """Objects of one kind: how they are listed, newest first, what each is known by, and which of
    those are missing. With some keys Stripe lists none: then we can have made none."""

    what: str
    listing: Listing
    known_by: Callable[[Mapping[str, Any]], str]
    missed: Missed
    may_be_refused: bool = True


class NewestObjects:
    """Compares an account's newest objects with the database, one kind at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        identity: RequestIdentity,
        is_ours: IsOurs,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._identity = identity
        self._is_ours = is_ours
        self._clock = clock
        customers, accounts = stripe_client.customers, stripe_client.accounts
        of_customers = self._without(partial(unknown_requests, table=CUSTOMER_REQUEST))
        of_merchants = self._without(partial(unknown_requests, table=MERCHANT_REQUEST))
        self._of_the_platform: Sequence[Comparable] = (
            Comparable(
                "payments",
                stripe_client.list_payment_intents,
                partial(_named, PAYMENT_KEY),
                self._without(store.unknown_payments),
                may_be_refused=False,
            ),
            Comparable(
                "refunds",
                stripe_client.list_refunds,
                partial(_named, REFUND_KEY),
                self._unknown_refunds,
                may_be_refused=False,
            ),
            Comparable(
                "charges",
                stripe_client.list_charges,
                _charged_payment,
                self._unexplained,
                may_be_refused=False,
            ),
            Comparable("customers", customers.list_customers, _request_of, of_customers),
            Comparable("SetupIntents", customers.list_setup_intents, _request_of, of_customers),
            Comparable("accounts", accounts.list_accounts, _request_of, of_merchants),
        )

    async def kinds(self, corridor: str) -> list[Comparable]:
        """What there is to compare of a corridor."""
        async with self._engine.connect() as connection:
            accounts = await store.payout_accounts(connection, corridor, PAYOUT_ACCOUNTS)
        return [*self._of_the_platform, *(self._payouts_of(account) for account in accounts)]

    def _payouts_of(self, account: str) -> Comparable:
        return Comparable(
            f"payouts of {account}",
            partial(self._stripe.payouts.list_payouts, connected_account=account),
            self._payout_request_of,
            self._without(partial(unknown_requests, table=PAYOUT_REQUEST)),
        )

    def _payout_request_of(self, payout: Mapping[str, Any]) -> str:
        carried = carried_request(payout, self._identity)
        return carried.request_id if carried is not None else ""

    async def missing(
        self, corridor: str, kind: Comparable, since: datetime | None
    ) -> Missing | None:
        """What is missing of what was made since then; None if nothing is. Raises NotToldError."""
        params: dict[str, Any] = {"limit": NEWEST_OBJECTS}
        if since is not None:
            params["created"] = {"gte": int(since.timestamp())}
        ours = [one for one in await self._listed(corridor, kind, params) if self._is_ours(one)]
        # The newest of those that go by one name.
        named = {kind.known_by(one): one for one in reversed(ours)}
        named.pop("", None)
        if not named:
            return None
        missed = await kind.missed(corridor, named)
        if not missed:
            return None
        times = [made_time(one) for one in ours if kind.known_by(one) in missed]
        return Missing(len(missed), min((time for time in times if time), default=None))

    def _without(self, unknown: Unknown) -> Missed:
        """Missing is what there is no row of."""

        async def missed(_corridor: str, named: Mapping[str, Mapping[str, Any]]) -> Collection[str]:
            async with self._engine.connect() as connection:
                return await unknown(connection, list(named))

        return missed

    async def _unknown_refunds(
        self, _corridor: str, refunds: Mapping[str, Mapping[str, Any]]
    ) -> Collection[str]:
        """Refunds that there is no row of, but of payments that are left to a person: nothing of
        those can be taken up, and the guard would close again after each recovery."""
        paid = {name: _named(PAYMENT_KEY, refund) for name, refund in refunds.items()}
        async with self._engine.connect() as connection:
            unknown = await store.unknown_refunds(connection, list(refunds))
            payments = await store.payments_of(connection, [paid[name] for name in unknown])
        left = {payment.id for payment in payments if payment.state in LEFT_TO_A_PERSON}
        return {name for name in unknown if paid[name] not in left}

    async def _unexplained(
        self, corridor: str, charges: Mapping[str, Mapping[str, Any]]
    ) -> Collection[str]:
        """Payments with a charge that no attempt has made which the database knows. What is under
        way is read before the payments: what ends in between is seen with its outcome."""
        async with self._engine.connect() as connection:
            under_way = await store.asked_for(connection, list(charges))
        async with self._engine.connect() as connection:
            payments = await store.payments_of(connection, list(charges))
        missed = charges.keys() - {payment.id for payment in payments}
        for payment in payments:
            charge = charges[payment.id]
            if payment.is_first_attempt and payment.corridor == corridor:
                behind = await self._has_several_charges(corridor, charge)
            else:
                doubtful = may_be_behind(payment, corridor, under_way=payment.id in under_way)
                behind = doubtful and await self._is_behind(payment, corridor, charge)
            if behind:
                missed.add(payment.id)
        return missed

    async def _has_several_charges(self, corridor: str, charge: Mapping[str, Any]) -> bool:
        intent_id = id_of(charge.get("payment_intent"))
        several = await has_several_charges(self._stripe, corridor, intent_id)
        if several is None:
            raise NotToldError("charges")
        return several

    async def _is_behind(self, payment: Payment, corridor: str, charge: Mapping[str, Any]) -> bool:
        outcome = await self._stripe.retrieve_payment_intent(
            corridor, id_of(charge.get("payment_intent"))
        )
        if outcome.object is None:
            raise NotToldError("charges")
        try:
            seen = read_intent(outcome.object)
        except UnreadableIntentError as error:
            log.error("intent_unreadable", payment_id=payment.id, error=str(error))
            return False
        return is_behind(payment, seen, corridor, self._clock.now(), Timing())

    @staticmethod
    async def _listed(
        corridor: str, kind: Comparable, params: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        outcome = await kind.listing(corridor, params)
        if outcome.object is not None:
            listed: list[dict[str, Any]] = outcome.object["data"]
            return listed
        if kind.may_be_refused and _is_refused(outcome):
            return []
        log.warning(
            "newest_objects_not_listed",
            corridor=corridor,
            kind=kind.what,
            outcome=outcome.outcome_class.value,
        )
        raise NotToldError(kind.what)


def _is_refused(outcome: Outcome) -> bool:
    """Whether Stripe does not let this key list something, as of a platform without Connect."""
    status = outcome.failure.http_status if outcome.failure is not None else None
    return outcome.outcome_class is OutcomeClass.REJECTED and status != _UNAUTHENTICATED


def _charged_payment(charge: Mapping[str, Any]) -> str:
    """The payment of a charge that was not refused; Stripe gives a charge the metadata of its
    PaymentIntent (https://docs.stripe.com/api/metadata)."""
    return "" if charge.get("status") == _REFUSED else _named(PAYMENT_KEY, charge)


def _named(key: str, made: Mapping[str, Any]) -> str:
    """What an object of ours is called in its metadata."""
    return str(made["metadata"].get(key) or "")


def _request_of(made: Mapping[str, Any]) -> str:
    """The request that made an object; empty if that cannot be rebuilt from what it carries."""
    carried = RequestMetadata.read_whole(made["metadata"])
    return carried.request_id if carried is not None else ""
