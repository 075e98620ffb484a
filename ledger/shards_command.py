"""`python -m ledger shards`: where ledgers are, and moving one."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from ledger.config import LedgerSettings
from ledger.connections import ROLE, move_connections
from ledger.copying import UnequalError
from ledger.moving import MoveError, Mover
from ledger.placements import DEFAULT_SHARD, State
from ledger.shard_settings import migrate_shard, shards_of
from ledger.statements import statement
from runtime.acts import Act, add_by, open_act_log
from runtime.clock import SystemClock
from runtime.connections import Connections
from runtime.database import Database
from runtime.postgres import database_urls
from runtime.process import Command
from runtime.startup import database_needed

EXIT_UNFINISHED = 1
LEDGERS_PER_PAGE = 1_000


def _configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show each shard's ledgers")
    actions.add_parser("migrate", help="bring the schemas of all shards to the newest revision")
    move = actions.add_parser("move", help="move a ledger to another shard, or go on with it")
    move.add_argument("ledger", help="its name")
    move.add_argument("--to", required=True, metavar="SHARD", help="'default' or of LEDGER_SHARDS")
    undo = actions.add_parser("undo", help="leave a ledger where it was whose move has not ended")
    undo.add_argument("ledger", help="its name")
    for changing in (move, undo):
        add_by(changing)


async def _run(settings: LedgerSettings, arguments: Namespace) -> int:
    if arguments.action == "migrate":
        return await _migrate(settings)
    async with _connected(settings) as shards:
        if arguments.action == "list":
            await _list(shards)
            return 0
        mover = Mover(shards, _tell)
        url, _ = await database_urls(settings)
        about = {"ledger": arguments.ledger}
        if arguments.action == "move":
            about["shard"] = arguments.to
        act = Act(arguments.by, f"ledger shards {arguments.action}", about=about)
        try:
            async with open_act_log(url, ROLE, SystemClock()) as acts, acts.act(act):
                if arguments.action == "move":
                    await mover.move(arguments.ledger, arguments.to)
                else:
                    await mover.undo(arguments.ledger)
        except (MoveError, UnequalError) as error:
            print(f"ledger: {arguments.ledger}: {error}", file=sys.stderr)
            return EXIT_UNFINISHED
    return 0


async def _migrate(settings: LedgerSettings) -> int:
    """Those of the setting; the default one is migrated by `python -m ledger migrate`."""
    for shard in shards_of(settings.shards):
        with database_needed(f"LEDGER_SHARDS: {shard.name}", shard.owner_url or shard.url):
            found = await migrate_shard(shard)
        pending = ", ".join(revision.revision for revision in found.pending)
        _tell(f"{shard.name}: {'applied ' + pending if pending else 'nothing is pending'}")
    return 0


async def _list(shards: Mapping[str, Connections]) -> None:
    """A line for each ledger that is on a shard: ledger, shard, and what it is doing there."""
    for name, connections in shards.items():
        after = ""
        while rows := await connections.fetch(
            statement("list_placements"), {"after": after, "limit": LEDGERS_PER_PAGE}
        ):
            for ledger, _, state, other, _ in rows:
                if state != State.LEFT:
                    _tell(f"{ledger}\t{name}\t{state}{' ' + other if other else ''}")
            after = rows[-1][0]


@asynccontextmanager
async def _connected(settings: LedgerSettings) -> AsyncIterator[Mapping[str, Connections]]:
    """Connections to every shard, opened when they are needed."""
    url, _ = await database_urls(settings)
    urls = {DEFAULT_SHARD: url, **{shard.name: shard.url for shard in shards_of(settings.shards)}}
    async with AsyncExitStack() as stack:
        shards = {}
        for name, shard_url in urls.items():
            database = Database(shard_url, settings.database_limits)
            shards[name] = move_connections(database)
            stack.push_async_callback(shards[name].close)
        yield shards


def _tell(line: str) -> None:
    print(line, flush=True)


SHARDS: Command[LedgerSettings] = Command(
    name="shards",
    help="show where ledgers are, and move one to another shard",
    description="Shows the ledgers of all shards, or moves one: docs/shards.md.",
    run=_run,
    configure=_configure,
)
