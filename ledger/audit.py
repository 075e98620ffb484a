"""The RPC handlers of AuditService that prove, and the class that has them all."""

from collections.abc import AsyncIterator
from typing import Any

from ledger.exporting import ExportingService
from ledger.ledgers import Ledgers
from ledger.proofs import Proofs
from ledger.reader import Reader
from ledger.seals import SealedCheckpoint
from ledger.times import micros_of, timestamp_of
from ledger.v1 import audit_service_pb2 as audit
from ledger.verification import Progress, Verification
from runtime.connections import Connections

Context = Any


class AuditService(ExportingService):
    """All of `ledger.v1.AuditService` for the ledgers of one shard: proves what is recorded, and
    recomputes what is kept."""

    def __init__(
        self, ledgers: Ledgers, reader: Reader, reads: Connections, proofs: Proofs
    ) -> None:
        super().__init__(ledgers, reader, reads)
        self._proofs = proofs

    async def GetCheckpoint(
        self, request: audit.GetCheckpointRequest, _context: Context
    ) -> audit.GetCheckpointResponse:
        ledger_id = await self._ledgers.id_of(request.ledger)
        checkpoint, unsealed = await self._proofs.checkpoint(ledger_id, request.min_tree_size)
        return audit.GetCheckpointResponse(
            checkpoint=checkpoint_message(request.ledger, checkpoint),
            unsealed_count=unsealed,
        )

    async def GetInclusionProof(
        self, request: audit.GetInclusionProofRequest, _context: Context
    ) -> audit.GetInclusionProofResponse:
        ledger_id = await self._ledgers.id_of(request.ledger)
        proof = await self._proofs.inclusion(
            ledger_id, request.ledger, request.sequence, request.tree_size
        )
        return audit.GetInclusionProofResponse(
            leaf_index=request.sequence - 1,
            leaf=proof.leaf,
            path=proof.path,
            checkpoint=checkpoint_message(request.ledger, proof.checkpoint),
        )

    async def GetConsistencyProof(
        self, request: audit.GetConsistencyProofRequest, _context: Context
    ) -> audit.GetConsistencyProofResponse:
        ledger_id = await self._ledgers.id_of(request.ledger)
        proof = await self._proofs.consistency(
            ledger_id, request.first_tree_size, request.second_tree_size
        )
        return audit.GetConsistencyProofResponse(
            path=proof.path,
            first=checkpoint_message(request.ledger, proof.first),
            second=checkpoint_message(request.ledger, proof.second),
        )

    async def VerifyLedger(
        self, request: audit.VerifyLedgerRequest, _context: Context
    ) -> AsyncIterator[audit.VerifyLedgerResponse]:
        ledger_id = await self._ledgers.id_of(request.ledger)
        verification = Verification(self._reader, self._reads)
        async for progress in verification.run(ledger_id, request.ledger, request.after_sequence):
            yield progress_message(progress)


def progress_message(progress: Progress) -> audit.VerifyLedgerResponse:
    """How far a recomputation is, or what it found."""
    difference = progress.difference
    return audit.VerifyLedgerResponse(
        intact=progress.done and difference is None,
        first_difference=difference and audit.LedgerDifference(**difference._asdict()),
        sequence=progress.sequence,
        account_count=progress.accounts,
        entry_count=progress.entries,
        last_sequence=progress.last_sequence,
        done=progress.done,
    )


def checkpoint_message(ledger: str, sealed: SealedCheckpoint) -> audit.Checkpoint:
    """A checkpoint as clients see it."""
    return audit.Checkpoint(
        ledger=ledger,
        tree_size=sealed.tree_size,
        root_hash=sealed.root_hash,
        note=sealed.note,
        seal_time=timestamp_of(micros_of(sealed.seal_time)),
    )
