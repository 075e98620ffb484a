"""The RPC handlers of LedgerService that only read."""

from collections.abc import AsyncIterator
from typing import Any

from ledger.account_entries import AccountEntries
from ledger.answers import Answers
from ledger.balances import Balances
from ledger.encoding import account_message, balance_message, transaction_message
from ledger.errors import (
    ERRORS,
    account_not_found,
    cursor_outdated,
    sequence_not_reached,
    transaction_not_found,
)
from ledger.feed import Feed
from ledger.ledgers import Ledgers, ledger_message
from ledger.limits import LIMITS, Limits
from ledger.pages import (
    MAX_ENTRIES_PER_PAGE,
    MAX_SEQUENCE,
    is_account,
    is_sequence,
    page_size,
    position_of,
)
from ledger.reader import Reader
from ledger.rows import Filters
from ledger.standing import Standings
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.transaction_pb2 import (
    TRANSACTION_VIEW_SEQUENCE,
    TRANSACTION_VIEW_SUMMARY,
    Transaction,
)
from runtime.clock import Clock
from runtime.paging import PageTokens

Context = Any


class ReadingService:
    """Reads; each answer is of one point of the log."""

    def __init__(
        self,
        ledgers: Ledgers,
        answers: Answers,
        reader: Reader,
        standings: Standings,
        feed: Feed,
        clock: Clock,
        limits: Limits = LIMITS,
    ) -> None:
        self._max_page_bytes = limits.page_request_bytes
        self.ledgers = ledgers
        self.answers = answers
        self._reader = reader
        self._standings = standings
        self._feed = feed
        self._clock = clock
        self._tokens = PageTokens(ERRORS)
        self._balances = Balances(reader, clock)
        self._account_entries = AccountEntries(reader, self._tokens, clock, limits)

    async def GetLedger(
        self, request: ledgers.GetLedgerRequest, _context: Context
    ) -> ledgers.GetLedgerResponse:
        row = await self.ledgers.get(request.name)
        return ledgers.GetLedgerResponse(ledger=ledger_message(row, self.ledgers.shard))

    async def GetAccount(
        self, request: accounts.GetAccountRequest, _context: Context
    ) -> accounts.GetAccountResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        found = await self._reader.accounts(ledger_id, request.name, exact=True)
        if not found:
            raise account_not_found(request.name)
        point = await self._balances.present(ledger_id)
        (row,) = await self._reader.balances(ledger_id, request.name, point, exact=True)
        return accounts.GetAccountResponse(
            account=account_message(request.ledger, found[0]), balance=balance_message(*row)
        )

    async def ListAccounts(
        self, request: accounts.ListAccountsRequest, _context: Context
    ) -> accounts.ListAccountsResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        (after,) = position_of(self._tokens, request, is_account) or [""]
        size = page_size(request)
        found = await self._reader.accounts(ledger_id, request.prefix, after=after, limit=size + 1)
        response = accounts.ListAccountsResponse(
            accounts=[account_message(request.ledger, account) for account in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = self._tokens.encode(request, [found[size - 1].name])
        return response

    async def GetTransaction(
        self, request: reads.GetTransactionRequest, _context: Context
    ) -> reads.GetTransactionResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        sequence, standing = await self._standings.of(ledger_id, request.key)
        records = await self._reader.records(ledger_id, [sequence])
        if not records:
            raise transaction_not_found(sequence)
        return reads.GetTransactionResponse(
            transaction=transaction_message(request.ledger, records[0]), standing=standing
        )

    async def ListTransactions(
        self, request: reads.ListTransactionsRequest, _context: Context
    ) -> reads.ListTransactionsResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        (after,) = position_of(self._tokens, request, is_sequence) or [0]
        size = page_size(request)
        full = request.view != TRANSACTION_VIEW_SUMMARY
        listed = await self._reader.sequences(
            ledger_id,
            Filters(request.account, request.reference, request.kinds, request.after_sequence),
            after=after,
            descending=request.descending,
            limit=size + 1,
        )
        page = listed.sequences[:size]
        if request.view == TRANSACTION_VIEW_SEQUENCE:
            found = [Transaction(sequence=sequence) for sequence in page]
        else:
            page = await self._reader.fitting(
                ledger_id,
                page,
                max_entries=MAX_ENTRIES_PER_PAGE if full else MAX_SEQUENCE,
                max_body_bytes=self._max_page_bytes,
            )
            read = self._reader.records if full else self._reader.summaries
            records = await read(ledger_id, page)
            if request.descending:
                records.reverse()
            found = [transaction_message(request.ledger, r, entries=full) for r in records]
        response = reads.ListTransactionsResponse(transactions=found)
        last = page[-1] if len(listed.sequences) > len(page) else listed.stopped_at
        if last is not None:
            response.next_page_token = self._tokens.encode(request, [last])
        return response

    async def ListEntries(
        self, request: entries.ListEntriesRequest, _context: Context
    ) -> entries.ListEntriesResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        return await self._account_entries.page(ledger_id, request)

    async def GetBalance(
        self, request: balances.GetBalanceRequest, _context: Context
    ) -> balances.GetBalanceResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        return await self._balances.balance(ledger_id, request, self._tokens)

    async def GetTrialBalance(
        self, request: balances.GetTrialBalanceRequest, _context: Context
    ) -> balances.GetTrialBalanceResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        return await self._balances.trial(
            ledger_id, request, self._tokens, page_size=page_size(request)
        )

    async def WatchTransactions(
        self, request: reads.WatchTransactionsRequest, _context: Context
    ) -> AsyncIterator[reads.WatchTransactionsResponse]:
        # Before anything is waited for: until now the caller knows that the ledger is here.
        generation = self._feed.generation
        row = await self.ledgers.get(request.ledger)
        if request.after_sequence > row.last_sequence:
            raise sequence_not_reached(request.after_sequence, row.last_sequence)
        if request.after_sequence and request.after_leaf_hash:
            found = await self._feed.leaf_hash(
                row.ledger_id, request.ledger, request.after_sequence
            )
            if found != request.after_leaf_hash:
                raise cursor_outdated(request.after_sequence)
        async for response in self._feed.watch(row.ledger_id, request, generation):
            yield response
