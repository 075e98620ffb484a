"""Somebody who deals with disputes, over gRPC."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from gateway.v1 import dispute_service_pb2 as pb
from gateway.v1.dispute_pb2 import Dispute
from gateway.v1.dispute_service_pb2_grpc import DisputeServiceStub
from gateway.v1.payment_pb2 import Payment, PaymentMethod
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from tests.gateway.payments.shop import RefusedError, Shop, fresh


class Desk:
    """Calls DisputeService and waits for what it shows."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.stub = DisputeServiceStub(shop.channel)

    async def disputed(self, card: str = "createDispute", **fields: Any) -> Dispute:
        """A payment with a card whose holder disputes it at once; its dispute."""
        token = PaymentMethod(token=f"pm_card_{card}")
        payment = await self.shop.create(payment_method=token, **fields)
        return await self.first_of(payment)

    async def first_of(self, payment: Payment) -> Dispute:
        """The payment's dispute, once the gateway knows of it."""
        request = pb.ListDisputesRequest(payment_id=payment.id)
        listed = await poll(
            lambda: self.stub.ListDisputes(request), lambda found: bool(found.disputes)
        )
        return listed.disputes[0]

    async def until(self, dispute_id: str, condition: Callable[[Dispute], bool]) -> Dispute:
        """The dispute once the condition holds."""
        return await poll(lambda: self.get(dispute_id), condition)

    async def get(self, dispute_id: str) -> Dispute:
        answer: pb.GetDisputeResponse = await self.call(
            "GetDispute", pb.GetDisputeRequest(dispute_id=dispute_id)
        )
        return answer.dispute

    async def submit(
        self,
        dispute_id: str,
        evidence: Mapping[str, str],
        request_id: str = "",
        timeout: float | None = None,
    ) -> Dispute:
        request = pb.SubmitDisputeEvidenceRequest(
            request_id=request_id or fresh(), dispute_id=dispute_id, evidence=evidence
        )
        answer: pb.SubmitDisputeEvidenceResponse = await self.call(
            "SubmitDisputeEvidence", request, timeout
        )
        return answer.dispute

    async def accept(self, dispute_id: str, request_id: str = "") -> Dispute:
        request = pb.AcceptDisputeRequest(request_id=request_id or fresh(), dispute_id=dispute_id)
        answer: pb.AcceptDisputeResponse = await self.call("AcceptDispute", request)
        return answer.dispute

    async def call(self, method: str, request: Any, timeout: float | None = None) -> Any:
        try:
            return await getattr(self.stub, method)(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(from_rpc_error(error)) from error
