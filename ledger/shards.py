"""The shards of one process: each a database and schema with everything that serves its ledgers.

A shard is opened whole, as if it were the only one: connections, committers, feed, sealer,
snapshots. Nothing but the directory of placements on the default shard is shared, so that a shard
that is down takes no ledger of another with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ledger.answers import Answers
from ledger.audit import AuditService
from ledger.connections import commit_connections, read_connections
from ledger.errors import ledger_moving, shard_not_found, shard_unavailable
from ledger.feed import Feed
from ledger.ledgers import Ledgers
from ledger.limits import Limits
from ledger.placements import DEFAULT_SHARD, Placements
from ledger.proofs import Proofs
from ledger.reader import Reader
from ledger.sealing import Sealer
from ledger.seals import Seals
from ledger.service import LedgerService
from ledger.snapshots import Snapshots
from ledger.standing import Standings
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.database import Database
from runtime.loops import Loop
from runtime.signed_notes import SignerKey

# Of all shards together; they are looked up again after that.
MAX_REMEMBERED = 100_000


@dataclass(frozen=True)
class ShardLimits:
    """What each shard of a process may use."""

    read_pool_size: int
    commit_pool_size: int
    seal_interval_ms: int


@dataclass
class Shard:
    """One shard; `is_open` says whether its schema was found to be right."""

    name: str
    database: Database
    reads: Connections
    commits: Connections
    reader: Reader
    feed: Feed
    sealer: Sealer
    snapshots: Snapshots
    ledgers: Ledgers
    placements: Placements
    service: LedgerService
    audit: AuditService
    is_open: bool = field(default=False)

    def loops(self) -> list[Loop]:
        """What runs for as long as it is open."""
        return [
            self.database.loop(),
            self.placements.loop(),
            self.feed.loop(),
            self.ledgers.sweep_loop(),
            self.sealer.loop(),
            self.snapshots.loop(),
        ]

    async def close(self) -> None:
        """Waits for the committers, then closes the connections."""
        await self.ledgers.finish()
        for connections in (self.commits, self.reads):
            await connections.close()


def make_shard(
    name: str,
    database: Database,
    signer: SignerKey,
    clock: Clock,
    sizes: ShardLimits,
    limits: Limits,
) -> Shard:
    """Everything of one shard; nothing is asked of its database yet."""
    reads = read_connections(database, sizes.read_pool_size)
    commits = commit_connections(database, sizes.commit_pool_size)
    reader = Reader(reads)
    feed = Feed(reader)
    seals = Seals(reads)
    durability = database.durability
    confirm = durability.confirm if durability.required else None
    sealer = Sealer(seals, signer, clock, sizes.seal_interval_ms, confirm, name)
    snapshots = Snapshots(reads, limits)

    def on_commit(ledger_id: int, last_sequence: int) -> None:
        feed.on_commit(ledger_id, last_sequence)
        sealer.notify()
        snapshots.notify()

    ledgers = Ledgers(reader, reads, commits, clock, on_commit, limits, name)
    service = LedgerService(
        ledgers, Answers(reader), reader, Standings(reads, reader, clock), feed, clock, limits
    )
    return Shard(
        name=name,
        database=database,
        reads=reads,
        commits=commits,
        reader=reader,
        feed=feed,
        sealer=sealer,
        snapshots=snapshots,
        ledgers=ledgers,
        placements=Placements(reads, feed.restart, limits),
        service=service,
        audit=AuditService(ledgers, reader, reads, Proofs(seals, reader)),
    )


class Shards:
    """All shards of a process, and which of them a ledger is on."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        self._shards = shards
        self.default = shards[DEFAULT_SHARD]
        # Where ledgers were found last; whether they still are says their shard.
        self._last: dict[str, Shard] = {}

    @property
    def all(self) -> list[Shard]:
        """Every shard, the default one first."""
        return list(self._shards.values())

    def shard(self, name: str) -> Shard:
        """A shard of the settings, open or not."""
        return self._shards[name]

    def named(self, name: str) -> Shard:
        """Raises SHARD_NOT_FOUND, and DEPENDENCY_UNAVAILABLE for one that was never reached."""
        shard = self._shards.get(name)
        if shard is None:
            raise shard_not_found(name)
        if not shard.is_open:
            raise shard_unavailable(name)
        return shard

    async def of(self, ledger: str) -> Shard:
        """The shard that a ledger is on: the default one where none says anything of it.

        Raises DEPENDENCY_UNAVAILABLE for one that cannot be reached or that the settings do not
        name, and LEDGER_MOVING while two shards name each other, which they do for a moment when a
        move is undone.
        """
        known = self._last.get(ledger)
        if known is not None and known.placements.has(ledger):
            return known
        shard = self.default
        for _ in range(len(self._shards) + 1):
            placement = await shard.placements.read(ledger)
            if placement is None:
                # On the default shard of one that an older version made, or of none at all.
                return shard
            if placement.state.is_served:
                self._remember(ledger, shard)
                return shard
            there = self._shards.get(placement.shard)
            if there is None or not there.is_open:
                # Of a shard that only others are told of it is not said that the ledger is gone.
                raise shard_unavailable(placement.shard)
            shard = there
        raise ledger_moving(ledger)

    def _remember(self, ledger: str, shard: Shard) -> None:
        if len(self._last) >= MAX_REMEMBERED:
            self._last.clear()
        self._last[ledger] = shard
