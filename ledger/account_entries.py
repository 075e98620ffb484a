"""The entries of one account as its statement lists them, between two balances.

Only the account's own entries are read: its transactions may have thousands of others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.accounts import Effect, Side
from ledger.commands import Notes
from ledger.decoding import notes_of
from ledger.encoding import DIRECTION, balance_message
from ledger.errors import account_not_found, sequence_not_reached
from ledger.limits import LIMITS, Limits
from ledger.pages import (
    MAX_ENTRY_INDEX,
    is_entry_index,
    is_moment,
    is_sequence,
    page_size,
    position_of,
)
from ledger.posting import Kind
from ledger.reader import Reader
from ledger.rows import BalanceRow, EntryRow, Point, totals_of
from ledger.times import MICROSECOND, datetime_of, micros_of, micros_of_timestamp, timestamp_of
from ledger.v1 import entry_pb2 as entries
from money.v1.money_pb2 import Money
from runtime.clock import Clock
from runtime.paging import PageTokens
from runtime.rules import MIN_TIMESTAMP_SECONDS

NO_END = ""
EFFECT = {
    Effect.POST: entries.ENTRY_EFFECT_POST,
    Effect.HOLD: entries.ENTRY_EFFECT_HOLD,
    Effect.RELEASE: entries.ENTRY_EFFECT_RELEASE,
}


class AccountEntries:
    """Reads statements."""

    def __init__(
        self, reader: Reader, tokens: PageTokens, clock: Clock, limits: Limits = LIMITS
    ) -> None:
        self._clock = clock
        self._max_bytes = limits.page_request_bytes
        self._reader = reader
        self._tokens = tokens

    async def page(
        self, ledger_id: int, request: entries.ListEntriesRequest
    ) -> entries.ListEntriesResponse:
        """One page; raises SEQUENCE_NOT_REACHED or ACCOUNT_NOT_FOUND."""
        shape = (is_sequence, is_sequence, is_moment, is_sequence, is_entry_index)
        position = position_of(self._tokens, request, *shape)
        if position is None:
            position = [*await self._span(ledger_id, request.period)]
            position += [position[0], MAX_ENTRY_INDEX]
        opening, closing, end, *after = position
        balances = [
            await self._balance(ledger_id, request.account, sequence)
            for sequence in (opening, closing)
        ]
        size = page_size(request)
        found = await self._reader.account_entries(
            ledger_id,
            request.account,
            after=(after[0], after[1]),
            through_sequence=closing,
            limit=size + 1,
        )
        page = within_bytes(found[:size], self._max_bytes)
        notes = await self._notes(ledger_id, page)
        response = entries.ListEntriesResponse(
            entries=[_message(row, balances[0], notes.get(row.sequence)) for row in page],
            opening_balance=balance_message(*balances[0]),
            closing_balance=balance_message(*balances[1]),
            opening_sequence=opening,
            closing_sequence=closing,
            end_record_time=None if end == NO_END else timestamp_of(end),
        )
        if len(found) > len(page):
            last = [page[-1].sequence, page[-1].entry_index]
            response.next_page_token = self._tokens.encode(request, [opening, closing, end, *last])
        return response

    async def _balance(self, ledger_id: int, account: str, sequence: int) -> BalanceRow:
        rows = await self._reader.balances(ledger_id, account, Point(sequence), exact=True)
        if not rows:
            raise account_not_found(account)
        return rows[0]

    async def _notes(self, ledger_id: int, page: Sequence[EntryRow]) -> Mapping[int, Notes | None]:
        """What the requests of described entries say, by sequence."""
        wanted = sorted({row.sequence for row in page if row.described_bytes})
        bodies = await self._reader.bodies(ledger_id, wanted)
        return {sequence: notes_of(Kind.DIRECT, body) for sequence, body in bodies.items()}

    async def _span(
        self, ledger_id: int, period: entries.StatementPeriod
    ) -> tuple[int, int, int | str]:
        """The sequences after which and through which a statement goes, and where it ends by time:
        microseconds, or `NO_END`."""
        last, _ = await self._reader.last(ledger_id)
        opening, closing = period.after_sequence, period.through_sequence or last
        for sequence in (opening, closing):
            if sequence > last:
                raise sequence_not_reached(sequence, last)
        end: int | str = NO_END
        if period.HasField("start_record_time"):
            before, _ = await self._before(ledger_id, period.start_record_time)
            opening = max(opening, before)
        if period.HasField("end_record_time"):
            before, end = await self._before(ledger_id, period.end_record_time)
            closing = min(period.through_sequence, before) if period.through_sequence else before
        return opening, max(opening, closing), end

    async def _before(self, ledger_id: int, stamp: Any) -> tuple[int, int]:
        """The last sequence recorded before a moment, for good, and the moment: the present if it
        is in the future."""
        micros = micros_of_timestamp(stamp)
        if micros <= MIN_TIMESTAMP_SECONDS * 1_000_000:
            return 0, micros  # There is no moment before the first that there is.
        moment = min(self._clock.now(), datetime_of(micros) - MICROSECOND)
        return await self._reader.closed(ledger_id, moment), micros_of(moment) + 1


def within_bytes(rows: Sequence[EntryRow], most: int) -> Sequence[EntryRow]:
    """The first rows whose requests, each counted once, have no more bytes; at least one row."""
    total = 0
    sequence = 0
    for count, row in enumerate(rows):
        if row.sequence != sequence:
            total, sequence = total + row.described_bytes, row.sequence
            if count and total > most:
                return rows[:count]
    return rows


def _message(row: EntryRow, account: BalanceRow, notes: Notes | None) -> entries.Entry:
    name, currency, normal, _ = account
    record_time = timestamp_of(micros_of(row.record_time))
    effective = row.effective_time
    descriptions = notes.descriptions if notes is not None else ()
    return entries.Entry(
        sequence=row.sequence,
        entry_index=row.entry_index,
        account=name,
        direction=DIRECTION[Side(row.direction)],
        effect=EFFECT[Effect(row.effect)],
        amount=Money(currency_code=currency, minor_units=row.amount),
        balance_after=balance_message(name, currency, normal, totals_of(row[6:11])),
        description=descriptions[row.entry_index] if descriptions else "",
        source_entry_index=row.source_entry_index,
        record_time=record_time,
        effective_time=record_time if effective is None else timestamp_of(micros_of(effective)),
    )
