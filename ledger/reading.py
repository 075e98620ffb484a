"""The RPC handlers of LedgerService that only read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from ledger.answers import Answers
from ledger.balances import Balances
from ledger.encoding import account_message, balance_message, transaction_message
from ledger.errors import ERRORS, account_not_found, sequence_not_reached, transaction_not_found
from ledger.feed import Feed
from ledger.ledgers import Ledgers, ledger_message
from ledger.reader import Reader
from ledger.rows import Filters, Point
from ledger.standing import Standings
from ledger.times import datetime_of, micros_of_timestamp
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from ledger.v1.transaction_pb2 import TRANSACTION_VIEW_SUMMARY
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

Context = Any
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000
# Above any entry's index: a position behind the whole transaction.
MAX_ENTRY_INDEX = 32_767
MICROSECOND = timedelta(microseconds=1)


class ReadingService(LedgerServiceServicer):
    """Reads; each answer speaks of one point of the log."""

    def __init__(
        self,
        ledgers: Ledgers,
        answers: Answers,
        reader: Reader,
        standings: Standings,
        feed: Feed,
        clock: Clock,
    ) -> None:
        self.ledgers = ledgers
        self.answers = answers
        self._reader = reader
        self._standings = standings
        self._feed = feed
        self._clock = clock
        self._tokens = PageTokens(ERRORS)
        self._balances = Balances(reader, clock)

    async def GetLedger(
        self, request: ledgers.GetLedgerRequest, _context: Context
    ) -> ledgers.GetLedgerResponse:
        row = await self.ledgers.get(request.name)
        return ledgers.GetLedgerResponse(ledger=ledger_message(row))

    async def ListLedgers(
        self, request: ledgers.ListLedgersRequest, _context: Context
    ) -> ledgers.ListLedgersResponse:
        after = self._tokens.decode(request) or [""]
        size = _page_size(request)
        rows = await self._reader.ledgers(after=str(after[0]), limit=size + 1)
        response = ledgers.ListLedgersResponse(ledgers=[ledger_message(r) for r in rows[:size]])
        if len(rows) > size:
            response.next_page_token = self._tokens.encode(request, [rows[size - 1].name])
        return response

    async def GetAccount(
        self, request: accounts.GetAccountRequest, _context: Context
    ) -> accounts.GetAccountResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        found = await self._reader.accounts(ledger_id, request.name, exact=True)
        if not found:
            raise account_not_found(request.name)
        sequence, _ = await self._reader.point(ledger_id, None)
        point = Point(sequence, self._clock.now())
        (row,) = await self._reader.balances(ledger_id, request.name, point, exact=True)
        return accounts.GetAccountResponse(
            account=account_message(request.ledger, found[0]), balance=balance_message(*row)
        )

    async def ListAccounts(
        self, request: accounts.ListAccountsRequest, _context: Context
    ) -> accounts.ListAccountsResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        after = self._tokens.decode(request) or [""]
        size = _page_size(request)
        found = await self._reader.accounts(
            ledger_id, request.prefix, after=str(after[0]), limit=size + 1
        )
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
        after = self._tokens.decode(request) or [0]
        size = _page_size(request)
        sequences = await self._reader.sequences(
            ledger_id,
            Filters(request.account, request.reference, request.kinds, request.after_sequence),
            after=int(after[0]),
            descending=request.descending,
            limit=size + 1,
        )
        page = sequences[:size]
        records = await self._reader.records(ledger_id, page)
        if request.descending:
            records.reverse()
        full = request.view != TRANSACTION_VIEW_SUMMARY
        response = reads.ListTransactionsResponse(
            transactions=[transaction_message(request.ledger, r, entries=full) for r in records]
        )
        if len(sequences) > size:
            response.next_page_token = self._tokens.encode(request, [page[-1]])
        return response

    async def ListEntries(
        self, request: entries.ListEntriesRequest, _context: Context
    ) -> entries.ListEntriesResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        position = self._tokens.decode(request)
        if position is None:
            opening, closing = await self._span(ledger_id, request.period)
            after = (opening, MAX_ENTRY_INDEX)
        else:
            opening, closing, *rest = (int(part) for part in position)
            after = (rest[0], rest[1])
        size = _page_size(request)
        found = await self._reader.account_entries(
            ledger_id, request.account, after=after, through_sequence=closing, limit=size + 1
        )
        page = found[:size]
        records = await self._reader.records(ledger_id, sorted({s for s, _ in page}))
        messages = {
            (entry.sequence, entry.entry_index): entry
            for record in records
            for entry in transaction_message(request.ledger, record).entries
        }
        response = entries.ListEntriesResponse(entries=[messages[key] for key in page])
        for balance, sequence in (
            (response.opening_balance, opening),
            (response.closing_balance, closing),
        ):
            rows = await self._reader.balances(
                ledger_id, request.account, Point(sequence), exact=True
            )
            if not rows:
                raise account_not_found(request.account)
            balance.CopyFrom(balance_message(*rows[0]))
        if len(found) > size:
            response.next_page_token = self._tokens.encode(request, [opening, closing, *page[-1]])
        return response

    async def GetBalance(
        self, request: balances.GetBalanceRequest, _context: Context
    ) -> balances.GetBalanceResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        return await self._balances.balance(ledger_id, request)

    async def GetTrialBalance(
        self, request: balances.GetTrialBalanceRequest, _context: Context
    ) -> balances.GetTrialBalanceResponse:
        ledger_id = await self.ledgers.id_of(request.ledger)
        return await self._balances.trial(
            ledger_id, request, self._tokens, page_size=_page_size(request)
        )

    async def WatchTransactions(
        self, request: reads.WatchTransactionsRequest, _context: Context
    ) -> AsyncIterator[reads.WatchTransactionsResponse]:
        row = await self.ledgers.get(request.ledger)
        if request.after_sequence > row.last_sequence:
            raise sequence_not_reached(request.after_sequence, row.last_sequence)
        async for response in self._feed.watch(row.ledger_id, request):
            yield response

    async def _span(self, ledger_id: int, period: entries.StatementPeriod) -> tuple[int, int]:
        """The sequences after which and through which a statement goes."""
        _, last = await self._reader.point(ledger_id, None)
        opening, closing = period.after_sequence, period.through_sequence or last
        if period.HasField("start_record_time"):
            start = datetime_of(micros_of_timestamp(period.start_record_time)) - MICROSECOND
            opening = max(opening, (await self._reader.point(ledger_id, start))[0])
        if period.HasField("end_record_time"):
            end = datetime_of(micros_of_timestamp(period.end_record_time)) - MICROSECOND
            closing = min(closing, (await self._reader.point(ledger_id, end))[0])
        for sequence in (opening, closing):
            if sequence > last:
                raise sequence_not_reached(sequence, last)
        return opening, max(opening, closing)


def _page_size(request: Any) -> int:
    return clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
