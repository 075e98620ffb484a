"""Liquidity: what is asked for, and what operators see."""

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.liquidity.gauges import LiquidityGauges
from reconciliation.liquidity.service import LiquidityServicer
from reconciliation.part import Part
from reconciliation.v1 import liquidity_service_pb2, liquidity_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered


def open_liquidity(engine: AsyncEngine, clock: Clock) -> Part:
    """There is nothing to close."""
    servicer = LiquidityServicer(engine, clock)
    served = liquidity_service_pb2, liquidity_service_pb2_grpc, servicer
    return Part(services=(registered(*served),), loops=(LiquidityGauges(engine, clock).loop(),))
