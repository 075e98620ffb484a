"""DisputeService: check, call, answer."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.disputes import store
from gateway.disputes.commands import acceptance_rule, evidence_rule
from gateway.disputes.domain import Dispute
from gateway.disputes.errors import dispute_not_found
from gateway.errors import ERRORS
from gateway.operations.commands import Commands, outcome_of
from gateway.operations.gate import Gate, absent
from gateway.paging import position_of, token_of
from gateway.payments.rendering import money, stamp
from gateway.v1 import dispute_pb2, dispute_service_pb2_grpc
from gateway.v1 import dispute_service_pb2 as pb
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
_STATE_PREFIX = "DISPUTE_STATE_"


class DisputeServicer(dispute_service_pb2_grpc.DisputeServiceServicer):
    """Shows disputes and answers them."""

    def __init__(self, engine: AsyncEngine, commands: Commands, gate: Gate) -> None:
        self._engine = engine
        self._commands = commands
        self._gate = gate
        self._page_tokens = PageTokens(ERRORS)

    async def GetDispute(
        self, request: pb.GetDisputeRequest, _context: Any
    ) -> pb.GetDisputeResponse:
        return pb.GetDisputeResponse(dispute=await self._read(request.dispute_id))

    async def ListDisputes(
        self, request: pb.ListDisputesRequest, _context: Any
    ) -> pb.ListDisputesResponse:
        after = position_of(self._page_tokens.decode(request))
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        name = dispute_pb2.DisputeState.Name(request.state).removeprefix(_STATE_PREFIX)
        async with self._engine.connect() as connection:
            found = await store.page(
                connection,
                merchant_id=request.merchant_id,
                payment_id=request.payment_id,
                state=name if request.state else "",
                after=after,
                limit=size + 1,
            )
        response = pb.ListDisputesResponse(disputes=[_message(item) for item in found[:size]])
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = token_of(
                self._page_tokens, request, last.create_time, last.id
            )
        return response

    async def SubmitDisputeEvidence(
        self, request: pb.SubmitDisputeEvidenceRequest, _context: Any
    ) -> pb.SubmitDisputeEvidenceResponse:
        rule = evidence_rule(request.dispute_id, request.evidence)
        # Evidence tells of customers: it is kept until Stripe has it, and no longer.
        done = await self._commands.run(request, request.dispute_id, rule, personal=["evidence"])
        outcome_of(done)
        dispute = await self._read(request.dispute_id, known=True)
        return pb.SubmitDisputeEvidenceResponse(dispute=dispute)

    async def AcceptDispute(
        self, request: pb.AcceptDisputeRequest, _context: Any
    ) -> pb.AcceptDisputeResponse:
        rule = acceptance_rule(request.dispute_id)
        outcome_of(await self._commands.run(request, request.dispute_id, rule))
        dispute = await self._read(request.dispute_id, known=True)
        return pb.AcceptDisputeResponse(dispute=dispute)

    async def _read(self, dispute_id: str, *, known: bool = False) -> dispute_pb2.Dispute:
        async with self._engine.connect() as connection:
            dispute = await store.get(connection, dispute_id)
        if dispute is None:
            raise absent(self._gate, dispute_not_found(dispute_id), known=known)
        return _message(dispute)


def _message(dispute: Dispute) -> dispute_pb2.Dispute:
    message = dispute_pb2.Dispute(
        id=dispute.id,
        payment_id=dispute.payment_id,
        merchant_id=dispute.merchant_id,
        state=dispute_pb2.DisputeState.Value(_STATE_PREFIX + dispute.state),
        amount=money(dispute.currency, dispute.amount_minor),
        reason=dispute.network_cause,
        evidence_due_time=stamp(dispute.evidence_due_time),
        evidence_submission_count=dispute.submission_count,
        stripe_dispute_id=dispute.stripe_dispute_id,
        effective_time=stamp(dispute.effective_time),
        create_time=stamp(dispute.create_time),
        update_time=stamp(dispute.update_time),
    )
    if dispute.fee_minor is not None:
        message.fee.CopyFrom(money(dispute.fee_currency, dispute.fee_minor))
    return message
