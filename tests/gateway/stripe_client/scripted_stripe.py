"""An HTTP server that answers as a test says, for faults that a well-behaved server cannot show."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HANG = "hang"
RESET = "reset"
RESET_IN_BODY = "reset in body"
ENDLESS = "endless"


@dataclass
class Answer:
    """One answer; `body` is JSON, raw text, or one of the ways above not to answer."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"id": "pi_1", "object": "payment_intent"})
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str


class ScriptedStripe:
    """Gives the answers of its script in turn, then the last one for ever."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.seen: list[Seen] = []
        self.url = ""
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()

    def will(self, *answers: Answer) -> None:
        """Sets the script and forgets what was seen."""
        self.script = deque(answers)
        self.seen = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                (await request.read()).decode(),
            )
        )
        self.arrived.set()
        answer = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if answer.body == HANG:
            await self.release.wait()
        if answer.body == RESET:
            assert request.transport is not None
            request.transport.abort()
        if answer.body in (RESET_IN_BODY, ENDLESS):
            return await self._break_off(request, endless=answer.body == ENDLESS)
        if isinstance(answer.body, str):
            return web.Response(text=answer.body, status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    async def _break_off(self, request: web.BaseRequest, *, endless: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={} if endless else {"Content-Length": "1000"})
        await response.prepare(request)
        if endless:
            for _ in range(18):
                await response.write(b"x" * 1024 * 1024)
            return response
        await response.write(b'{"id": ')
        assert request.transport is not None
        request.transport.abort()
        return response


@asynccontextmanager
async def running_scripted_stripe() -> AsyncIterator[ScriptedStripe]:
    """The server on a free port of the loopback interface."""
    scripted = ScriptedStripe()
    runner = web.ServerRunner(
        web.Server(scripted.handle), handle_signals=False, shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    scripted.url = f"http://{host}:{port}"
    try:
        yield scripted
    finally:
        scripted.release.set()
        await runner.cleanup()


def error(status: int, headers: Mapping[str, str] | None = None, **values: Any) -> Answer:
    """An error of Stripe's API."""
    return Answer(status, {"error": values}, {"Request-Id": "req_1", **(headers or {})})
