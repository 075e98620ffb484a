"""The running service against the model, over random histories: rules, SQL and reads together."""

import itertools
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings

from ledger.v1.account_pb2 import NORMAL_BALANCE_CREDIT, NORMAL_BALANCE_DEBIT
from ledger.v1.transaction_pb2 import REMAINDER_KEEP, REMAINDER_RELEASE
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from tests.ledger.client import LedgerClient, credit, debit, draft
from tests.ledger.histories import ACCOUNTS, HISTORIES, Step, amounts_of, applied, target_of
from tests.ledger.model import Model

_ledgers = itertools.count(1)


async def fresh_ledger(client: LedgerClient) -> None:
    """A ledger of its own for each history."""
    client.ledger = f"history-{next(_ledgers)}"
    await client.create_ledger()
    for name, account in ACCOUNTS.items():
        limits: dict[str, Any] = {}
        if account.floor is not None:
            limits["min_available_minor"] = account.floor
        if account.ceiling is not None:
            limits["max_available_minor"] = account.ceiling
        normal = NORMAL_BALANCE_DEBIT if account.debit_normal else NORMAL_BALANCE_CREDIT
        await client.account(name, normal, **limits)


async def called(client: LedgerClient, step: Step, model: Model, clock: ManualClock) -> None:
    """Makes the call that a step stands for."""
    if step.name == "create":
        legs = [
            (debit if side == "debit" else credit)(name, amount) for name, side, amount in step.legs
        ]
        request = draft(*legs, pending=step.pending)
        if step.expires_in is not None:
            expiry = Timestamp()
            expiry.FromDatetime(clock.now() + timedelta(seconds=step.expires_in))
            request.expire_time.CopyFrom(expiry)
        await client.create(request)
        return
    target = target_of(step, model)
    amounts = amounts_of(step, model, target)
    if step.name == "post":
        keep = step.keep and bool(amounts)
        remainder = REMAINDER_KEEP if keep else REMAINDER_RELEASE
        await client.post(target, amounts, remainder=remainder)
    elif step.name == "void":
        await client.void(target)
    else:
        await client.reverse(target, amounts)


async def reason_of(
    client: LedgerClient, step: Step, model: Model, clock: ManualClock
) -> str | None:
    try:
        await called(client, step, model, clock)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return None


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
async def test_the_service_does_as_the_model_does(
    client: LedgerClient, clock: ManualClock, history: list[Step]
) -> None:
    await fresh_ledger(client)
    model = Model(ACCOUNTS)
    for step in history:
        if step.name == "wait":
            clock.advance(timedelta(seconds=step.seconds))
            applied(step, model)
            continue
        reason = await reason_of(client, step, model, clock)
        assert reason == applied(step, model), step
    await assert_same(client, model)


async def assert_same(client: LedgerClient, model: Model) -> None:
    # What has expired since the last commit counts as expired, recorded or not.
    model.expire_due()
    for name in ACCOUNTS:
        balance = await client.balance(name)
        assert balance.posted_minor == model.posted(name)
        assert balance.available_minor == model.available(name)
    trial = await client.trial()
    for total in trial.totals:
        assert total.posted_debits_minor == total.posted_credits_minor
        assert total.pending_debits_minor == total.pending_credits_minor
    assert (await client.verify()).intact
    # Every point of the past adds up again.
    seen = dict.fromkeys(ACCOUNTS, 0)
    for transaction in await client.watched(1) if trial.sequence else []:
        for entry in transaction.entries:
            seen[entry.account] += 1
            assert entry.balance_after.version == seen[entry.account]
