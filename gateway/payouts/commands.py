"""What requests start on payouts, or why they are refused."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ids import new_id
from gateway.operations import store as operation_store
from gateway.operations.commands import Refusal, Rule, Start, refuse_if_busy
from gateway.operations.operation import Operation, OperationKind, OperationState, ended
from gateway.payments.domain.stripe_params import encode
from gateway.payouts import store
from gateway.payouts.domain import Payout, PayoutState
from gateway.payouts.errors import payout_not_found
from gateway.payouts.stripe_events import PAYOUT_KEY

CREATE_WINDOW = timedelta(days=1)
CANCEL_WINDOW = timedelta(days=1)


def creation_rule(payout: Payout, review: timedelta) -> Rule:
    """Writes a payout down and starts asking compliance about it, for at most `review`."""

    async def rule(connection: AsyncConnection, now: datetime) -> Start | Refusal:
        await store.add(connection, payout)
        operation = Operation(
            id=new_id("op", now),
            kind=OperationKind.CHECK_PAYOUT,
            subject_id=payout.id,
            corridor=payout.corridor,
            create_time=now,
            next_attempt_time=now,
            deadline=now + review,
        )
        return Start(payout.id, operation)

    return rule


def payout_operation(payout: Payout, now: datetime) -> Operation:
    """Asks Stripe for a payout that compliance allowed."""
    params = {
        "amount": payout.amount_minor,
        "currency": payout.currency.lower(),
        "metadata": {PAYOUT_KEY: payout.id},
    }
    if payout.statement_descriptor:
        params["statement_descriptor"] = payout.statement_descriptor
    return Operation(
        id=new_id("op", now),
        kind=OperationKind.CREATE_PAYOUT,
        subject_id=payout.id,
        corridor=payout.corridor,
        stripe_account=payout.account_id,
        params=encode(params),
        create_time=now,
        next_attempt_time=now,
        deadline=now + CREATE_WINDOW,
    )


def cancellation_rule(payout_id: str) -> Rule:
    """Cancels: by itself while it is in review, at Stripe while it is pending there."""

    async def rule(connection: AsyncConnection, now: datetime) -> Start | Refusal:
        payout = await store.lock(connection, payout_id)
        if payout is None:
            raise payout_not_found(payout_id)
        if payout.state is PayoutState.IN_REVIEW and await _withdrawn(connection, payout, now):
            canceled = replace(payout, state=PayoutState.CANCELED, update_time=now)
            await store.save(connection, canceled)
            return Start(payout.id)
        await refuse_if_busy(connection, payout_id)
        if payout.state is not PayoutState.PENDING:
            return Refusal(
                "INVALID_PAYOUT_STATE",
                "the payout's state does not allow this",
                {"payout_id": payout.id, "payout_state": payout.state},
            )
        operation = Operation(
            id=new_id("op", now),
            kind=OperationKind.CANCEL_PAYOUT,
            subject_id=payout.id,
            corridor=payout.corridor,
            stripe_account=payout.account_id,
            create_time=now,
            next_attempt_time=now,
            deadline=now + CANCEL_WINDOW,
        )
        return Start(payout.id, operation)

    return rule


async def _withdrawn(connection: AsyncConnection, payout: Payout, now: datetime) -> bool:
    """Whether the question to compliance could be withdrawn: not while it is being asked."""
    check = await operation_store.open_operation_of(connection, payout.id)
    if check is None:
        return True
    return await operation_store.withdraw(connection, ended(check, OperationState.CANCELED, now))
