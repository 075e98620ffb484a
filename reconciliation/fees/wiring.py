"""Fees: the loop that compares them."""

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.fees.checking import FeeChecks
from reconciliation.part import Part
from runtime.clock import Clock


def open_fees(settings: ReconciliationSettings, engine: AsyncEngine, clock: Clock) -> Part:
    """Compares with the ledger always, and with a schedule where one is stated."""
    conditions = Conditions(settings.policy, clock)
    return Part(loops=[FeeChecks(engine, settings.fee_schedule, conditions, clock).loop()])
