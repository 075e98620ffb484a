"""Foresight in one process: what it sees, how it follows, what the leader does, and its service."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.foresight.actions import Bounds
from gateway.foresight.alarm import AlarmTerms
from gateway.foresight.model import built_in_model
from gateway.foresight.objective import Objective
from gateway.foresight.standing import Terms
from gateway.foresight_service.board import Discounts, NoDiscounts, PostureBoard
from gateway.foresight_service.evidence import Evidence
from gateway.foresight_service.foreseeing import Foreseeing
from gateway.foresight_service.keeping import EvidenceKeeper
from gateway.foresight_service.outgoing import IncidentFeed
from gateway.foresight_service.service import ForesightServicer
from gateway.foresight_service.store import CHANNEL, FEED, POSTURE_CHANNEL, ForesightStore
from gateway.limits import Limits
from gateway.numbering import Numbering
from gateway.operations.gate import Gate
from gateway.part import Part
from gateway.stripe_client.call import background
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import OutcomeClass
from gateway.stripe_client.wiring import OpenStripeClient, replica_name
from gateway.v1 import foresight_service_pb2, foresight_service_pb2_grpc
from runtime.clock import Clock
from runtime.deadline import within
from runtime.notifier import Notifier
from runtime.server import registered

# A probe that takes longer has been answered, too: by its latency.
PROBE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class OpenForesight(Part):
    """What others need of foresight."""

    discounts: Discounts
    webhook_feed: IncidentFeed = field(default_factory=IncidentFeed)


def open_evidence(
    settings: GatewaySettings, clock: Clock, monotonic: Callable[[], float] = time.monotonic
) -> Evidence | None:
    """What this process sees, for the Stripe client and the intake to tell; None if foresight is
    off. There is nothing to close."""
    if not settings.foresight:
        return None
    return Evidence([corridor.name for corridor in settings.corridors], clock, monotonic)


def open_foresight(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe: OpenStripeClient,
    evidence: Evidence | None,
    gate: Gate,
    clock: Clock,
    of_loops: Limits,
) -> OpenForesight:
    """There is nothing to close. Without evidence nothing is foreseen and nothing is done; what was
    written down before can still be read."""
    store, notifier = ForesightStore(engine), Notifier()
    corridors = stripe.client.corridors
    terms = terms_of(settings)
    servicer = ForesightServicer(store, notifier, corridors, terms.bounds, clock)
    served = (registered(foresight_service_pb2, foresight_service_pb2_grpc, servicer),)
    numbering = Numbering(engine, FEED, gate, clock).loop()
    probe, rest = prober(stripe.client), of_loops.foresight_rest_seconds
    if evidence is None:
        # What was foreseen before is deleted in time, and what stood is closed.
        _, purge = Foreseeing(engine, probe, (), terms, clock, rest).loops()
        return OpenForesight(
            services=served,
            notifiers={CHANNEL: notifier},
            worker_loops=(numbering,),
            leader_tasks=(purge,),
            discounts=NoDiscounts(),
        )
    limits = {name: stripe.calls.corridor_client(name).concurrency for name in corridors}
    board = PostureBoard(store, limits, clock)
    keeper = EvidenceKeeper(
        engine, evidence, replica_name(), rest_seconds=of_loops.sighting_rest_seconds
    )
    foreseeing = Foreseeing(engine, probe, corridors, terms, clock, rest)
    return OpenForesight(
        services=served,
        notifiers={CHANNEL: notifier, POSTURE_CHANNEL: board.notifier},
        loops=(keeper.loop(), board.loop()),
        worker_loops=(numbering,),
        leader_tasks=foreseeing.loops(),
        discounts=board,
    )


def terms_of(settings: GatewaySettings) -> Terms:
    """By what operators want corridors to be foreseen and treated."""
    return Terms(
        objective=Objective(
            latency_p95_ms=settings.foresight_latency_ms,
            failure_share=settings.foresight_failure_share,
            webhook_lag_s=settings.foresight_webhook_lag_seconds,
        ),
        model=built_in_model(),
        alarm=AlarmTerms(),
        bounds=Bounds(
            most_discount=settings.foresight_most_discount,
            least_concurrency=settings.foresight_least_concurrency,
            probe_every_minutes=settings.foresight_probe_minutes or None,
            incidents=settings.foresight_incidents,
        ),
        learning_minutes=settings.foresight_learning_minutes,
    )


def prober(stripe_client: StripeClient) -> Callable[[str], Awaitable[bool]]:
    """Sends a request that reads one PaymentIntent's row of a list, as background work does."""

    async def probe(corridor: str) -> bool:
        with background(), within(PROBE_SECONDS):
            outcome = await stripe_client.list_payment_intents(corridor, {"limit": 1})
        return outcome.outcome_class not in (OutcomeClass.NOT_SENT, OutcomeClass.UNKNOWN)

    return probe
