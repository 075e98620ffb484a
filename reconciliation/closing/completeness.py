"""Whether what a source has to say of a period has come: asked before it is closed.

Each source that items come from has one of these; what is configured and cannot say so keeps
periods open.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_transaction_service_pb2 import ListBalanceTransactionsRequest
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_reads_pb2 import ListTransactionsRequest
from reconciliation.closing import store
from reconciliation.closing.period import Period
from reconciliation.closing.statement import LedgerPlace
from reconciliation.items.intake import cursor_of
from reconciliation.matching.book_days import BookDays
from reconciliation.matching.item import Source
from reconciliation.sources.balance_transactions import NAME as BALANCE_TRANSACTIONS
from reconciliation.sources.ledger import NAME as LEDGER
from runtime.errors import from_rpc_error

# Balance transactions that are compared at a time, and in all for a day of a corridor.
PAGE = 1_000
MAX_PAGES = 1_000
NOT_SEALED = "NOT_SEALED"


class Behind(NamedTuple):
    """What of a source has not come."""

    source: str
    why: str


class Completeness(Protocol):
    """A source that may be behind."""

    async def behind(self, period: Period, corridors: Sequence[str]) -> Behind | None:
        """What has not come of a period that is over, or that it cannot be asked; None if all
        has."""
        ...


class LedgerCompleteness:
    """The ledger's log has been taken beyond the end of a period, and is signed as far."""

    def __init__(
        self,
        engine: AsyncEngine,
        stub: LedgerServiceStub,
        audit_stub: AuditServiceStub,
        ledger: str,
        book_days: BookDays,
    ) -> None:
        self._engine = engine
        self._stub: Any = stub
        self._audit: Any = audit_stub
        self._ledger = ledger
        self._book_days = book_days

    async def behind(self, period: Period, corridors: Sequence[str]) -> Behind | None:
        """Whether there is a transaction of before the end that has not been taken."""
        sequence = await self._sequence()
        end = max(period.end_of(corridor, self._book_days) for corridor in corridors)
        request = ListTransactionsRequest(ledger=self._ledger, after_sequence=sequence, page_size=1)
        try:
            answer = await self._stub.ListTransactions(request)
        except grpc.aio.AioRpcError as error:
            return _not_asked(LEDGER, error)
        for transaction in answer.transactions:
            if transaction.record_time.ToDatetime(tzinfo=end.tzinfo) < end:
                return Behind(LEDGER, f"transaction {transaction.sequence} has not been taken")
        return None

    async def place(self) -> LedgerPlace | Behind:
        """How far items were taken, and the checkpoint that covers it."""
        sequence = await self._sequence()
        request = audit.GetCheckpointRequest(ledger=self._ledger, min_tree_size=sequence)
        try:
            checkpoint = (await self._audit.GetCheckpoint(request)).checkpoint
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error).reason != NOT_SEALED:
                return _not_asked(LEDGER, error)
            return Behind(LEDGER, f"no checkpoint covers transaction {sequence} yet")
        return LedgerPlace(sequence, checkpoint.tree_size, checkpoint.root_hash)

    async def _sequence(self) -> int:
        async with self._engine.connect() as connection:
            cursor = await cursor_of(connection, LEDGER)
        return int(cursor.partition(":")[0] or 0)


class StripeCompleteness:
    """All balance transactions that the gateway lists of a period are items."""

    def __init__(
        self, engine: AsyncEngine, stub: BalanceTransactionServiceStub, book_days: BookDays
    ) -> None:
        self._engine = engine
        self._stub: Any = stub
        self._book_days = book_days

    async def behind(self, period: Period, corridors: Sequence[str]) -> Behind | None:
        """The first of a period that is no item."""
        for corridor in corridors:
            try:
                missing = await self._missing(period, corridor)
            except grpc.aio.AioRpcError as error:
                return _not_asked(BALANCE_TRANSACTIONS, error)
            if missing:
                return Behind(BALANCE_TRANSACTIONS, f"{missing} has not been taken")
        return None

    async def _missing(self, period: Period, corridor: str) -> str:
        request = ListBalanceTransactionsRequest(
            page_size=PAGE,
            corridor=corridor,
            created_from=_stamp(self._book_days.start_of(corridor, period.first_day)),
            created_until=_stamp(period.end_of(corridor, self._book_days)),
        )
        for _ in range(MAX_PAGES):
            answer = await self._stub.ListBalanceTransactions(request)
            # A movement of nothing is no item.
            keys = [t.id for t in answer.balance_transactions if t.net.minor_units]
            async with self._engine.connect() as connection:
                missing = await store.unknown_key(connection, Source.STRIPE, corridor, keys)
            if missing or not answer.next_page_token:
                return missing
            request.page_token = answer.next_page_token
        return f"more than {PAGE * MAX_PAGES} of a period are too many to compare: one of them"


def _not_asked(source: str, error: grpc.aio.AioRpcError) -> Behind:
    """A source that gave no answer, and why. Whoever asks for the period again asks it again."""
    why = f"{error.code().name} {from_rpc_error(error).reason}".rstrip()
    return Behind(source, f"cannot be asked: {why}")


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
