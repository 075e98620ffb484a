"""Takes documents in, and back: what is wrong with one is said before anything is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

import grpc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts.guidance import is_about_another, names_a_role
from compliance.accounts.store import linked_account
from compliance.documents import store
from compliance.documents.content_type import content_type
from compliance.documents.document import LONGEST_KEPT, Refusal, State
from compliance.documents.fields import TAKEN_TYPES, DocumentField, document_field
from compliance.documents.handling import DESTROYED
from compliance.documents.messages import document_message, side_word
from compliance.errors import (
    ERRORS,
    account_not_linked,
    document_content_differs,
    document_field_unsuitable,
    document_not_found,
    document_not_on_the_way,
    document_type_not_taken,
    documents_off,
    documents_too_many,
)
from compliance.subjects.store import get_subject
from compliance.v1 import document_service_pb2 as pb
from runtime.beside import beside
from runtime.clock import Clock
from runtime.errors import FieldViolation, ServiceError
from runtime.mutations import Mutations
from runtime.notifier import Notifier
from runtime.sealing import Sealer

# Of a merchant, on their way to Stripe; each may have 10 MB.
MOST_ON_THE_WAY = 50
_ID_BYTES = 12


@dataclass(frozen=True)
class Admission:
    """Whether documents are taken."""

    missing_setting: str = ""
    """The variable that has to be set before; empty if none has."""


class DocumentTaking:
    """Takes documents."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        sealer: Sealer,
        admission: Admission,
        clock: Clock,
        came: Notifier,
    ) -> None:
        self._engine = engine
        self._mutations = mutations
        self._sealer = sealer
        self._admission = admission
        self._clock = clock
        self._came = came

    async def take(self, request: pb.CreateDocumentRequest) -> pb.CreateDocumentResponse:
        """The document as it is kept. Raises what its contract says."""
        if self._admission.missing_setting:
            raise documents_off(self._admission.missing_setting)
        field = _checked(request)
        content = request.content
        found = content_type(content)
        if found != request.content_type:
            raise document_content_differs(request.content_type, found)
        # The content is compared by its hash: what is kept of requests is kept for good.
        known = pb.CreateDocumentRequest()
        known.CopyFrom(request)
        known.content = await beside(_hash, content)

        async def keep(connection: AsyncConnection) -> pb.CreateDocumentResponse:
            return await self._keep(connection, request, field, content)

        answer = await self._mutations.run(known, pb.CreateDocumentResponse, keep)
        self._came.notify()
        return answer

    async def withdraw(self, request: pb.WithdrawDocumentRequest) -> pb.WithdrawDocumentResponse:
        """The document without its content. Raises what its contract says."""

        async def end(connection: AsyncConnection) -> pb.WithdrawDocumentResponse:
            is_ended = await store.withdraw(connection, request.document_id, self._clock.now())
            document = await store.get(connection, request.document_id)
            if document is None:
                raise document_not_found(request.document_id)
            if not is_ended:
                raise document_not_on_the_way(document.document_id, document.state)
            DESTROYED.inc()
            return pb.WithdrawDocumentResponse(document=document_message(document))

        return await self._mutations.run(request, pb.WithdrawDocumentResponse, end)

    async def _keep(
        self,
        connection: AsyncConnection,
        request: pb.CreateDocumentRequest,
        field: DocumentField,
        content: bytes,
    ) -> pb.CreateDocumentResponse:
        merchant_id = request.merchant_id
        linked = await linked_account(connection, merchant_id)
        if linked is None:
            await get_subject(connection, merchant_id)
            raise account_not_linked(merchant_id)
        if await store.count_on_the_way(connection, merchant_id) >= MOST_ON_THE_WAY:
            raise documents_too_many(merchant_id, MOST_ON_THE_WAY)
        document_id = f"doc_{secrets.token_hex(_ID_BYTES)}"
        now: datetime = self._clock.now()
        document = await store.add(
            connection,
            {
                "document_id": document_id,
                "merchant_id": merchant_id,
                "connected_account_id": linked.connected_account_id,
                "field": request.field,
                "person_id": request.person_id,
                "side": side_word(request.side, has_sides=field.has_sides),
                "with_other_side": request.with_other_side,
                "purpose": field.purpose,
                "content_type": request.content_type,
                "size_bytes": len(content),
                "sealed": await beside(self._sealer.seal, document_id, content),
                "state": State.RECEIVED,
                "refusal": Refusal.NONE,
                "error_codes": [],
                "file_id": "",
                "forward_count": 0,
                "attach_count": 0,
                "failure": "",
                "failure_count": 0,
                "fence": 0,
                "next_attempt_time": now,
                "create_time": now,
                "state_time": now,
                "destroy_time": now + LONGEST_KEPT,
            },
        )
        return pb.CreateDocumentResponse(document=document_message(document))


def _checked(request: pb.CreateDocumentRequest) -> DocumentField:
    """What the field asks for. Raises for what does not go with it."""
    field = document_field(request.field)
    if field is None:
        raise document_field_unsuitable(request.field)
    if names_a_role(request.field) and not request.person_id:
        raise _wrong("person_id", "is required where the field names a role")
    if is_about_another(request.field, request.person_id):
        raise _wrong("person_id", "is another person than the field names")
    if not field.has_sides and (request.side or request.with_other_side):
        wrong = "side" if request.side else "with_other_side"
        raise _wrong(wrong, "is not for documents without sides")
    if request.content_type not in TAKEN_TYPES:
        raise document_type_not_taken(request.field, request.content_type, TAKEN_TYPES)
    return field


def _wrong(field: str, description: str) -> ServiceError:
    return ERRORS.runtime_error(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        f"{field} {description}",
        violations=[FieldViolation(field, description)],
    )


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
