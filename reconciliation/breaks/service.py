"""ReconciliationService: the handlers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.breaks import store
from reconciliation.breaks.deciding import Deciding
from reconciliation.breaks.messages import (
    break_message,
    event_message,
    match_message,
    to_datetime,
    to_key,
    to_leg,
    to_word,
)
from reconciliation.breaks.store import BreakFilter, MatchFilter
from reconciliation.errors import (
    ERRORS,
    break_ended,
    break_of_items,
    break_without_items,
    cursor_outdated,
)
from reconciliation.items.reading import Moment
from reconciliation.matching.item import Leg
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1 import reconciliation_service_pb2 as pb
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceServicer
from runtime.auth import client_name
from runtime.clock import Clock
from runtime.mutations import Mutations, R
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
# Events that are read at a time for somebody who watches, and how long he waits for a notification
# before he looks by himself.
WATCH_BATCH = 100
WATCH_POLL_SECONDS = 1.0


class ReconciliationService(ReconciliationServiceServicer):
    """Shows breaks and matches, and lets people decide."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        deciding: Deciding,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        """`notifier` is notified of events."""
        self._engine = engine
        self._mutations = mutations
        self._deciding = deciding
        self._notifier = notifier
        self._clock = clock
        self._tokens = PageTokens(ERRORS)

    async def GetBreak(self, request: pb.GetBreakRequest, _context: Any) -> pb.GetBreakResponse:
        async with self._engine.connect() as connection:
            found = await self._break(connection, request.break_id)
        return pb.GetBreakResponse(reconciliation_break=found)

    async def ListBreaks(
        self, request: pb.ListBreaksRequest, _context: Any
    ) -> pb.ListBreaksResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        wanted = BreakFilter(
            state=to_word(reconciliation_pb2.BreakState, "BREAK_STATE_", request.state),
            kind=to_word(reconciliation_pb2.BreakKind, "BREAK_KIND_", request.kind),
            leg=to_word(reconciliation_pb2.Leg, "LEG_", request.leg),
            corridor=request.corridor,
            assignee=request.assignee,
        )
        async with self._engine.connect() as connection:
            moment = await asked_moment(connection, request, self._clock)
            rows = await store.list_breaks(
                connection, wanted, moment, int(position[0]) if position else 0, size + 1
            )
            page = rows[:size]
            found = await self._breaks(connection, page, moment)
        return pb.ListBreaksResponse(
            breaks=found,
            next_page_token=self._tokens.encode(request, [page[-1].difference_id])
            if len(rows) > size
            else "",
        )

    async def WatchBreaks(
        self, request: pb.WatchBreaksRequest, _context: Any
    ) -> AsyncIterator[pb.WatchBreaksResponse]:
        sequence = request.after_sequence
        async with self._engine.connect() as connection:
            last = await store.last_sequence(connection)
        if sequence > last:
            raise cursor_outdated(last)
        while True:  # Until the caller goes away.
            token = self._notifier.token()
            async with self._engine.connect() as connection:
                events = await store.events_after(connection, sequence, WATCH_BATCH)
                ids = {event.difference_id for event in events}
                moment = store.moment_now(self._clock.now())
                rows = await store.list_breaks(
                    connection, BreakFilter("ANY"), moment, 0, len(ids), ids
                )
                found = await self._breaks(connection, rows, moment)
            by_id = {each.break_id: each for each in found}
            for event in events:
                sequence = event.sequence
                yield pb.WatchBreaksResponse(
                    event=event_message(event), reconciliation_break=by_id[event.difference_id]
                )
            if len(events) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)

    async def ListMatches(
        self, request: pb.ListMatchesRequest, _context: Any
    ) -> pb.ListMatchesResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            moment = await asked_moment(connection, request, self._clock)
            has_item = request.HasField("item")
            wanted = MatchFilter(
                leg=to_word(reconciliation_pb2.Leg, "LEG_", request.leg),
                item_id=await store.id_of(connection, to_key(request.item)) if has_item else 0,
                include_revoked=request.include_revoked,
            )
            rows = await store.list_matches(
                connection, wanted, moment, int(position[0]) if position else 0, size + 1
            )
            page = rows[:size]
            found = await self._matches(connection, page)
        return pb.ListMatchesResponse(
            matches=found,
            next_page_token=self._tokens.encode(request, [page[-1].match_id])
            if len(rows) > size
            else "",
        )

    async def AssignBreak(
        self, request: pb.AssignBreakRequest, _context: Any
    ) -> pb.AssignBreakResponse:
        async def assign(connection: AsyncConnection) -> pb.AssignBreakResponse:
            await self._open_break(connection, request.break_id)
            await store.add_event(
                connection,
                request.break_id,
                "ASSIGNED",
                client_name(),
                self._clock.now(),
                assignee=request.assignee,
                note=request.note,
            )
            found = await self._break(connection, request.break_id)
            return pb.AssignBreakResponse(reconciliation_break=found)

        return await self._mutate(request, pb.AssignBreakResponse, assign)

    async def AddNote(self, request: pb.AddNoteRequest, _context: Any) -> pb.AddNoteResponse:
        async def add(connection: AsyncConnection) -> pb.AddNoteResponse:
            found = await self._break(connection, request.break_id)
            now, client = self._clock.now(), client_name()
            await store.add_event(
                connection, request.break_id, "NOTED", client, now, note=request.note
            )
            return pb.AddNoteResponse(reconciliation_break=found)

        return await self._mutate(request, pb.AddNoteResponse, add)

    async def ResolveBreak(
        self, request: pb.ResolveBreakRequest, _context: Any
    ) -> pb.ResolveBreakResponse:
        async def resolve(connection: AsyncConnection) -> pb.ResolveBreakResponse:
            row = await self._open_break(connection, request.break_id)
            if row.subject:
                raise break_without_items(request.break_id)
            match_id = await self._deciding.resolve(
                connection,
                request.break_id,
                Leg(row.leg),
                row.item_ids,
                [to_key(key) for key in request.items],
                client_name(),
                request.note,
            )
            return pb.ResolveBreakResponse(match=await self._match(connection, match_id))

        return await self._mutate(request, pb.ResolveBreakResponse, resolve)

    async def IgnoreItem(
        self, request: pb.IgnoreItemRequest, _context: Any
    ) -> pb.IgnoreItemResponse:
        async def ignore(connection: AsyncConnection) -> pb.IgnoreItemResponse:
            ignored = await self._deciding.ignore(
                connection,
                to_key(request.item),
                to_leg(request.leg),
                client_name(),
                request.note,
            )
            return pb.IgnoreItemResponse(ignored=ignored)

        return await self._mutate(request, pb.IgnoreItemResponse, ignore)

    async def UnignoreItem(
        self, request: pb.UnignoreItemRequest, _context: Any
    ) -> pb.UnignoreItemResponse:
        async def unignore(connection: AsyncConnection) -> pb.UnignoreItemResponse:
            ignored = await self._deciding.unignore(
                connection,
                to_key(request.item),
                to_leg(request.leg),
                client_name(),
                request.note,
            )
            return pb.UnignoreItemResponse(ignored=ignored)

        return await self._mutate(request, pb.UnignoreItemResponse, unignore)

    async def AcceptBreak(
        self, request: pb.AcceptBreakRequest, _context: Any
    ) -> pb.AcceptBreakResponse:
        async def accept(connection: AsyncConnection) -> pb.AcceptBreakResponse:
            row = await self._open_break(connection, request.break_id)
            if not row.subject:
                raise break_of_items(request.break_id)
            accepted = await self._deciding.accept(
                connection, request.break_id, client_name(), request.note
            )
            return pb.AcceptBreakResponse(accepted=accepted)

        return await self._mutate(request, pb.AcceptBreakResponse, accept)

    async def RevokeMatch(
        self, request: pb.RevokeMatchRequest, _context: Any
    ) -> pb.RevokeMatchResponse:
        async def revoke(connection: AsyncConnection) -> pb.RevokeMatchResponse:
            client, note = client_name(), request.note
            await self._deciding.revoke(connection, request.match_id, client, note)
            return pb.RevokeMatchResponse(match=await self._match(connection, request.match_id))

        return await self._mutate(request, pb.RevokeMatchResponse, revoke)

    async def _mutate(
        self,
        request: Any,
        response_type: type[R],
        action: Callable[[AsyncConnection], Awaitable[R]],
    ) -> R:
        response = await self._mutations.run(request, response_type, action)
        self._notifier.notify()
        return response

    async def _open_break(self, connection: AsyncConnection, break_id: int) -> Any:
        row = await store.get_break(connection, break_id, store.moment_now(self._clock.now()))
        if row.has_ended:
            raise break_ended(break_id)
        return row

    async def _break(self, connection: AsyncConnection, break_id: int) -> reconciliation_pb2.Break:
        moment = store.moment_now(self._clock.now())
        row = await store.get_break(connection, break_id, moment)
        (found,) = await self._breaks(connection, [row], moment)
        return found

    async def _breaks(
        self, connection: AsyncConnection, rows: Sequence[Any], moment: Moment
    ) -> list[reconciliation_pb2.Break]:
        return await break_messages(connection, rows, moment)

    async def _match(self, connection: AsyncConnection, match_id: int) -> reconciliation_pb2.Match:
        moment = store.moment_now(self._clock.now())
        row = await store.get_match(connection, match_id, moment)
        (found,) = await self._matches(connection, [row])
        return found

    async def _matches(
        self, connection: AsyncConnection, rows: Sequence[Any]
    ) -> list[reconciliation_pb2.Match]:
        return await match_messages(connection, rows)


async def asked_moment(connection: AsyncConnection, request: Any, clock: Clock) -> Moment:
    """Now, or what the request asks for, which is a time or a change. Raises `CHANGE_NOT_FOUND`."""
    if request.HasField("as_of_time"):
        return await store.moment_at(connection, to_datetime(request.as_of_time))
    if number := getattr(request, "as_of_change", 0):
        return await store.moment_of(connection, number)
    return store.moment_now(clock.now())


async def break_messages(
    connection: AsyncConnection, rows: Sequence[Any], moment: Moment
) -> list[reconciliation_pb2.Break]:
    """Breaks with the keys of their items."""
    keys = await store.keys_of(
        connection, [i for row in rows for i in (*row.item_ids, *row.proposal)]
    )
    return [break_message(row, keys, moment.time) for row in rows]


async def match_messages(
    connection: AsyncConnection, rows: Sequence[Any]
) -> list[reconciliation_pb2.Match]:
    """Matches with the keys of their items."""
    keys = await store.keys_of(connection, [i for row in rows for i, _ in row.allocations])
    return [match_message(row, keys) for row in rows]
