"""Snapshots of connected accounts, fetched from the gateway, and what they lack."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.gateway_source import GatewayAccounts
from compliance.accounts.linking import RequirementLinks
from compliance.accounts.refreshing import SnapshotRefresher
from compliance.accounts.service import RequirementService
from compliance.accounts.watching import MerchantWatch
from compliance.config import ComplianceSettings
from compliance.evidence_news import EvidenceNews
from compliance.part import Part
from compliance.v1 import requirement_service_pb2, requirement_service_pb2_grpc
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenAccounts(Part):
    """What others need of accounts."""

    refresher: SnapshotRefresher
    gateway: grpc.aio.Channel | None


@asynccontextmanager
async def open_accounts(
    settings: ComplianceSettings,
    engine: AsyncEngine,
    mutations: Mutations,
    news: EvidenceNews,
    clock: Clock,
) -> AsyncIterator[OpenAccounts]:
    """Opens the channel to the gateway, if there is one."""
    async with AsyncExitStack() as stack:
        accounts: GatewayAccounts | None = None
        channel: grpc.aio.Channel | None = None
        if settings.gateway_address:
            channel = open_channel(
                settings.gateway_address,
                settings,
                idempotent_services=[
                    f"gateway.v1.{name}Service"
                    for name in ("Merchant", "Payment", "Dispute", "Verification")
                ],
            )
            stack.push_async_callback(channel.close)
            accounts = GatewayAccounts(channel)
        refresher = SnapshotRefresher(engine, accounts, clock, news)
        stack.push_async_callback(refresher.close)
        loops = [refresher.loop(settings.snapshot_interval_seconds)]
        if accounts is not None:
            loops.append(MerchantWatch(engine, accounts, refresher).loop())
        links = RequirementLinks(engine, mutations, refresher, accounts)
        servicer = RequirementService(engine, refresher, links, clock)
        yield OpenAccounts(
            refresher=refresher,
            gateway=channel,
            services=(registered(requirement_service_pb2, requirement_service_pb2_grpc, servicer),),
            loops=tuple(loops),
        )
