"""The main function of every service."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import uvloop
from pydantic import ValidationError

from runtime import logs, telemetry
from runtime.config import ServiceSettings
from runtime.postgres import NoDatabaseError
from runtime.server import RpcServer

EXIT_BAD_SETTINGS = 2
# A batch of a thousand ledger transactions makes some 20,000 objects that live as long as the
# call, which the collector looks at again and again at Python's 700. Much more than this and the
# cycles that calls leave behind pile up: at 50,000 clearing them stopped everything for 80 ms.
ALLOCATIONS_PER_COLLECTION = 2_000

Settings = TypeVar("Settings", bound=ServiceSettings)


def run_service(
    settings_type: type[Settings],
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
) -> None:
    """Reads the settings, serves until SIGTERM or SIGINT, drains; `--print-config` only prints."""
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
        uvloop.run(_serve(settings, open_service))
    except NoDatabaseError as error:
        print(f"{settings.service_name}: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_SETTINGS)
    finally:
        if provider is not None:
            provider.shutdown()


async def _serve(
    settings: Settings,
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_service(settings):
        # What is there by now stays, and what a call makes is mostly gone when it is answered.
        gc.collect()
        gc.freeze()
        gc.set_threshold(ALLOCATIONS_PER_COLLECTION)
        await stop.wait()
