"""Opening the shards: the default one at once, the others as they can be reached."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ledger.config import LedgerSettings
from ledger.limits import Limits
from ledger.placements import DEFAULT_SHARD
from ledger.shard_settings import ShardSettings, prepare_shard, shards_of, urls_of
from ledger.shards import Shard, ShardLimits, Shards, make_shard
from runtime.clock import Clock
from runtime.database import Database
from runtime.durability_watch import DurabilityWatch
from runtime.logs import get_logger
from runtime.loops import Loop, Supervisor
from runtime.signed_notes import SignerKey
from runtime.startup import UNREACHABLE

# Between two attempts to reach shards that were away when the process was started.
OPEN_SECONDS = 5.0

log = get_logger(__name__)


def shards_for(
    settings: LedgerSettings, url: str, signer: SignerKey, clock: Clock, limits: Limits
) -> Shards:
    """All shards of the settings; only the default one, at `url`, is open."""
    sizes = ShardLimits(
        settings.database_pool_size, settings.commit_pool_size, settings.seal_interval_ms
    )
    made = {
        name: make_shard(
            name,
            Database(
                shard_url,
                settings.database_limits,
                DurabilityWatch(
                    required=settings.require_synchronous, is_shown=name == DEFAULT_SHARD
                ),
            ),
            signer,
            clock,
            sizes,
            limits,
        )
        for name, shard_url in urls_of(settings.shards, url).items()
    }
    made[DEFAULT_SHARD].is_open = True
    return Shards(made)


class OpenShards:
    """Opens the shards besides the default one, and runs their loops."""

    def __init__(self, settings: LedgerSettings, shards: Shards, supervisor: Supervisor) -> None:
        self._may_migrate = settings.migrates_at_start
        self._waiting = [(given, shards.shard(given.name)) for given in shards_of(settings.shards)]
        self._supervisor = supervisor
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens those that can be reached, and tries the others again for as long as it lasts.

        A shard that is away keeps no process from serving the others; one whose schema is not
        right does: raises `SchemaError`.
        """
        async with self._stack:
            await self._open_waiting()
            loops = []
            if self._waiting:
                loops.append(Loop("shards", self._open_waiting, poll_seconds=OPEN_SECONDS))
            async with self._supervisor.running(*loops):
                yield

    async def _open_waiting(self) -> bool:
        for given, shard in list(self._waiting):
            try:
                await self._open(given, shard)
            except UNREACHABLE as error:
                log.warning("shard_away", shard=given.name, error_type=type(error).__name__)
                continue
            self._waiting.remove((given, shard))
        return False

    async def _open(self, given: ShardSettings, shard: Shard) -> None:
        await prepare_shard(given, may_migrate=self._may_migrate)
        await self._stack.enter_async_context(self._supervisor.running(*shard.loops()))
        shard.is_open = True


@asynccontextmanager
async def closing(shards: Shards) -> AsyncIterator[None]:
    """Closes every shard at the end."""
    async with AsyncExitStack() as stack:
        for shard in shards.all:
            stack.push_async_callback(shard.close)
        yield
