"""Answers of the balance reads, now and as of any point of the log."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.encoding import DIRECTION, balance_message
from ledger.errors import account_not_found
from ledger.pages import is_account, is_entry_index, is_moment, is_sequence, position_of
from ledger.reader import Reader
from ledger.rows import BalanceRow, HoldRow, Point
from ledger.times import datetime_of, micros_of, micros_of_timestamp, timestamp_of
from ledger.v1 import balance_pb2 as balances
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

MAX_HOLDS = 1_000
NONE = ""
# The position before the first hold.
FIRST_HOLD = (0, 0)
# The parts of a position that say of which point its pages are.
POINT = (is_sequence, is_moment, is_moment, is_sequence, is_moment)
# Trial balances whose totals are kept for their later pages: a row for each currency.
MAX_KEPT_TOTALS = 100
# A ledger, a path and a point of the log.
_OfPages = tuple[int, str, Point]


class _KeptTotals:
    """Totals of the trial balances that are being paged through, the latest of them."""

    def __init__(self) -> None:
        self._totals: OrderedDict[_OfPages, list[BalanceRow]] = OrderedDict()

    def get(self, key: _OfPages) -> list[BalanceRow] | None:
        return self._totals.get(key)

    def keep(self, key: _OfPages, totals: list[BalanceRow]) -> None:
        self._totals[key] = totals
        if len(self._totals) > MAX_KEPT_TOTALS:
            self._totals.popitem(last=False)


class Balances:
    """Reads balances and holds."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._totals = _KeptTotals()

    async def balance(
        self, ledger_id: int, request: balances.GetBalanceRequest, tokens: PageTokens
    ) -> balances.GetBalanceResponse:
        """The balance of one account or below a path; raises ACCOUNT_NOT_FOUND for the first."""
        position = position_of(tokens, request, is_sequence, is_entry_index, *POINT)
        if position is None:
            after, point = FIRST_HOLD, await self._point(ledger_id, request.as_of)
        else:
            after, point = (position[0], position[1]), _point_at(position[2:])
        exact = request.WhichOneof("target") == "account"
        path = request.account if exact else request.prefix
        if exact:
            rows = await self._reader.balances(
                ledger_id, path, point._replace(born=None), exact=True
            )
            if not rows:
                raise account_not_found(path)
        else:
            rows = await self._reader.balance_totals(ledger_id, path, point)
        response = balances.GetBalanceResponse(
            balances=[balance_message(*row) for row in rows],
            sequence=point.known or point.sequence,
            record_time=_record_time(request.as_of, point),
        )
        if request.include_holds:
            # What is read of the log up to a sequence never changes: both are of one moment.
            size = clamp_page_size(request.page_size, MAX_HOLDS, MAX_HOLDS)
            holds = await self._reader.holds(
                ledger_id, path, point, exact=exact, after=after, limit=size + 1
            )
            response.holds.extend(map(_hold, holds[:size]))
            if len(holds) > size:
                response.more_holds = True
                last = [holds[size - 1].sequence, holds[size - 1].entry_index]
                response.next_page_token = tokens.encode(request, [*last, *_position(point)])
        return response

    async def trial(
        self,
        ledger_id: int,
        request: balances.GetTrialBalanceRequest,
        tokens: PageTokens,
        *,
        page_size: int,
    ) -> balances.GetTrialBalanceResponse:
        """One page of accounts and the totals over all; later pages keep the first one's point.

        The totals of a point do not change, and adding them up reads every account: the first of
        several pages keeps them for those after it.
        """
        position = position_of(tokens, request, is_account, *POINT)
        if position is None:
            after, point = NONE, await self._point(ledger_id, request.as_of)
        else:
            after, point = position[0], _point_at(position[1:])
        lines = await self._reader.balances(
            ledger_id, request.prefix, point, after=after, limit=page_size + 1
        )
        kept = (ledger_id, request.prefix, point)
        totals = self._totals.get(kept)
        if totals is None:
            totals = await self._reader.balance_totals(ledger_id, request.prefix, point)
            # Of a point that we have chosen: those of page tokens are whatever a client says, and
            # of one that is not reached yet the totals would change.
            if position is None and len(lines) > page_size:
                self._totals.keep(kept, totals)
        response = balances.GetTrialBalanceResponse(
            lines=[
                balances.TrialBalanceLine(balance=balance_message(*line))
                for line in lines[:page_size]
            ],
            totals=[_total(row) for row in totals],
            sequence=point.known or point.sequence,
            record_time=_record_time(request.as_of, point),
        )
        if len(lines) > page_size:
            response.next_page_token = tokens.encode(
                request, [lines[page_size - 1].name, *_position(point)]
            )
        return response

    async def present(self, ledger_id: int) -> Point:
        """The point of a read that names none. Another replica's clock may be ahead of ours."""
        sequence, recorded = await self._reader.last(ledger_id)
        now = self._clock.now()
        return Point(sequence, now if recorded is None else max(now, recorded))

    async def _point(self, ledger_id: int, as_of: balances.AsOf) -> Point:
        kind = as_of.WhichOneof("point")
        if kind is None:
            return await self.present(ledger_id)
        if kind == "sequence":
            recorded = await self._reader.recorded(ledger_id, as_of.sequence)
            return Point(as_of.sequence, recorded, born=recorded)
        asked = datetime_of(micros_of_timestamp(getattr(as_of, kind)))
        moment = min(self._clock.now(), asked)
        if kind == "record_time":
            sequence = await self._reader.closed(ledger_id, moment)
            return Point(sequence, moment, born=moment)
        sequence = await self._reader.closed(ledger_id, moment, through=asked)
        last, _ = await self._reader.last(ledger_id)
        return Point(sequence, moment, asked, last)


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


def _record_time(as_of: balances.AsOf, point: Point) -> Timestamp | None:
    kind = as_of.WhichOneof("point")
    if kind is None or (kind == "sequence" and as_of.sequence == 0):
        return None
    assert point.moment is not None, "a point of the past has a moment"
    return timestamp_of(micros_of(point.moment))


def _position(point: Point) -> list[int | str]:
    """A point as the last parts of a page's position."""
    return [
        point.sequence,
        _part(point.moment),
        _part(point.effective),
        point.known,
        _part(point.born),
    ]


def _point_at(parts: Sequence[Any]) -> Point:
    sequence, moment, effective, known, born = parts
    return Point(sequence, _moment(moment), _moment(effective), known, _moment(born))


def _part(moment: datetime | None) -> int | str:
    return NONE if moment is None else micros_of(moment)


def _moment(position: int | str) -> datetime | None:
    return None if position == NONE else datetime_of(int(position))
