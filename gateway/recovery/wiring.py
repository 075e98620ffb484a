"""The guard of a process against a database that has lost something, and the end of holds that
nobody knows after it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.identity import RequestIdentity
from gateway.part import Part
from gateway.payments.domain.reconcile import Timing
from gateway.recovery.guard import RestoreGuard
from gateway.recovery.holds import HoldCheck
from gateway.stripe_client.client import StripeClient
from runtime.clock import Clock
from runtime.durability_watch import DurabilityWatch


@dataclass(frozen=True, kw_only=True)
class OpenGuard(Part):
    """The guard, which has looked once."""

    guard: RestoreGuard


async def open_guard(
    engine: AsyncEngine,
    stripe_client: StripeClient,
    identity: RequestIdentity,
    clock: Clock,
    durability: DurabilityWatch,
) -> OpenGuard:
    """Looks before anything is begun."""
    guard = RestoreGuard(engine, stripe_client, identity, clock, durability)
    await guard.prepare()
    return OpenGuard(guard=guard, loops=(guard.loop(),))


def open_hold_check(
    engine: AsyncEngine,
    stripe_client: StripeClient,
    ledger: LedgerLog,
    guard: RestoreGuard,
    clock: Clock,
    timing: Timing,
) -> Part:
    """Compares the ledger's open holds with what was reported."""
    check = HoldCheck(engine, stripe_client, ledger, guard, clock, timing)
    return Part(leader_tasks=(check.loop(),))
