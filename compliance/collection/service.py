"""NoticeService: the handlers."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.collection import store
from compliance.collection.messages import listed_message, notice_message, state_word
from compliance.errors import ERRORS, cursor_outdated, notice_not_dead, notice_not_found
from compliance.subjects.store import get_subject
from compliance.v1 import notice_service_pb2 as pb
from compliance.v1.notice_service_pb2_grpc import NoticeServiceServicer
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
WATCH_BATCH = 100
# Another process may have told: nobody notifies of that.
WATCH_POLL_SECONDS = 5.0


class NoticeService(NoticeServiceServicer):
    """Says what merchants are told, and where by e-mail."""

    def __init__(self, engine: AsyncEngine, clock: Clock, told: Notifier) -> None:
        self._engine = engine
        self._clock = clock
        self._told = told
        self._tokens = PageTokens(ERRORS)

    async def ListNotices(
        self, request: pb.ListNoticesRequest, _context: Any
    ) -> pb.ListNoticesResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_notices(
                connection,
                merchant_id=request.merchant_id,
                state=state_word(request.mail_state),
                before=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListNoticesResponse(
            notices=[listed_message(notice, mail) for notice, mail in page],
            next_page_token=self._tokens.encode(request, [page[-1][0].sequence])
            if len(found) > size
            else "",
        )

    async def WatchNotices(
        self, request: pb.WatchNoticesRequest, _context: Any
    ) -> AsyncIterator[pb.WatchNoticesResponse]:
        sequence = request.after_sequence
        async with self._engine.connect() as connection:
            last = await store.last_sequence(connection)
        if sequence > last:
            raise cursor_outdated(last)
        while True:  # Until the client leaves or the service stops.
            token = self._told.token()
            async with self._engine.connect() as connection:
                found = await store.notices_after(connection, sequence, WATCH_BATCH)
            for notice in found:
                sequence = notice.sequence
                yield pb.WatchNoticesResponse(notice=notice_message(notice))
            if len(found) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)

    async def SetNoticeAddress(
        self, request: pb.SetNoticeAddressRequest, _context: Any
    ) -> pb.SetNoticeAddressResponse:
        async with self._engine.begin() as connection:
            await get_subject(connection, request.merchant_id)
            await store.set_address(
                connection, request.merchant_id, request.email_address, self._clock.now()
            )
        return pb.SetNoticeAddressResponse()

    async def ResendNotice(
        self, request: pb.ResendNoticeRequest, _context: Any
    ) -> pb.ResendNoticeResponse:
        async with self._engine.begin() as connection:
            mail = await store.mail_state(connection, request.sequence, lock=True)
            if mail is None:
                raise notice_not_found(request.sequence)
            if mail.state != store.DEAD:
                raise notice_not_dead(request.sequence, mail.state)
            await store.send_again(connection, request.sequence, self._clock.now())
        self._told.notify()
        return pb.ResendNoticeResponse()
