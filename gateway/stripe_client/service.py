"""CorridorService: shows, drains, closes and opens corridors; dead letters of webhooks."""

from datetime import datetime, timedelta
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import ERRORS, corridor_not_found
from gateway.stripe_client.breaker import CLOSED, HALF_OPEN, OPEN, EndpointBreaker
from gateway.stripe_client.call import CorridorMode, Priority, UnknownCorridorError
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.client import PAYMENT_INTENTS
from gateway.stripe_client.concurrency import ConcurrencyLimit
from gateway.stripe_client.limiter import TokenBucket
from gateway.stripe_client.modes import ModeBoard
from gateway.stripe_client.store import REQUEST, ModeChange, add_change
from gateway.v1 import corridor_pb2, corridor_service_pb2, corridor_service_pb2_grpc
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.clock import Clock
from runtime.idempotency import RequestIds, RequestTable
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
MODES = {
    corridor_pb2.CORRIDOR_MODE_OPEN: CorridorMode.OPEN,
    corridor_pb2.CORRIDOR_MODE_DRAIN: CorridorMode.DRAIN,
    corridor_pb2.CORRIDOR_MODE_CLOSED: CorridorMode.CLOSED,
}
MODE_NUMBERS = {mode: number for number, mode in MODES.items()}
BREAKER_STATES = {
    CLOSED: corridor_pb2.CORRIDOR_BREAKER_STATE_CLOSED,
    OPEN: corridor_pb2.CORRIDOR_BREAKER_STATE_OPEN,
    HALF_OPEN: corridor_pb2.CORRIDOR_BREAKER_STATE_HALF_OPEN,
}


class InboxCounts(Protocol):
    """How full the inbox of one corridor is."""

    @property
    def pending(self) -> int: ...
    @property
    def oldest_pending_time(self) -> datetime | None: ...
    @property
    def dead_letters(self) -> int: ...


class Inbox(Protocol):
    """The inbox of webhooks, as far as operators see it; `PostgresInbox`."""

    async def count(self, corridor: str) -> InboxCounts: ...
    async def dead_letters(self, corridor: str, after_number: int, limit: int) -> list[Any]: ...
    async def replay(self, connection: AsyncConnection, event_id: str, request_id: str) -> bool: ...


class CorridorServicer(corridor_service_pb2_grpc.CorridorServiceServicer):
    """For operators."""

    def __init__(
        self,
        engine: AsyncEngine,
        calls: StripeCalls,
        modes: ModeBoard,
        inbox: Inbox,
        request_ids: RequestIds,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._requests = RequestTable(request_ids, REQUEST)
        self._calls = calls
        self._modes = modes
        self._inbox = inbox
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def GetCorridorHealth(
        self, request: corridor_service_pb2.GetCorridorHealthRequest, _context: Any
    ) -> corridor_service_pb2.GetCorridorHealthResponse:
        if request.corridor:
            self._check_corridor(request.corridor)
        corridors = [request.corridor] if request.corridor else self._calls.corridors
        return corridor_service_pb2.GetCorridorHealthResponse(
            corridors=[await self._health_of(corridor) for corridor in corridors]
        )

    async def SetCorridorMode(
        self, request: corridor_service_pb2.SetCorridorModeRequest, _context: Any
    ) -> corridor_service_pb2.SetCorridorModeResponse:
        self._check_corridor(request.corridor)
        change = ModeChange(
            corridor=request.corridor,
            mode=MODES[request.mode],
            reason=request.reason,
            request_id=request.request_id,
            change_time=self._clock.now(),
        )
        async with self._engine.begin() as connection:
            if await self._is_new(connection, request):
                await add_change(connection, change)
        await self._modes.refresh()
        return corridor_service_pb2.SetCorridorModeResponse(
            corridor=await self._health_of(request.corridor)
        )

    async def ListDeadLetters(
        self, request: corridor_service_pb2.ListDeadLettersRequest, _context: Any
    ) -> corridor_service_pb2.ListDeadLettersResponse:
        if request.corridor:
            self._check_corridor(request.corridor)
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        after = int(position[0]) if position else 0
        rows = await self._inbox.dead_letters(request.corridor, after, size + 1)
        response = corridor_service_pb2.ListDeadLettersResponse(
            dead_letters=[_dead_letter(row) for row in rows[:size]]
        )
        if len(rows) > size:
            last = rows[size - 1].dead_letter_number
            response.next_page_token = self._page_tokens.encode(request, [last])
        return response

    async def ReplayDeadLetter(
        self, request: corridor_service_pb2.ReplayDeadLetterRequest, _context: Any
    ) -> corridor_service_pb2.ReplayDeadLetterResponse:
        async with self._engine.begin() as connection:
            if await self._is_new(connection, request) and not await self._inbox.replay(
                connection, request.event_id, request.request_id
            ):
                # Nothing is kept of it: the same request_id may come again.
                raise ERRORS.error(
                    grpc.StatusCode.NOT_FOUND,
                    ErrorReason.ERROR_REASON_WEBHOOK_EVENT_NOT_FOUND,
                    "no such event among the dead letters",
                    metadata={"event_id": request.event_id},
                )
        return corridor_service_pb2.ReplayDeadLetterResponse()

    async def _is_new(self, connection: AsyncConnection, request: Message) -> bool:
        """Writes the request down, unless it came before. Raises REQUEST_ID_REUSED."""
        if await self._requests.begin(connection, request, create_time=self._clock.now()):
            return True
        await self._requests.find(connection, request)
        return False

    def _check_corridor(self, corridor: str) -> None:
        try:
            self._calls.corridor_client(corridor)
        except UnknownCorridorError:
            raise corridor_not_found(corridor) from None

    async def _health_of(self, corridor: str) -> corridor_pb2.CorridorHealth:
        corridor_client = self._calls.corridor_client(corridor)
        counts = await self._inbox.count(corridor)
        health = corridor_pb2.CorridorHealth(
            corridor=corridor,
            mode=MODE_NUMBERS[self._modes.mode_of(corridor)],
            available=self._calls.available(corridor, PAYMENT_INTENTS),
            breakers=[self._breaker(breaker) for breaker in corridor_client.breakers],
            limiters=[_limiter(bucket) for bucket in corridor_client.buckets],
            concurrency=_concurrency(corridor_client.concurrency),
            slow=corridor_client.pace.is_slow,
            region=corridor_client.region,
            failover_to=corridor_client.terms.failover_to,
            inbox=corridor_pb2.WebhookInbox(
                pending_count=counts.pending, dead_letter_count=counts.dead_letters
            ),
        )
        if counts.oldest_pending_time is not None:
            health.inbox.oldest_pending_time.FromDatetime(counts.oldest_pending_time)
        change = self._modes.last_change_of(corridor)
        if change is not None:
            health.mode_reason = change.reason
            health.mode_change_time.FromDatetime(change.change_time)
        return health

    def _breaker(self, breaker: EndpointBreaker) -> corridor_pb2.CorridorBreaker:
        reading = breaker.read()
        shown = corridor_pb2.CorridorBreaker(
            endpoint_group=breaker.name,
            state=BREAKER_STATES[breaker.state],
            call_count=reading.calls,
            failure_rate=reading.failure_rate,
            slow_call_rate=reading.slow_rate,
            calls_in_flight=reading.in_flight,
            changed_by=breaker.changed_by,
        )
        now = self._clock.now()
        if breaker.seconds_since_change is not None:
            shown.change_time.FromDatetime(now - timedelta(seconds=breaker.seconds_since_change))
        if breaker.state == OPEN:
            shown.next_probe_time.FromDatetime(now + timedelta(seconds=breaker.seconds_to_probe()))
        return shown


def _concurrency(concurrency: ConcurrencyLimit) -> corridor_pb2.CorridorConcurrency:
    return corridor_pb2.CorridorConcurrency(
        limit=concurrency.limit,
        customer_present_in_flight=concurrency.under_way(Priority.CUSTOMER_PRESENT),
        off_session_in_flight=concurrency.under_way(Priority.OFF_SESSION),
        background_in_flight=concurrency.under_way(Priority.BACKGROUND),
        waiting_count=sum(concurrency.waiting(priority) for priority in Priority),
    )


def _limiter(bucket: TokenBucket) -> corridor_pb2.CorridorLimiter:
    return corridor_pb2.CorridorLimiter(
        name=bucket.name,
        rate_per_second=bucket.rate.per_second,
        available_tokens=bucket.available,
        waiting_count=bucket.waiting,
    )


def _dead_letter(row: Any) -> corridor_pb2.DeadLetter:
    letter = corridor_pb2.DeadLetter(
        event_id=row.event_id,
        corridor=row.corridor,
        event_type=row.event_type,
        object_id=row.object_id,
        reason=row.reason,
        attempt_count=row.attempts,
    )
    letter.receive_time.FromDatetime(row.receive_time)
    letter.create_time.FromDatetime(row.create_time)
    return letter
