"""The services of a process: each call goes to the shard that its ledger is on."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from typing import Any

from ledger.errors import ERRORS
from ledger.ledgers import ledger_message
from ledger.pages import is_ledger, page_size, position_of
from ledger.placing import create_ledger
from ledger.shards import Shard, Shards
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.audit_service_pb2_grpc import AuditServiceServicer
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from runtime.paging import PageTokens

Context = Any
# Of the stub's own type, which says more of a method than can be said of all of them here.
Method = Any


def _books(method: str, field: str = "ledger") -> Method:
    """A method of LedgerService, of the shard of the ledger that a field names."""

    async def call(self: "RoutedLedgerService", request: Any, context: Context) -> Any:
        shard = await self.shards.of(getattr(request, field))
        return await getattr(shard.service, method)(request, context)

    return call


def _proves(method: str) -> Method:
    """The same of AuditService."""

    async def call(self: "RoutedAuditService", request: Any, context: Context) -> Any:
        shard = await self.shards.of(request.ledger)
        return await getattr(shard.audit, method)(request, context)

    return call


def _streams(method: str) -> Method:
    """The same of its streams, which end where the shard's end: what they read never changes."""

    async def call(
        self: "RoutedAuditService", request: Any, context: Context
    ) -> AsyncIterator[Any]:
        shard = await self.shards.of(request.ledger)
        async for response in getattr(shard.audit, method)(request, context):
            yield response

    return call


class RoutedLedgerService(LedgerServiceServicer):
    """All of `ledger.v1.LedgerService`, over all shards."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self._tokens = PageTokens(ERRORS)

    async def CreateLedger(
        self, request: ledgers.CreateLedgerRequest, _context: Context
    ) -> ledgers.CreateLedgerResponse:
        return ledgers.CreateLedgerResponse(ledger=await create_ledger(self.shards, request))

    async def ListLedgers(
        self, request: ledgers.ListLedgersRequest, _context: Context
    ) -> ledgers.ListLedgersResponse:
        """Of all shards in one order; while a ledger is moved, two may have it: it is told once."""
        (after,) = position_of(self._tokens, request, is_ledger) or [""]
        size = page_size(request)
        shards = [self.shards.named(shard.name) for shard in self.shards.all]
        pages = await asyncio.gather(*(_page(shard, after, size + 1) for shard in shards))
        found: dict[str, ledgers.Ledger] = {}
        for ledger in heapq.merge(*pages, key=lambda ledger: ledger.name):
            found.setdefault(ledger.name, ledger)
        listed = list(found.values())
        response = ledgers.ListLedgersResponse(ledgers=listed[:size])
        if len(listed) > size:
            response.next_page_token = self._tokens.encode(request, [listed[size - 1].name])
        return response

    async def WatchTransactions(
        self, request: reads.WatchTransactionsRequest, context: Context
    ) -> AsyncIterator[reads.WatchTransactionsResponse]:
        """Goes on at another shard when the ledger is moved, behind what has been sent."""
        rest = reads.WatchTransactionsRequest()
        rest.CopyFrom(request)
        while True:  # Until the watcher leaves.
            shard = await self.shards.of(request.ledger)
            async for response in shard.service.WatchTransactions(rest, context):
                yield response
                rest.after_sequence = response.through_sequence
                rest.after_leaf_hash = response.through_leaf_hash

    GetLedger = _books("GetLedger", "name")
    CreateAccount = _books("CreateAccount")
    BatchCreateAccounts = _books("BatchCreateAccounts")
    GetAccount = _books("GetAccount")
    ListAccounts = _books("ListAccounts")
    CloseAccount = _books("CloseAccount")
    CreateTransaction = _books("CreateTransaction")
    BatchCreateTransactions = _books("BatchCreateTransactions")
    PostTransaction = _books("PostTransaction")
    VoidTransaction = _books("VoidTransaction")
    ReverseTransaction = _books("ReverseTransaction")
    GetTransaction = _books("GetTransaction")
    ListTransactions = _books("ListTransactions")
    ListEntries = _books("ListEntries")
    GetBalance = _books("GetBalance")
    GetTrialBalance = _books("GetTrialBalance")


class RoutedAuditService(AuditServiceServicer):
    """All of `ledger.v1.AuditService`, over all shards."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards

    GetCheckpoint = _proves("GetCheckpoint")
    GetInclusionProof = _proves("GetInclusionProof")
    GetConsistencyProof = _proves("GetConsistencyProof")
    VerifyLedger = _streams("VerifyLedger")
    ExportLog = _streams("ExportLog")


async def _page(shard: Shard, after: str, limit: int) -> list[ledgers.Ledger]:
    rows = await shard.reader.ledgers(after=after, limit=limit)
    return [ledger_message(row, shard.name) for row in rows]
