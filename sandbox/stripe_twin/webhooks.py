"""Sends signed webhooks: https://docs.stripe.com/webhooks. At least once, in no promised order."""

import asyncio
import hmac
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

import aiohttp

from sandbox.stripe_twin.clock import TwinClock
from sandbox.stripe_twin.events import Event, ThinEvent, subscribes, thin_counterpart, thin_kind
from sandbox.stripe_twin.faults import Forgery, WebhookFaultKind, WebhookFaults
from sandbox.stripe_twin.settings import TwinSettings

# Far outside of any tolerance for the age of a signature.
STALE_SECONDS = 24 * 60 * 60


def sign(payload: str, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header: https://docs.stripe.com/webhooks#verify-manually."""
    mac = hmac.new(secret.encode(), f"{timestamp}.{payload}".encode(), sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


def forge(payload: str, secret: str, timestamp: int, forgery: Forgery) -> tuple[str, str | None]:
    """The body and the header of a webhook that must be refused."""
    match forgery:
        case Forgery.WRONG_SECRET:
            return payload, sign(payload, f"{secret}x", timestamp)
        case Forgery.EMPTY_SECRET:
            return payload, sign(payload, "", timestamp)
        case Forgery.NO_SIGNATURE:
            return payload, None
        case Forgery.TAMPERED:
            changed = payload.replace('"livemode": false', '"livemode": true')
            return changed, sign(payload, secret, timestamp)
        case Forgery.OLD:
            return payload, sign(payload, secret, timestamp - STALE_SECONDS)
        case Forgery.FUTURE:
            return payload, sign(payload, secret, timestamp + STALE_SECONDS)


USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
MAX_ATTEMPTS_KEPT = 50_000

AnyEvent = Event | ThinEvent


@dataclass(slots=True)
class Delivery:
    """One webhook on its way to one endpoint; a forged one only looks like the event."""

    event: AnyEvent
    attempt: int = 1
    forgery: Forgery | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one delivery. `status` is None where no answer came.

    A forged one has an `event_id` that no event has.
    """

    event_id: str
    event_type: str
    endpoint_id: str
    attempt: int
    status: int | None
    forgery: Forgery | None = None


@dataclass(slots=True)
class Endpoint:
    """A registered URL. `own` receives the account's events, `connect` its connected accounts'.

    `thin` gets notifications (v2) instead of snapshots. `names` are those by which a fault may
    mean the account.
    """

    endpoint_id: str
    account_id: str
    url: str
    secret: str
    enabled_events: list[str]
    own: bool = True
    connect: bool = False
    thin: bool = False
    names: tuple[str, ...] = ()
    enabled: bool = True
    queue: deque[Delivery] = field(default_factory=deque)
    active: int = 0


class WebhookSender:
    """Queues, sends, retries. Paused, it keeps what it gets until it is resumed."""

    def __init__(self, clock: TwinClock, settings: TwinSettings, seed: int | None = None) -> None:
        self.faults = WebhookFaults(seed)
        self.attempts: deque[Attempt] = deque(maxlen=MAX_ATTEMPTS_KEPT)
        self._clock = clock
        self._settings = settings
        self._endpoints: dict[str, Endpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, list[tuple[Endpoint, Delivery]]] = {}
        self._paused = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._session: aiohttp.ClientSession | None = None

    def register(self, endpoint: Endpoint) -> None:
        """Adds an endpoint; it gets the events from now on."""
        self._endpoints[endpoint.endpoint_id] = endpoint

    def find(self, endpoint_id: str) -> Endpoint | None:
        """A registered endpoint."""
        return self._endpoints.get(endpoint_id)

    def remove(self, endpoint_id: str) -> None:
        """Removes an endpoint and what waits for it."""
        endpoint = self._endpoints.pop(endpoint_id, None)
        if endpoint is not None:
            endpoint.enabled = False
            endpoint.queue.clear()
            self._update_idle()

    def publish(
        self, event: AnyEvent, account_id: str, platform_id: str, lag_seconds: float = 0.0
    ) -> None:
        """Sends an event of `account_id`, so much later; a connected account's also goes to its
        platform."""
        receivers = [
            endpoint
            for endpoint in self._endpoints.values()
            if endpoint.enabled
            and _concerns(endpoint, account_id, platform_id)
            and _subscribed(endpoint, event)
        ]
        event.undelivered.update(endpoint.endpoint_id for endpoint in receivers)
        for endpoint in receivers:
            if lag_seconds:
                self._clock.after(lag_seconds, partial(self._admit, endpoint, Delivery(event)))
            else:
                self._admit(endpoint, Delivery(event))

    def send_to(self, endpoint_id: str, event: AnyEvent) -> None:
        """Sends an event to one endpoint, whatever it is subscribed to."""
        endpoint = self._endpoints[endpoint_id]
        event.undelivered.add(endpoint_id)
        self._admit(endpoint, Delivery(event))

    def resend(self, event: AnyEvent) -> int:
        """Sends an event once more to all endpoints that did not acknowledge it."""
        receivers = [
            self._endpoints[endpoint_id]
            for endpoint_id in sorted(event.undelivered)
            if endpoint_id in self._endpoints
        ]
        for endpoint in receivers:
            self._enqueue(endpoint, Delivery(event))
        return len(receivers)

    def pause(self) -> None:
        """Keeps webhooks in their queues."""
        self._paused = True

    def resume(self) -> None:
        """Sends what was kept, in order."""
        self._paused = False
        for endpoint in self._endpoints.values():
            self._pump(endpoint)

    def release_held(self) -> None:
        """Sends what `reorder` rules still collect, newest first."""
        for fault_id in list(self._held):
            self._release(fault_id)

    async def drained(self) -> None:
        """Waits until nothing is queued or being sent; retries that are due later do not count."""
        await self._idle.wait()

    async def close(self) -> None:
        """Stops sending."""
        self._paused = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _admit(self, endpoint: Endpoint, delivery: Delivery) -> None:
        active = self.faults.choose(delivery.event.kind, endpoint.names)
        if active is None:
            self._enqueue(endpoint, delivery)
            return
        match active.fault.kind:
            case WebhookFaultKind.DROP:
                return
            case WebhookFaultKind.DUPLICATE:
                for _ in range(active.fault.copies):
                    self._enqueue(endpoint, Delivery(delivery.event))
            case WebhookFaultKind.DELAY:
                self._clock.after(active.fault.seconds, lambda: self._enqueue(endpoint, delivery))
            case WebhookFaultKind.REORDER:
                held = self._held.setdefault(active.fault_id, [])
                held.append((endpoint, delivery))
                if len(held) >= active.fault.window:
                    self._release(active.fault_id)
            case WebhookFaultKind.FORGE:
                self._enqueue(endpoint, Delivery(delivery.event, forgery=active.fault.forgery))
                self._enqueue(endpoint, delivery)

    def _release(self, fault_id: str) -> None:
        for endpoint, delivery in reversed(self._held.pop(fault_id)):
            self._enqueue(endpoint, delivery)

    def _enqueue(self, endpoint: Endpoint, delivery: Delivery) -> None:
        if not endpoint.enabled:
            return
        endpoint.queue.append(delivery)
        self._idle.clear()
        self._pump(endpoint)

    def _pump(self, endpoint: Endpoint) -> None:
        if self._paused:
            return
        free = self._settings.webhook_concurrency - endpoint.active
        for _ in range(min(len(endpoint.queue), free)):
            endpoint.active += 1
            task = asyncio.get_running_loop().create_task(self._work(endpoint))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, endpoint: Endpoint) -> None:
        try:
            while endpoint.queue and not self._paused:
                await self._send(endpoint, endpoint.queue.popleft())
        finally:
            endpoint.active -= 1
            self._update_idle()

    async def _send(self, endpoint: Endpoint, delivery: Delivery) -> None:
        event = delivery.event
        if endpoint.thin and isinstance(event, Event):
            event = thin_counterpart(event)
        timestamp = int(self._clock.base_time() + self._settings.signature_skew_seconds)
        payload = event.render()
        event_id = event.event_id
        if delivery.forgery is None:
            signature: str | None = sign(payload, endpoint.secret, timestamp)
        else:
            event_id = f"evt_forged{event_id[10:]}"
            payload = payload.replace(event.event_id, event_id, 1)
            payload, signature = forge(payload, endpoint.secret, timestamp, delivery.forgery)
        status = await self._post(endpoint.url, payload, signature)
        self.attempts.append(
            Attempt(
                event_id,
                event.kind,
                endpoint.endpoint_id,
                delivery.attempt,
                status,
                delivery.forgery,
            )
        )
        if delivery.forgery is not None:
            return
        if status is not None and 200 <= status < 300:
            event.undelivered.discard(endpoint.endpoint_id)
            return
        delays = self._settings.webhook_retry_seconds
        if delivery.attempt <= len(delays):
            retry = Delivery(delivery.event, delivery.attempt + 1)
            self._clock.after(delays[delivery.attempt - 1], lambda: self._enqueue(endpoint, retry))

    async def _post(self, url: str, payload: str, signature: str | None) -> int | None:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
        }
        if signature is not None:
            headers["Stripe-Signature"] = signature
        timeout = aiohttp.ClientTimeout(total=self._settings.webhook_timeout_seconds)
        try:
            async with self._session.post(
                url,
                data=payload.encode(),
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            # An endpoint that is down is what retries are for.
            return None

    def _update_idle(self) -> None:
        busy = any(endpoint.queue or endpoint.active for endpoint in self._endpoints.values())
        if not busy:
            self._idle.set()


def _concerns(endpoint: Endpoint, account_id: str, platform_id: str) -> bool:
    if endpoint.account_id == account_id:
        return endpoint.own
    return endpoint.connect and endpoint.account_id == platform_id


def _subscribed(endpoint: Endpoint, event: AnyEvent) -> bool:
    if isinstance(event, Event):
        kind = thin_kind(event.kind) if endpoint.thin else event.kind
        return subscribes(kind, endpoint.enabled_events)
    return endpoint.thin and subscribes(event.kind, endpoint.enabled_events)
