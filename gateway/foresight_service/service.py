"""ForesightService: check, call, answer."""

from collections.abc import AsyncIterator, Collection
from typing import Any

from gateway.epochs import Cursor
from gateway.errors import ERRORS, corridor_not_found
from gateway.foresight.actions import Bounds
from gateway.foresight.record import figures
from gateway.foresight_service.board import held_of
from gateway.foresight_service.foreseeing import end_of
from gateway.foresight_service.messages import (
    change_message,
    forecast_message,
    incident_message,
    record_message,
    treatment_message,
)
from gateway.foresight_service.store import Filters, ForesightStore, incident_of
from gateway.foresight_service.validation import DEFAULT_DAYS
from gateway.numbering import watch
from gateway.payments.rendering import stamp
from gateway.v1 import foresight_pb2, foresight_service_pb2_grpc
from gateway.v1 import foresight_service_pb2 as pb
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
MINUTES_A_DAY = 1_440
MAX_RECORDED_ALARMS = 10_000


class ForesightServicer(foresight_service_pb2_grpc.ForesightServiceServicer):
    """For operators."""

    def __init__(
        self,
        store: ForesightStore,
        notifier: Notifier,
        corridors: Collection[str],
        bounds: Bounds,
        clock: Clock,
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._corridors = corridors
        self._bounds = bounds
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def GetForecast(
        self, request: pb.GetForecastRequest, _context: Any
    ) -> pb.GetForecastResponse:
        self._check_corridor(request.corridor)
        row = (await self._store.standings([request.corridor])).get(request.corridor)
        if row is None or not row.forecast:
            return pb.GetForecastResponse()
        alarm_time = None if row.alarm_minute is None else end_of(row.alarm_minute)
        treated = None
        if row.alarm_minute is not None and row.has_learnt:
            treated = treatment_message(
                held_of(row), self._clock.now(), self._bounds.probe_every_minutes
            )
        return pb.GetForecastResponse(
            forecast=forecast_message(row.forecast, row.minute),
            treatment=treated,
            alarm_time=stamp(alarm_time),
            has_learnt=row.has_learnt,
        )

    async def ListIncidents(
        self, request: pb.ListIncidentsRequest, _context: Any
    ) -> pb.ListIncidentsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        state = foresight_pb2.IncidentState.Name(request.state).removeprefix("INCIDENT_STATE_")
        filters = Filters(corridor=request.corridor, state=state if request.state else "")
        found = await self._store.page(filters, int(position[0]) if position else 0, size + 1)
        page = found[:size]
        response = pb.ListIncidentsResponse(
            incidents=[incident_message(row.corridor, incident_of(row)) for row in page]
        )
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [page[-1].first_sequence])
        return response

    async def WatchIncidents(
        self, request: pb.WatchIncidentsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchIncidentsResponse]:
        cursor = Cursor(request.epoch, request.after_sequence)
        async for row, epoch in watch(self._store, self._notifier, cursor):
            yield change_message(row, epoch)

    async def GetForesightRecord(
        self, request: pb.GetForesightRecordRequest, _context: Any
    ) -> pb.GetForesightRecordResponse:
        self._check_corridor(request.corridor)
        days = request.days or DEFAULT_DAYS
        now = int(self._clock.now().timestamp()) // 60
        incidents, minutes = await self._store.record(
            request.corridor, now - days * MINUTES_A_DAY, MAX_RECORDED_ALARMS
        )
        return pb.GetForesightRecordResponse(record=record_message(figures(incidents, minutes)))

    def _check_corridor(self, corridor: str) -> None:
        if corridor not in self._corridors:
            raise corridor_not_found(corridor)
