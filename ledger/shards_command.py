"""`python -m ledger shards` and `python -m ledger move`: where ledgers are, and moving one."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from ledger.config import LedgerSettings
from ledger.connections import ROLE, move_connections
from ledger.copying import UnequalError
from ledger.moving import MoveError, Mover
from ledger.placements import State
from ledger.shard_settings import migrate_shard, shards_of, urls_of
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


def _configure_shards(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--migrate",
        action="store_true",
        help="instead, bring the schemas of LEDGER_SHARDS to the newest revision",
    )


def _configure_move(parser: ArgumentParser) -> None:
    parser.add_argument("ledger", help="its name")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar="SHARD", help="'default' or a name of LEDGER_SHARDS")
    where.add_argument(
        "--undo", action="store_true", help="leave it where it was; its move has not ended"
    )
    add_by(parser)


async def _show(settings: LedgerSettings, arguments: Namespace) -> int:
    if arguments.migrate:
        return await _migrate(settings)
    async with _connected(settings) as shards:
        await _list(shards)
    return 0


async def _move(settings: LedgerSettings, arguments: Namespace) -> int:
    about = {"ledger": arguments.ledger, "shard": arguments.to or ""}
    method = "ledger move --undo" if arguments.undo else "ledger move"
    act = Act(arguments.by, method, about={name: text for name, text in about.items() if text})
    url, _ = await database_urls(settings)
    async with _connected(settings) as shards:
        mover = Mover(shards, _tell)
        try:
            async with open_act_log(url, ROLE, SystemClock()) as acts, acts.act(act):
                if arguments.undo:
                    await mover.undo(arguments.ledger)
                else:
                    await mover.move(arguments.ledger, arguments.to)
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
    async with AsyncExitStack() as stack:
        shards = {}
        for name, shard_url in urls_of(settings.shards, url).items():
            database = Database(shard_url, settings.database_limits)
            shards[name] = move_connections(database)
            stack.push_async_callback(shards[name].close)
        yield shards


def _tell(line: str) -> None:
    print(line, flush=True)


SHARDS: Command[LedgerSettings] = Command(
    name="shards",
    help="show where ledgers are",
    description="Shows the ledgers of all shards, a line each: ledger, shard, state. docs/shards.md"
    " explains them.",
    run=_show,
    configure=_configure_shards,
)
MOVE: Command[LedgerSettings] = Command(
    name="move",
    help="move a ledger to another shard, or go on with it",
    description="Moves a ledger while all others go on, and proves that it is the same there. It"
    " may be ended and started again at any time: docs/shards.md.",
    run=_move,
    configure=_configure_move,
)
