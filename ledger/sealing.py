"""Sealing: off the hot path, what is committed becomes part of a signed checkpoint.

Per ledger the sealer goes on from the newest checkpoint: it reads the leaf hashes of what came
since, computes the subtrees that are complete now, and writes them with the next checkpoint in one
statement. Any number of replicas may seal at once: a checkpoint names the one before it, and of
two that name the same one only the first is written (see `0004_seals.sql`). What a crash leaves
is the last checkpoint, from which the next start goes on.

Where the primary has to be synchronous, a checkpoint covers only what a standby has: a failover
cannot contradict it then.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from itertools import pairwise

from ledger.account_line import account_line
from ledger.chain import EMPTY_CHAIN, extended
from ledger.metrics import SEAL_SECONDS, SEALED, SEALS, UNSEALED
from ledger.notes import ORIGIN_PREFIX, Checkpoint
from ledger.placements import DEFAULT_SHARD
from ledger.seals import (
    TILE_LEAVES,
    TILE_LEVEL,
    PendingLedger,
    SealedCheckpoint,
    Seals,
    TamperedError,
)
from runtime.clock import Clock
from runtime.durability_watch import NotConfirmedError
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.merkle import HASH_BYTES, Frontier, Subtree, folded, root_of, subtrees
from runtime.notifier import Notifier
from runtime.signed_notes import SignerKey

# Looked for without a notification as often: commits of other replicas, and what a start finds.
POLL_SECONDS = 5.0
MAX_LEDGERS_PER_PAGE = 100
# What one checkpoint adds at most, so that after a long pause progress is kept step by step.
MAX_LEAVES_PER_CHECKPOINT = 1 << 20
LEAVES_PER_READ = 8_192
# About a millisecond of hashing, after which other tasks run.
LEAVES_PER_TURN = 1_024
ACCOUNTS_PER_READ = 1_000
# Where ledgers are remembered to be sealed to; the others are looked up again.
MAX_KNOWN_LOGS = 1_000

# Returns when a standby has what a server had written up to a position; raises `NotConfirmedError`.
Confirm = Callable[[str, int], Awaitable[None]]

log = get_logger(__name__)


class SealedLog:
    """A log up to a checkpoint: its complete tiles as a frontier, and the leaves after them."""

    def __init__(self, tiles: Frontier, tail: bytes, accounts: int, chain: bytes) -> None:
        self._tiles = tiles
        self._tail = tail
        self.account_count = accounts
        self.accounts_hash = chain

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return self._tiles.size * TILE_LEAVES + len(self._tail) // HASH_BYTES

    def extend(self, leaf_hashes: bytes) -> list[tuple[Subtree, bytes]]:
        """Adds leaves; answers the subtrees of tiles that are complete with them."""
        nodes: list[tuple[Subtree, bytes]] = []
        hashes = self._tail + leaf_hashes
        whole = len(hashes) - len(hashes) % (TILE_LEAVES * HASH_BYTES)
        for start, end in pairwise(range(0, whole + 1, TILE_LEAVES * HASH_BYTES)):
            for (level, position), node in self._tiles.completed(root_of(hashes[start:end])):
                nodes.append((Subtree(level + TILE_LEVEL, position), node))
        self._tail = hashes[whole:]
        return nodes

    def root(self) -> bytes:
        """The root over all leaves."""
        return folded([*self._tiles.hashes, *([root_of(self._tail)] if self._tail else [])])


class Sealer:
    """Seals every ledger of a database, for as long as it runs."""

    def __init__(
        self,
        seals: Seals,
        signer: SignerKey,
        clock: Clock,
        interval_ms: int,
        confirm: Confirm | None = None,
        shard: str = DEFAULT_SHARD,
    ) -> None:
        """With `confirm`, only what a standby has is sealed."""
        self._unsealed = UNSEALED.labels(shard)
        self._confirm = confirm
        self._seals = seals
        self._signer = signer
        self._clock = clock
        self._interval_seconds = interval_ms / 1_000
        self._notifier = Notifier()
        self._items = Items("ledgers to seal")
        self._logs: OrderedDict[int, SealedLog] = OrderedDict()

    def notify(self) -> None:
        """Says that there is something to seal."""
        self._notifier.notify()

    def loop(self) -> Loop:
        """Seals what there is, rests for the interval, and waits for more."""
        return Loop(
            "sealing",
            self.seal_all,
            notifier=self._notifier,
            between_seconds=self._interval_seconds,
            rest_seconds=self._interval_seconds,
            poll_seconds=POLL_SECONDS,
        )

    async def seal_all(self) -> bool:
        """One round: at most one checkpoint for each ledger that has grown. Whether any of them
        has more."""
        after = 0
        left = stuck = 0
        while page := await self._seals.pending(after, MAX_LEDGERS_PER_PAGE):
            self._unsealed.set(left + stuck + sum(p.last_sequence - p.tree_size for p in page))
            for ledger in page:
                with self._items.kept_apart(ledger.name):
                    try:
                        left += await self.seal(ledger)
                        continue
                    except NotConfirmedError:
                        SEALS.labels(result="unconfirmed").inc()
                        raise
                    except TamperedError:
                        SEALS.labels(result="refused").inc()
                        log.error("sealing_refused", ledger=ledger.name, tree_size=ledger.tree_size)
                    except Exception:
                        SEALS.labels(result="failed").inc()
                        raise
                stuck += ledger.last_sequence - ledger.tree_size
            after = page[-1].ledger_id
        self._unsealed.set(left + stuck)
        return left > 0

    async def seal(self, ledger: PendingLedger) -> int:
        """Adds one checkpoint; answers how many transactions are still without.

        Raises `TamperedError` if the log is not what the checkpoint before says, and
        `NotConfirmedError` if no standby has what would be sealed.
        """
        started = time.perf_counter()
        server = await self._server()
        sealed_log = self._logs.pop(ledger.ledger_id, None)
        if sealed_log is None or sealed_log.size != ledger.tree_size:
            sealed_log = await self._load(ledger)
        previous_size = sealed_log.size
        if previous_size >= ledger.last_sequence:
            self._remember(ledger.ledger_id, sealed_log)
            return 0  # Another sealer has been here since it was found to be pending.
        last = min(ledger.last_sequence, previous_size + MAX_LEAVES_PER_CHECKPOINT)
        nodes = await self._extend(ledger.ledger_id, sealed_log, last)
        # Read after the transactions, so there are all that those name.
        await self._extend_accounts(ledger.ledger_id, sealed_log)
        await self._confirm_read(server)
        sealed = self._signed(ledger.name, sealed_log)
        if not await self._seals.write(ledger.ledger_id, previous_size, sealed, nodes):
            SEALS.labels(result="lost").inc()
            return 0  # Another sealer's checkpoint is there; what it lacks is found next time.
        self._remember(ledger.ledger_id, sealed_log)
        SEALS.labels(result="sealed").inc()
        SEALED.inc(last - previous_size)
        SEAL_SECONDS.observe(time.perf_counter() - started)
        return ledger.last_sequence - last

    async def _server(self) -> str:
        """Where is read what is to be sealed; empty if no standby has to have it."""
        if self._confirm is None:
            return ""
        server, _ = await self._seals.position()
        return server

    async def _confirm_read(self, server: str) -> None:
        """Returns when a standby has all that was read, if one has to.

        That a row is seen does not say so: a wait that was ended, or a restart, shows what is here
        alone. The position of the log after reading covers the commits of all that was read.
        """
        if self._confirm is None:
            return
        still, position = await self._seals.position()
        if still != server:
            raise NotConfirmedError("another server takes writes than the one that was read")
        await self._confirm(server, position)

    async def _load(self, ledger: PendingLedger) -> SealedLog:
        """The log up to its newest checkpoint, from the subtrees that are kept."""
        _, newest = await self._seals.newest(ledger.ledger_id)
        if newest is None:
            return SealedLog(Frontier(), b"", 0, EMPTY_CHAIN)
        tiles, rest = divmod(newest.tree_size, TILE_LEAVES)
        wanted = [
            Subtree(subtree.level + TILE_LEVEL, subtree.position)
            for subtree in subtrees((0, tiles))
        ]
        found = await self._seals.nodes(ledger.ledger_id, wanted)
        if len(found) != len(wanted):
            raise TamperedError
        tail = b""
        if rest:
            first = newest.tree_size - rest + 1
            tail = await self._seals.leaf_hashes(ledger.ledger_id, first, newest.tree_size)
        loaded = SealedLog(
            Frontier(tiles, [found[subtree] for subtree in wanted]),
            tail,
            newest.account_count,
            newest.accounts_hash,
        )
        if loaded.root() != newest.root_hash:
            raise TamperedError
        return loaded

    async def _extend(
        self, ledger_id: int, sealed_log: SealedLog, last: int
    ) -> list[tuple[Subtree, bytes]]:
        """Adds the leaves up to a sequence; between two chunks of hashing other tasks run."""
        nodes: list[tuple[Subtree, bytes]] = []
        turn = LEAVES_PER_TURN * HASH_BYTES
        for first in range(sealed_log.size + 1, last + 1, LEAVES_PER_READ):
            through = min(first + LEAVES_PER_READ - 1, last)
            hashes = await self._seals.leaf_hashes(ledger_id, first, through)
            for start in range(0, len(hashes), turn):
                nodes += sealed_log.extend(hashes[start : start + turn])
                await asyncio.sleep(0)
        return nodes

    async def _extend_accounts(self, ledger_id: int, sealed_log: SealedLog) -> None:
        """Adds the accounts that were made since; a short page is the last one."""
        page = ACCOUNTS_PER_READ
        while page == ACCOUNTS_PER_READ:
            after = sealed_log.account_count
            accounts = await self._seals.accounts(ledger_id, after, ACCOUNTS_PER_READ)
            for number, account in enumerate(accounts, after + 1):
                assert account.number == number, "accounts are numbered without gaps"
                line = account_line(account)
                sealed_log.accounts_hash = extended(sealed_log.accounts_hash, line)
                sealed_log.account_count = number
            page = len(accounts)

    def _signed(self, name: str, sealed_log: SealedLog) -> SealedCheckpoint:
        checkpoint = Checkpoint(
            origin=ORIGIN_PREFIX + name,
            tree_size=sealed_log.size,
            root_hash=sealed_log.root(),
            account_count=sealed_log.account_count,
            accounts_hash=sealed_log.accounts_hash,
        )
        return SealedCheckpoint(
            checkpoint.tree_size,
            checkpoint.root_hash,
            checkpoint.account_count,
            checkpoint.accounts_hash,
            self._signer.sign(checkpoint),
            self._clock.now(),
        )

    def _remember(self, ledger_id: int, sealed_log: SealedLog) -> None:
        self._logs[ledger_id] = sealed_log
        if len(self._logs) > MAX_KNOWN_LOGS:
            self._logs.popitem(last=False)
