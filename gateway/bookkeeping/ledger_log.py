"""The ledger's log and balances, read over gRPC: what it has, for comparison with what it told."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import grpc

from gateway.bookkeeping.chart import corridor_of
from gateway.bookkeeping.facts import CAPTURED_PREFIX, HOLD_PREFIX, RELEASED_PREFIX
from gateway.bookkeeping.ledger_client import LedgerUnavailableError
from gateway.bookkeeping.mapping import fact_id_of
from gateway.bookkeeping.standing import NO_CHECKPOINT, Checkpoint
from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.balance_pb2 import GetBalanceRequest
from ledger.v1.ledger_pb2 import GetLedgerRequest
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_pb2 import TRANSACTION_VIEW_SUMMARY, TransactionKey
from ledger.v1.transaction_reads_pb2 import GetTransactionRequest, ListTransactionsRequest
from runtime.errors import from_rpc_error

# The most that the ledger lists at once.
LOG_PAGE = 1_000

# What the ledger answers where it has not what was asked for.
_NOTHING_THERE = {
    "LEDGER_NOT_FOUND",
    "TRANSACTION_NOT_FOUND",
    "NOT_SEALED",
    "ACCOUNT_NOT_FOUND",
    "SEQUENCE_NOT_REACHED",
}

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class LedgerHold:
    """A hold of a payment that the ledger has, at a corridor's accounts."""

    id: str
    corridor: str
    is_released: bool = False
    is_captured: bool = False


class LedgerLog:
    """Reads one ledger. Every method raises LedgerUnavailableError; a ledger that does not exist
    is an empty one."""

    def __init__(self, channel: grpc.aio.Channel, ledger: str, page_size: int = LOG_PAGE) -> None:
        self._stub = LedgerServiceStub(channel)
        self._audit = AuditServiceStub(channel)
        self._ledger = ledger
        self._page_size = page_size

    @property
    def ledger(self) -> str:
        """The ledger's name."""
        return self._ledger

    async def last_sequence(self) -> int:
        """Where the log ends; 0 while it is empty."""
        answer = await _answer(self._stub.GetLedger(GetLedgerRequest(name=self._ledger)))
        return answer.ledger.last_sequence if answer is not None else 0

    async def request_id_at(self, sequence: int) -> str | None:
        """The request id of the transaction at a sequence; None if the log does not reach it."""
        request = GetTransactionRequest(ledger=self._ledger, key=TransactionKey(sequence=sequence))
        answer = await _answer(self._stub.GetTransaction(request))
        return answer.transaction.request_id if answer is not None else None

    async def request_ids_after(self, sequence: int) -> Mapping[int, str]:
        """The next request ids of the log by their sequences, a page at most."""
        request = ListTransactionsRequest(
            ledger=self._ledger,
            after_sequence=sequence,
            page_size=self._page_size,
            view=TRANSACTION_VIEW_SUMMARY,
        )
        answer = await _answer(self._stub.ListTransactions(request))
        listed = answer.transactions if answer is not None else ()
        return {transaction.sequence: transaction.request_id for transaction in listed}

    async def holds_of(self, payment_id: str) -> list[LedgerHold]:
        """The holds that the log has of a payment, the oldest first."""
        request = ListTransactionsRequest(
            ledger=self._ledger, reference=payment_id, page_size=self._page_size
        )
        answer = await _answer(self._stub.ListTransactions(request))
        listed = answer.transactions if answer is not None else ()
        facts = {fact_id_of(transaction.request_id): transaction for transaction in listed}
        return [
            LedgerHold(
                id=(hold_id := fact.removeprefix(HOLD_PREFIX)),
                corridor=corridor_of(placed.entries[0].account),
                is_released=f"{RELEASED_PREFIX}{hold_id}" in facts,
                is_captured=any(one.startswith(f"{CAPTURED_PREFIX}{hold_id}.") for one in facts),
            )
            for fact, placed in facts.items()
            if fact.startswith(HOLD_PREFIX)
        ]

    async def checkpoint(self, min_tree_size: int = 0) -> Checkpoint:
        """The newest checkpoint, or the oldest of at least so many transactions; `NO_CHECKPOINT`
        if there is none."""
        request = GetCheckpointRequest(ledger=self._ledger, min_tree_size=min_tree_size)
        answer = await _answer(self._audit.GetCheckpoint(request))
        if answer is None or answer.checkpoint.tree_size == 0:
            return NO_CHECKPOINT
        return Checkpoint(answer.checkpoint.tree_size, answer.checkpoint.root_hash)

    async def posted_debit_minor(self, account: str) -> int:
        """The account's posted debits less its credits, in minor units; 0 if there is none."""
        request = GetBalanceRequest(ledger=self._ledger, account=account)
        answer = await _answer(self._stub.GetBalance(request))
        if answer is None:
            return 0
        return sum(b.posted_debits_minor - b.posted_credits_minor for b in answer.balances)


async def _answer(call: Awaitable[Answer]) -> Answer | None:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        failure = from_rpc_error(error)
        if failure.reason in _NOTHING_THERE:
            return None
        raise LedgerUnavailableError(failure.reason or failure.code.name) from error
