"""FreezeForecastService: the handlers."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.messages import external_account_message
from compliance.accounts.store import latest_snapshot, linked_account
from compliance.checks.payout_destinations import stopped_currencies
from compliance.errors import ERRORS, account_not_linked, snapshot_not_found
from compliance.forecast import store, watch_store
from compliance.forecast.messages import (
    change_message,
    figures_message,
    forecast_message,
    kind_word,
)
from compliance.forecast.record import figures
from compliance.subjects.store import get_subject
from compliance.v1 import freeze_forecast_service_pb2 as pb
from compliance.v1.freeze_forecast_service_pb2_grpc import FreezeForecastServiceServicer
from compliance.wire_time import to_datetime
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
WATCH_BATCH = 100
# Another process may have told: nobody notifies of that.
WATCH_POLL_SECONDS = 5.0


class FreezeForecastService(FreezeForecastServiceServicer):
    """Says what is forecast, and how right that was."""

    def __init__(self, engine: AsyncEngine, clock: Clock, told: Notifier) -> None:
        self._engine = engine
        self._clock = clock
        self._told = told
        self._tokens = PageTokens(ERRORS)

    async def GetFreezeForecast(
        self, request: pb.GetFreezeForecastRequest, _context: Any
    ) -> pb.GetFreezeForecastResponse:
        async with self._engine.connect() as connection:
            linked = await linked_account(connection, request.merchant_id)
            if linked is None:
                await get_subject(connection, request.merchant_id)
                raise account_not_linked(request.merchant_id)
            account_id = linked.connected_account_id
            # Nothing is known of an account that was never seen, which is not that all is well.
            if await watch_store.watched_hash(connection, account_id) is None:
                raise snapshot_not_found(request.merchant_id)
            found = await store.open_forecasts(connection, account_id)
            snapshot = await latest_snapshot(connection, account_id)
        now = self._clock.now()
        return pb.GetFreezeForecastResponse(
            forecasts=[forecast_message(found[kind], now) for kind in sorted(found)],
            stopped_destinations=[
                external_account_message(item)
                for item in (snapshot.content.external_accounts if snapshot else ())
                if stopped_currencies([item.to_facts()])
            ],
        )

    async def ListFreezeForecasts(
        self, request: pb.ListFreezeForecastsRequest, _context: Any
    ) -> pb.ListFreezeForecastsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_forecasts(
                connection,
                kind=kind_word(request.kind),
                alarms_only=request.alarms_only,
                expected_before=to_datetime(request.expected_before_time)
                if request.HasField("expected_before_time")
                else None,
                after=position,
                limit=size + 1,
            )
        now = self._clock.now()
        page = found[:size]
        response = pb.ListFreezeForecastsResponse(
            forecasts=[forecast_message(stored, now) for stored in page]
        )
        if len(found) > size:
            last = page[-1]
            response.next_page_token = self._tokens.encode(
                request, [last.episode.told.expected_time.isoformat(), last.forecast_id]
            )
        return response

    async def ListFreezeForecastRecord(
        self, request: pb.ListFreezeForecastRecordRequest, _context: Any
    ) -> pb.ListFreezeForecastRecordResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_record(
                connection,
                merchant_id=request.merchant_id,
                kind=kind_word(request.kind),
                before_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        now = self._clock.now()
        page = found[:size]
        return pb.ListFreezeForecastRecordResponse(
            forecasts=[forecast_message(stored, now) for stored in page],
            next_page_token=self._tokens.encode(request, [page[-1].ordinal])
            if len(found) > size
            else "",
        )

    async def GetFreezeForecastFigures(
        self, request: pb.GetFreezeForecastFiguresRequest, _context: Any
    ) -> pb.GetFreezeForecastFiguresResponse:
        start = to_datetime(request.start_time) if request.HasField("start_time") else None
        end = to_datetime(request.end_time) if request.HasField("end_time") else None
        async with self._engine.connect() as connection:
            freezes, episodes = await store.record_of(connection, start, end)
        return pb.GetFreezeForecastFiguresResponse(
            figures=figures_message(figures(freezes, episodes, self._clock.now()))
        )

    async def WatchFreezeForecasts(
        self, request: pb.WatchFreezeForecastsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchFreezeForecastsResponse]:
        sequence = request.after_sequence
        while True:  # Until the client leaves or the service stops.
            token = self._told.token()
            async with self._engine.connect() as connection:
                found = await store.changes_after(connection, sequence, WATCH_BATCH)
            for change in found:
                sequence = change.sequence
                yield change_message(change)
            if len(found) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)
