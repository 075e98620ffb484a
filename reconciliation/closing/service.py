"""PeriodService: the handlers."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.breaks.messages import stamp, to_word
from reconciliation.breaks.service import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from reconciliation.closing import contents, store
from reconciliation.closing.closing import Asked, Closing
from reconciliation.closing.period import Period, PeriodKind
from reconciliation.closing.statement import file_leaf, source_line
from reconciliation.errors import ERRORS, period_not_found
from reconciliation.items.reading import Moment
from reconciliation.v1 import period_service_pb2 as pb
from reconciliation.v1.period_service_pb2_grpc import PeriodServiceServicer
from runtime.auth import client_name
from runtime.mutations import Mutations
from runtime.paging import PageTokens, clamp_page_size

# A match may have hundreds of allocations.
LEAVES_PER_MESSAGE = 500
# A payout's texts may be some kilobytes.
SOURCES_PER_MESSAGE = 200
_NEWEST = 2**62


class PeriodService(PeriodServiceServicer):
    """Closes periods and shows their statements."""

    def __init__(self, engine: AsyncEngine, mutations: Mutations, closing: Closing) -> None:
        self._engine = engine
        self._mutations = mutations
        self._closing = closing
        self._tokens = PageTokens(ERRORS)

    async def ClosePeriod(
        self, request: pb.ClosePeriodRequest, _context: Any
    ) -> pb.ClosePeriodResponse:
        period = Period(PeriodKind(_kind(request.kind)), date.fromisoformat(request.first_day))
        asked = Asked(
            period, tuple(sorted(set(request.carried_break_ids))), client_name(), request.note
        )
        async with self._engine.connect() as connection:
            ready = await self._closing.prepare(connection, period, request.corridor)

        async def close(connection: AsyncConnection) -> pb.ClosePeriodResponse:
            number = await self._closing.close(
                connection, asked, ready, is_all=not request.corridor
            )
            if not number:
                return pb.ClosePeriodResponse()
            rows = await store.list_closings(connection, closing_number=number)
            return pb.ClosePeriodResponse(closed=True, period=_message(rows[0]))

        return await self._mutations.run(request, pb.ClosePeriodResponse, close)

    async def GetPeriod(self, request: pb.GetPeriodRequest, _context: Any) -> pb.GetPeriodResponse:
        number = request.closing_number
        async with self._engine.connect() as connection:
            rows = await store.list_closings(connection, closing_number=number)
        if not rows:
            raise period_not_found(number)
        return pb.GetPeriodResponse(period=_message(rows[0]))

    async def ListPeriods(
        self, request: pb.ListPeriodsRequest, _context: Any
    ) -> pb.ListPeriodsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            rows = await store.list_closings(
                connection,
                kind=_kind(request.kind),
                corridor=request.corridor,
                first_day=_day(request.first_day, date.min),
                last_day=_day(request.last_day, date.max),
                before=int(position[0]) if position else _NEWEST,
                limit=size + 1,
            )
        page: Sequence[Any] = rows[:size]
        return pb.ListPeriodsResponse(
            periods=[_message(row) for row in page],
            next_page_token=self._tokens.encode(request, [page[-1].closing_number])
            if len(rows) > size
            else "",
        )

    async def ExportPeriod(
        self, request: pb.ExportPeriodRequest, _context: Any
    ) -> AsyncIterator[pb.ExportPeriodResponse]:
        number = request.closing_number
        async with self._engine.connect() as connection:
            rows = await store.list_closings(connection, closing_number=number)
            if not rows:
                raise period_not_found(number)
            (row,) = rows
            yield pb.ExportPeriodResponse(statement=row.note)
            # Nothing that came since is in it: what is read is as of then.
            moment = Moment(row.change_number, row.record_time, row.last_ordinal)
            period = Period(PeriodKind(row.kind), row.first_day)
            match_ids: set[int] = set()
            found = contents.items_of(connection, period, row.corridors, moment)
            async for _, items, matched in found:
                match_ids |= matched
                for start in range(0, len(items), LEAVES_PER_MESSAGE):
                    some = items[start : start + LEAVES_PER_MESSAGE]
                    yield pb.ExportPeriodResponse(items=[item.leaf() for item in some])
                kept = await store.bytes_of(connection, items)
                lines = [
                    source_line(item.key, kept[item.key]) for item in items if item.key in kept
                ]
                for start in range(0, len(lines), SOURCES_PER_MESSAGE):
                    those = lines[start : start + SOURCES_PER_MESSAGE]
                    yield pb.ExportPeriodResponse(sources=those)
            async for matches in contents.matches_of(connection, match_ids):
                for start in range(0, len(matches), LEAVES_PER_MESSAGE):
                    part = matches[start : start + LEAVES_PER_MESSAGE]
                    yield pb.ExportPeriodResponse(matches=[match.leaf() for match in part])
            async for file, pieces in store.new_bank_files(connection, number):
                leaf = file_leaf(file.bank_account, file.sha256, file.asked)
                yield pb.ExportPeriodResponse(bank_file=leaf)
                async for piece in pieces:
                    yield pb.ExportPeriodResponse(bank_file_bytes=piece)


def _message(row: Any) -> pb.ClosedPeriod:
    return pb.ClosedPeriod(
        closing_number=row.closing_number,
        kind=pb.PeriodKind.Value(f"PERIOD_KIND_{row.kind}"),
        first_day=row.first_day.isoformat(),
        last_day=row.last_day.isoformat(),
        corridors=row.corridors,
        change_number=row.change_number,
        item_count=row.item_count,
        late_count=row.late_count,
        match_count=row.match_count,
        carried_break_ids=row.carried,
        client=row.client,
        approver=row.approver,
        note=row.remark,
        close_time=stamp(row.record_time),
        statement=row.note,
    )


def _kind(value: int) -> str:
    return to_word(pb.PeriodKind, "PERIOD_KIND_", value)


def _day(given: str, otherwise: date) -> date:
    return date.fromisoformat(given) if given else otherwise
