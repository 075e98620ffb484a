"""The ledger's log and balances, read over gRPC: what it has, for comparison with what it told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import grpc

from gateway.bookkeeping.chart import corridor_of
from gateway.bookkeeping.facts import HOLD_PREFIX, HoldForgotten
from gateway.bookkeeping.ledger_client import LedgerUnavailableError
from gateway.bookkeeping.mapping import fact_id_of, revision_of
from gateway.bookkeeping.standing import NO_CHECKPOINT, Checkpoint
from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.balance_pb2 import GetBalanceRequest
from ledger.v1.direction_pb2 import DIRECTION_DEBIT
from ledger.v1.ledger_pb2 import GetLedgerRequest
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_pb2 import (
    TRANSACTION_KIND_POST,
    TRANSACTION_KIND_VOID,
    TRANSACTION_VIEW_SUMMARY,
    Transaction,
    TransactionKey,
)
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
    revision: int = 0


@dataclass(frozen=True, slots=True)
class PlacedHold:
    """A hold as the ledger has recorded it; `amount_minor` is what it held at first."""

    id: str
    revision: int
    payment_id: str
    merchant_id: str
    corridor: str
    currency: str
    amount_minor: int
    record_time: datetime

    @property
    def fact_id(self) -> str:
        """The id of the fact that it was booked for."""
        return f"{HOLD_PREFIX}{self.id}"

    def forgotten(self, now: datetime) -> HoldForgotten:
        """That nothing will come of it."""
        return HoldForgotten(
            corridor=self.corridor,
            currency=self.currency,
            effective_time=now,
            payment_id=self.payment_id,
            merchant_id=self.merchant_id,
            hold_id=self.id,
            hold_revision=self.revision,
            amount_minor=self.amount_minor,
        )


@dataclass(frozen=True, slots=True)
class VoidedHold:
    """That a hold was released: the fact that placed it, and where that is in the log."""

    fact_id: str
    sequence: int


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
        """The holds that the log has of a payment, the oldest first; of one that was placed anew,
        how it stands by now."""
        request = ListTransactionsRequest(
            ledger=self._ledger, reference=payment_id, page_size=self._page_size
        )
        holds: dict[str, LedgerHold] = {}
        placed: dict[int, str] = {}
        while (answer := await _answer(self._stub.ListTransactions(request))) is not None:
            for one in answer.transactions:
                hold = _placed(one)
                if hold is not None:
                    placed[one.sequence] = hold.id
                    holds[hold.id] = LedgerHold(hold.id, hold.corridor, revision=hold.revision)
                elif one.settles_sequence in placed:
                    hold_id = placed[one.settles_sequence]
                    captured = one.kind == TRANSACTION_KIND_POST
                    holds[hold_id] = replace(
                        holds[hold_id],
                        is_released=not captured,
                        is_captured=captured or holds[hold_id].is_captured,
                    )
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        return list(holds.values())

    async def open_holds(self, account: str) -> AsyncIterator[list[int]]:
        """Sequences of what is held on the debit side of an account, page by page, all of one
        moment; of an account that does not exist there are none."""
        token = ""
        while True:
            answer = await _answer(
                self._stub.GetBalance(
                    GetBalanceRequest(
                        ledger=self._ledger,
                        account=account,
                        include_holds=True,
                        page_size=self._page_size,
                        page_token=token,
                    )
                )
            )
            if answer is None:
                return
            yield [hold.sequence for hold in answer.holds if hold.direction == DIRECTION_DEBIT]
            token = answer.next_page_token
            if not token:
                return

    async def placed_hold(self, sequence: int) -> PlacedHold | None:
        """The hold of a payment that is at a sequence; None if something else is there."""
        request = GetTransactionRequest(ledger=self._ledger, key=TransactionKey(sequence=sequence))
        answer = await _answer(self._stub.GetTransaction(request))
        return _placed(answer.transaction) if answer is not None else None

    async def voided_since(self, since: datetime) -> AsyncIterator[list[VoidedHold]]:
        """The holds of payments that were released since then, the last first, page by page."""
        request = ListTransactionsRequest(
            ledger=self._ledger,
            kinds=[TRANSACTION_KIND_VOID],
            descending=True,
            page_size=self._page_size,
            view=TRANSACTION_VIEW_SUMMARY,
        )
        while True:
            answer = await _answer(self._stub.ListTransactions(request))
            if answer is None:
                return
            listed = [one for one in answer.transactions if _recorded(one) >= since]
            yield [
                VoidedHold(f"{HOLD_PREFIX}{one.metadata['hold_id']}", one.settles_sequence)
                for one in listed
                if "hold_id" in one.metadata
            ]
            if len(listed) < len(answer.transactions) or not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

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


def _placed(transaction: Transaction) -> PlacedHold | None:
    fact_id, about = fact_id_of(transaction.request_id), transaction.metadata
    if not fact_id.startswith(HOLD_PREFIX) or "payment_id" not in about:
        return None
    entry = transaction.entries[0]
    return PlacedHold(
        id=fact_id.removeprefix(HOLD_PREFIX),
        revision=revision_of(transaction.request_id),
        payment_id=about["payment_id"],
        merchant_id=about["merchant_id"],
        corridor=corridor_of(entry.account),
        currency=entry.amount.currency_code,
        amount_minor=entry.amount.minor_units,
        record_time=_recorded(transaction),
    )


def _recorded(transaction: Transaction) -> datetime:
    return transaction.record_time.ToDatetime(UTC)


async def _answer(call: Awaitable[Answer]) -> Answer | None:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        failure = from_rpc_error(error)
        if failure.reason in _NOTHING_THERE:
            return None
        raise LedgerUnavailableError(failure.reason or failure.code.name) from error
