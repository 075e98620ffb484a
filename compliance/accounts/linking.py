"""The page at Stripe that asks a merchant for no more than is wanted, made through the gateway.

The page's address is a secret and is not kept. What is kept under a `request_id` is what the page
was to ask for, so that the gateway is asked for the same page again.
"""

from datetime import timedelta

import grpc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts.gateway_source import AccountUnavailableError, GatewayAccounts
from compliance.accounts.link_collection import Collection, minimal_collection
from compliance.accounts.messages import requirement_message
from compliance.accounts.refreshing import FETCH_TIMEOUT_SECONDS, SnapshotRefresher
from compliance.accounts.store import linked_account
from compliance.errors import (
    account_not_linked,
    gateway_unavailable,
    nothing_wanted,
    requirement_link_expired,
    requirement_link_refused,
)
from compliance.subjects.store import get_subject
from compliance.v1 import requirement_service_pb2 as pb
from gateway.v1 import merchant_service_pb2
from runtime import deadline
from runtime.errors import from_rpc_error
from runtime.mutations import Mutations

# What the gateway answers when it may go well a moment later.
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
_EXPIRED = "ONBOARDING_LINK_EXPIRED"
# The page is wanted now: what the gateway saw this recently is what Stripe wants.
ACCEPTED_AGE = timedelta(minutes=5)


class RequirementLinks:
    """Makes pages."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        refresher: SnapshotRefresher,
        accounts: GatewayAccounts | None,
    ) -> None:
        self._engine = engine
        self._mutations = mutations
        self._refresher = refresher
        self._accounts = accounts

    async def create(
        self, request: pb.CreateRequirementLinkRequest
    ) -> pb.CreateRequirementLinkResponse:
        """The page and what it asks for. Raises what its contract says."""
        if self._accounts is None:
            raise gateway_unavailable()
        async with self._engine.connect() as connection:
            linked = await linked_account(connection, request.merchant_id)
            if linked is None:
                await get_subject(connection, request.merchant_id)
                raise account_not_linked(request.merchant_id)
        left = deadline.remaining()
        timeout = FETCH_TIMEOUT_SECONDS if left is None else min(FETCH_TIMEOUT_SECONDS, left)
        try:
            snapshot = await self._refresher.fetch(linked, timeout=timeout, max_age=ACCEPTED_AGE)
        except AccountUnavailableError as error:
            raise gateway_unavailable() from error

        async def choose(_connection: AsyncConnection) -> pb.CreateRequirementLinkResponse:
            found = minimal_collection(snapshot.content.requirements)
            if found is None:
                raise nothing_wanted(request.merchant_id)
            collection, wanted = found
            return pb.CreateRequirementLinkResponse(
                collection=pb.LinkCollection.ValueType(collection),
                requirements=[requirement_message(item) for item in wanted],
            )

        answer = await self._mutations.run(request, pb.CreateRequirementLinkResponse, choose)
        collection = Collection(answer.collection)
        try:
            link = await self._accounts.link(
                merchant_service_pb2.CreateOnboardingLinkRequest(
                    request_id=request.request_id,
                    merchant_id=snapshot.gateway_merchant_id,
                    # Risk items can be answered there, too, and on no other page.
                    kind=merchant_service_pb2.ONBOARDING_LINK_KIND_ONBOARDING,
                    refresh_url=request.refresh_url,
                    return_url=request.return_url,
                    currently_due_only=collection < Collection.EVENTUALLY_DUE,
                    with_future_requirements=collection is Collection.WITH_ANNOUNCED,
                )
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in _TRANSIENT:
                raise gateway_unavailable() from error
            reason = from_rpc_error(error).reason
            if reason == _EXPIRED:
                raise requirement_link_expired(request.merchant_id) from error
            raise requirement_link_refused(request.merchant_id, reason) from error
        answer.url = link.url
        answer.expire_time.CopyFrom(link.expire_time)
        return answer
