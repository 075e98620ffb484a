"""Liquidity: what is asked for, and what operators see."""

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.bank.accounts import BankAccounts
from reconciliation.liquidity.gauges import LiquidityGauges
from reconciliation.liquidity.service import LiquidityServicer
from reconciliation.part import Part
from reconciliation.v1 import liquidity_service_pb2, liquidity_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered


def open_liquidity(engine: AsyncEngine, accounts: BankAccounts, clock: Clock) -> Part:
    """There is nothing to close."""
    servicer = LiquidityServicer(engine, accounts, clock)
    served = liquidity_service_pb2, liquidity_service_pb2_grpc, servicer
    gauges = LiquidityGauges(engine, accounts, clock)
    return Part(services=(registered(*served),), loops=(gauges.loop(),))
