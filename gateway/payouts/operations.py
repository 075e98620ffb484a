"""Running operations on payouts: the check, the payout, its cancellation."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import grpc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.v1 import compliance_service_pb2 as pb
from compliance.v1 import compliance_service_pb2_grpc
from compliance.v1.decision_pb2 import Verdict
from gateway.operations.operation import Operation, OperationKind, given_up, silence, tried_again
from gateway.payouts import store
from gateway.payouts.commands import payout_operation
from gateway.payouts.domain import Payout, PayoutState
from gateway.payouts.stripe_events import PAYOUT_KEY, Payouts
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from runtime.errors import from_rpc_error
from runtime.logs import get_logger

log = get_logger(__name__)


class PayoutCompliance:
    """Asks over gRPC. No answer in time is no verdict, so nothing is paid out."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = compliance_service_pb2_grpc.ComplianceServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def check(self, payout: Payout, operation: Operation) -> Outcome:
        """The verdict as `{"verdict": "ALLOW" | "REVIEW" | "DENY"}`. The same attempt of an
        operation gets the same decision."""
        request = pb.CheckPayoutRequest(
            request_id=operation.idempotency_key,
            payout_id=payout.id,
            merchant_id=payout.merchant_id,
            corridor=payout.corridor,
            connected_account_id=payout.account_id,
        )
        request.amount.currency_code = payout.currency
        request.amount.minor_units = payout.amount_minor
        try:
            response = await self._stub.CheckPayout(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            received = from_rpc_error(error)
            log.warning(
                "compliance_not_reached",
                payout_id=payout.id,
                code=received.code.name,
                reason=received.reason,
            )
            return Outcome(
                OutcomeClass.NOT_SENT,
                not_sent_reason=NotSentReason.CONNECT_FAILED,
                retry_after=received.retry_delay,
            )
        verdict = response.decision.verdict
        allowed, denied = verdict == Verdict.VERDICT_ALLOW, verdict == Verdict.VERDICT_DENY
        # A verdict that we do not know is a case for a person.
        word = "ALLOW" if allowed else "DENY" if denied else "REVIEW"
        return Outcome(OutcomeClass.SUCCEEDED, object={"verdict": word})


# Stripe's clock and ours may differ by this much when a payout is looked for by time.
CLOCK_TOLERANCE = timedelta(seconds=90)


class PayoutChecks:
    """Asks compliance, again and again while it wants a person to look."""

    def __init__(
        self, engine: AsyncEngine, compliance: PayoutCompliance, recheck: timedelta
    ) -> None:
        self._engine = engine
        self._compliance = compliance
        self._recheck = recheck

    async def send(self, operation: Operation) -> Outcome:
        """Asks for the verdict."""
        return await self._compliance.check(await _payout(self._engine, operation), operation)

    async def resolve(self, _operation: Operation, _now: datetime) -> Outcome:
        """A question whose time is over needs no answer."""
        return given_up()

    async def write(
        self, connection: AsyncConnection, operation: Operation, outcome: Outcome, now: datetime
    ) -> tuple[Operation, Operation | None]:
        """Allowed, blocked, in review, or given up."""
        payout = await _locked(connection, operation)
        if not outcome.succeeded or outcome.object is None:
            if not operation.open:
                await _fail(connection, payout, operation.failure_code, now)
            return operation, None
        verdict = outcome.object["verdict"]
        if verdict == "ALLOW":
            allowed = replace(payout, state=PayoutState.CREATING, update_time=now)
            await store.save(connection, allowed)
            return operation, payout_operation(allowed, now)
        state = PayoutState.BLOCKED if verdict == "DENY" else PayoutState.IN_REVIEW
        if payout.state is not state:
            await store.save(connection, replace(payout, state=state, update_time=now))
        if verdict == "DENY":
            return operation, None
        again = replace(tried_again(operation, now, self._recheck), end_time=None)
        return again, None


class PayoutRequests:
    """Asks Stripe for payouts and their cancellation."""

    def __init__(self, engine: AsyncEngine, stripe_client: StripeClient, payouts: Payouts) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._payouts = payouts

    async def send(self, operation: Operation) -> Outcome:
        """Asks Stripe, with the operation's key and parameters."""
        params, key = json.loads(operation.params), operation.idempotency_key
        account = operation.stripe_account or None
        if operation.kind is OperationKind.CREATE_PAYOUT:
            return await self._stripe.payouts.create_payout(
                operation.corridor,
                params,
                key,
                connected_account=account,
                resend=operation.send_count > 1,
            )
        payout = await _payout(self._engine, operation)
        return await self._stripe.payouts.cancel_payout(
            operation.corridor, payout.stripe_payout_id, params, key, connected_account=account
        )

    async def resolve(self, operation: Operation, now: datetime) -> Outcome:
        """Looks for the payout by what we named it, or at the payout that was to be canceled."""
        account = operation.stripe_account or None
        if operation.kind is OperationKind.CANCEL_PAYOUT:
            payout = await _payout(self._engine, operation)
            seen = await self._stripe.records.retrieve_payout(
                operation.corridor, payout.stripe_payout_id, connected_account=account
            )
            if seen.object is None:
                return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
            return seen if seen.object["status"] == "canceled" else silence(operation, now)
        assert operation.first_send_time is not None, "only what was sent is looked for"
        assert operation.last_send_time is not None, "only what was sent is looked for"
        found = await self._stripe.payouts.find_payouts(
            operation.corridor,
            {PAYOUT_KEY: operation.subject_id},
            created_from=operation.first_send_time - CLOCK_TOLERANCE,
            created_to=operation.last_send_time + CLOCK_TOLERANCE,
            connected_account=account,
        )
        if found.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=found.failure)
        if found.object["data"]:
            return Outcome(OutcomeClass.SUCCEEDED, object=found.object["data"][0])
        complete = found.object["complete"]
        return silence(operation, now) if complete else Outcome(OutcomeClass.UNKNOWN)

    async def write(
        self, connection: AsyncConnection, operation: Operation, outcome: Outcome, now: datetime
    ) -> tuple[Operation, Operation | None]:
        """Takes over the payout as Stripe answered with it, or that there is none."""
        payout = await _locked(connection, operation)
        creating = operation.kind is OperationKind.CREATE_PAYOUT
        if outcome.succeeded and outcome.object is not None:
            await self._payouts.write(connection, payout, outcome.object, now)
        elif creating and not operation.open and not payout.stripe_payout_id:
            await _fail(connection, payout, operation.failure_code, now)
        return operation, None


async def is_decided(connection: AsyncConnection, payout_id: str) -> bool:
    """Whether compliance and Stripe have said what becomes of the payout."""
    payout = await store.get(connection, payout_id)
    assert payout is not None, "somebody waits for it"
    return payout.state is not PayoutState.CREATING


async def _fail(connection: AsyncConnection, payout: Payout, code: str, now: datetime) -> None:
    failed = replace(payout, state=PayoutState.FAILED, failure_code=code, update_time=now)
    await store.save(connection, failed)


async def _payout(engine: AsyncEngine, operation: Operation) -> Payout:
    async with engine.connect() as connection:
        payout = await store.get(connection, operation.subject_id)
    assert payout is not None, "an operation has its payout"
    return payout


async def _locked(connection: AsyncConnection, operation: Operation) -> Payout:
    payout = await store.lock(connection, operation.subject_id)
    assert payout is not None, "an operation has its payout"
    return payout
