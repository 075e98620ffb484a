"""The small HTTP server beside each gRPC server: `/healthz`, `/metrics`, a service's own routes."""

from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.config import split_address
from runtime.health import HealthMonitor

MAX_BODY_BYTES = 1024 * 1024
SHUTDOWN_SECONDS = 5.0


class OperationsServer:
    """Serves operators and Prometheus; the gateway adds its webhook routes."""

    def __init__(
        self, address: str, health: HealthMonitor, routes: Iterable[web.AbstractRouteDef]
    ) -> None:
        self._host, self._port = split_address(address)
        self._health = health
        application = web.Application(client_max_size=MAX_BODY_BYTES)
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
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        addresses = self._runner.addresses
        self._port = int(addresses[0][1])

    async def stop(self) -> None:
        """Finishes what is in flight and closes."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        down = dict(self._health.down)
        return web.json_response({"serving": not down, "down": down}, status=503 if down else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
