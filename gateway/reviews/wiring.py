"""Reviews in one process."""

from datetime import timedelta

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.reviews.watching import CaseWatch
from runtime.clock import Clock


def open_reviews(
    settings: GatewaySettings,
    engine: AsyncEngine,
    compliance: grpc.aio.Channel,
    operations: OpenOperations,
    clock: Clock,
) -> Part:
    """There is nothing to close."""
    recheck = timedelta(seconds=settings.review_recheck_seconds)
    watch = CaseWatch(engine, operations.runner, operations.gate, compliance, recheck, clock)
    return Part(leader_tasks=(watch.loop(),))
