"""The twin as one thing: what a test controls, and the server that the SDK talks to."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from runtime.clock import Clock
from sandbox.stripe_twin.admin import ADMIN_ROUTES, AdminApi
from sandbox.stripe_twin.bank_admin import BANK_ROUTES
from sandbox.stripe_twin.calls import Router
from sandbox.stripe_twin.controls import TwinControls
from sandbox.stripe_twin.external_actors import ACTOR_ROUTES
from sandbox.stripe_twin.file_links import PATH, linked
from sandbox.stripe_twin.pipeline import Pipeline
from sandbox.stripe_twin.report_admin import REPORT_ROUTES
from sandbox.stripe_twin.routes import ROUTES
from sandbox.stripe_twin.settings import TwinSettings

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 12111
SHUTDOWN_SECONDS = 2.0
LISTEN_BACKLOG = 1_024
# Above the largest file that Stripe takes, so that it is the twin which refuses one.
MAX_BODY_BYTES = 72 * 1024 * 1024


class Twin(TwinControls):
    """A Stripe that runs in this process."""

    def __init__(
        self,
        settings: TwinSettings | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(settings, clock, seed)
        self._pipeline = Pipeline(self.state, self.faults, self.requests, Router(ROUTES), seed)
        self._admin = AdminApi(self, ADMIN_ROUTES | ACTOR_ROUTES | BANK_ROUTES | REPORT_ROUTES)
        self._runner: web.ServerRunner | None = None
        self._timer: asyncio.Task[None] | None = None
        self._site: web.SockSite | None = None
        self._host = LOOPBACK
        self.port = 0

    @property
    def url(self) -> str:
        """The base address to give to the SDK."""
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self, port: int = 0, host: str = LOOPBACK) -> None:
        """Listens; port 0 takes a free one.

        The admin API has no authentication: another host than loopback is for a container whose
        port is published on loopback only.
        """
        self._host = host
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, request_factory=_request),
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        self.port = port
        await self.start_listening()
        self._timer = asyncio.get_running_loop().create_task(self.clock.run())

    async def stop(self) -> None:
        """Ends everything that the twin started; requests that hang are let go."""
        self.faults.set_outage("off")
        self.faults.clear()
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer
        await self.webhooks.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def start_listening(self) -> None:
        """Accepts connections, again on the same port after `stop_listening`."""
        if self._runner is None:
            raise RuntimeError("the twin is not started")
        listener = socket.create_server((self._host, self.port), backlog=LISTEN_BACKLOG)
        self.port = listener.getsockname()[1]
        self.state.shared.public_url = self.url
        self._site = web.SockSite(self._runner, listener)
        await self._site.start()

    async def stop_listening(self) -> None:
        """Refuses new connections, as when Stripe cannot be reached at all."""
        if self._site is None:
            raise RuntimeError("the twin does not listen")
        await self._site.stop()
        self._site = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/_twin"):
            return await self._admin.handle(request)
        if request.path.startswith(PATH):
            # A link is for whoever has it: no key, no idempotency, no faults of the API.
            return self._linked(request.path)
        return await self._pipeline.handle(request)

    def _linked(self, path: str) -> web.Response:
        self.clock.run_due()
        found = linked(self.state, path)
        if found is None:
            return web.Response(status=404, text="This link has expired.")
        return web.Response(body=found.body, content_type=found.content_type)


def _request(
    message: Any, payload: Any, protocol: Any, writer: Any, task: "asyncio.Task[None]"
) -> web.BaseRequest:
    """A request as the server makes it, with a body as large as files are."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES
    )


@asynccontextmanager
async def running_twin(
    *,
    port: int = 0,
    host: str = LOOPBACK,
    settings: TwinSettings | None = None,
    clock: Clock | None = None,
    seed: int | None = None,
) -> AsyncIterator[Twin]:
    """A started twin, stopped on exit. `clock` is what its time is based on."""
    twin = Twin(settings, clock, seed)
    await twin.start(port, host)
    try:
        yield twin
    finally:
        await twin.stop()
