"""DocumentService: the handlers."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.documents import store
from compliance.documents.messages import document_message, state_word
from compliance.documents.taking import DocumentTaking
from compliance.errors import ERRORS, document_not_found
from compliance.v1 import document_service_pb2 as pb
from compliance.v1.document_service_pb2_grpc import DocumentServiceServicer
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class DocumentService(DocumentServiceServicer):
    """Takes documents, and says how far they are."""

    def __init__(self, engine: AsyncEngine, taking: DocumentTaking) -> None:
        self._engine = engine
        self._taking = taking
        self._tokens = PageTokens(ERRORS)

    async def CreateDocument(
        self, request: pb.CreateDocumentRequest, _context: Any
    ) -> pb.CreateDocumentResponse:
        return await self._taking.take(request)

    async def WithdrawDocument(
        self, request: pb.WithdrawDocumentRequest, _context: Any
    ) -> pb.WithdrawDocumentResponse:
        return await self._taking.withdraw(request)

    async def GetDocument(
        self, request: pb.GetDocumentRequest, _context: Any
    ) -> pb.GetDocumentResponse:
        async with self._engine.connect() as connection:
            document = await store.get(connection, request.document_id)
        if document is None:
            raise document_not_found(request.document_id)
        return pb.GetDocumentResponse(document=document_message(document))

    async def ListDocuments(
        self, request: pb.ListDocumentsRequest, _context: Any
    ) -> pb.ListDocumentsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_documents(
                connection,
                merchant_id=request.merchant_id,
                state=state_word(request.state),
                before=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListDocumentsResponse(
            documents=[document_message(document) for document in page],
            next_page_token=self._tokens.encode(request, [page[-1].ordinal])
            if len(found) > size
            else "",
        )
