"""The gateway as it runs, against the Stripe twin; nobody is behind it but the database."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.__main__ import open_service
from gateway.config import GatewaySettings
from gateway.limits import LIMITS, Limits
from gateway.v1 import (
    corridor_service_pb2_grpc,
    customer_service_pb2_grpc,
    merchant_service_pb2_grpc,
)
from runtime.clock import Clock
from runtime.errors import ReceivedError, from_rpc_error
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import Shop

OpenShop = Callable[..., AbstractAsyncContextManager[Shop]]
# Nobody listens there: the books wait, payments do not.
NOWHERE = "127.0.0.1:1"


class OpenGate:
    """The gate of a database that has lost nothing."""

    closed = False

    def check(self) -> None:
        """Lets everything begin."""

    async def is_whole(self, _connection: AsyncConnection, _corridor: str) -> bool:
        """It is."""
        return True

    def is_ours(self, _carrier: Mapping[str, Any]) -> bool:
        """Nothing at Stripe is."""
        return False

    async def lost(self, reason: str, _made: datetime | None = None) -> None:
        """Nothing may be."""
        raise AssertionError(reason)

    async def write_lost(
        self, _connection: AsyncConnection, reason: str, _made: datetime | None = None
    ) -> None:
        """Nothing may be."""
        raise AssertionError(reason)


@dataclass
class RunningGateway:
    """Stubs of the services, and where the HTTP server listens."""

    merchants: Any
    corridors: Any
    customers: Any
    channel: grpc.aio.Channel
    http_port: int
    address: str = ""


@asynccontextmanager
async def running_gateway(
    database_url: str,
    twin: Twin,
    clock: Clock | None = None,
    *,
    webhooks: bool = True,
    limits: Limits = LIMITS,
    **changes: Any,
) -> AsyncIterator[RunningGateway]:
    """A gateway on a database, to which the twin sends its webhooks unless told otherwise."""
    account = twin.account()
    settings = GatewaySettings(
        **{
            "listen_address": "127.0.0.1:0",
            "http_address": "127.0.0.1:0",
            "database_url": SecretStr(database_url),
            "ledger_address": NOWHERE,
            "compliance_address": NOWHERE,
            # A machine that stands still for a while is no answer that is missing.
            "compliance_timeout_seconds": 30.0,
            "database_connect_seconds": 20,
            "database_stall_seconds": 10.0,
            "stripe_api_key": SecretStr(account.secret_key),
            "stripe_api_base": twin.url,
            "stripe_webhook_secrets": SecretStr(account.webhook_secret),
            "drain_seconds": 1.0,
            **changes,
        }
    )
    async with open_service(settings, clock, limits) as server:
        url = f"http://127.0.0.1:{server.http_port}/webhooks/stripe/default"
        if webhooks:
            twin.register_webhook(url)
            twin.register_webhook(url, connect=True)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield RunningGateway(
                merchant_service_pb2_grpc.MerchantServiceStub(channel),
                corridor_service_pb2_grpc.CorridorServiceStub(channel),
                customer_service_pb2_grpc.CustomerServiceStub(channel),
                channel,
                server.http_port,
                f"127.0.0.1:{server.port}",
            )


async def refusal_of(call: Any) -> ReceivedError:
    """What a call that must fail failed with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError("the call succeeded")
