"""RequirementService: the handlers."""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts import store
from compliance.accounts.gateway_source import AccountUnavailableError
from compliance.accounts.linking import RequirementLinks
from compliance.accounts.messages import requirement_message, snapshot_message, tax_message
from compliance.accounts.refreshing import FETCH_TIMEOUT_SECONDS, SnapshotRefresher
from compliance.accounts.requirements import EVENTUALLY_DUE
from compliance.accounts.snapshot import AccountSnapshot
from compliance.accounts.store import LinkedAccount
from compliance.errors import ERRORS, account_not_linked, gateway_unavailable, snapshot_not_found
from compliance.subjects.store import get_subject
from compliance.v1 import requirement_service_pb2 as pb
from compliance.v1.requirement_service_pb2_grpc import RequirementServiceServicer
from compliance.wire_time import to_datetime
from runtime import deadline
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class RequirementService(RequirementServiceServicer):
    """Says what Stripe wants of merchants."""

    def __init__(
        self,
        engine: AsyncEngine,
        refresher: SnapshotRefresher,
        links: RequirementLinks,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._refresher = refresher
        self._links = links
        self._tokens = PageTokens(ERRORS)

    async def GetAccountSnapshot(
        self, request: pb.GetAccountSnapshotRequest, _context: Any
    ) -> pb.GetAccountSnapshotResponse:
        snapshot = await self._stored(request.merchant_id)
        return pb.GetAccountSnapshotResponse(
            snapshot=snapshot_message(request.merchant_id, snapshot)
        )

    async def RefreshAccountSnapshot(
        self, request: pb.RefreshAccountSnapshotRequest, _context: Any
    ) -> pb.RefreshAccountSnapshotResponse:
        async with self._engine.connect() as connection:
            linked = await _linked(connection, request.merchant_id)
        left = deadline.remaining()
        timeout = FETCH_TIMEOUT_SECONDS if left is None else min(FETCH_TIMEOUT_SECONDS, left)
        try:
            snapshot = await self._refresher.fetch(linked, timeout=timeout, max_age=timedelta(0))
        except AccountUnavailableError as error:
            raise gateway_unavailable() from error
        return pb.RefreshAccountSnapshotResponse(
            snapshot=snapshot_message(request.merchant_id, snapshot)
        )

    async def ListRequirements(
        self, request: pb.ListRequirementsRequest, _context: Any
    ) -> pb.ListRequirementsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_requirements(
                connection,
                subject_id=request.merchant_id,
                minimum_severity=request.min_state or EVENTUALLY_DUE,
                due_before=to_datetime(request.due_before_time)
                if request.HasField("due_before_time")
                else None,
                after=position,
                limit=size + 1,
            )
        page = found[:size]
        response = pb.ListRequirementsResponse(
            requirements=[
                pb.DueRequirement(merchant_id=subject_id, requirement=requirement_message(item))
                for subject_id, _, item in page
            ]
        )
        if len(found) > size:
            _, account_id, last = page[-1]
            deadline_time = last.deadline_time or store.NO_DEADLINE
            response.next_page_token = self._tokens.encode(
                request, [deadline_time.isoformat(), account_id, last.field]
            )
        return response

    async def CreateRequirementLink(
        self, request: pb.CreateRequirementLinkRequest, _context: Any
    ) -> pb.CreateRequirementLinkResponse:
        return await self._links.create(request)

    async def GetTaxStatus(
        self, request: pb.GetTaxStatusRequest, _context: Any
    ) -> pb.GetTaxStatusResponse:
        snapshot = await self._stored(request.merchant_id)
        status = tax_message(request.merchant_id, snapshot, self._clock.now())
        return pb.GetTaxStatusResponse(tax_status=status)

    async def _stored(self, subject_id: str) -> AccountSnapshot:
        async with self._engine.connect() as connection:
            linked = await _linked(connection, subject_id)
            snapshot = await store.latest_snapshot(connection, linked.connected_account_id)
        if snapshot is None:
            raise snapshot_not_found(subject_id)
        return snapshot


async def _linked(connection: AsyncConnection, subject_id: str) -> LinkedAccount:
    """The merchant's account. Raises `SUBJECT_NOT_FOUND` or `ACCOUNT_NOT_LINKED`."""
    linked = await store.linked_account(connection, subject_id)
    if linked is None:
        await get_subject(connection, subject_id)
        raise account_not_linked(subject_id)
    return linked
