"""The database's side of sealing and proving: leaf hashes in, checkpoints and subtrees out."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ledger.accounts import Account
from ledger.rows import account_of
from ledger.statements import statement
from runtime import arrays
from runtime.connections import Connections
from runtime.merkle import HASH_BYTES, Subtree

# Subtrees of 2^8 leaves and more are kept.
TILE_LEVEL = 8
TILE_LEAVES = 1 << TILE_LEVEL


class SealedCheckpoint(NamedTuple):
    """A checkpoint as it is kept."""

    tree_size: int
    root_hash: bytes
    account_count: int
    accounts_hash: bytes
    note: str
    seal_time: datetime


class TamperedError(Exception):
    """What is kept of a log is not what its newest checkpoint says, or not whole."""


class PendingLedger(NamedTuple):
    """A ledger whose log is longer than its newest checkpoint."""

    ledger_id: int
    name: str
    last_sequence: int
    tree_size: int


Nodes = Sequence[tuple[Subtree, bytes]]


class Seals:
    """Reads and writes of one database; every query is bounded by its caller or by a key."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def pending(self, after: int, limit: int) -> list[PendingLedger]:
        """Ledgers that are to be sealed, by their numbers."""
        rows = await self._connections.fetch(
            statement("seal_pending"), {"after": after, "limit": limit}
        )
        return [PendingLedger(*row) for row in rows]

    async def newest(self, ledger_id: int) -> tuple[int, SealedCheckpoint | None]:
        """Where the log ends, and its newest checkpoint."""
        ((last_sequence, *row),) = await self._connections.fetch(
            statement("seal_newest"), {"ledger_id": ledger_id}
        )
        return last_sequence, None if row[0] is None else SealedCheckpoint(*row)

    async def covering(self, ledger_id: int, tree_size: int) -> SealedCheckpoint | None:
        """The oldest checkpoint of at least that size."""
        rows = await self._connections.fetch(
            statement("seal_covering"), {"ledger_id": ledger_id, "tree_size": tree_size}
        )
        return SealedCheckpoint(*rows[0]) if rows else None

    async def position(self) -> tuple[str, int]:
        """Which server is asked, and how far it has written its log: whatever was read there before
        was committed by then."""
        async with self._connections.borrow() as connection:
            cursor = await connection.execute(statement("seal_position"))
            ((position,),) = await cursor.fetchall()
            return connection.incarnation, position

    async def leaf_hashes(self, ledger_id: int, first: int, last: int) -> bytes:
        """The leaf hashes of the sequences from first to last, one after the other.

        Raises `TamperedError` when one is missing.
        """
        ((hashes, count),) = await self._connections.fetch(
            statement("seal_leaves"), {"ledger_id": ledger_id, "first": first, "last": last}
        )
        if not len(hashes) // HASH_BYTES == count == last - first + 1:
            raise TamperedError
        return bytes(hashes)

    async def nodes(self, ledger_id: int, subtrees: Sequence[Subtree]) -> dict[Subtree, bytes]:
        """The hashes of those subtrees that are kept."""
        if not subtrees:
            return {}
        rows = await self._connections.fetch(
            statement("seal_nodes"),
            {
                "ledger_id": ledger_id,
                "levels": arrays.int2s([subtree.level for subtree in subtrees]),
                "positions": arrays.int8s([subtree.position for subtree in subtrees]),
            },
        )
        return {Subtree(level, position): bytes(node) for level, position, node in rows}

    async def accounts(self, ledger_id: int, after: int, limit: int) -> list[Account]:
        """The accounts after a number, in the order they were made."""
        rows = await self._connections.fetch(
            statement("seal_accounts"), {"ledger_id": ledger_id, "after": after, "limit": limit}
        )
        return [account_of(row) for row in rows]

    async def write(
        self, ledger_id: int, previous_size: int, sealed: SealedCheckpoint, nodes: Nodes
    ) -> bool:
        """Adds a checkpoint with its subtrees; False if another sealer has gone on from there."""
        async with self._connections.borrow() as connection:
            cursor = await connection.execute(
                statement("seal_write"),
                {
                    "ledger_id": ledger_id,
                    "previous_size": previous_size,
                    **sealed._asdict(),
                    "levels": arrays.int2s([subtree.level for subtree, _ in nodes]),
                    "positions": arrays.int8s([subtree.position for subtree, _ in nodes]),
                    "hashes": arrays.hashes([node for _, node in nodes]),
                },
            )
            ((added,),) = await cursor.fetchall()
        return bool(added)
