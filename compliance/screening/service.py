"""ScreeningService: the handlers."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.errors import ERRORS, match_not_decidable
from compliance.evidence_news import EvidenceNews
from compliance.screening import list_store, match_store
from compliance.screening.active_lists import ActiveLists
from compliance.screening.index import ScreenedPerson
from compliance.screening.loader import ListLoader
from compliance.screening.messages import (
    hit_message,
    list_enum,
    list_word,
    match_message,
    state_word,
    version_message,
)
from compliance.v1 import screening_service_pb2 as pb
from compliance.v1 import subject_pb2
from compliance.v1.screening_service_pb2_grpc import ScreeningServiceServicer
from compliance.wire_time import to_timestamp
from runtime.auth import client_name
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class ScreeningService(ScreeningServiceServicer):
    """Keeps lists and matches."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        lists: ActiveLists,
        loader: ListLoader,
        clock: Clock,
        news: EvidenceNews,
    ) -> None:
        self._engine = engine
        self._news = news
        self._mutations = mutations
        self._lists = lists
        self._loader = loader
        self._clock = clock
        self._tokens = PageTokens(ERRORS)

    async def ListSanctionsLists(
        self, _request: pb.ListSanctionsListsRequest, _context: Any
    ) -> pb.ListSanctionsListsResponse:
        response = pb.ListSanctionsListsResponse()
        async with self._engine.connect() as connection:
            attempts = await list_store.attempts(connection)
            for name in sorted({*self._loader.sources, *attempts}):
                active = await list_store.active_version(connection, name)
                attempt_time, defect = attempts.get(name, (None, ""))
                response.lists.add(
                    list=list_enum(name),
                    active_version=version_message(active) if active else None,
                    last_attempt_time=to_timestamp(attempt_time),
                    defect=defect,
                )
        return response

    async def ListSanctionsListVersions(
        self, request: pb.ListSanctionsListVersionsRequest, _context: Any
    ) -> pb.ListSanctionsListVersionsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await list_store.list_versions(
                connection,
                list_word(request.list),
                before=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListSanctionsListVersionsResponse(
            versions=[version_message(version) for version in page],
            next_page_token=self._tokens.encode(request, [page[-1].version])
            if len(found) > size
            else "",
        )

    async def LoadSanctionsList(
        self, request: pb.LoadSanctionsListRequest, _context: Any
    ) -> pb.LoadSanctionsListResponse:
        version, changed = await self._loader.load(
            list_word(request.list), accept_losses=request.accept_losses
        )
        return pb.LoadSanctionsListResponse(version=version_message(version), changed=changed)

    async def ScreenName(
        self, request: pb.ScreenNameRequest, _context: Any
    ) -> pb.ScreenNameResponse:
        subject = request.screened_name
        person = ScreenedPerson(
            names=(subject.name,),
            is_person=None
            if subject.entity_kind == subject_pb2.ENTITY_KIND_UNSPECIFIED
            else subject.entity_kind == subject_pb2.ENTITY_KIND_INDIVIDUAL,
            birth_date=subject.birth_date,
            country_code=subject.country_code,
        )
        return pb.ScreenNameResponse(
            matches=[hit_message(active, hit) for active, hit in self._lists.search(person)],
            not_comparable=not person.is_comparable,
        )

    async def GetMatch(self, request: pb.GetMatchRequest, _context: Any) -> pb.GetMatchResponse:
        async with self._engine.connect() as connection:
            match = await match_store.get_match(connection, request.match_id)
        return pb.GetMatchResponse(match=match_message(match))

    async def ListMatches(
        self, request: pb.ListMatchesRequest, _context: Any
    ) -> pb.ListMatchesResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        filters = {
            name: value
            for name, value in (
                ("subject_id", request.subject_id),
                ("state", state_word(request.state) if request.state else ""),
            )
            if value
        }
        async with self._engine.connect() as connection:
            found = await match_store.list_matches(
                connection,
                filters,
                before_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListMatchesResponse(
            matches=[match_message(match) for _, match in page],
            next_page_token=self._tokens.encode(request, [page[-1][0]])
            if len(found) > size
            else "",
        )

    async def ClearMatch(
        self, request: pb.ClearMatchRequest, _context: Any
    ) -> pb.ClearMatchResponse:
        async def clear(connection: AsyncConnection) -> pb.ClearMatchResponse:
            match = await self._decide(connection, request.match_id, "CLEARED", request.note)
            return pb.ClearMatchResponse(match=match_message(match))

        cleared = await self._mutations.run(request, pb.ClearMatchResponse, clear)
        self._news.about([cleared.match.subject_id])
        return cleared

    async def ConfirmMatch(
        self, request: pb.ConfirmMatchRequest, _context: Any
    ) -> pb.ConfirmMatchResponse:
        async def confirm(connection: AsyncConnection) -> pb.ConfirmMatchResponse:
            match = await self._decide(connection, request.match_id, "CONFIRMED", request.note)
            return pb.ConfirmMatchResponse(match=match_message(match))

        confirmed = await self._mutations.run(request, pb.ConfirmMatchResponse, confirm)
        self._news.about([confirmed.match.subject_id])
        return confirmed

    async def _decide(
        self, connection: AsyncConnection, match_id: str, state: str, note: str
    ) -> match_store.Match:
        match = await match_store.lock_match(connection, match_id)
        if match.state in ("OBSOLETE", state):
            raise match_not_decidable(match_id, match.state)
        await match_store.set_state(
            connection, match_id, state, note=note, client=client_name(), now=self._clock.now()
        )
        return await match_store.get_match(connection, match_id)
