"""ItemService: the handlers."""

from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.breaks import store
from reconciliation.breaks.messages import (
    item_message,
    revision_message,
    to_key,
    to_leg,
    to_word,
)
from reconciliation.breaks.service import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    asked_moment,
    break_messages,
    match_messages,
)
from reconciliation.breaks.store import BreakFilter, MatchFilter
from reconciliation.errors import ERRORS, item_not_found
from reconciliation.items.reading import BEGINNING, ItemFilter, Place, known_items, page_of
from reconciliation.matching.breaks import Standing
from reconciliation.v1 import item_service_pb2 as pb
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1.item_service_pb2_grpc import ItemServiceServicer
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

MAX_SHOWN_REVISIONS = 1_000


class ItemService(ItemServiceServicer):
    """Shows items."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._tokens = PageTokens(ERRORS)

    async def ListItems(self, request: pb.ListItemsRequest, _context: Any) -> pb.ListItemsResponse:
        position = self._tokens.decode(request)
        after = (
            Place(date.fromisoformat(str(position[0])), int(position[1])) if position else BEGINNING
        )
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        standing = to_word(reconciliation_pb2.Standing, "STANDING_", request.standing)
        wanted = ItemFilter(
            source=to_word(reconciliation_pb2.Source, "SOURCE_", request.source),
            corridor=request.corridor,
            first_day=_day(request.first_book_day, date.min),
            last_day=_day(request.last_book_day, date.max),
            leg=to_leg(request.leg) if request.leg else None,
            standing=Standing(standing) if standing else None,
        )
        async with self._engine.connect() as connection:
            moment = await asked_moment(connection, request, self._clock)
            page = await page_of(connection, wanted, moment, after, size)
        return pb.ListItemsResponse(
            items=[item_message(known) for known in page.items],
            next_page_token=""
            if page.after is None
            else self._tokens.encode(
                request, [page.after.book_day.isoformat(), page.after.item_id]
            ),
        )

    async def GetItem(self, request: pb.GetItemRequest, _context: Any) -> pb.GetItemResponse:
        key = to_key(request.key)
        async with self._engine.connect() as connection:
            moment = await asked_moment(connection, request, self._clock)
            item_id = await store.id_of(connection, key)
            found = await known_items(connection, [item_id], moment)
            if not found:
                raise item_not_found(key)
            (known,) = found
            stands = known.standings.values()
            match_rows = [
                row
                for each in stands
                if each.match_id
                for row in await store.list_matches(
                    connection, MatchFilter(match_id=each.match_id), moment, 0, 1
                )
            ]
            difference_ids = [each.difference_id for each in stands if each.difference_id]
            break_rows = await store.list_breaks(
                connection, BreakFilter("ANY"), moment, 0, len(difference_ids), difference_ids
            )
            return pb.GetItemResponse(
                item=item_message(known),
                revisions=[revision_message(row) for row in known.revisions[:MAX_SHOWN_REVISIONS]],
                matches=await match_messages(connection, match_rows),
                breaks=await break_messages(connection, break_rows, moment),
            )


def _day(given: str, otherwise: date) -> date:
    return date.fromisoformat(given) if given else otherwise
