"""The main function of every service: `python -m SERVICE [COMMAND]`."""

import asyncio
import gc
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import uvloop

from runtime import logs, memory, telemetry
from runtime.beside import share_the_interpreter
from runtime.command_line import EXIT_USAGE, command_parser
from runtime.config import ServiceSettings
from runtime.logs import get_logger
from runtime.loops import LoopEnded, Supervisor
from runtime.migrate_command import run_migrate
from runtime.read_settings import SettingsError, read_settings
from runtime.server import RpcServer
from runtime.startup import StartupError, startup_failures
from runtime.tasks import cancel

EXIT_BAD_SETTINGS = EXIT_USAGE
EXIT_NOT_STARTED = 1
# A background loop has ended by itself: a fault of ours, sysexits.h calls it EX_SOFTWARE.
EXIT_LOOP_ENDED = 70
# What such a process may take to close beyond its drain. A fault may have left something behind
# that never ends, and a process that does not end is not restarted.
CLOSE_SECONDS = 10.0
# A batch of a thousand ledger transactions makes some 20,000 objects that live as long as the
# call, which the collector looks at again and again at Python's 700. Much more than this and the
# cycles that calls leave behind pile up: at 50,000 clearing them stopped everything for 80 ms.
ALLOCATIONS_PER_COLLECTION = 2_000
EPILOG = """\
Settings are environment variables; docs/operations.md explains each, --print-config shows them.

exit status:
  0   stopped by SIGTERM or SIGINT, or the command has done its work
  1   it could not start or go on (database, port, schema), migrate --check found what is pending,
      or a command could not do all of its work: it says what is left
  2   the command line or the settings cannot be followed
  70  one of its own loops ended, which must not be: start it again, and report its last line"""

log = get_logger(__name__)
Settings = TypeVar("Settings", bound=ServiceSettings)


@dataclass(frozen=True)
class Command(Generic[Settings]):
    """Work of a service that is done to its end, besides serving: `python -m SERVICE <name>`.

    `run` gives the exit status. `help` is a line, `description` sentences, `configure` adds the
    command's own options.
    """

    name: str
    help: str
    description: str
    run: Callable[[Settings, Namespace], Awaitable[int]]
    configure: Callable[[ArgumentParser], None] = lambda _parser: None


def run_service(
    settings_type: type[Settings],
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
    *,
    commands: Sequence[Command[Settings]] = (),
    close_seconds: float = CLOSE_SECONDS,
) -> None:
    """Does what the command line says: serves until SIGTERM or SIGINT and drains, migrates, or
    runs one of the service's own commands.

    Exits with `EXIT_LOOP_ENDED`, and says why, when a background loop has ended by itself.
    """
    name = settings_type.service_name
    arguments = _parser(name, commands).parse_args()
    try:
        if arguments.command == "migrate":
            sys.exit(run_migrate(settings_type, check=arguments.check))
        settings = read_settings(settings_type)
        if arguments.print_config:
            print("\n".join(settings.printable()))
            return
        for command in commands:
            if arguments.command == command.name:
                sys.exit(_run_command(settings, command, arguments))
        _run_server(settings, open_service, close_seconds)
    except SettingsError as error:
        _fail(name, error.problems, EXIT_BAD_SETTINGS)
    except StartupError as error:
        _fail(name, [str(error)], EXIT_NOT_STARTED)


def _run_command(settings: Settings, command: Command[Settings], arguments: Namespace) -> int:
    logs.configure(settings.service_name, settings.log_level)

    async def to_its_end() -> int:
        with startup_failures(settings):
            return await command.run(settings, arguments)

    return uvloop.run(to_its_end())


def _parser(name: str, own_commands: Sequence[Command[Settings]]) -> ArgumentParser:
    parser = command_parser(name, f"The {name} service: serves until it is told to stop.", EPILOG)
    parser.add_argument(
        "--print-config", action="store_true", help="show the settings, secrets hidden, and exit"
    )
    commands = parser.add_subparsers(dest="command", metavar="[COMMAND]")
    migrating = commands.add_parser(
        "migrate",
        help="bring the database's schema to the newest revision, or see what that would be",
        description=f"Brings the schema of the {name} service's database to its newest revision,"
        " by the login of the owner's database URL.",
        allow_abbrev=False,
    )
    migrating.add_argument(
        "--check",
        action="store_true",
        help="change nothing: show what is pending, and exit with 1 if something is",
    )
    for command in own_commands:
        command.configure(
            commands.add_parser(
                command.name,
                help=command.help,
                description=command.description,
                allow_abbrev=False,
            )
        )
    return parser


def _fail(name: str, lines: Sequence[str], status: int) -> NoReturn:
    for line in lines:
        print(f"{name}: {line}", file=sys.stderr)
    sys.exit(status)


def _run_server(
    settings: Settings,
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
    close_seconds: float,
) -> None:
    memory.prepare()
    share_the_interpreter()
    logs.configure(settings.service_name, settings.log_level)
    provider = telemetry.setup(settings.service_name, settings.otlp_endpoint)
    try:
        ended = uvloop.run(_serve(settings, open_service, close_seconds))
    finally:
        if provider is not None:
            provider.shutdown()
    if ended is not None:
        _fail(settings.service_name, [str(ended)], EXIT_LOOP_ENDED)


async def _serve(
    settings: Settings,
    open_service: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
    close_seconds: float,
) -> LoopEnded | None:
    """Serves until told to stop; answers which loop ended before."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        with startup_failures(settings):
            server = await stack.enter_async_context(open_service(settings))
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
