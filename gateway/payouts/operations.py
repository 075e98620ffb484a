"""What operations on payouts ask, and what comes of it: the check, the payout, its cancellation."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import database_behind
from gateway.ids import RequestMetadata, derived_id
from gateway.money import to_stripe
from gateway.operations.kind import Applied, ApplyContext, Kind, PlainKind
from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
    after_outcome,
    decided,
    next_attempt,
    sent,
    silence,
)
from gateway.operations.outcomes import what_was_found
from gateway.operations.requests import PAYOUT_REQUEST, carried_by
from gateway.payments.domain.stripe_params import encode
from gateway.payouts import store
from gateway.payouts.compliance import PayoutCompliance
from gateway.payouts.domain import Payout, PayoutState
from gateway.payouts.stripe_events import PAYOUT_KEY, Payouts
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass

CREATE_WINDOW = timedelta(days=1)
# Stripe's clock and ours may differ by this much when a payout is looked for by time.
CLOCK_TOLERANCE = timedelta(seconds=90)
# What is not decided by compliance yet.
_UNCHECKED = frozenset({PayoutState.CREATING, PayoutState.IN_REVIEW})


def kinds(
    stripe_client: StripeClient,
    payouts: Payouts,
    compliance: PayoutCompliance,
    recheck: timedelta,
    deployment: str,
) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on payouts."""
    return {
        OperationKind.CHECK_PAYOUT: PayoutCheck(compliance, recheck, deployment),
        OperationKind.CREATE_PAYOUT: PayoutCreation(stripe_client, payouts),
        OperationKind.CANCEL_PAYOUT: PayoutCancellation(stripe_client, payouts),
    }


def known_state(payout: Payout, operation: Operation) -> OperationState | None:
    """How an operation on a payout ended, if the payout as it stands says so."""
    if operation.kind is OperationKind.CHECK_PAYOUT:
        known = payout.state not in _UNCHECKED or bool(payout.stripe_payout_id)
    elif operation.kind is OperationKind.CREATE_PAYOUT:
        known = bool(payout.stripe_payout_id)
    else:
        known = payout.state is PayoutState.CANCELED
    return OperationState.SUCCEEDED if known else None


def payout_operation(
    payout: Payout, carried: RequestMetadata, check: Operation, now: datetime
) -> Operation:
    """Asks Stripe for a payout that compliance allowed when it was asked by `check`. The request
    goes along, so that a gateway which has lost it knows the payout again."""
    params = {
        "amount": to_stripe(payout.currency, payout.amount_minor),
        "currency": payout.currency.lower(),
        "metadata": {**carried.as_metadata(), PAYOUT_KEY: payout.id},
    }
    if payout.statement_descriptor:
        params["statement_descriptor"] = payout.statement_descriptor
    return Operation(
        id=derived_id("op", check.id),
        kind=OperationKind.CREATE_PAYOUT,
        subject_id=payout.id,
        corridor=payout.corridor,
        connected_account=payout.account_id,
        params=encode(params),
        create_time=now,
        next_attempt_time=now,
        deadline=now + CREATE_WINDOW,
    )


class _PayoutKind(PlainKind):
    """What the kinds have in common."""

    async def load(self, connection: AsyncConnection, operation: Operation) -> Payout:
        """The payout."""
        payout = await store.get(connection, operation.subject_id)
        assert payout is not None, "an operation has its payout"
        return payout

    async def lock(self, connection: AsyncConnection, operation: Operation) -> Payout:
        """The payout, locked."""
        payout = await store.lock(connection, operation.subject_id)
        assert payout is not None, "an operation has its payout"
        return payout

    def known(self, payout: Payout, operation: Operation) -> OperationState | None:
        """Whether the payout says how it ended."""
        return known_state(payout, operation)


class PayoutCheck(_PayoutKind):
    """Asks compliance, again and again while it wants a person to look."""

    def __init__(self, compliance: PayoutCompliance, recheck: timedelta, deployment: str) -> None:
        self._compliance = compliance
        self._recheck = recheck
        self._deployment = deployment

    async def send(self, payout: Payout, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the verdict; the same question gets the same answer."""
        return await self._compliance.check(payout, operation)

    async def resolve(
        self, _payout: Payout, _operation: Operation, _now: datetime
    ) -> Outcome | GivenUp:
        """A question whose time is over needs no answer."""
        return GivenUp()

    async def apply(
        self,
        connection: AsyncConnection,
        payout: Payout,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """Allowed, blocked, in review, or given up."""
        now = context.now
        if isinstance(reply, GivenUp) or reply.object is None:
            after = after_outcome(operation, reply, now, context.jitter)
            if not after.open:
                payout = await _fail(connection, payout, after.failure_code, now)
            return Applied(after, payout)
        verdict = reply.object["verdict"]
        if verdict == "ALLOW":
            allowed = replace(payout, state=PayoutState.CREATING, update_time=now)
            await store.save(connection, allowed)
            ended = decided(operation, OperationState.SUCCEEDED, now)
            carried = await carried_by(
                connection, PAYOUT_REQUEST, allowed.request_id, self._deployment
            )
            asked = payout_operation(allowed, carried, operation, now)
            return Applied(ended, allowed, sent(asked, now))
        state = PayoutState.BLOCKED if verdict == "DENY" else PayoutState.IN_REVIEW
        if payout.state is not state:
            payout = replace(payout, state=state, update_time=now)
            await store.save(connection, payout)
        if verdict == "DENY":
            return Applied(decided(operation, OperationState.SUCCEEDED, now), payout)
        return Applied(next_attempt(operation, now, self._recheck), payout)


class _StripePayoutKind(_PayoutKind):
    """Asks Stripe, and takes over the payout that it answers with."""

    def __init__(self, stripe_client: StripeClient, payouts: Payouts) -> None:
        self._stripe = stripe_client
        self._payouts = payouts

    async def apply(
        self,
        connection: AsyncConnection,
        payout: Payout,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The payout as Stripe answered with it, or that there is none."""
        after = after_outcome(operation, reply, context.now, context.jitter)
        if not isinstance(reply, GivenUp) and reply.object is not None:
            payout = await self._payouts.write(connection, payout, reply.object, context.now)
        elif operation.kind is OperationKind.CREATE_PAYOUT and not after.open:
            payout = await _fail(connection, payout, after.failure_code, context.now)
        return Applied(after, payout)


class PayoutCreation(_StripePayoutKind):
    """The payout itself."""

    async def send(self, _payout: Payout, operation: Operation, resend: bool) -> Outcome:
        """Asks for the payout."""
        return await self._stripe.payouts.create_payout(
            operation.corridor,
            json.loads(operation.params),
            operation.idempotency_key,
            connected_account=operation.connected_account or None,
            resend=resend,
        )

    async def resolve(self, _payout: Payout, operation: Operation, now: datetime) -> Outcome:
        """Looks for the payout by what we named it."""
        assert operation.first_send_time is not None, "only what was sent is looked for"
        assert operation.last_send_time is not None, "only what was sent is looked for"
        found = await self._stripe.payouts.find_payouts(
            operation.corridor,
            {PAYOUT_KEY: operation.subject_id},
            created_from=operation.first_send_time - CLOCK_TOLERANCE,
            created_to=operation.last_send_time + CLOCK_TOLERANCE,
            connected_account=operation.connected_account or None,
        )
        return what_was_found(operation, found, now)


class PayoutCancellation(_StripePayoutKind):
    """A payout that is pending at Stripe is taken back."""

    async def send(self, payout: Payout, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the cancellation."""
        return await self._stripe.payouts.cancel_payout(
            operation.corridor,
            payout.stripe_payout_id,
            json.loads(operation.params),
            operation.idempotency_key,
            connected_account=operation.connected_account or None,
        )

    async def resolve(self, payout: Payout, operation: Operation, now: datetime) -> Outcome:
        """Looks at the payout that was to be canceled."""
        seen = await self._stripe.records.retrieve_payout(
            operation.corridor,
            payout.stripe_payout_id,
            connected_account=operation.connected_account or None,
        )
        if seen.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
        return seen if seen.object["status"] == "canceled" else silence(operation, now)


async def is_answerable(connection: AsyncConnection, payout_id: str) -> bool:
    """Whether compliance and Stripe have said what becomes of the payout."""
    payout = await store.get(connection, payout_id)
    if payout is None:
        # Somebody waits for it: it was here a moment ago.
        raise database_behind()
    return payout.state is not PayoutState.CREATING


async def _fail(connection: AsyncConnection, payout: Payout, code: str, now: datetime) -> Payout:
    failed = replace(payout, state=PayoutState.FAILED, failure_code=code, update_time=now)
    await store.save(connection, failed)
    return failed
