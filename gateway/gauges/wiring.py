"""The gauges of a worker."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.gauges.counting import StateGauges
from gateway.part import Part
from runtime.clock import Clock


def open_gauges(engine: AsyncEngine, corridors: Sequence[str], clock: Clock) -> Part:
    """There is nothing to close."""
    return Part(worker_loops=(StateGauges(engine, corridors, clock).loop(),))
