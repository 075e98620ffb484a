"""What a gateway with a broker in front of its inbox runs for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config import GatewaySettings
from gateway.errors import ERRORS
from gateway.parts import DATABASE_ROLE, Parts
from gateway.validation import VALIDATOR
from gateway.webhooks_in.broker_relay import BrokerRelay
from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.buffer import BrokerBuffer
from gateway.webhooks_in.receiver import WebhookReceiver
from runtime.clock import Clock
from runtime.postgres import close_engine, create_engine
from runtime.server import RpcServer


@asynccontextmanager
async def carrying(parts: Parts) -> AsyncIterator[None]:
    """The relay of a process with the role worker; on exit it finishes the batch in hand."""
    if parts.broker is None:
        yield
        return
    # A connection of its own, because it keeps it.
    engine = create_engine(
        parts.url, role=DATABASE_ROLE, pool_size=1, application_name="gateway relay"
    )
    relay = BrokerRelay(parts.broker, parts.inbox, engine)
    stop = asyncio.Event()
    work = asyncio.create_task(relay.run(stop), name="webhook relay")
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(work, parts.settings.drain_seconds)
        await close_engine(engine)


@asynccontextmanager
async def open_intake(
    settings: GatewaySettings, broker: Broker, clock: Clock
) -> AsyncIterator[RpcServer]:
    """A process that takes webhooks in and does nothing else: it needs the broker alone.

    It has no gRPC service but health and reflection, and starts and works without a database.
    """
    buffer = BrokerBuffer(broker, clock)
    server = RpcServer(
        settings,
        services=[],
        errors=ERRORS,
        validator=VALIDATOR,
        dependencies={"webhook_buffer": buffer.check},
        http_routes=WebhookReceiver(settings.corridors, buffer, clock).routes(),
    )
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        await buffer.close()
