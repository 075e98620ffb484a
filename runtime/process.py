"""The main function of every service."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import uvloop
from pydantic import ValidationError

from runtime import logs, telemetry
from runtime.config import ServiceSettings
from runtime.logs import get_logger
from runtime.loops import LoopEnded, Supervisor
from runtime.postgres import NoDatabaseError
from runtime.server import RpcServer
from runtime.tasks import cancel

EXIT_BAD_SETTINGS = 2
# A background loop has ended by itself: a fault of ours, sysexits.h calls it EX_SOFTWARE.
EXIT_LOOP_ENDED = 70
# What such a process may take to close beyond its drain. A fault may have left something behind
# that never ends, and a process that does not end is not restarted.
CLOSE_SECONDS = 10.0
# A batch of a thousand ledger transactions makes some 20,000 objects that live as long as the
# call, which the collector looks at again and again at Python's 700. Much more than this and the
# cycles that calls leave behind pile up: at 50,000 clearing them stopped everything for 80 ms.
ALLOCATIONS_PER_COLLECTION = 2_000

log = get_logger(__name__)
Settings = TypeVar("Settings", bound=ServiceSettings)


def run_service(
    settings_type: type[Settings],
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
    *,
    close_seconds: float = CLOSE_SECONDS,
) -> None:
    """Reads the settings, serves until SIGTERM or SIGINT, drains; `--print-config` only prints.

    Exits with `EXIT_LOOP_ENDED`, and says why, when a background loop has ended by itself.
    """
    try:
        settings = settings_type()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"]) or "settings"
            print(f"{settings_type.service_name}: {name}: {problem['msg']}", file=sys.stderr)
        sys.exit(EXIT_BAD_SETTINGS)
    except (OSError, ValueError) as error:  # A secret's file that is missing or given twice.
        print(f"{settings_type.service_name}: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_SETTINGS)
    if "--print-config" in sys.argv[1:]:
        print("\n".join(settings.printable()))
        return
    logs.configure(settings.service_name, settings.log_level)
    provider = telemetry.setup(settings.service_name, settings.otlp_endpoint)
    try:
        ended = uvloop.run(_serve(settings, open_service, close_seconds))
    except NoDatabaseError as error:
        print(f"{settings.service_name}: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_SETTINGS)
    finally:
        if provider is not None:
            provider.shutdown()
    if ended is not None:
        print(f"{settings.service_name}: {ended}", file=sys.stderr)
        sys.exit(EXIT_LOOP_ENDED)


async def _serve(
    settings: Settings,
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
    close_seconds: float,
) -> LoopEnded | None:
    """Serves until told to stop; answers which loop ended before."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_service(settings) as server:
        # What is there by now stays, and what a call makes is mostly gone when it is answered.
        gc.collect()
        gc.freeze()
        gc.set_threshold(ALLOCATIONS_PER_COLLECTION)
        ended = await _until_stopped(stop, server.supervisor)
        if ended is not None:
            seconds = settings.drain_seconds + close_seconds
            asyncio.get_running_loop().call_later(seconds, _give_up, ended)
    return ended


async def _until_stopped(stop: asyncio.Event, supervisor: Supervisor) -> LoopEnded | None:
    waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), supervisor.ended())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(*waits)
    return supervisor.stopped_because


def _give_up(ended: LoopEnded) -> None:
    log.critical("stop_did_not_end", loop=ended.loop, reason=ended.reason)
    os._exit(EXIT_LOOP_ENDED)
