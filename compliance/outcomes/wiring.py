"""What became of payments, as the gateway tells it; nothing without a gateway."""

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.outcomes.following import OutcomeWatch, RateWindows
from compliance.outcomes.gateway_source import GatewayOutcomes
from compliance.part import Part
from runtime.clock import Clock


def open_outcomes(engine: AsyncEngine, gateway: grpc.aio.Channel | None, clock: Clock) -> Part:
    """Follows the gateway's feed over the channel to it."""
    if gateway is None:
        return Part()
    watch = OutcomeWatch(engine, GatewayOutcomes(gateway), clock)
    return Part(loops=(watch.loop(), RateWindows(engine, clock).loop()))
