"""SubjectService: the handlers."""

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.errors import (
    ERRORS,
    invalid_parent,
    subject_closed,
    subject_revision_mismatch,
)
from compliance.evidence_news import EvidenceNews
from compliance.screening.active_lists import ActiveLists
from compliance.screening.match_store import record_screenings
from compliance.subjects import store
from compliance.subjects.subject import (
    Subject,
    kind_word,
    kyc_word,
    profile_values,
    state_word,
)
from compliance.v1 import subject_pb2
from compliance.v1 import subject_service_pb2 as pb
from compliance.v1.subject_service_pb2_grpc import SubjectServiceServicer
from compliance.wire_time import to_datetime
from runtime.auth import client_name
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class SubjectService(SubjectServiceServicer):
    """Keeps subjects; whoever is created or renamed is screened before the answer."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        lists: ActiveLists,
        clock: Clock,
        news: EvidenceNews,
    ) -> None:
        self._engine = engine
        self._news = news
        self._mutations = mutations
        self._lists = lists
        self._clock = clock
        self._tokens = PageTokens(ERRORS)

    async def CreateSubject(
        self, request: pb.CreateSubjectRequest, _context: Any
    ) -> pb.CreateSubjectResponse:
        async def create(connection: AsyncConnection) -> pb.CreateSubjectResponse:
            if request.parent_subject_id:
                await _check_parent(connection, request.parent_subject_id)
            now = self._clock.now()
            subject = await store.insert_subject(
                connection,
                {
                    **profile_values(request.profile),
                    **_account_values(request),
                    "subject_id": request.subject_id or f"sub_{uuid.uuid4().hex}",
                    "kind": kind_word(request.kind),
                    "parent_subject_id": request.parent_subject_id or None,
                    "state": "ACTIVE",
                    "kyc_state": "NOT_STARTED",
                    "revision": 1,
                    "profile_revision": 1,
                    "create_time": now,
                    "update_time": now,
                },
                client_name(),
            )
            await record_screenings_of(connection, self._lists, subject, self._clock)
            return pb.CreateSubjectResponse(subject=subject.to_message())

        answer = await self._mutations.run(request, pb.CreateSubjectResponse, create)
        self._news.about([answer.subject.subject_id])
        return answer

    async def UpdateSubject(
        self, request: pb.UpdateSubjectRequest, _context: Any
    ) -> pb.UpdateSubjectResponse:
        async def change(connection: AsyncConnection) -> pb.UpdateSubjectResponse:
            subject = await _lock_open(connection, request.subject_id)
            if request.expected_revision not in (0, subject.revision):
                raise subject_revision_mismatch(
                    subject.subject_id, request.expected_revision, subject.revision
                )
            profile = profile_values(request.profile)
            is_same = profile_values(subject.to_message().profile) == profile
            if not is_same:
                profile["profile_revision"] = subject.revision + 1
            changed = await self._change(
                connection, subject, {**profile, **_account_values(request)}, "UPDATE", ""
            )
            if not is_same:
                await record_screenings_of(connection, self._lists, changed, self._clock)
            return pb.UpdateSubjectResponse(subject=changed.to_message())

        answer = await self._mutations.run(request, pb.UpdateSubjectResponse, change)
        self._news.about([answer.subject.subject_id])
        return answer

    async def GetSubject(
        self, request: pb.GetSubjectRequest, _context: Any
    ) -> pb.GetSubjectResponse:
        async with self._engine.connect() as connection:
            subject = await store.get_subject(connection, request.subject_id)
        return pb.GetSubjectResponse(subject=subject.to_message())

    async def ListSubjects(
        self, request: pb.ListSubjectsRequest, _context: Any
    ) -> pb.ListSubjectsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        filters = {
            name: value
            for name, value in (
                ("kind", kind_word(request.kind) if request.kind else ""),
                ("parent_subject_id", request.parent_subject_id),
                ("state", state_word(request.state) if request.state else ""),
                ("kyc_state", kyc_word(request.kyc_state) if request.kyc_state else ""),
            )
            if value
        }
        async with self._engine.connect() as connection:
            found = await store.list_subjects(
                connection,
                filters,
                before_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListSubjectsResponse(
            subjects=[subject.to_message() for _, subject in page],
            next_page_token=self._tokens.encode(request, [page[-1][0]])
            if len(found) > size
            else "",
        )

    async def SetKycState(
        self, request: pb.SetKycStateRequest, _context: Any
    ) -> pb.SetKycStateResponse:
        async def change(connection: AsyncConnection) -> pb.SetKycStateResponse:
            subject = await _lock_open(connection, request.subject_id)
            is_verified = request.kyc_state == subject_pb2.KYC_STATE_VERIFIED
            values = {
                "kyc_state": kyc_word(request.kyc_state),
                "kyc_verify_time": self._clock.now() if is_verified else None,
                "kyc_expire_time": to_datetime(request.expire_time)
                if request.HasField("expire_time")
                else None,
            }
            changed = await self._change(connection, subject, values, "KYC", request.note)
            return pb.SetKycStateResponse(subject=changed.to_message())

        answer = await self._mutations.run(request, pb.SetKycStateResponse, change)
        self._news.about([answer.subject.subject_id])
        return answer

    async def SetSubjectState(
        self, request: pb.SetSubjectStateRequest, _context: Any
    ) -> pb.SetSubjectStateResponse:
        async def change(connection: AsyncConnection) -> pb.SetSubjectStateResponse:
            subject = await _lock_open(connection, request.subject_id)
            values = {"state": state_word(request.state)}
            changed = await self._change(connection, subject, values, "STATE", request.note)
            return pb.SetSubjectStateResponse(subject=changed.to_message())

        answer = await self._mutations.run(request, pb.SetSubjectStateResponse, change)
        self._news.about([answer.subject.subject_id])
        return answer

    async def _change(
        self,
        connection: AsyncConnection,
        subject: Subject,
        values: dict[str, Any],
        change: str,
        note: str,
    ) -> Subject:
        return await store.change_subject(
            connection,
            subject,
            values,
            change=change,
            note=note,
            client=client_name(),
            now=self._clock.now(),
        )


async def record_screenings_of(
    connection: AsyncConnection, lists: ActiveLists, subject: Subject, clock: Clock
) -> None:
    """Screens one subject against every list in use and stores what was found."""
    for screened in lists.screen(subject):
        await record_screenings(connection, [screened], clock.now())


async def _lock_open(connection: AsyncConnection, subject_id: str) -> Subject:
    subject = await store.lock_subject(connection, subject_id)
    if subject.state == "CLOSED":
        raise subject_closed(subject_id)
    return subject


async def _check_parent(connection: AsyncConnection, parent_subject_id: str) -> None:
    parent = await store.find_subject(connection, parent_subject_id)
    if parent is None or parent.kind != "MERCHANT" or parent.state == "CLOSED":
        raise invalid_parent(parent_subject_id)


def _account_values(
    request: pb.CreateSubjectRequest | pb.UpdateSubjectRequest,
) -> dict[str, str | None]:
    if not request.HasField("account"):
        return {"corridor": None, "connected_account_id": None}
    return {
        "corridor": request.account.corridor,
        "connected_account_id": request.account.connected_account_id,
    }
