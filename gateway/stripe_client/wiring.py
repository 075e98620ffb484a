"""Opening and closing the Stripe client of a process."""

import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.part import Part
from gateway.stripe_client.breaker import EndpointBreaker
from gateway.stripe_client.breaker_group import BreakerGroup
from gateway.stripe_client.call import CallObserver, CorridorMode, RetryPolicy
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridor_client import CorridorClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.modes import ModeBoard
from gateway.stripe_client.service import CorridorServicer, Inbox
from gateway.stripe_client.store import BREAKER_CHANNEL, BreakerStore, CorridorStore
from gateway.v1 import corridor_service_pb2, corridor_service_pb2_grpc
from runtime.clock import Clock
from runtime.idempotency import RequestIds
from runtime.server import registered

DEFAULT_MACHINE_GROUP = "default"
REPLICA_BYTES = 3
# Called whenever a corridor may have become usable or unusable, by its name.
CorridorChange = Callable[[str], None]


def replica_name() -> str:
    """What this process is called among the replicas; fresh for each start."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(REPLICA_BYTES)}"


@dataclass(frozen=True, kw_only=True)
class OpenStripeClient(Part):
    """The Stripe client of a process; its loops have to run beside it."""

    client: StripeClient
    calls: StripeCalls
    modes: ModeBoard
    breakers: BreakerGroup


@asynccontextmanager
async def open_stripe_client(
    corridors: Sequence[Corridor],
    engine: AsyncEngine,
    *,
    machine_group: str = DEFAULT_MACHINE_GROUP,
    in_group: bool = True,
    on_change: CorridorChange | None = None,
    retry: RetryPolicy | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    observer: CallObserver | None = None,
) -> AsyncIterator[OpenStripeClient]:
    """Opens a client for each corridor, reads their modes and breakers; the first corridor is the
    default. Without `in_group` its breakers and modes are its own: for a command that only reads,
    which asks Stripe although others have found it failing or operators have closed a corridor.
    `observer` is told of each request."""

    def breaker_changed(corridor: str, breaker: EndpointBreaker, old: str, new: str) -> None:
        breakers.changed(corridor, breaker, old, new)
        if on_change is not None:
            on_change(corridor)

    def mode_changed(corridor: str, _mode: CorridorMode) -> None:
        if on_change is not None:
            on_change(corridor)

    breakers = BreakerGroup(BreakerStore(engine, machine_group), replica_name())
    modes = ModeBoard(CorridorStore(engine), mode_changed)
    if in_group:
        await modes.refresh()
    async with AsyncExitStack() as stack:
        clients: dict[str, CorridorClient] = {}
        for corridor in corridors:
            corridor_client = CorridorClient(corridor, monotonic, breaker_changed)
            stack.push_async_callback(corridor_client.close)
            corridor_client.in_group = in_group
            clients[corridor.name] = corridor_client
        if in_group:
            breakers.watch(clients)
            await breakers.refresh()
        calls = StripeCalls(
            clients,
            corridors[0].name,
            modes,
            retry=retry,
            monotonic=monotonic,
            observer=observer,
        )
        yield OpenStripeClient(
            client=StripeClient(calls),
            calls=calls,
            modes=modes,
            breakers=breakers,
            loops=(modes.loop(), breakers.loop()),
            notifiers={BREAKER_CHANNEL: breakers.notifier},
        )


def open_corridors(
    engine: AsyncEngine,
    stripe: OpenStripeClient,
    inbox: Inbox,
    request_ids: RequestIds,
    clock: Clock,
) -> Part:
    """What operators see and set of the corridors."""
    servicer = CorridorServicer(engine, stripe.calls, stripe.modes, inbox, request_ids, clock)
    return Part(services=(registered(corridor_service_pb2, corridor_service_pb2_grpc, servicer),))
