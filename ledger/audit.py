"""The RPC handlers of AuditService. Merkle proofs are not built yet: they answer UNIMPLEMENTED."""

from typing import Any

from ledger.errors import unimplemented
from ledger.ledgers import Ledgers
from ledger.reader import Reader
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1.audit_service_pb2_grpc import AuditServiceServicer

Context = Any


class AuditService(AuditServiceServicer):
    """Recomputes what a ledger keeps."""

    def __init__(self, ledgers: Ledgers, reader: Reader) -> None:
        self._ledgers = ledgers
        self._reader = reader

    async def GetCheckpoint(
        self, _request: audit.GetCheckpointRequest, _context: Context
    ) -> audit.GetCheckpointResponse:
        raise unimplemented("checkpoints", "ledgers are not sealed into checkpoints yet")

    async def GetInclusionProof(
        self, _request: audit.GetInclusionProofRequest, _context: Context
    ) -> audit.GetInclusionProofResponse:
        raise unimplemented("inclusion_proofs", "ledgers have no Merkle log yet")

    async def GetConsistencyProof(
        self, _request: audit.GetConsistencyProofRequest, _context: Context
    ) -> audit.GetConsistencyProofResponse:
        raise unimplemented("consistency_proofs", "ledgers have no Merkle log yet")

    async def VerifyLedger(
        self, request: audit.VerifyLedgerRequest, _context: Context
    ) -> audit.VerifyLedgerResponse:
        """Everything is read from one snapshot, so commits go on meanwhile."""
        ledger_id = await self._ledgers.id_of(request.ledger)
        verified = await self._reader.verify(ledger_id)
        response = audit.VerifyLedgerResponse(
            intact=not verified.differences,
            sequence=verified.sequence,
            accounts=verified.accounts,
            entries=verified.entries,
        )
        for projection, account, at, expected, found in verified.differences:
            response.first_difference.CopyFrom(
                audit.LedgerDifference(
                    projection=projection,
                    account=account,
                    sequence=at,
                    expected=expected,
                    found=found,
                )
            )
        return response
