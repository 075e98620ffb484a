"""The RPC handlers of AuditService. Merkle proofs are not built yet: they answer UNIMPLEMENTED."""

from typing import Any

from ledger.errors import unimplemented
from ledger.ledgers import Ledgers
from ledger.statements import statement
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1.audit_service_pb2_grpc import AuditServiceServicer
from runtime.connections import Connections

Context = Any


class AuditService(AuditServiceServicer):
    """Recomputes what a ledger keeps."""

    def __init__(self, ledgers: Ledgers, connections: Connections) -> None:
        self._ledgers = ledgers
        self._connections = connections

    async def GetCheckpoint(
        self, request: audit.GetCheckpointRequest, _context: Context
    ) -> audit.GetCheckpointResponse:
        await self._ledgers.id_of(request.ledger)
        raise unimplemented("checkpoints", "ledgers are not sealed into checkpoints yet")

    async def GetInclusionProof(
        self, request: audit.GetInclusionProofRequest, _context: Context
    ) -> audit.GetInclusionProofResponse:
        await self._ledgers.id_of(request.ledger)
        raise unimplemented("inclusion_proofs", "ledgers have no Merkle log yet")

    async def GetConsistencyProof(
        self, request: audit.GetConsistencyProofRequest, _context: Context
    ) -> audit.GetConsistencyProofResponse:
        await self._ledgers.id_of(request.ledger)
        raise unimplemented("consistency_proofs", "ledgers have no Merkle log yet")

    async def VerifyLedger(
        self, request: audit.VerifyLedgerRequest, _context: Context
    ) -> audit.VerifyLedgerResponse:
        """Everything is read from one snapshot, so commits go on meanwhile."""
        parameters = {"ledger_id": await self._ledgers.id_of(request.ledger)}
        async with self._connections.borrow() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor = await connection.execute(statement("verify_counts"), parameters)
            ((sequence, accounts, entries),) = await cursor.fetchall()
            cursor = await connection.execute(statement("verify"), parameters)
            differences = await cursor.fetchall()
        response = audit.VerifyLedgerResponse(
            intact=not differences, sequence=sequence, accounts=accounts, entries=entries
        )
        for projection, account, at, expected, found in differences:
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
