"""Opening and closing the rails of a process."""

import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.rails.backoff import RetryPolicy
from gateway.rails.breaker import RailBreaker
from gateway.rails.breaker_group import BreakerGroup
from gateway.rails.breaker_store import BreakerStore
from gateway.rails.call import RailMode
from gateway.rails.calls import StripeCalls
from gateway.rails.corridors import Corridor
from gateway.rails.line import Line
from gateway.rails.modes import ModeBoard
from gateway.rails.rails import Rails
from gateway.rails.store import RailStore

DEFAULT_MACHINE_GROUP = "default"
REPLICA_BYTES = 3
# Told whenever a corridor may have become usable or unusable, by its name.
CorridorChange = Callable[[str], None]


def replica_name() -> str:
    """What this process is called among the replicas; fresh for each start."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(REPLICA_BYTES)}"


@dataclass(frozen=True)
class OpenRails:
    """The rails of a process; `modes.run()` and `breakers.run()` have to run beside them."""

    rails: Rails
    calls: StripeCalls
    modes: ModeBoard
    breakers: BreakerGroup


@asynccontextmanager
async def open_rails(
    corridors: Sequence[Corridor],
    engine: AsyncEngine,
    *,
    machine_group: str = DEFAULT_MACHINE_GROUP,
    on_change: CorridorChange | None = None,
    retry: RetryPolicy | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[OpenRails]:
    """Opens a line to each corridor and reads their modes and breakers; the first corridor is the
    default."""

    def breaker_changed(corridor: str, breaker: RailBreaker, old: str, new: str) -> None:
        breakers.changed(corridor, breaker, old, new)
        if on_change is not None:
            on_change(corridor)

    def mode_changed(corridor: str, _mode: RailMode) -> None:
        if on_change is not None:
            on_change(corridor)

    breakers = BreakerGroup(BreakerStore(engine, machine_group), replica_name())
    modes = ModeBoard(RailStore(engine), mode_changed)
    await modes.refresh()
    async with AsyncExitStack() as stack:
        lines: dict[str, Line] = {}
        for corridor in corridors:
            line = Line(corridor, monotonic, breaker_changed)
            stack.push_async_callback(line.close)
            line.in_group = True
            lines[corridor.name] = line
        breakers.watch(lines)
        await breakers.refresh()
        calls = StripeCalls(lines, corridors[0].name, modes, retry=retry, monotonic=monotonic)
        yield OpenRails(Rails(calls), calls, modes, breakers)
