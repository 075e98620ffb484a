"""The compliance service as payouts ask it: may this money go to the bank?"""

import grpc

from compliance.v1 import compliance_service_pb2 as pb
from compliance.v1 import compliance_service_pb2_grpc
from compliance.v1.decision_pb2 import Verdict
from gateway.operations.operation import Operation
from gateway.payouts.domain import Payout
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from runtime.errors import from_rpc_error
from runtime.logs import get_logger

log = get_logger(__name__)


class PayoutCompliance:
    """Asks over gRPC. No answer in time is no verdict, so nothing is paid out."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = compliance_service_pb2_grpc.ComplianceServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def check(self, payout: Payout, operation: Operation) -> Outcome:
        """The verdict as `{"verdict": "ALLOW" | "REVIEW" | "DENY"}`. The same attempt of an
        operation gets the same decision."""
        request = pb.CheckPayoutRequest(
            request_id=operation.idempotency_key,
            payout_id=payout.id,
            merchant_id=payout.merchant_id,
            corridor=payout.corridor,
            connected_account_id=payout.account_id,
        )
        request.amount.currency_code = payout.currency
        request.amount.minor_units = payout.amount_minor
        try:
            response = await self._stub.CheckPayout(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            received = from_rpc_error(error)
            log.warning(
                "compliance_not_reached",
                payout_id=payout.id,
                code=received.code.name,
                reason=received.reason,
            )
            return Outcome(
                OutcomeClass.NOT_SENT,
                not_sent_reason=NotSentReason.CONNECT_FAILED,
                retry_after=received.retry_delay,
            )
        verdict = response.decision.verdict
        allowed, denied = verdict == Verdict.VERDICT_ALLOW, verdict == Verdict.VERDICT_DENY
        # A verdict that we do not know is a case for a person.
        word = "ALLOW" if allowed else "DENY" if denied else "REVIEW"
        return Outcome(OutcomeClass.SUCCEEDED, object={"verdict": word})
