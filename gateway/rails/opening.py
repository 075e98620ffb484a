"""Opening and closing the rails of a process."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.rails.backoff import RetryPolicy
from gateway.rails.call import RailMode
from gateway.rails.calls import StripeCalls
from gateway.rails.corridors import Corridor
from gateway.rails.line import Line
from gateway.rails.modes import ModeBoard
from gateway.rails.rails import Rails
from gateway.rails.store import RailStore

# Told whenever a corridor may have become usable or unusable, by its name.
CorridorChange = Callable[[str], None]


@dataclass(frozen=True)
class OpenRails:
    """The rails of a process; `modes.run()` has to run beside them."""

    rails: Rails
    calls: StripeCalls
    modes: ModeBoard


@asynccontextmanager
async def open_rails(
    corridors: Sequence[Corridor],
    engine: AsyncEngine,
    *,
    on_change: CorridorChange | None = None,
    retry: RetryPolicy | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[OpenRails]:
    """Opens a line to each corridor and reads their modes; the first corridor is the default."""

    def breaker_changed(corridor: str, _endpoint_group: str, _state: str) -> None:
        if on_change is not None:
            on_change(corridor)

    def mode_changed(corridor: str, _mode: RailMode) -> None:
        if on_change is not None:
            on_change(corridor)

    modes = ModeBoard(RailStore(engine), mode_changed)
    await modes.refresh()
    async with AsyncExitStack() as stack:
        lines: dict[str, Line] = {}
        for corridor in corridors:
            line = Line(corridor, monotonic, breaker_changed)
            stack.push_async_callback(line.close)
            lines[corridor.name] = line
        calls = StripeCalls(lines, corridors[0].name, modes, retry=retry, monotonic=monotonic)
        yield OpenRails(Rails(calls), calls, modes)
