"""Looking for what became of an operation that must not be sent again. Only reads.

Stripe is asked in several ways, one after the other: the objects themselves by our metadata, the
events about them, and the movements on the balance that they made. Whichever knows the operation
settles it. Only when *all* of them have answered, and none knows it, may silence mean something:
a source that fails, or holds more than is looked through, leaves the outcome unknown.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.operations.operation import MAX_REQUEST_LIFETIME, Operation
from gateway.payments.domain.intents import IntentStatus, read_intent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.stripe_params import PAYMENT_KEY, REFUND_KEY
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.stripe_client.search import carries, find
from runtime.logs import get_logger

# Objects are looked for by Stripe's clock around what our clocks wrote down: those may be wrong by
# 5 minutes, and a request may be under way for some.
CLOCK_TOLERANCE = timedelta(minutes=8)
MAX_REFUND_PAGES = 10
# Kinds of event, as Stripe's list takes them.
INTENT_EVENTS, REFUND_EVENTS = "payment_intent.*", "refund.*"

log = get_logger(__name__)
_UNKNOWN = Outcome(OutcomeClass.UNKNOWN)
_ENDS = frozenset({IntentStatus.CAPTURED, IntentStatus.CANCELED})
_Source = Callable[[datetime, datetime], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Found:
    """What the sources know of an operation."""

    # The PaymentIntent or refund that it made, or that it ended; None if nobody knows one.
    object: Mapping[str, Any] | None = None
    # The outcome of the first source that did not answer wholly; None if all did.
    failed: Outcome | None = None

    @property
    def silent(self) -> bool:
        """Whether all have answered, and none knows it."""
        return self.object is None and self.failed is None


class OutcomeLookup:
    """The sources at Stripe, in the order in which they are asked."""

    def __init__(self, stripe_client: StripeClient) -> None:
        self._stripe = stripe_client

    async def intent_of(self, operation: Operation) -> Found:
        """The PaymentIntent that an authorisation made: a payment has one at most in an account."""
        ours = {PAYMENT_KEY: operation.subject_id}
        corridor = operation.corridor

        async def listed(since: datetime, until: datetime) -> Outcome:
            return await self._stripe.find_payment_intents(
                corridor, ours, created_from=since, created_to=until
            )

        async def told(since: datetime, until: datetime) -> Outcome:
            return await self._events(
                corridor, INTENT_EVENTS, lambda intent: carries(intent, ours), since, until
            )

        async def moved(since: datetime, until: datetime) -> Outcome:
            return await self._movements(
                corridor, lambda charge: carries(charge, ours), "payment_intent", since, until
            )

        return await _first([listed, told, moved], *_span(operation), operation)

    async def refund_of(self, payment: Payment, operation: Operation) -> Found:
        """The refund that an operation made."""
        ours = {REFUND_KEY: operation.refund_id or ""}
        corridor = operation.corridor

        async def listed(_since: datetime, _until: datetime) -> Outcome:
            return await self._refunds(payment, corridor, ours)

        async def told(since: datetime, until: datetime) -> Outcome:
            return await self._events(
                corridor, REFUND_EVENTS, lambda refund: carries(refund, ours), since, until
            )

        async def moved(since: datetime, until: datetime) -> Outcome:
            return await self._movements(
                corridor, lambda refund: carries(refund, ours), "id", since, until
            )

        return await _first([listed, told, moved], *_span(operation), operation)

    async def end_of(self, payment: Payment, operation: Operation) -> Found:
        """A status of the payment's intent at its end, captured or canceled, from others than the
        intent itself. A movement tells that it was captured, but not how it stands."""
        assert operation.last_send_time is not None
        intent_id, corridor = payment.payment_intent_id, operation.corridor

        def ended(intent: Mapping[str, Any]) -> bool:
            return intent["id"] == intent_id and read_intent(intent).status in _ENDS

        async def told(since: datetime, until: datetime) -> Outcome:
            return await self._events(corridor, INTENT_EVENTS, ended, since, until)

        async def moved(since: datetime, until: datetime) -> Outcome:
            return await self._movements(
                corridor,
                lambda charge: charge.get("payment_intent") == intent_id,
                "payment_intent",
                since,
                until,
            )

        since, until = _span(operation)
        return await _first([told, moved], since, until + MAX_REQUEST_LIFETIME, operation)

    async def _events(
        self,
        corridor: str,
        kinds: str,
        matches: Callable[[Mapping[str, Any]], bool],
        since: datetime,
        until: datetime,
    ) -> Outcome:
        async def page(params: Mapping[str, Any]) -> Outcome:
            return await self._stripe.records.list_events(corridor, {**params, "type": kinds})

        outcome = await find(page, lambda e: matches(e["data"]["object"]), since, until)
        return _with_data(outcome, lambda event: event["data"]["object"])

    async def _movements(
        self,
        corridor: str,
        matches: Callable[[Mapping[str, Any]], bool],
        naming: str,
        since: datetime,
        until: datetime,
    ) -> Outcome:
        """What movements on the balance came from; `naming` is the field of it that is wanted."""

        async def page(params: Mapping[str, Any]) -> Outcome:
            return await self._stripe.records.list_balance_transactions(
                corridor, {**params, "expand": ["data.source"]}
            )

        def from_ours(movement: Mapping[str, Any]) -> bool:
            source = movement.get("source")
            return isinstance(source, Mapping) and matches(source)

        outcome = await find(page, from_ours, since, until)
        return _with_data(outcome, lambda movement: {"id": movement["source"][naming]})

    async def _refunds(self, payment: Payment, corridor: str, ours: Mapping[str, str]) -> Outcome:
        params: dict[str, Any] = {"payment_intent": payment.payment_intent_id, "limit": 100}
        for _ in range(MAX_REFUND_PAGES):
            outcome = await self._stripe.list_refunds(corridor, params)
            if not outcome.succeeded or outcome.object is None:
                return outcome
            listed: list[dict[str, Any]] = outcome.object["data"]
            found = [item for item in listed if carries(item, ours)]
            if found or not outcome.object["has_more"] or not listed:
                object_ = {"data": found, "complete": True}
                return Outcome(OutcomeClass.SUCCEEDED, object=object_)
            params = {**params, "starting_after": listed[-1]["id"]}
        return _UNKNOWN


async def has_several_charges(
    stripe_client: StripeClient, corridor: str, payment_intent_id: str
) -> bool | None:
    """Whether more than one attempt has asked for a PaymentIntent's money: each makes one charge at
    most. None if Stripe does not say."""
    params = {"payment_intent": payment_intent_id, "limit": 2}
    outcome = await stripe_client.list_charges(corridor, params)
    return len(outcome.object["data"]) > 1 if outcome.object is not None else None


async def _first(
    sources: list[_Source], since: datetime, until: datetime, operation: Operation
) -> Found:
    """What the first source knows that knows anything."""
    failed: Outcome | None = None
    for source in sources:
        outcome = await source(since, until)
        if not outcome.succeeded or outcome.object is None:
            failed = failed or outcome
            continue
        found: list[dict[str, Any]] = outcome.object["data"]
        if found:
            if len({item["id"] for item in found}) > 1:
                log.error("more_than_one_object", operation_id=operation.id, count=len(found))
            return Found(found[0])
        if not outcome.object["complete"]:
            failed = failed or _UNKNOWN
    return Found(failed=failed)


def _span(operation: Operation) -> tuple[datetime, datetime]:
    """When Stripe may have carried the operation out."""
    assert operation.first_send_time is not None
    assert operation.last_send_time is not None
    return operation.first_send_time - CLOCK_TOLERANCE, operation.last_send_time + CLOCK_TOLERANCE


def _with_data(outcome: Outcome, part: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Outcome:
    """A search's outcome, with the part of each item that is about the operation."""
    if not outcome.succeeded or outcome.object is None:
        return outcome
    data = [part(item) for item in outcome.object["data"]]
    return Outcome(outcome.outcome_class, object={**outcome.object, "data": data})
