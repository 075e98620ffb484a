"""Proofs that a transaction is in the log, and that the log only grew, from what is sealed.

Nothing is answered that does not verify: a proof that fails here is a defect or a changed
database, which is logged and answered as INTERNAL.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ledger.errors import not_sealed
from ledger.leaf import leaf_of
from ledger.reader import Reader
from ledger.seals import TILE_LEAVES, TILE_LEVEL, SealedCheckpoint, Seals
from runtime.logs import get_logger
from runtime.merkle import (
    HASH_BYTES,
    Span,
    Subtree,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    path_of,
    root_of,
    subtrees,
    verify_consistency,
    verify_inclusion,
)

# A proof needs leaves of at most two tiles: the one it is about and the last one.
MAX_TILES_PER_PROOF = 2

log = get_logger(__name__)


class UnprovableError(Exception):
    """What is recorded and what is sealed do not agree."""


class InclusionProof(NamedTuple):
    """The leaf's bytes and the hashes that lead from its hash to the checkpoint's root."""

    leaf: bytes
    path: Sequence[bytes]
    checkpoint: SealedCheckpoint


class ConsistencyProof(NamedTuple):
    """The hashes that lead to the roots of both checkpoints."""

    path: Sequence[bytes]
    first: SealedCheckpoint
    second: SealedCheckpoint


class Proofs:
    """Proves against checkpoints; a tree size has to be that of one."""

    def __init__(self, seals: Seals, reader: Reader) -> None:
        self._seals = seals
        self._reader = reader

    async def checkpoint(self, ledger_id: int, min_tree_size: int) -> tuple[SealedCheckpoint, int]:
        """The oldest checkpoint of at least that size, the newest for 0, and how many committed
        transactions the newest does not cover. Raises NOT_SEALED."""
        last_sequence, newest = await self._seals.newest(ledger_id)
        if newest is None or newest.tree_size < min_tree_size:
            raise not_sealed("tree_size", min_tree_size, newest.tree_size if newest else 0)
        unsealed = last_sequence - newest.tree_size
        if min_tree_size in (0, newest.tree_size):
            return newest, unsealed
        found = await self._seals.covering(ledger_id, min_tree_size)
        assert found is not None, "the newest one covers it and stays"
        return found, unsealed

    async def inclusion(
        self, ledger_id: int, ledger: str, sequence: int, tree_size: int
    ) -> InclusionProof:
        """Proves a transaction against the checkpoint of that size, the newest for 0.

        Raises NOT_SEALED, and `UnprovableError` if the transaction is not what was sealed.
        """
        checkpoint = await self._sized(ledger_id, tree_size)
        if sequence > checkpoint.tree_size:
            raise not_sealed("sequence", sequence, checkpoint.tree_size)
        (record,) = await self._reader.records(ledger_id, [sequence])
        leaf = leaf_of(ledger, record)
        sealed_hash = await self._seals.leaf_hashes(ledger_id, sequence, sequence)
        index = sequence - 1
        path = await self._path(ledger_id, inclusion_spans(index, checkpoint.tree_size))
        found = leaf_hash(leaf)
        proved = verify_inclusion(found, index, checkpoint.tree_size, path, checkpoint.root_hash)
        if found != sealed_hash or not proved:
            log.error(
                "inclusion_unprovable",
                ledger=ledger,
                sequence=sequence,
                tree_size=checkpoint.tree_size,
                leaf_is_as_recorded=found == sealed_hash,
            )
            raise UnprovableError
        return InclusionProof(leaf, path, checkpoint)

    async def consistency(
        self, ledger_id: int, first_size: int, second_size: int
    ) -> ConsistencyProof:
        """Proves that the checkpoint of the second size, the newest for 0, extends the first.

        Raises NOT_SEALED, and `UnprovableError` if it does not.
        """
        second = await self._sized(ledger_id, second_size)
        if first_size > second.tree_size:
            raise not_sealed("tree_size", first_size, second.tree_size)
        first = await self._sized(ledger_id, first_size)
        path = await self._path(ledger_id, consistency_spans(first.tree_size, second.tree_size))
        proved = verify_consistency(
            first.tree_size, second.tree_size, first.root_hash, second.root_hash, path
        )
        if not proved:
            log.error(
                "consistency_unprovable",
                ledger_id=ledger_id,
                first_size=first.tree_size,
                second_size=second.tree_size,
            )
            raise UnprovableError
        return ConsistencyProof(path, first, second)

    async def _sized(self, ledger_id: int, tree_size: int) -> SealedCheckpoint:
        """The checkpoint of exactly that size, the newest for 0."""
        found, _ = await self.checkpoint(ledger_id, tree_size)
        if tree_size not in (0, found.tree_size):
            _, newest = await self._seals.newest(ledger_id)
            raise not_sealed("tree_size", tree_size, newest.tree_size if newest else 0)
        return found

    async def _path(self, ledger_id: int, spans: Sequence[Span]) -> list[bytes]:
        """The hashes of spans, from kept subtrees and, below those, from leaf hashes."""
        wanted = {subtree for span in spans for subtree in subtrees(span)}
        kept = [subtree for subtree in wanted if subtree.level >= TILE_LEVEL]
        hashes = await self._seals.nodes(ledger_id, kept)
        if len(hashes) != len(kept):
            log.error("sealed_nodes_missing", ledger_id=ledger_id)
            raise UnprovableError
        small: dict[int, list[Subtree]] = {}
        for subtree in wanted.difference(kept):
            tile = (subtree.position << subtree.level) // TILE_LEAVES
            small.setdefault(tile, []).append(subtree)
        assert len(small) <= MAX_TILES_PER_PROOF, "a proof has two ends"
        for within in small.values():
            hashes |= await self._computed(ledger_id, within)
        return path_of(spans, hashes.__getitem__)

    async def _computed(self, ledger_id: int, within: Sequence[Subtree]) -> dict[Subtree, bytes]:
        """The hashes of subtrees of one tile, from its leaves."""
        first = min(position << level for level, position in within)
        end = max((position + 1) << level for level, position in within)
        leaves = await self._seals.leaf_hashes(ledger_id, first + 1, end)
        return {
            subtree: root_of(
                leaves[
                    ((subtree.position << subtree.level) - first) * HASH_BYTES : (
                        ((subtree.position + 1) << subtree.level) - first
                    )
                    * HASH_BYTES
                ]
            )
            for subtree in within
        }
