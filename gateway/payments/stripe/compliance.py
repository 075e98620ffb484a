"""The compliance service as the gateway asks it: may this charge happen?"""

import grpc

from compliance.v1 import compliance_service_pb2 as pb
from compliance.v1 import compliance_service_pb2_grpc
from compliance.v1.decision_pb2 import Decision, ReasonCode, Verdict
from gateway.operations.operation import Operation
from gateway.payments.domain.decision import CheckReply
from gateway.payments.domain.failover import does_not_wait_there
from gateway.payments.domain.payment import ComplianceRecord, Payment
from runtime.errors import from_rpc_error
from runtime.logs import get_logger

_VERDICT_PREFIX = "VERDICT_"
_CODE_PREFIX = "REASON_CODE_"
# What is wrong with the request itself. No other code leaves the engine: it may be a suspicion.
_REQUEST_ERRORS = frozenset(
    {
        ReasonCode.REASON_CODE_MERCHANT_UNKNOWN,
        ReasonCode.REASON_CODE_CUSTOMER_UNKNOWN,
        ReasonCode.REASON_CODE_SUBJECT_MISMATCH,
    }
)
# It was not there, too busy or too slow.
_DOWN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_KNOWN_VERDICTS = frozenset({"ALLOW", "REVIEW", "DENY"})

log = get_logger(__name__)


class ComplianceClient:
    """Asks over gRPC. No answer in time is no verdict, so the caller must not charge."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = compliance_service_pb2_grpc.ComplianceServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def check(self, payment: Payment, operation: Operation) -> CheckReply:
        """The verdict on a payment. The same attempt of an operation gets the same decision."""
        request = pb.CheckPaymentRequest(
            request_id=operation.idempotency_key,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            customer_id=payment.customer_id,
            corridor=payment.corridor,
            connected_account_id=payment.destination_account,
            billing_country_code=payment.billing_country,
            does_not_wait=payment.fails_in_review or does_not_wait_there(payment),
        )
        # Empty stands for a card, so that a check begun by a release before is repeated as it was.
        if payment.payment_method_type.is_bank_debit:
            request.payment_method_type = payment.payment_method_type.at_stripe
        elif payment.decline is not None:
            # Stripe said it with the last decline, in the corridor that it was declined in.
            request.card_fingerprint = payment.decline.card_fingerprint
        request.amount.currency_code = payment.currency
        request.amount.minor_units = payment.amount_minor
        try:
            response = await self._stub.CheckPayment(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            received = from_rpc_error(error)
            log.warning(
                "compliance_not_reached",
                payment_id=payment.id,
                code=received.code.name,
                reason=received.reason,
            )
            return CheckReply(None, received.retry_delay, is_down=received.code in _DOWN)
        return CheckReply(_record_of(response.decision))


def _record_of(decision: Decision) -> ComplianceRecord:
    """The decision as it is kept; a verdict that we do not know is a case for a person."""
    verdict = Verdict.Name(decision.verdict) if decision.verdict in Verdict.values() else ""
    name = verdict.removeprefix(_VERDICT_PREFIX)
    return ComplianceRecord(
        decision_id=decision.id,
        verdict=name if name in _KNOWN_VERDICTS else "REVIEW",
        merchant_reasons=tuple(
            dict.fromkeys(
                reason.merchant_text for reason in decision.reasons if reason.merchant_text
            )
        ),
        request_errors=tuple(
            dict.fromkeys(
                ReasonCode.Name(reason.code).removeprefix(_CODE_PREFIX)
                for reason in decision.reasons
                if reason.code in _REQUEST_ERRORS
            )
        ),
        decide_time=decision.record_time.ToDatetime().isoformat() + "Z",
    )
