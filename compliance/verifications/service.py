"""VerificationService: the handlers."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.errors import ERRORS
from compliance.v1 import verification_service_pb2 as pb
from compliance.v1.verification_service_pb2_grpc import VerificationServiceServicer
from compliance.verifications import store
from compliance.verifications.asking import VerificationAsking
from compliance.verifications.messages import state_word, verification_message
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class VerificationService(VerificationServiceServicer):
    """Asks for verifications, and says how far they are."""

    def __init__(self, engine: AsyncEngine, asking: VerificationAsking) -> None:
        self._engine = engine
        self._asking = asking
        self._tokens = PageTokens(ERRORS)

    async def CreateVerification(
        self, request: pb.CreateVerificationRequest, _context: Any
    ) -> pb.CreateVerificationResponse:
        return await self._asking.create(request)

    async def CreateVerificationLink(
        self, request: pb.CreateVerificationLinkRequest, _context: Any
    ) -> pb.CreateVerificationLinkResponse:
        return await self._asking.link(request)

    async def GetVerification(
        self, request: pb.GetVerificationRequest, _context: Any
    ) -> pb.GetVerificationResponse:
        async with self._engine.connect() as connection:
            verification = await store.get(connection, request.verification_id)
        return pb.GetVerificationResponse(verification=verification_message(verification))

    async def ListVerifications(
        self, request: pb.ListVerificationsRequest, _context: Any
    ) -> pb.ListVerificationsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        wanted = (("subject_id", request.subject_id), ("state", state_word(request.state)))
        async with self._engine.connect() as connection:
            found = await store.list_verifications(
                connection,
                {name: value for name, value in wanted if value},
                before_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListVerificationsResponse(
            verifications=[verification_message(verification) for _, verification in page],
            next_page_token=self._tokens.encode(request, [page[-1][0]])
            if len(found) > size
            else "",
        )

    async def CancelVerification(
        self, request: pb.CancelVerificationRequest, _context: Any
    ) -> pb.CancelVerificationResponse:
        return await self._asking.cancel(request)

    async def RedactVerification(
        self, request: pb.RedactVerificationRequest, _context: Any
    ) -> pb.RedactVerificationResponse:
        return await self._asking.redact(request)
