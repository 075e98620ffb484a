"""The small HTTP server beside each gRPC server: `/healthz`, `/metrics`, a service's own routes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.addresses import split_address
from runtime.health import HealthMonitor
from runtime.http_connections import ConnectionGuard, ConnectionPolicy
from runtime.logs import get_logger, place_of

MAX_BODY_BYTES = 1024 * 1024
SHUTDOWN_SECONDS = 5.0
# aiohttp logs each request that is hardly HTTP, and quotes it: anyone could fill the log with it.
_QUIET = logging.getLogger(f"{__name__}.aiohttp")
_QUIET.setLevel(logging.CRITICAL)

log = get_logger(__name__)


class OperationsServer:
    """Serves operators and Prometheus; the gateway adds its webhook routes."""

    def __init__(
        self,
        address: str,
        health: HealthMonitor,
        routes: Iterable[web.AbstractRouteDef],
        connections: ConnectionPolicy | None = None,
    ) -> None:
        self._host, self._port = split_address(address)
        self._health = health
        self._guard = ConnectionGuard(
            connections or ConnectionPolicy(),
            access_log=None,
            # Bodies come to the handlers as they were sent and signed.
            auto_decompress=False,
            logger=_QUIET,
        )
        self._listener: asyncio.Server | None = None
        application = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[self._tell_guard, _log_failures]
        )
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/metrics", self._metrics)
        application.add_routes(routes)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )

    @property
    def port(self) -> int:
        """The port bound, once started."""
        return self._port

    async def start(self) -> None:
        """Binds and serves. Raises `OSError` for a taken port."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None, "it is set up"
        self._listener = await self._guard.listen(server, self._host, self._port)
        self._port = int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Finishes what is in flight and closes."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    @web.middleware
    async def _tell_guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._guard.request_begun(request)
        return await handler(request)

    async def _healthz(self, _request: web.Request) -> web.Response:
        down = dict(self._health.down)
        told = {"serving": not down, "down": down, **self._health.details}
        return web.json_response(told, status=503 if down else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def _log_failures(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A handler that fails is a fault of ours: logged by its place, answered without a word."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 (whatever it is, the caller is answered)
        log.error("http_request_failed", path=request.path, **place_of(error))
        return web.Response(status=500)
