"""The guard of a process against a database that has lost something."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.identity import RequestIdentity
from gateway.part import Part
from gateway.recovery.guard import RestoreGuard
from gateway.stripe_client.client import StripeClient
from runtime.clock import Clock


@dataclass(frozen=True, kw_only=True)
class OpenGuard(Part):
    """The guard, which has looked once."""

    guard: RestoreGuard


async def open_guard(
    engine: AsyncEngine, stripe_client: StripeClient, identity: RequestIdentity, clock: Clock
) -> OpenGuard:
    """Looks before anything is begun."""
    guard = RestoreGuard(engine, stripe_client, identity, clock)
    await guard.prepare()
    return OpenGuard(guard=guard, loops=(guard.loop(),))
