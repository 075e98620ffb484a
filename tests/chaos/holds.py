"""Holds that fall due together, in a ledger of their own: more than it expires in a commit."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import grpc

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_mutations_pb2 import (
    BATCH_MODE_INDEPENDENT,
    BatchCreateTransactionsRequest,
    BatchItem,
)
from tests.chaos.drawing import MAX_JUMP_MS
from tests.ledger.client import CREDIT_NORMAL, transfer

LEDGER = "holds"
HOLDS_PER_BATCH = 1_000
BATCHES = 2
ACCOUNTS = ("wallet", "payable")
# In the future whatever the ledger takes for the time, and though some minutes pass meanwhile.
DUE_AFTER = timedelta(milliseconds=MAX_JUMP_MS) + timedelta(minutes=5)
CALL_SECONDS = 10.0
TRIES = 40
PAUSE_SECONDS = 0.1
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    # A ledger that was put back may not even have the accounts.
    grpc.StatusCode.NOT_FOUND,
}


async def place(channel: grpc.aio.Channel, name: str, now: datetime) -> int:
    """Plays a client of the ledger, who repeats the same requests until they are answered.

    How many are held from `now` on; they all fall due at one moment.
    """
    due = now + DUE_AFTER
    for _ in range(TRIES):
        try:
            return await _place(LedgerServiceStub(channel), name, due)
        except grpc.aio.AioRpcError as error:
            if error.code() not in AGAIN:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
    return 0


async def _place(ledger: Any, name: str, due: datetime) -> int:
    made = ledgers.CreateLedgerRequest(request_id="holds", name=LEDGER)
    await ledger.CreateLedger(made, timeout=CALL_SECONDS)
    for account in ACCOUNTS:
        opened = accounts.CreateAccountRequest(
            request_id=account,
            ledger=LEDGER,
            account=accounts.AccountInput(
                name=account, currency_code="EUR", normal_balance=CREDIT_NORMAL
            ),
        )
        await ledger.CreateAccount(opened, timeout=CALL_SECONDS)
    held = 0
    for batch in range(BATCHES):
        hold = transfer("payable", "wallet", 1, pending=True)
        hold.expire_time.FromDatetime(due)
        request = BatchCreateTransactionsRequest(
            request_id=f"{name}-{batch}",
            ledger=LEDGER,
            mode=BATCH_MODE_INDEPENDENT,
            items=[BatchItem(create=hold)] * HOLDS_PER_BATCH,
        )
        answer = await ledger.BatchCreateTransactions(request, timeout=CALL_SECONDS)
        held += sum(result.HasField("transaction") for result in answer.results)
    return held
