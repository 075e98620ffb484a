"""Merchants in one process."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.merchants import file_operations
from gateway.merchants.files import MAX_FILE_REQUEST_BYTES, ContentsInHand
from gateway.merchants.operations import kinds
from gateway.merchants.service import MerchantServicer
from gateway.merchants.store import CHANNEL, MerchantStore
from gateway.merchants.stripe_events import MerchantEvents, MerchantSync
from gateway.operations.gate import LossGuard
from gateway.operations.lost import LostRequests
from gateway.operations.requests import MERCHANT_REQUEST
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.stripe_client.client import StripeClient
from gateway.v1 import merchant_service_pb2, merchant_service_pb2_grpc
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenMerchants(Part):
    """What others need of merchants."""

    store: MerchantStore


def open_merchants(
    engine: AsyncEngine,
    stripe_client: StripeClient,
    operations: OpenOperations,
    guard: LossGuard,
    clock: Clock,
) -> OpenMerchants:
    """There is nothing to close."""
    store, notifier = MerchantStore(engine, clock), Notifier()
    sync = MerchantSync(stripe_client, store, clock)
    contents = ContentsInHand()
    operations.register(kinds(stripe_client))
    operations.register(file_operations.kinds(stripe_client, contents))
    commands = operations.commands(MERCHANT_REQUEST)
    servicer = MerchantServicer(stripe_client, store, commands, sync, notifier, contents, clock)
    lost = LostRequests(engine, guard, MERCHANT_REQUEST)
    return OpenMerchants(
        store=store,
        services=(
            registered(
                merchant_service_pb2,
                merchant_service_pb2_grpc,
                servicer,
                request_bytes={"CreateFile": MAX_FILE_REQUEST_BYTES},
            ),
        ),
        event_routes=MerchantEvents(store, sync, lost).routes(),
        notifiers={CHANNEL: notifier},
    )
