"""Sealers as tests use them, and what has to be true of all that they sealed."""

import psycopg

from ledger.notes import open_note
from ledger.sealing import Sealer
from ledger.seals import PendingLedger, SealedCheckpoint, Seals
from ledger.v1 import transaction_mutations_pb2 as mutations
from runtime.clock import ManualClock
from runtime.merkle import HASH_BYTES, root_of
from tests.ledger.client import LedgerClient, transfer
from tests.ledger.running import HOUR_MS, SIGNER

MAX_CHECKPOINTS = 10_000


def new_sealer(seals: Seals, clock: ManualClock) -> Sealer:
    return Sealer(seals, SIGNER, clock, interval_ms=HOUR_MS)


async def grow(client: LedgerClient, count: int) -> None:
    """Adds so many transactions."""
    for start in range(0, count, 1_000):
        await client.batch(
            *(
                mutations.BatchItem(create=transfer("cash", "safe", 1 + number))
                for number in range(min(1_000, count - start))
            )
        )


async def pending(seals: Seals) -> PendingLedger:
    (found,) = await seals.pending(0, 10)
    return found


async def checkpoints(seals: Seals, ledger_id: int = 1) -> list[SealedCheckpoint]:
    """All of them, the oldest first."""
    found: list[SealedCheckpoint] = []
    for _ in range(MAX_CHECKPOINTS):
        after = found[-1].tree_size if found else 0
        checkpoint = await seals.covering(ledger_id, after + 1)
        if checkpoint is None:
            break
        found.append(checkpoint)
    return found


async def check_sealed(seals: Seals, url: str, ledger_id: int = 1) -> list[SealedCheckpoint]:
    """Checks every checkpoint and every kept subtree against the leaves themselves."""
    found = await checkpoints(seals, ledger_id)
    size = found[-1].tree_size if found else 0
    leaves = await seals.leaf_hashes(ledger_id, 1, size) if size else b""
    for checkpoint in found:
        note = open_note(checkpoint.note.encode(), SIGNER.verifier)
        assert note.tree_size == checkpoint.tree_size
        assert note.root_hash == checkpoint.root_hash
        assert note.root_hash == root_of(leaves[: checkpoint.tree_size * HASH_BYTES])
        assert (note.account_count, note.accounts_hash) == (
            checkpoint.account_count,
            checkpoint.accounts_hash,
        )
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT level, position, hash FROM sealed_nodes WHERE ledger_id = %s", [ledger_id]
        )
        nodes = {(level, position): node for level, position, node in await cursor.fetchall()}
        cursor = await connection.execute(
            "SELECT previous_size FROM checkpoints WHERE ledger_id = %s ORDER BY tree_size",
            [ledger_id],
        )
        assert [row[0] for row in await cursor.fetchall()] == [
            0,
            *(checkpoint.tree_size for checkpoint in found[:-1]),
        ][: len(found)]
    assert nodes == {
        (level, position): root_of(leaves[(position << level) * 32 : (position + 1 << level) * 32])
        for level in range(8, 20)
        for position in range(size >> level)
    }
    return found
