"""What a ledger service says: how far it is, its log, and what its accounts add up to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc

from ledger.v1.balance_pb2 import AsOf, GetTrialBalanceRequest, GetTrialBalanceResponse
from ledger.v1.export_pb2 import ExportLogRequest
from ledger.v1.ledger_pb2 import GetLedgerRequest
from runtime.command_failures import CommandError, of_call
from warehouse.totals import Key, Totals

if TYPE_CHECKING:
    from ledger.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

# The most that the service puts in one answer.
LINES_PER_PAGE = 1_000
CALL_SECONDS = 60.0


@dataclass(frozen=True)
class TrialBalance:
    """What the ledger's accounts add up to after a transaction."""

    sequence: int
    moment: datetime
    totals: Mapping[Key, Totals]


class LedgerSource:
    """One ledger, read by its API alone. Calls that fail raise `CommandError`."""

    def __init__(
        self,
        ledgers: "LedgerServiceAsyncStub",
        audits: "AuditServiceAsyncStub",
        address: str,
        ledger: str,
    ) -> None:
        self._ledgers = ledgers
        self._audits = audits
        self._address = address
        self.ledger = ledger

    async def last_sequence(self) -> int:
        """The sequence of the newest transaction; 0 if there is none."""
        request = GetLedgerRequest(name=self.ledger)
        try:
            answer = await self._ledgers.GetLedger(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise of_call(error, self._address) from None
        return answer.ledger.last_sequence

    async def leaves(
        self, after: int, through: int, max_leaves: int, max_bytes: int
    ) -> list[bytes]:
        """The log after one transaction up to another, in order.

        As many as fit the bounds, which are looked at after each message of the stream.
        """
        request = ExportLogRequest(
            ledger=self.ledger, after_sequence=after, through_sequence=through
        )
        leaves: list[bytes] = []
        size = 0
        try:
            stream = self._audits.ExportLog(request)
            async for answer in stream:
                leaves.extend(answer.transactions)
                size += sum(map(len, answer.transactions))
                if len(leaves) >= max_leaves or size >= max_bytes:
                    stream.cancel()
                    break
        except grpc.aio.AioRpcError as error:
            raise of_call(error, self._address) from None
        return leaves

    async def trial_balance(self, sequence: int) -> TrialBalance:
        """What all accounts added up to when that transaction was the last."""
        request = GetTrialBalanceRequest(
            ledger=self.ledger, as_of=AsOf(sequence=sequence), page_size=LINES_PER_PAGE
        )
        totals: dict[Key, Totals] = {}
        while True:
            page = await self._page(request)
            for line in page.lines:
                balance = line.balance
                totals[Key(balance.account, balance.currency_code)] = Totals(
                    balance.posted_debits_minor,
                    balance.posted_credits_minor,
                    balance.pending_debits_minor,
                    balance.pending_credits_minor,
                )
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        if page.sequence != sequence:
            raise CommandError(f"asked for the books at {sequence}, got those at {page.sequence}")
        return TrialBalance(sequence, page.record_time.ToDatetime(tzinfo=UTC), totals)

    async def _page(self, request: GetTrialBalanceRequest) -> GetTrialBalanceResponse:
        try:
            return await self._ledgers.GetTrialBalance(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise of_call(error, self._address) from None
