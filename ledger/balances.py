"""Answers of the balance reads, now and as of any point of the log."""

from datetime import datetime

from ledger.encoding import DIRECTION, balance_message
from ledger.errors import account_not_found, sequence_not_reached
from ledger.pages import is_account, is_moment, is_sequence, position_of
from ledger.reader import Reader
from ledger.rows import BalanceRow, HoldRow, Point
from ledger.times import datetime_of, micros_of, micros_of_timestamp, timestamp_of
from ledger.v1 import balance_pb2 as balances
from runtime.clock import Clock
from runtime.paging import PageTokens

MAX_HOLDS = 1_000
NONE = ""


class Balances:
    """Reads balances and holds."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def balance(
        self, ledger_id: int, request: balances.GetBalanceRequest
    ) -> balances.GetBalanceResponse:
        """The balance of one account or below a path; raises ACCOUNT_NOT_FOUND for the first."""
        point = await self._point(ledger_id, request.as_of)
        exact = request.WhichOneof("target") == "account"
        path = request.account if exact else request.prefix
        if exact:
            rows = await self._reader.balances(ledger_id, path, point, exact=True)
            if not rows:
                raise account_not_found(path)
        else:
            rows = await self._reader.balance_totals(ledger_id, path, point)
        response = balances.GetBalanceResponse(
            balances=[balance_message(*row) for row in rows], sequence=point.known or point.sequence
        )
        if request.include_holds:
            # What is read of the log up to a sequence never changes: both are of one moment.
            holds = await self._reader.holds(
                ledger_id, path, point, exact=exact, limit=MAX_HOLDS + 1
            )
            response.holds.extend(map(_hold, holds[:MAX_HOLDS]))
            response.more_holds = len(holds) > MAX_HOLDS
        return response

    async def trial(
        self,
        ledger_id: int,
        request: balances.GetTrialBalanceRequest,
        tokens: PageTokens,
        *,
        page_size: int,
    ) -> balances.GetTrialBalanceResponse:
        """One page of accounts and the totals over all; later pages keep the first one's point."""
        shape = (is_account, is_sequence, is_moment, is_moment, is_sequence)
        position = position_of(tokens, request, *shape)
        if position is None:
            after, point = NONE, await self._point(ledger_id, request.as_of)
        else:
            name, sequence, moment, effective, known = position
            after = name
            point = Point(sequence, _moment(moment), _moment(effective), known)
        lines = await self._reader.balances(
            ledger_id, request.prefix, point, after=after, limit=page_size + 1
        )
        totals = await self._reader.balance_totals(ledger_id, request.prefix, point)
        response = balances.GetTrialBalanceResponse(
            lines=[
                balances.TrialBalanceLine(balance=balance_message(*line))
                for line in lines[:page_size]
            ],
            totals=[_total(row) for row in totals],
            sequence=point.known or point.sequence,
        )
        if len(lines) > page_size:
            response.next_page_token = tokens.encode(
                request,
                [
                    lines[page_size - 1].name,
                    point.sequence,
                    _position(point.moment),
                    _position(point.effective),
                    point.known,
                ],
            )
        return response

    async def _point(self, ledger_id: int, as_of: balances.AsOf) -> Point:
        now = self._clock.now()
        kind = as_of.WhichOneof("point")
        if kind == "sequence":
            _, last = await self._reader.point(ledger_id, None)
            if as_of.sequence > last:
                raise sequence_not_reached(as_of.sequence, last)
            return Point(as_of.sequence)
        if kind == "record_time":
            moment = min(now, datetime_of(micros_of_timestamp(as_of.record_time)))
            sequence, _ = await self._reader.point(ledger_id, moment)
            return Point(sequence, moment)
        if kind == "effective_time":
            effective = datetime_of(micros_of_timestamp(as_of.effective_time))
            sequence, last = await self._reader.point(ledger_id, effective)
            return Point(sequence, min(now, effective), effective, last)
        sequence, _ = await self._reader.point(ledger_id, None)
        return Point(sequence, now)


def _hold(row: HoldRow) -> balances.Hold:
    hold = balances.Hold(
        sequence=row.sequence,
        entry_index=row.entry_index,
        account=row.account,
        direction=DIRECTION[row.side],
        remaining_minor=row.remaining,
    )
    if row.expire_time is not None:
        hold.expire_time.CopyFrom(timestamp_of(micros_of(row.expire_time)))
    return hold


def _total(row: BalanceRow) -> balances.TrialBalanceTotal:
    return balances.TrialBalanceTotal(
        currency_code=row.currency,
        posted_debits_minor=row.totals[0],
        posted_credits_minor=row.totals[1],
        pending_debits_minor=row.totals[2],
        pending_credits_minor=row.totals[3],
    )


def _position(moment: datetime | None) -> int | str:
    return NONE if moment is None else micros_of(moment)


def _moment(position: int | str) -> datetime | None:
    return None if position == NONE else datetime_of(int(position))
