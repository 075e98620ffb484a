"""Asking the outside world: one call, or one search, for an operation. Writes nothing.

Only calls that change something take an idempotency key; what is asked besides only reads.
"""

import json
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.operations.gate import LossGuard
from gateway.operations.operation import Operation, OperationKind, proven_by_silence
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import CheckReply, StripeReply
from gateway.payments.domain.intents import IntentStatus, read_intent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.routing import Router
from gateway.payments.domain.stripe_params import EXPAND_CAPTURE, EXPAND_REFUND_NOW
from gateway.payments.stripe.compliance import ComplianceClient
from gateway.payments.stripe.outcome_lookup import Found, OutcomeLookup, has_several_charges
from gateway.payments.stripe.three_d_secure import ThreeDSecureRules
from gateway.payments.stripe.unchecked import UncheckedPayments
from gateway.stripe_client.call import Priority, background
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.failover import Elsewhere
from gateway.stripe_client.outcome import Outcome, OutcomeClass, is_missing
from runtime.clock import Clock

_UNKNOWN = Outcome(OutcomeClass.UNKNOWN)
_EXPANDED: Mapping[str, Any] = {"expand": EXPAND_CAPTURE}
_ABOUT_AN_INTENT = frozenset({OperationKind.CAPTURE, OperationKind.CANCEL, OperationKind.CONFIRM})
_uniform = random.SystemRandom().random


class Dependencies:
    """Compliance, Stripe and the clock, as operations on payments see them."""

    def __init__(
        self,
        guard: LossGuard,
        stripe_client: StripeClient,
        compliance: ComplianceClient,
        unchecked: UncheckedPayments,
        three_d_secure: ThreeDSecureRules,
        clock: Clock,
        timing: Timing,
        *,
        router: Router | None = None,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._guard = guard
        self._stripe = stripe_client
        self._compliance = compliance
        self._unchecked = unchecked
        self._three_d_secure = three_d_secure
        self._clock = clock
        self._timing = timing
        self._router = router
        self._uniform = uniform
        self.elsewhere = Elsewhere(stripe_client.terms, stripe_client.available)
        self._outcome_lookup = OutcomeLookup(stripe_client)

    def context(self) -> DecisionContext:
        """What a decision made now needs to know."""
        return self.decision_context(self._clock.now(), self._uniform())

    def decision_context(self, now: datetime, jitter: float) -> DecisionContext:
        """What a decision made at that time needs to know."""
        return DecisionContext(now, self._timing, jitter, self.elsewhere, self._router)

    async def send(
        self, payment: Payment, operation: Operation, *, resend: bool
    ) -> Outcome | CheckReply:
        """Asks; `resend` if this attempt may have been sent before."""
        if operation.kind is OperationKind.CHECK:
            return await self._check(payment, operation)
        return await self._send(payment, operation, resend=resend)

    async def complete(
        self, payment: Payment, operation: Operation, outcome: Outcome
    ) -> StripeReply:
        """The reply after an outcome: where it was refused, with the PaymentIntent as it stands."""
        rejected = outcome.outcome_class is OutcomeClass.REJECTED
        lost = rejected and await self._method_is_lost(payment, operation, outcome)
        reply = StripeReply(outcome, method_is_lost=lost)
        refused = rejected or outcome.outcome_class is OutcomeClass.DECLINED
        if rejected and operation.kind is OperationKind.REATTEMPT:
            return await self._with_intent(payment, reply)
        if refused and operation.kind in _ABOUT_AN_INTENT:
            return await self._with_intent(payment, reply)
        return reply

    async def resolve(
        self, payment: Payment, operation: Operation, now: datetime
    ) -> StripeReply | CheckReply:
        """What became of an operation that must not be sent again; compliance is asked again."""
        if operation.kind is OperationKind.CHECK:
            return await self._check(payment, operation)
        with background():
            return await self._resolve(payment, operation, now)

    async def _check(self, payment: Payment, operation: Operation) -> CheckReply:
        reply = await self._compliance.check(payment, operation)
        reply = await self._unchecked.instead(payment, reply)
        return await self._three_d_secure.add(payment, reply)

    async def _send(self, payment: Payment, operation: Operation, *, resend: bool) -> Outcome:
        params: dict[str, Any] = json.loads(operation.params)
        corridor, key = operation.corridor, operation.idempotency_key
        waited_for = not payment.customer_away and not resend
        priority = Priority.CUSTOMER_PRESENT if waited_for else Priority.OFF_SESSION
        if operation.kind is OperationKind.AUTHORIZE:
            with self._under_way(payment):
                return await self._stripe.create_payment_intent(
                    corridor, params, key, resend=resend, priority=priority
                )
        if operation.kind is OperationKind.REFUND:
            return await self._stripe.create_refund(corridor, params, key)
        intent_id = payment.payment_intent_id
        if operation.kind is OperationKind.REATTEMPT:
            return await self._stripe.confirm_payment_intent(
                corridor, intent_id, params, key, priority=priority
            )
        if operation.kind is OperationKind.CAPTURE:
            return await self._stripe.capture_payment_intent(corridor, intent_id, params, key)
        if operation.kind is OperationKind.CANCEL:
            return await self._stripe.cancel_payment_intent(corridor, intent_id, params, key)
        assert operation.kind is OperationKind.CONFIRM, operation.kind
        seen = await self._stripe.retrieve_payment_intent(corridor, intent_id, _EXPANDED)
        if not seen.succeeded or seen.object is None:
            return seen
        # Stripe confirms by itself when the customer has acted, unless it was told otherwise.
        if read_intent(seen.object).status is not IntentStatus.NOT_CONFIRMED:
            return seen
        return await self._stripe.confirm_payment_intent(corridor, intent_id, params, key)

    def routing_written(self, record: Mapping[str, Any]) -> None:
        """Tells the router of a choice that is written."""
        assert self._router is not None, "somebody chose"
        self._router.written(record)

    def _under_way(self, payment: Payment) -> AbstractContextManager[None]:
        return nullcontext() if self._router is None else self._router.under_way(payment)

    async def _resolve(self, payment: Payment, operation: Operation, now: datetime) -> StripeReply:
        """What became of an operation that must not be sent again."""
        if operation.kind is OperationKind.REFUND:
            return await self._find_refund(payment, operation, now)
        if operation.kind is OperationKind.AUTHORIZE:
            return await self._find_intent(operation, now)
        outcome = await self._stripe.retrieve_payment_intent(
            operation.corridor, payment.payment_intent_id, _EXPANDED
        )
        if not outcome.succeeded:
            return await self._without_intent(payment, operation, outcome)
        if operation.kind is OperationKind.CONFIRM:
            return StripeReply(outcome)
        assert outcome.object is not None
        if operation.kind is OperationKind.REATTEMPT:
            return _what_became_of_reattempt(payment, operation, outcome, now)
        status = read_intent(outcome.object).status
        if status in (IntentStatus.CAPTURED, IntentStatus.CANCELED):
            return StripeReply(outcome)
        if status is IntentStatus.PROCESSING and operation.kind is OperationKind.CAPTURE:
            # Stripe has taken the capture on.
            return StripeReply(outcome)
        if not proven_by_silence(operation, now):
            return StripeReply(_UNKNOWN)
        # The intent says that it did not happen; so must all else.
        found = await self._outcome_lookup.end_of(payment, operation)
        if not found.silent:
            return StripeReply(_as_unknown(found.failed or _UNKNOWN))
        return StripeReply(outcome, intent=outcome.object, nothing_found=True)

    async def _find_intent(self, operation: Operation, now: datetime) -> StripeReply:
        found = await self._outcome_lookup.intent_of(operation)
        if found.object is None:
            return _nothing(operation, found, now)
        intent_id = str(found.object["id"])
        several = await has_several_charges(self._stripe, operation.corridor, intent_id)
        if several:
            # It asked once: what became of the others the recovery finds out.
            await self._guard.lost(f"a later attempt on {operation.subject_id} is at Stripe")
        if several is not False:
            return StripeReply(_UNKNOWN)
        # A list does not expand the charge, and may be a moment old.
        intent = await self._stripe.retrieve_payment_intent(
            operation.corridor, intent_id, _EXPANDED
        )
        return StripeReply(_as_unknown(intent))

    async def _find_refund(
        self, payment: Payment, operation: Operation, now: datetime
    ) -> StripeReply:
        found = await self._outcome_lookup.refund_of(payment, operation)
        if found.object is None:
            return _nothing(operation, found, now)
        refund = await self._stripe.retrieve_refund(
            operation.corridor, str(found.object["id"]), {"expand": EXPAND_REFUND_NOW}
        )
        return StripeReply(_as_unknown(refund))

    async def _without_intent(
        self, payment: Payment, operation: Operation, outcome: Outcome
    ) -> StripeReply:
        """What is known of the end of an intent that cannot be read."""
        found = await self._outcome_lookup.end_of(payment, operation)
        if found.object is None or "status" not in found.object:
            return StripeReply(_as_unknown(outcome))
        return StripeReply(Outcome(OutcomeClass.SUCCEEDED, object=dict(found.object)))

    async def _method_is_lost(
        self, payment: Payment, operation: Operation, outcome: Outcome
    ) -> bool:
        """Whether the customer does not have the payment method any more, where the refusal of a
        charge has no code or parameter that says what it is about: then Stripe is asked."""
        customer, failure = payment.payment_method_customer, outcome.failure
        charges = operation.kind in (OperationKind.AUTHORIZE, OperationKind.REATTEMPT)
        if not charges or not customer or failure is None or failure.code or failure.param:
            return False
        seen = await self._stripe.customers.retrieve_payment_method(
            operation.corridor, customer, payment.payment_method
        )
        return is_missing(seen)

    async def _with_intent(self, payment: Payment, reply: StripeReply) -> StripeReply:
        """The reply with the PaymentIntent as it stands; UNKNOWN if it cannot be read."""
        seen = await self._stripe.retrieve_payment_intent(
            payment.corridor, payment.payment_intent_id, _EXPANDED
        )
        if not seen.succeeded:
            return StripeReply(_as_unknown(seen))
        return replace(reply, intent=seen.object)


def _nothing(operation: Operation, found: Found, now: datetime) -> StripeReply:
    """No source knows it: silence if all of them have answered."""
    if found.failed is not None:
        return StripeReply(_as_unknown(found.failed))
    return _silence(operation, Outcome(OutcomeClass.SUCCEEDED), now)


def _silence(operation: Operation, outcome: Outcome, now: datetime) -> StripeReply:
    """Nothing was found: proof that nothing happened once enough time has passed."""
    if not proven_by_silence(operation, now):
        return StripeReply(_UNKNOWN)
    return StripeReply(outcome, nothing_found=True)


def _what_became_of_reattempt(
    payment: Payment, operation: Operation, outcome: Outcome, now: datetime
) -> StripeReply:
    """A PaymentIntent that still shows the charge that was declined before was not tried again."""
    assert outcome.object is not None
    seen = read_intent(outcome.object)
    if seen.status is IntentStatus.DECLINED and seen.charge_id == payment.charge_id:
        return _silence(operation, outcome, now)
    return StripeReply(outcome)


def _as_unknown(outcome: Outcome) -> Outcome:
    """A read that failed says nothing about what was to be found out."""
    if outcome.succeeded:
        return outcome
    return Outcome(OutcomeClass.UNKNOWN, failure=outcome.failure, retry_after=outcome.retry_after)
