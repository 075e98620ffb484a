"""Routing of a process: who chooses, who learns, what operators are shown."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.limits import Limits
from gateway.operations.gate import Gate
from gateway.part import Part
from gateway.payments.domain.routing import Router
from gateway.payments.store.history import PastPayments
from gateway.routing_service import telemetry
from gateway.routing_service.board import ModelBoard
from gateway.routing_service.candidates import Trainings, choosable
from gateway.routing_service.chooser import Chooser
from gateway.routing_service.decision_feed import DecisionFeed
from gateway.routing_service.learner import Learner
from gateway.routing_service.pruning import pruning
from gateway.routing_service.service import RoutingServicer
from gateway.routing_service.steps import Mode
from gateway.stripe_client.client import StripeClient
from gateway.v1 import routing_service_pb2, routing_service_pb2_grpc
from runtime.clock import Clock
from runtime.idempotency import RequestIds
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenRouting(Part):
    """What payments ask; None where the operators' rules alone count."""

    router: Router | None = None


async def open_routing(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    request_ids: RequestIds,
    gate: Gate,
    past: PastPayments,
    clock: Clock,
    discount: Callable[[str], float],
    limits: Limits,
) -> OpenRouting:
    """Reads the newest model. `discount` is what foresight takes off a corridor now. There is
    nothing to close."""
    mode, terms = settings.routing, settings.routing_terms
    feed = DecisionFeed(engine)
    trainings = Trainings(feed, choosable(stripe_client.terms.values()))
    servicer = RoutingServicer(engine, mode, terms, request_ids, clock, feed, trainings)
    served = (registered(routing_service_pb2, routing_service_pb2_grpc, servicer),)
    if mode is Mode.OFF:
        # What was decided before is deleted in time.
        return OpenRouting(services=served, leader_tasks=(pruning(engine, clock),))
    telemetry.labels_known()
    rest = limits.routing_rest_seconds
    board = ModelBoard(engine, clock, rest)
    await board.refresh()
    learner = Learner(engine, gate, mode, terms, stripe_client.corridors, clock, rest)
    return OpenRouting(
        services=served,
        router=Chooser(past, board, mode, terms, clock, discount=discount),
        loops=(board.loop(),),
        leader_tasks=(learner.loop(),),
    )
