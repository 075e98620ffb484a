"""Who may hold a connection to an HTTP port, how many, and for how long.

The port is open to the internet, and a connection costs its opener nothing: of those who open many
and say little, each is closed in time, and when there are too many the one that has been silent for
the longest makes room for the newcomer. So whoever sends its request at once is served, however
many others hold the line.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from aiohttp import web
from prometheus_client import Counter, Gauge

from runtime import descriptors

# From the opening, or from the first byte of a further request, until its head has come.
HEAD_SECONDS = 5.0
# From the head until the answer has been taken: what comes after is closed, whoever is slow.
REQUEST_SECONDS = 30.0
# Between two requests. Longer than proxies keep theirs, which is 60 seconds mostly.
IDLE_SECONDS = 75.0
# The rest of a body that was answered before it had come is read for so long.
LINGERING_SECONDS = 2.0
# Whoever has one IPv6 address has as many as such a network has.
IPV6_PREFIX = 64
MAX_BACKLOG = 128
# Of the descriptors of the process; the others are for databases, Stripe and callers over gRPC.
DESCRIPTORS_SHARE = 4

OPEN = Gauge("http_connections", "Connections to the HTTP port that are open.")
CLOSED = Counter(
    "http_connections_closed_total", "Connections that were closed from here, by why.", ["reason"]
)
# There before the first: an increase from nothing is none.
for _reason in (
    "head_too_slow",
    "request_too_slow",
    "idle_too_slow",
    "too_many",
    "too_many_of_address",
):
    CLOSED.labels(_reason)


@dataclass(frozen=True, kw_only=True)
class ConnectionPolicy:
    """The limits of one port."""

    max_connections: int = 512
    max_per_address: int = 256
    head_seconds: float = HEAD_SECONDS
    request_seconds: float = REQUEST_SECONDS
    idle_seconds: float = IDLE_SECONDS

    def within(self, descriptor_limit: int) -> "ConnectionPolicy":
        """The same with no more connections than a process with so many descriptors can bear."""
        most = max(1, min(self.max_connections, descriptor_limit // DESCRIPTORS_SHARE))
        return ConnectionPolicy(
            max_connections=most,
            max_per_address=min(self.max_per_address, most),
            head_seconds=self.head_seconds,
            request_seconds=self.request_seconds,
            idle_seconds=self.idle_seconds,
        )


class GuardedConnection(web.RequestHandler):
    """One connection; the guard hears of what happens to it."""

    # aiohttp's has slots, and no dict to put more in.
    __slots__ = ("_guard", "address", "phase", "timer")

    def __init__(self, guard: "ConnectionGuard", server: web.Server, **given: Any):
        super().__init__(server, loop=asyncio.get_running_loop(), **given)
        self._guard = guard
        self.address = ""
        self.phase = "head"
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._guard.opened(self, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._guard.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.phase == "idle":
            self._guard.head_begun(self)
        super().data_received(data)

    async def finish_response(self, *given: Any) -> tuple[web.StreamResponse, bool]:
        """Sends the answer; aiohttp calls it for errors of its own, too."""
        try:
            return await super().finish_response(*given)
        finally:
            self._guard.answered(self)

    def cut(self) -> None:
        """Closes at once, whatever is not sent yet."""
        if self.transport is not None:
            self.transport.abort()


class ConnectionGuard:
    """Counts and times the connections of one port."""

    def __init__(self, policy: ConnectionPolicy, **handler_options: Any) -> None:
        """`handler_options` go to each `web.RequestHandler`."""
        self._policy = policy
        self._options = handler_options
        self._open: set[GuardedConnection] = set()
        self._by_address: Tally[str] = Tally()
        # Those that no request is being answered on, the longest silent first.
        self._silent: dict[GuardedConnection, None] = {}

    async def listen(self, server: web.Server, host: str, port: int) -> asyncio.Server:
        """Binds. Raises `OSError` for a taken port."""

        def connect() -> GuardedConnection:
            return GuardedConnection(
                self, server, lingering_time=LINGERING_SECONDS, **self._options
            )

        # Those not accepted yet take no descriptor, but are accepted all at once.
        backlog = min(MAX_BACKLOG, self.policy.max_connections)
        loop = asyncio.get_running_loop()
        return await loop.create_server(connect, host, port, backlog=backlog)

    @property
    def policy(self) -> ConnectionPolicy:
        """What holds now: the limit of descriptors may be changed while the process runs."""
        return self._policy.within(descriptors.soft_limit())

    def request_begun(self, request: web.Request) -> None:
        """The head of a request has come."""
        connection = request.protocol
        if isinstance(connection, GuardedConnection) and connection in self._open:
            self._silent.pop(connection, None)
            self._enter(connection, "request", self._policy.request_seconds)

    def opened(self, connection: GuardedConnection, transport: asyncio.BaseTransport) -> None:
        """Takes a connection in; another one, or this one, goes if there are too many."""
        connection.address = _opener(transport.get_extra_info("peername"))
        self._open.add(connection)
        self._by_address[connection.address] += 1
        OPEN.inc()
        policy = self.policy
        if self._by_address[connection.address] > policy.max_per_address:
            self._make_room("too_many_of_address", connection, lambda other: other.address)
        elif len(self._open) > policy.max_connections:
            self._make_room("too_many", connection, lambda _other: "")
        if connection in self._open:
            self._silent[connection] = None
            self._enter(connection, "head", self._policy.head_seconds)

    def lost(self, connection: GuardedConnection) -> None:
        """A connection has ended."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._silent.pop(connection, None)
        if connection.timer is not None:
            connection.timer.cancel()
            connection.timer = None
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        OPEN.dec()

    def head_begun(self, connection: GuardedConnection) -> None:
        """The first bytes of a further request have come."""
        if connection in self._open:
            self._enter(connection, "head", self._policy.head_seconds)

    def answered(self, connection: GuardedConnection) -> None:
        """An answer has gone out."""
        if connection in self._open:
            self._silent[connection] = None
            self._enter(connection, "idle", self._policy.idle_seconds)

    def _enter(self, connection: GuardedConnection, phase: str, seconds: float) -> None:
        if connection.timer is not None:
            connection.timer.cancel()
        connection.phase = phase
        loop = asyncio.get_running_loop()
        connection.timer = loop.call_later(seconds, self._close, connection, f"{phase}_too_slow")

    def _make_room(
        self, reason: str, newcomer: GuardedConnection, kind: Callable[[GuardedConnection], str]
    ) -> None:
        wanted = kind(newcomer)
        silent = (other for other in self._silent if kind(other) == wanted)
        self._close(next(silent, newcomer), reason)

    def _close(self, connection: GuardedConnection, reason: str) -> None:
        CLOSED.labels(reason).inc()
        # Counted out at once: its descriptor goes in this round of the event loop.
        self.lost(connection)
        connection.cut()


def _opener(peer: Any) -> str:
    """Whom a connection counts for."""
    if not isinstance(peer, tuple):
        return ""
    address = ip_address(str(peer[0]).partition("%")[0])
    if address.version == 4 or address.ipv4_mapped is not None:
        return str(address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))
