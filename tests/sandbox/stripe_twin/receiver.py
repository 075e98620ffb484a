"""A webhook endpoint that verifies with the SDK and remembers what came."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stripe
from aiohttp import web


class Receiver:
    """Answers 200 unless `answers` holds other statuses, which it uses up first."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.events: list[stripe.Event] = []
        self.refused: list[str] = []
        self.forged = 0
        self.answers: deque[int] = deque()
        self.url = ""
        self._arrived = asyncio.Condition()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Takes one webhook."""
        payload = await request.read()
        signature = request.headers.get("Stripe-Signature", "")
        try:
            event = stripe.Webhook.construct_event(payload, signature, self.secret)
        except stripe.SignatureVerificationError:
            self.forged += 1
            return web.Response(status=400)
        status = self.answers.popleft() if self.answers else 200
        if status == 200:
            self.events.append(event)
        else:
            self.refused.append(event.id)
        async with self._arrived:
            self._arrived.notify_all()
        return web.Response(status=status)

    async def until(self, count: int) -> list[str]:
        """The types of the accepted events, once there are `count`."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: len(self.events) >= count)
        return [event.type for event in self.events]


@asynccontextmanager
async def open_receiver(secret: str) -> AsyncIterator[Receiver]:
    """A receiver on a free port of the loopback interface."""
    receiver = Receiver(secret)
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/webhooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()
