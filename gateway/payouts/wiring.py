"""Payouts in one process."""

from dataclasses import dataclass
from datetime import timedelta

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.merchants.commands import AccountFinder
from gateway.merchants.store import MerchantStore
from gateway.numbering import ChangeReader, Numbering
from gateway.operations.gate import LossGuard
from gateway.operations.requests import PAYOUT_REQUEST
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.payouts.changes import CHANNEL, FEED
from gateway.payouts.compliance import PayoutCompliance
from gateway.payouts.looks import PayoutLooks
from gateway.payouts.operations import kinds
from gateway.payouts.service import PayoutServicer
from gateway.payouts.stripe_events import Payouts
from gateway.payouts.transactions import PayoutTransactions
from gateway.stripe_client.client import StripeClient
from gateway.v1 import payout_service_pb2, payout_service_pb2_grpc
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenPayouts(Part):
    """What others need of payouts."""

    payouts: Payouts


def open_payouts(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    compliance: grpc.aio.Channel,
    merchants: MerchantStore,
    operations: OpenOperations,
    guard: LossGuard,
    clock: Clock,
) -> OpenPayouts:
    """There is nothing to close."""
    identity = operations.identity
    payouts = Payouts(engine, stripe_client, merchants, identity, guard, clock)
    checks = PayoutCompliance(compliance, settings.compliance_timeout_seconds)
    recheck = timedelta(seconds=settings.review_recheck_seconds)
    operations.register(kinds(stripe_client, payouts, checks, recheck, identity.deployment))
    notifier = Notifier()
    servicer = PayoutServicer(
        engine,
        AccountFinder(stripe_client, merchants),
        operations.commands(PAYOUT_REQUEST),
        operations.gate,
        PayoutTransactions(engine, stripe_client),
        ChangeReader(engine, FEED),
        notifier,
        identity,
        clock,
        review=timedelta(hours=settings.review_hours),
    )
    return OpenPayouts(
        payouts=payouts,
        services=(registered(payout_service_pb2, payout_service_pb2_grpc, servicer),),
        worker_loops=(Numbering(engine, FEED, guard, clock).loop(),),
        notifiers={CHANNEL: notifier},
        leader_tasks=(PayoutLooks(engine, stripe_client, payouts, guard, clock).loop(),),
        event_routes=payouts.routes(),
    )
