"""SigmaService: check, call, answer."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.json_format import ParseDict
from sqlalchemy import Row

from gateway.epochs import Cursor
from gateway.errors import ERRORS
from gateway.numbering import watch
from gateway.payments.rendering import stamp
from gateway.sigma.errors import file_damaged, file_not_kept, run_not_found
from gateway.sigma.run import FileState, file_of
from gateway.sigma.store import Filters, SigmaStore
from gateway.v1 import sigma_pb2, sigma_service_pb2_grpc
from gateway.v1 import sigma_service_pb2 as pb
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000


class SigmaServicer(sigma_service_pb2_grpc.SigmaServiceServicer):
    """What runs there are, what came of them, and their files."""

    def __init__(self, store: SigmaStore, notifier: Notifier) -> None:
        self._store = store
        self._notifier = notifier
        self._page_tokens = PageTokens(ERRORS)

    async def ListSigmaRuns(
        self, request: pb.ListSigmaRunsRequest, _context: Any
    ) -> pb.ListSigmaRunsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        state = sigma_pb2.SigmaState.Name(request.state).removeprefix("SIGMA_STATE_")
        filters = Filters(
            corridor=request.corridor, title=request.title, state=state if request.state else ""
        )
        after = int(position[0]) if position else 0
        found = await self._store.page(filters, after, size + 1)
        page = found[:size]
        response = pb.ListSigmaRunsResponse(runs=[_message(row) for row in page])
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [page[-1].first_sequence])
        return response

    async def GetSigmaRun(
        self, request: pb.GetSigmaRunRequest, _context: Any
    ) -> pb.GetSigmaRunResponse:
        return pb.GetSigmaRunResponse(run=_message(await self._find(request)))

    async def ReadSigmaFile(
        self, request: pb.ReadSigmaFileRequest, _context: Any
    ) -> AsyncIterator[pb.ReadSigmaFileResponse]:
        file = file_of((await self._find(request)).content)
        if file.state is not FileState.KEPT:
            raise file_not_kept(request.corridor, request.run_id, file.state.value)
        digest, size, number = hashlib.sha256(), 0, 1
        while size < file.size_bytes:
            content = await self._store.part(request.corridor, request.run_id, number)
            if content is None:
                # It was deleted since.
                state = FileState.DISCARDED.value
                raise file_not_kept(request.corridor, request.run_id, state)
            digest.update(content)
            size, number = size + len(content), number + 1
            yield pb.ReadSigmaFileResponse(content=content)
        if (size, digest.hexdigest()) != (file.size_bytes, file.sha256):
            raise file_damaged(request.corridor, request.run_id)

    async def WatchSigmaRuns(
        self, request: pb.WatchSigmaRunsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchSigmaRunsResponse]:
        cursor = Cursor(request.epoch, request.after_sequence)
        async for row, epoch in watch(self._store, self._notifier, cursor):
            yield pb.WatchSigmaRunsResponse(
                run=_message(row),
                epoch=epoch,
                sequence=row.sequence,
                record_time=stamp(row.record_time),
            )

    async def _find(self, request: pb.GetSigmaRunRequest | pb.ReadSigmaFileRequest) -> Row[Any]:
        row = await self._store.find(request.corridor, request.run_id)
        if row is None:
            raise run_not_found(request.corridor, request.run_id)
        return row


def _message(row: Row[Any]) -> sigma_pb2.SigmaRun:
    """A run in the form that it is kept in. A later release may have kept more."""
    run = ParseDict(row.content, sigma_pb2.SigmaRun(), ignore_unknown_fields=True)
    run.corridor = row.corridor
    return run
