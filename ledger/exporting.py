"""The RPC that hands out a ledger's accounts and log as the bytes that checkpoints cover.

What it reads never changes, so it needs no snapshot: it reads on by number and by sequence, a
message at a time, and reads the next one when gRPC has taken the last, so that a slow client
costs the server one message of memory and no open database transaction.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ledger.account_line import account_line
from ledger.errors import account_not_found, sequence_not_reached
from ledger.leaf import leaf_of
from ledger.ledgers import Ledgers
from ledger.reader import Reader
from ledger.rows import account_of, records_of
from ledger.statements import statement
from ledger.v1.export_pb2 import ExportLogRequest, ExportLogResponse
from runtime.connections import Connections

MAX_ACCOUNTS_PER_MESSAGE = 500
MAX_TRANSACTIONS_PER_MESSAGE = 200
MAX_ENTRIES_PER_MESSAGE = 2_000
# Of the requests that leaves are made from. JSON writes some characters of a text sixfold.
MAX_BODY_BYTES_PER_MESSAGE = 512 * 1024

Context = Any


class ExportingService:
    """The exporting part of AuditService."""

    def __init__(self, ledgers: Ledgers, reader: Reader, reads: Connections) -> None:
        self._ledgers = ledgers
        self._reader = reader
        self._reads = reads

    async def ExportLog(
        self, request: ExportLogRequest, _context: Context
    ) -> AsyncIterator[ExportLogResponse]:
        """Accounts, then transactions, each up to the bounds asked for."""
        ledger_id = await self._ledgers.id_of(request.ledger)
        await self._check_bounds(ledger_id, request)
        async for response in self._accounts(ledger_id, request):
            yield response
        async for response in self._transactions(ledger_id, request):
            yield response

    async def _check_bounds(self, ledger_id: int, request: ExportLogRequest) -> None:
        ((last_sequence, last_account),) = await self._fetch("export_bounds", ledger_id, {})
        if request.through_account > last_account:
            raise account_not_found(f"number {request.through_account}")
        if request.through_sequence > last_sequence:
            raise sequence_not_reached(request.through_sequence, last_sequence)

    async def _accounts(
        self, ledger_id: int, request: ExportLogRequest
    ) -> AsyncIterator[ExportLogResponse]:
        after, through = request.after_account, request.through_account
        while after < through:
            bounds = {"after": after, "through": through, "limit": MAX_ACCOUNTS_PER_MESSAGE}
            rows = await self._fetch("export_accounts", ledger_id, bounds)
            accounts = [account_of(row) for row in rows]
            numbers = [account.number for account in accounts]
            expected = range(after + 1, min(through, after + MAX_ACCOUNTS_PER_MESSAGE) + 1)
            assert numbers == list(expected), "the accounts' numbers have a gap"
            yield ExportLogResponse(accounts=[account_line(account) for account in accounts])
            after = numbers[-1]

    async def _transactions(
        self, ledger_id: int, request: ExportLogRequest
    ) -> AsyncIterator[ExportLogResponse]:
        after = request.after_sequence
        while after < request.through_sequence:
            bounds = {
                "after": after,
                "through": request.through_sequence,
                "transactions": MAX_TRANSACTIONS_PER_MESSAGE,
                "entries": MAX_ENTRIES_PER_MESSAGE,
                "body_bytes": MAX_BODY_BYTES_PER_MESSAGE,
            }
            ((last,),) = await self._fetch("export_span", ledger_id, bounds)
            span = {"after": after, "last": last}
            records = records_of(await self._fetch("export_transactions", ledger_id, span))
            assert len(records) == last - after, "the log has a gap"
            yield ExportLogResponse(
                transactions=[leaf_of(request.ledger, record) for record in records]
            )
            after = last

    async def _fetch(self, name: str, ledger_id: int, bounds: Mapping[str, int]) -> list[Any]:
        return await self._reads.fetch(statement(name), {"ledger_id": ledger_id, **bounds})
