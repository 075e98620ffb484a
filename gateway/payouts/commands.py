"""What requests start on payouts, or why they are refused."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations import store as operation_store
from gateway.operations.commands import Refusal, Rule, Start, refuse_if_busy
from gateway.operations.operation import Operation, OperationKind, OperationState, decided
from gateway.payments.domain.stripe_params import encode
from gateway.payouts import store
from gateway.payouts.domain import Payout, PayoutState
from gateway.payouts.errors import payout_not_found
from gateway.payouts.operations import known_state

CANCEL_WINDOW = timedelta(days=1)


def creation_rule(payout: Payout, review: timedelta) -> Rule:
    """Writes a payout down and starts asking compliance about it, for at most `review`."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        if await store.get(connection, payout.id) is not None:
            # The database had lost it, and an event has brought it back.
            return Start(payout.id)
        await store.add(connection, payout)
        operation = Operation(
            id=operation_id,
            kind=OperationKind.CHECK_PAYOUT,
            subject_id=payout.id,
            corridor=payout.corridor,
            create_time=now,
            next_attempt_time=now,
            deadline=now + review,
        )
        return Start(payout.id, operation)

    return rule


def cancellation_rule(payout_id: str) -> Rule:
    """Cancels: by itself while it is in review, at Stripe while it is pending there."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        payout = await store.lock(connection, payout_id)
        if payout is None:
            raise payout_not_found(payout_id)
        if payout.state is PayoutState.IN_REVIEW:
            await _withdraw_check(connection, payout, now)
            canceled = replace(payout, state=PayoutState.CANCELED, update_time=now)
            await store.save(connection, canceled)
            return Start(payout.id)
        await refuse_if_busy(connection, payout_id, partial(known_state, payout), now)
        if payout.state is not PayoutState.PENDING:
            return Refusal(
                "INVALID_PAYOUT_STATE",
                "the payout's state does not allow this",
                {"payout_id": payout.id, "payout_state": payout.state},
            )
        operation = Operation(
            id=operation_id,
            kind=OperationKind.CANCEL_PAYOUT,
            subject_id=payout.id,
            corridor=payout.corridor,
            connected_account=payout.account_id,
            # It says when the money came back.
            params=encode({"expand": ["failure_balance_transaction"]}),
            create_time=now,
            next_attempt_time=now,
            deadline=now + CANCEL_WINDOW,
        )
        return Start(payout.id, operation)

    return rule


async def _withdraw_check(connection: AsyncConnection, payout: Payout, now: datetime) -> None:
    """Ends the question to compliance, whoever asks it at the moment: it moves no money."""
    check = await operation_store.open_operation_of(connection, payout.id)
    if check is not None:
        withdrawn = decided(check, OperationState.CANCELED, now, "withdrawn")
        await operation_store.take_over(connection, withdrawn)
