"""CaseService: the handlers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.cases import case as rules
from compliance.cases import store
from compliance.cases.case import CaseChange, CaseEventKind, CaseState, ReviewCase
from compliance.cases.keeping import count
from compliance.cases.messages import case_message, event_message, state_word
from compliance.checks.rulings import not_approvable
from compliance.errors import (
    ERRORS,
    case_closed,
    case_needs_another_approver,
    case_not_approvable,
    case_revision_mismatch,
    cursor_outdated,
)
from compliance.v1 import case_pb2
from compliance.v1 import case_service_pb2 as pb
from compliance.v1.case_service_pb2_grpc import CaseServiceServicer
from compliance.wire_time import to_datetime
from runtime.auth import client_name
from runtime.clock import Clock
from runtime.items import Items
from runtime.mutations import Mutations, R
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
# Events that are read at a time for somebody who watches, and how long he waits for a notification
# before he looks by himself.
WATCH_BATCH = 100
WATCH_POLL_SECONDS = 1.0

Rule = Callable[[ReviewCase, str], CaseChange]


class CaseService(CaseServiceServicer):
    """Lets people work on cases, and tells of them."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        limits: Callable[[], Mapping[str, int]],
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        """`limits` gives the amounts that one person may approve, by currency in minor units;
        `notifier` is notified of events."""
        self._engine = engine
        self._mutations = mutations
        self._limits = limits
        self._notifier = notifier
        self._clock = clock
        self._tokens = PageTokens(ERRORS)
        self._items = Items("cases to show")

    async def GetCase(self, request: pb.GetCaseRequest, _context: Any) -> pb.GetCaseResponse:
        async with self._engine.connect() as connection:
            found = await store.get_case(connection, request.case_id)
        return pb.GetCaseResponse(case=self._message(found))

    async def ListCases(self, request: pb.ListCasesRequest, _context: Any) -> pb.ListCasesResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        wanted = store.CaseFilter(
            state=state_word(request.state) if request.state else "",
            merchant_id=request.merchant_id,
            reference_id=request.reference_id,
            assignee=request.assignee,
            unassigned=request.unassigned,
            opened_from=to_datetime(request.start_open_time)
            if request.HasField("start_open_time")
            else None,
            opened_before=to_datetime(request.end_open_time)
            if request.HasField("end_open_time")
            else None,
        )
        async with self._engine.connect() as connection:
            found = await store.list_cases(
                connection,
                wanted,
                newest_first=request.newest_first,
                after_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListCasesResponse(
            cases=[self._listed(row) for row in page],
            next_page_token=self._tokens.encode(request, [page[-1].ordinal])
            if len(found) > size
            else "",
        )

    async def ListCaseEvents(
        self, request: pb.ListCaseEventsRequest, _context: Any
    ) -> pb.ListCaseEventsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.events_after(
                connection, int(position[0]) if position else 0, size + 1, request.case_id
            )
            if not found and position is None:
                await store.get_case(connection, request.case_id)
        page = found[:size]
        return pb.ListCaseEventsResponse(
            events=[self._told(row) for row in page],
            next_page_token=self._tokens.encode(request, [page[-1].sequence])
            if len(found) > size
            else "",
        )

    async def AssignCase(
        self, request: pb.AssignCaseRequest, _context: Any
    ) -> pb.AssignCaseResponse:
        def assign(case: ReviewCase, client: str) -> CaseChange:
            _check_open(case)
            return rules.assigned(case, request.assignee, client, request.note)

        return await self._change(
            request, pb.AssignCaseResponse, assign, lambda case: pb.AssignCaseResponse(case=case)
        )

    async def AddCaseNote(
        self, request: pb.AddCaseNoteRequest, _context: Any
    ) -> pb.AddCaseNoteResponse:
        def add(case: ReviewCase, client: str) -> CaseChange:
            return CaseChange(case, CaseEventKind.NOTED, client, request.note)

        return await self._change(
            request, pb.AddCaseNoteResponse, add, lambda case: pb.AddCaseNoteResponse(case=case)
        )

    async def ApproveCase(
        self, request: pb.ApproveCaseRequest, _context: Any
    ) -> pb.ApproveCaseResponse:
        def approve(case: ReviewCase, client: str) -> CaseChange:
            _check_open(case)
            if request.expected_revision != case.revision:
                raise case_revision_mismatch(case.case_id, request.expected_revision, case.revision)
            against = not_approvable(case.scope.findings)
            if against:
                raise case_not_approvable(case.case_id, [found.code.name for found in against])
            if rules.needs_two(case.scope, self._limits()):
                if not case.first_approver:
                    return rules.approved_once(case, client, request.note)
                if case.first_approver == client:
                    raise case_needs_another_approver(case.case_id, client)
            return rules.approved(case, client, request.note, self._clock.now())

        return await self._change(
            request, pb.ApproveCaseResponse, approve, lambda case: pb.ApproveCaseResponse(case=case)
        )

    async def RefuseCase(
        self, request: pb.RefuseCaseRequest, _context: Any
    ) -> pb.RefuseCaseResponse:
        def refuse(case: ReviewCase, client: str) -> CaseChange:
            _check_open(case)
            return rules.refused(case, client, request.note, self._clock.now())

        return await self._change(
            request, pb.RefuseCaseResponse, refuse, lambda case: pb.RefuseCaseResponse(case=case)
        )

    async def WatchCases(
        self, request: pb.WatchCasesRequest, _context: Any
    ) -> AsyncIterator[pb.WatchCasesResponse]:
        sequence = request.after_sequence
        async with self._engine.connect() as connection:
            last = await store.last_sequence(connection)
            if request.HasField("start_record_time"):
                begin = to_datetime(request.start_record_time)
                sequence = await store.sequence_before(connection, begin)
        if sequence > last:
            raise cursor_outdated(last)
        while True:  # Until the caller goes away.
            token = self._notifier.token()
            async with self._engine.connect() as connection:
                events = await store.events_after(connection, sequence, WATCH_BATCH)
                cases = await store.cases_of(connection, [event.case_id for event in events])
            for event in events:
                sequence = event.sequence
                yield pb.WatchCasesResponse(
                    event=self._told(event), case=self._listed(cases[event.case_id])
                )
            if len(events) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)

    async def _change(
        self,
        request: Any,
        response_type: type[R],
        rule: Rule,
        answer: Callable[[case_pb2.Case], R],
    ) -> R:
        """Applies a rule to the case of the request, once for its request_id."""
        changes: list[CaseChange] = []

        async def change(connection: AsyncConnection) -> R:
            case = await store.lock_case(connection, request.case_id)
            changes.append(rule(case, client_name()))
            await store.write_changes(store.runs_on(connection), changes, self._clock.now())
            return answer(self._message(changes[0].case))

        action: Callable[[AsyncConnection], Awaitable[R]] = change
        response = await self._mutations.run(request, response_type, action)
        count(changes)
        self._notifier.notify()
        return response

    def _listed(self, row: Any) -> case_pb2.Case:
        with self._items.kept_apart(row.case_id):
            return self._message(store.case_of(row))
        return case_pb2.Case(id=row.case_id, revision=row.revision)

    def _told(self, row: Any) -> case_pb2.CaseEvent:
        with self._items.kept_apart(f"{row.case_id} {row.sequence}"):
            return event_message(store.event_of(row))
        return case_pb2.CaseEvent(sequence=row.sequence, case_id=row.case_id)

    def _message(self, case: ReviewCase) -> case_pb2.Case:
        return case_message(case, self._limits())


def _check_open(case: ReviewCase) -> None:
    if case.state is not CaseState.OPEN:
        raise case_closed(case.case_id, case.state.value)
