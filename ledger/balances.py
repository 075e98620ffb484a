"""Answers of the balance reads, now and as of any point of the log."""

from datetime import datetime

from ledger.encoding import DIRECTION, balance_message
from ledger.errors import account_not_found, sequence_not_reached
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
        if request.include_holds:
            return await self._with_holds(ledger_id, request.account)
        point = await self._point(ledger_id, request.as_of)
        if request.WhichOneof("target") == "account":
            rows = await self._reader.balances(ledger_id, request.account, point, exact=True)
            if not rows:
                raise account_not_found(request.account)
        else:
            rows = await self._reader.balance_totals(ledger_id, request.prefix, point)
        return balances.GetBalanceResponse(
            balances=[balance_message(*row) for row in rows], sequence=point.sequence
        )

    async def trial(
        self,
        ledger_id: int,
        request: balances.GetTrialBalanceRequest,
        tokens: PageTokens,
        *,
        page_size: int,
    ) -> balances.GetTrialBalanceResponse:
        """One page of accounts and the totals over all; later pages keep the first one's point."""
        position = tokens.decode(request)
        if position is None:
            after, point = NONE, await self._point(ledger_id, request.as_of)
        else:
            name, sequence, moment, effective = position
            after = str(name)
            point = Point(int(sequence), _moment(moment), _moment(effective))
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
            sequence=point.sequence,
        )
        if len(lines) > page_size:
            response.next_page_token = tokens.encode(
                request,
                [
                    lines[page_size - 1].name,
                    point.sequence,
                    _position(point.moment),
                    _position(point.effective),
                ],
            )
        return response

    async def _with_holds(self, ledger_id: int, account: str) -> balances.GetBalanceResponse:
        sequence, rows, holds = await self._reader.account_and_holds(
            ledger_id, account, self._clock.now(), MAX_HOLDS + 1
        )
        if not rows:
            raise account_not_found(account)
        return balances.GetBalanceResponse(
            balances=[balance_message(*row) for row in rows],
            holds=[_hold(account, hold) for hold in holds[:MAX_HOLDS]],
            more_holds=len(holds) > MAX_HOLDS,
            sequence=sequence,
        )

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
            sequence, _ = await self._reader.point(ledger_id, effective)
            return Point(sequence, min(now, effective), effective)
        sequence, _ = await self._reader.point(ledger_id, None)
        return Point(sequence, now)


def _hold(account: str, row: HoldRow) -> balances.Hold:
    hold = balances.Hold(
        sequence=row.sequence,
        entry_index=row.entry_index,
        account=account,
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
