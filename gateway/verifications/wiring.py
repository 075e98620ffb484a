"""Verifications in one process."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.merchants.store import MerchantStore
from gateway.operations.gate import Gate
from gateway.operations.requests import VERIFICATION_REQUEST
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.stripe_client.client import StripeClient
from gateway.v1 import verification_service_pb2, verification_service_pb2_grpc
from gateway.verifications.looking import VerificationLooking
from gateway.verifications.operations import kinds
from gateway.verifications.service import VerificationServicer
from gateway.verifications.store import CHANNEL, VerificationStore
from gateway.verifications.stripe_events import Verifications
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.server import registered


def open_verifications(
    engine: AsyncEngine,
    stripe_client: StripeClient,
    merchants: MerchantStore,
    operations: OpenOperations,
    gate: Gate,
    clock: Clock,
) -> Part:
    """There is nothing to close."""
    store, notifier = VerificationStore(engine), Notifier()
    verifications = Verifications(engine, stripe_client, operations.identity, gate, clock)
    operations.register(kinds(stripe_client, verifications))
    servicer = VerificationServicer(
        stripe_client,
        merchants,
        store,
        operations.commands(VERIFICATION_REQUEST),
        verifications,
        operations.identity,
        gate,
        notifier,
        clock,
    )
    looking = VerificationLooking(stripe_client, store, verifications, gate, clock)
    return Part(
        services=(registered(verification_service_pb2, verification_service_pb2_grpc, servicer),),
        event_routes=verifications.routes(),
        leader_tasks=(looking.loop(),),
        notifiers={CHANNEL: notifier},
    )
