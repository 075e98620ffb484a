"""A client's HTTP server that takes webhooks and can tell whether they are signed."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.polling import poll

Answer = Callable[["Received"], int]


@dataclass(frozen=True)
class Received:
    """One request that came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def sequence(self) -> int:
        return int(self.data["data"]["sequence"])

    @property
    def payment_id(self) -> str:
        return str(self.data["data"]["payment"]["id"])

    @property
    def revision(self) -> int:
        return int(self.data["data"]["payment"]["revision"])

    def verified_with(self, secret: str) -> bool:
        """Whether one of the signatures is right, by the words of the specification alone."""
        content = b".".join(
            [
                self.headers["webhook-id"].encode(),
                self.headers["webhook-timestamp"].encode(),
                self.body,
            ]
        )
        key = base64.b64decode(secret.split("_", 1)[1])
        expected = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """An HTTP server that answers as it is told; 204 unless told otherwise."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Answer = lambda _received: 204
    # While set, requests hang.
    open: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Receiver"]:
        """On a port of its own. In the end it answers what still hangs."""
        receiver = cls()
        receiver.open.set()
        application = web.Application()
        application.router.add_post("/hook", receiver.take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield receiver
        finally:
            receiver.open.set()
            await runner.cleanup()

    async def take(self, request: web.Request) -> web.Response:
        received = Received(
            {name.lower(): value for name, value in request.headers.items()}, await request.read()
        )
        self.received.append(received)
        await self.open.wait()
        status = self.answer(received)
        return web.Response(status=status, headers={"location": self.url, "retry-after": "7"})

    async def until(self, condition: Callable[[list[Received]], bool]) -> list[Received]:
        async def read() -> list[Received]:
            return list(self.received)

        return await poll(read, condition)
