"""VerifyLedger: what is kept besides the entries, recomputed from them.

The log is read in spans. What a span is checked against lies in it or was checked before, each
span with what is kept of it is read by one statement, and what is recorded never changes: so
commits go on meanwhile, memory is that of a span, and it can be resumed anywhere. Signatures of
checkpoints are for those who hold the public key: see `ledger.verify`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.commands import Operation
from ledger.difference import Difference, DifferenceError
from ledger.errors import sequence_not_reached
from ledger.leaf import leaf_of
from ledger.reader import Reader
from ledger.seals import Seals
from ledger.statements import statement
from ledger.v1.transaction_mutations_pb2 import BatchCreateTransactionsResponse
from ledger.verified_seals import SealVerification
from runtime.connections import Connections
from runtime.merkle import HASH_BYTES, leaf_hash

MAX_TRANSACTIONS_PER_SPAN = 500
MAX_ENTRIES_PER_SPAN = 5_000
MAX_BODY_BYTES_PER_SPAN = 4 * 1024 * 1024
# Leaves hashed before other tasks run: about two milliseconds.
LEAVES_PER_TURN = 50
ROWS_PER_STEP = 500
MARKS_PER_STEP = 100
# Statements that walk a table in the order of its key, and where that begins.
WALKS: Sequence[tuple[str, int, tuple[int, ...]]] = (
    ("verify_accounts", ROWS_PER_STEP, (0,)),
    ("verify_marks", MARKS_PER_STEP, (0, 0, 0)),
    ("verify_spans", ROWS_PER_STEP, (0, 0, 0, 0, 0)),
)


@dataclass
class Progress:
    """How far a recomputation has come."""

    sequence: int
    last_sequence: int = 0
    accounts: int = 0
    entries: int = 0
    done: bool = False
    difference: Difference | None = None


class Verification:
    """Recomputes ledgers of one database."""

    def __init__(self, reader: Reader, connections: Connections) -> None:
        self._reader = reader
        self._connections = connections
        self._seals = Seals(connections)

    async def run(
        self, ledger_id: int, ledger: str, after_sequence: int
    ) -> AsyncIterator[Progress]:
        """Yields one and the same progress, again and again, until it is done."""
        progress = Progress(after_sequence)
        try:
            async for _ in self._steps(ledger_id, ledger, progress):
                yield progress
        except DifferenceError as error:
            progress.difference = error.difference
        progress.done = True
        yield progress

    async def _steps(self, ledger_id: int, ledger: str, progress: Progress) -> AsyncIterator[None]:
        projection, expected, found, progress.last_sequence = (
            await self._fetch("verify_head", ledger_id)
        )[0]
        if projection is not None:
            raise DifferenceError(projection, "", progress.last_sequence, expected, found)
        if progress.sequence > progress.last_sequence:
            raise sequence_not_reached(progress.sequence, progress.last_sequence)
        seals = SealVerification(ledger, ledger_id, self._connections)
        async for _ in seals.skip(progress.sequence):
            yield
        while progress.sequence < progress.last_sequence:
            await self._check_span(ledger_id, ledger, seals, progress)
            yield
        for name, limit, start in WALKS:
            async for rows in self._walk(name, ledger_id, limit, start):
                progress.accounts = rows if name == "verify_accounts" else progress.accounts
                yield
        async for _ in self._check_decisions(ledger_id):
            yield
        async for _ in seals.check_accounts():
            yield

    async def _check_span(
        self, ledger_id: int, ledger: str, seals: SealVerification, progress: Progress
    ) -> None:
        after = progress.sequence
        bounds = {
            "after": after,
            "through": progress.last_sequence,
            "transactions": MAX_TRANSACTIONS_PER_SPAN,
            "entries": MAX_ENTRIES_PER_SPAN,
            "body_bytes": MAX_BODY_BYTES_PER_SPAN,
        }
        ((last,),) = await self._fetch("export_span", ledger_id, bounds)
        # Nothing where something has to be is a gap, which the statement names.
        last = last or min(after + MAX_TRANSACTIONS_PER_SPAN, progress.last_sequence)
        span = {"after": after, "through": last}
        for row in await self._fetch("verify_log", ledger_id, span):
            raise DifferenceError(*row)
        hashes = await self._seals.leaf_hashes(ledger_id, after + 1, last)
        records = await self._reader.records(ledger_id, range(after + 1, last + 1))
        for place, record in enumerate(records):
            found = hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES]
            expected = leaf_hash(leaf_of(ledger, record))
            if expected != found:
                raise DifferenceError("leaf_hash", "", record.sequence, expected.hex(), found.hex())
            progress.entries += len(record.entries)
            if place % LEAVES_PER_TURN == 0:
                await asyncio.sleep(0)
        await seals.extend(hashes)
        progress.sequence = last

    async def _walk(
        self, name: str, ledger_id: int, limit: int, key: tuple[Any, ...]
    ) -> AsyncIterator[int]:
        """Checks a table step by step; yields where its first key column has come to."""
        while True:
            keys = {f"k{place}": value for place, value in enumerate(key)}
            rows = await self._fetch(name, ledger_id, {**keys, "limit": limit})
            if not rows:
                return
            if rows[0][0] is not None:
                raise DifferenceError(*rows[0][:5])
            key = rows[0][5:]
            yield key[0]

    async def _check_decisions(self, ledger_id: int) -> AsyncIterator[None]:
        """The transactions that a batch was answered are there."""
        after = ""
        while True:
            parameters = {"after": after, "limit": ROWS_PER_STEP}
            rows = await self._fetch("verify_decisions", ledger_id, parameters)
            if not rows:
                return
            for request_id, operation, failed, answer, last_sequence in rows:
                if operation != Operation.BATCH or failed:
                    continue
                for result in BatchCreateTransactionsResponse.FromString(answer).results:
                    sequence = result.transaction.sequence
                    if sequence > last_sequence:
                        raise DifferenceError(
                            "decision", "", sequence, str(last_sequence), request_id
                        )
            after = rows[-1][0]
            yield

    async def _fetch(
        self, name: str, ledger_id: int, parameters: dict[str, Any] | None = None
    ) -> list[Any]:
        return await self._connections.fetch(
            statement(name), {"ledger_id": ledger_id, **(parameters or {})}
        )
