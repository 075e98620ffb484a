"""What a package adds to a process of the gateway; `__main__` puts the parts together."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from runtime.loops import Loop
from runtime.notifier import Notifier
from runtime.server import RegisteredService

# A handler of Stripe's events by their types; `webhooks_in` says what is given to it.
EventRoutes = Mapping[str, Callable[[Any], Awaitable[None]]]
# Lets what is under way finish, for so many seconds.
Drain = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What runs, serves and listens for one package. Packages add what others need of them."""

    services: Sequence[RegisteredService] = ()
    http_routes: Sequence[web.AbstractRouteDef] = ()
    # Of every process, and of those with the role worker.
    loops: Sequence[Loop] = ()
    worker_loops: Sequence[Loop] = ()
    # What one worker of all does; the others stand by.
    leader_tasks: Sequence[Loop] = ()
    event_routes: EventRoutes = field(default_factory=dict)
    # Who is woken by what other processes tell on a channel of the database.
    notifiers: Mapping[str, Notifier] = field(default_factory=dict)
    # Run when the loops have stopped, in the reverse of the order in which the parts are opened.
    drains: Sequence[Drain] = ()
