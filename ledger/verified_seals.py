"""The Merkle log and its checkpoints, recomputed from leaf hashes and accounts that are checked."""

from collections.abc import AsyncIterator
from typing import Any

from ledger.account_line import account_line
from ledger.chain import EMPTY_CHAIN, extended
from ledger.difference import DifferenceError
from ledger.notes import ORIGIN_PREFIX, Checkpoint
from ledger.sealing import SealedLog
from ledger.seals import Seals
from ledger.statements import statement
from runtime.connections import Connections
from runtime.merkle import HASH_BYTES, Frontier, Subtree

LEAVES_PER_STEP = 2_048
ACCOUNTS_PER_STEP = 200
CHECKPOINTS_PER_STEP = 200


class SealVerification:
    """Follows one log in order and raises `DifferenceError` for what is sealed of it otherwise."""

    def __init__(self, ledger: str, ledger_id: int, connections: Connections) -> None:
        self._ledger = ledger
        self._ledger_id = ledger_id
        self._seals = Seals(connections)
        self._connections = connections
        self._log = SealedLog(Frontier(), b"", 0, EMPTY_CHAIN)

    async def skip(self, through: int) -> AsyncIterator[None]:
        """Takes leaves as they are, up to a sequence from which to go on."""
        while self._log.size < through:
            last = min(self._log.size + LEAVES_PER_STEP, through)
            first = self._log.size + 1
            self._log.extend(await self._seals.leaf_hashes(self._ledger_id, first, last))
            yield

    async def extend(self, hashes: bytes) -> None:
        """Adds the hashes of the next leaves and checks what ends among them."""
        after = self._log.size
        span = {"after": after, "through": after + len(hashes) // HASH_BYTES}
        # In this order: subtrees are written with the checkpoint that covers them.
        _, newest = await self._seals.newest(self._ledger_id)
        sealed_size = newest.tree_size if newest is not None else 0
        checkpoints = await self._fetch("verify_checkpoints", span)
        kept = {
            Subtree(level, position): bytes(node)
            for level, position, node in await self._fetch("verify_nodes", span)
        }
        for checkpoint in checkpoints:
            start, end = self._log.size - after, checkpoint[0] - after
            self._add(hashes[start * HASH_BYTES : end * HASH_BYTES], kept, sealed_size)
            self._check(*checkpoint)
        self._add(hashes[(self._log.size - after) * HASH_BYTES :], kept, sealed_size)

    def _add(self, hashes: bytes, kept: dict[Subtree, bytes], sealed_size: int) -> None:
        for subtree, node in self._log.extend(hashes):
            end = (subtree.position + 1) << subtree.level
            found = kept.get(subtree)
            # What no checkpoint covers need not be kept yet.
            if found != node and (found is not None or end <= sealed_size):
                place = f"{subtree.level} {subtree.position} "
                found_text = "" if found is None else place + found.hex()
                raise DifferenceError("sealed_node", "", end, place + node.hex(), found_text)

    def _check(
        self,
        size: int,
        size_before: int,
        previous_size: int,
        root: bytes,
        account_count: int,
        accounts_hash: bytes,
        note: str,
    ) -> None:
        checkpoint = Checkpoint(
            origin=ORIGIN_PREFIX + self._ledger,
            tree_size=size,
            root_hash=self._log.root(),
            account_count=account_count,
            accounts_hash=bytes(accounts_hash),
        )
        expected = f"{size_before} {checkpoint.root_hash.hex()}"
        found = f"{previous_size} {bytes(root).hex()}"
        if expected != found:
            raise DifferenceError("checkpoint", "", size, expected, found)
        if not note.startswith(checkpoint.text() + "\n"):
            raise DifferenceError("checkpoint", "", size, checkpoint.text(), note)

    async def check_accounts(self) -> AsyncIterator[None]:
        """Each checkpoint covers the accounts that it says it does."""
        chain, count, after = EMPTY_CHAIN, 0, 0
        while rows := await self._fetch(
            "verify_checkpoint_accounts", {"after": after, "limit": CHECKPOINTS_PER_STEP}
        ):
            for size, account_count, accounts_hash in rows:
                while count < account_count:
                    limit = min(ACCOUNTS_PER_STEP, account_count - count)
                    accounts = await self._seals.accounts(self._ledger_id, count, limit)
                    for account in accounts:
                        chain = extended(chain, account_line(account))
                    count += len(accounts)
                    if len(accounts) < limit:
                        break
                    yield
                expected = f"{count} {chain.hex()}"
                found = f"{account_count} {bytes(accounts_hash).hex()}"
                if expected != found:
                    raise DifferenceError("checkpoint", "", size, expected, found)
            after = rows[-1][0]
            yield

    async def _fetch(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        return await self._connections.fetch(
            statement(name), {"ledger_id": self._ledger_id, **parameters}
        )
