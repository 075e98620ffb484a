"""Customers in one process."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.customers.operations import kinds
from gateway.customers.service import CustomerServicer
from gateway.customers.store import CustomerStore
from gateway.customers.stripe_events import CustomerEvents
from gateway.operations.gate import LossGuard
from gateway.operations.lost import LostRequests
from gateway.operations.requests import CUSTOMER_REQUEST
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.stripe_client.client import StripeClient
from gateway.v1 import customer_service_pb2, customer_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered


def open_customers(
    engine: AsyncEngine,
    stripe_client: StripeClient,
    operations: OpenOperations,
    guard: LossGuard,
    clock: Clock,
) -> Part:
    """There is nothing to close."""
    operations.register(kinds(stripe_client))
    commands = operations.commands(CUSTOMER_REQUEST)
    lost = LostRequests(engine, guard, CUSTOMER_REQUEST)
    events = CustomerEvents(engine, stripe_client, lost, clock)
    servicer = CustomerServicer(stripe_client, CustomerStore(engine), commands, events)
    return Part(
        services=(registered(customer_service_pb2, customer_service_pb2_grpc, servicer),),
        event_routes=events.routes(),
    )
