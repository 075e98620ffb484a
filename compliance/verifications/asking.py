"""Asks for verifications and ends them, through the gateway.

What is kept of a request is what it asked for. The link is a secret and kept nowhere: whoever
repeats the request, or asks for a link, gets a new one.
"""

import grpc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts.store import linked_account
from compliance.errors import (
    ERRORS,
    account_not_linked,
    gateway_unavailable,
    subject_closed,
)
from compliance.evidence_news import EvidenceNews
from compliance.subjects.store import get_subject
from compliance.subjects.subject import Subject
from compliance.v1 import verification_service_pb2 as pb
from compliance.verifications import store
from compliance.verifications.gateway_sessions import GatewaySessions
from compliance.verifications.messages import link_message, verification_message
from compliance.verifications.verification import Verification
from runtime.errors import FieldViolation, ServiceError
from runtime.mutations import Mutations


class VerificationAsking:
    """Asks the gateway. Raises what the contract says."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        sessions: GatewaySessions | None,
        news: EvidenceNews,
    ) -> None:
        self._engine = engine
        self._mutations = mutations
        self._sessions = sessions
        self._news = news

    async def create(self, request: pb.CreateVerificationRequest) -> pb.CreateVerificationResponse:
        """The verification, with a link while it waits for its person."""
        sessions = self._gateway()

        async def admit(connection: AsyncConnection) -> pb.CreateVerificationResponse:
            await _admitted(connection, request)
            return pb.CreateVerificationResponse()

        await self._mutations.run(request, pb.CreateVerificationResponse, admit)
        account_id = ""
        if request.person_id:
            async with self._engine.connect() as connection:
                account_id = await _account_of(connection, request)
        made = await self._taken(await sessions.create(request, account_id))
        answer = pb.CreateVerificationResponse(verification=verification_message(made))
        if made.waits_for_person:
            answer.link.CopyFrom(link_message(await sessions.link(made)))
        return answer

    async def link(
        self, request: pb.CreateVerificationLinkRequest
    ) -> pb.CreateVerificationLinkResponse:
        """Where the person goes."""
        sessions = self._gateway()
        async with self._engine.connect() as connection:
            verification = await store.get(connection, request.verification_id)
        link = await sessions.link(verification)
        return pb.CreateVerificationLinkResponse(link=link_message(link))

    async def cancel(self, request: pb.CancelVerificationRequest) -> pb.CancelVerificationResponse:
        """The verification, ended."""
        sessions = self._gateway()

        async def find(connection: AsyncConnection) -> pb.CancelVerificationResponse:
            await store.get(connection, request.verification_id)
            return pb.CancelVerificationResponse()

        await self._mutations.run(request, pb.CancelVerificationResponse, find)
        verification = await self._kept(request.verification_id)
        ended = await self._taken(await sessions.cancel(request.request_id, verification))
        return pb.CancelVerificationResponse(verification=verification_message(ended))

    async def redact(self, request: pb.RedactVerificationRequest) -> pb.RedactVerificationResponse:
        """The verification, which counts no more."""
        sessions = self._gateway()

        async def find(connection: AsyncConnection) -> pb.RedactVerificationResponse:
            await store.get(connection, request.verification_id)
            return pb.RedactVerificationResponse()

        await self._mutations.run(request, pb.RedactVerificationResponse, find)
        verification = await self._kept(request.verification_id)
        redacted = await self._taken(await sessions.redact(request.request_id, verification))
        return pb.RedactVerificationResponse(verification=verification_message(redacted))

    async def _taken(self, said: Verification) -> Verification:
        async with self._engine.begin() as connection:
            kept = await store.take(connection, said)
        self._news.about([kept.subject_id])
        return kept

    async def _kept(self, verification_id: str) -> Verification:
        async with self._engine.connect() as connection:
            return await store.get(connection, verification_id)

    def _gateway(self) -> GatewaySessions:
        if self._sessions is None:
            raise gateway_unavailable()
        return self._sessions


async def _admitted(connection: AsyncConnection, request: pb.CreateVerificationRequest) -> None:
    """Raises what speaks against a request before the gateway is asked."""
    subject = await get_subject(connection, request.subject_id)
    if subject.state == "CLOSED":
        raise subject_closed(subject.subject_id)
    if request.person_id:
        if subject.kind == "CUSTOMER":
            raise _wrong("person_id", "is for merchants and their owners only")
        await _account_of(connection, request)


async def _account_of(connection: AsyncConnection, request: pb.CreateVerificationRequest) -> str:
    """The connected account that the person is one of. Raises `ACCOUNT_NOT_LINKED`."""
    merchant_id = _merchant_of(await get_subject(connection, request.subject_id))
    linked = await linked_account(connection, merchant_id)
    if linked is None:
        raise account_not_linked(merchant_id)
    return linked.connected_account_id


def _merchant_of(subject: Subject) -> str:
    return subject.parent_subject_id or subject.subject_id


def _wrong(field: str, description: str) -> ServiceError:
    return ERRORS.runtime_error(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        f"{field} {description}",
        violations=[FieldViolation(field, description)],
    )
