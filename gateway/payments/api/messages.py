"""Requests of PaymentService in the words of the rules."""

from datetime import datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from gateway.identity import RequestIdentity
from gateway.payments.api.bank_debits import acceptance_of, type_of
from gateway.payments.api.validation import DEFAULT_QUEUE_TIMEOUT
from gateway.payments.domain.destination_fees import (
    Amount,
    TakingBack,
    default_fee,
    default_taking_back,
)
from gateway.payments.domain.payment import CaptureMethod, DeclineRetry, Payment, UnavailablePolicy
from gateway.payments.domain.refund import RefundCause
from gateway.payments.domain.states import PaymentState
from gateway.payments.domain.stripe_params import payment_request_metadata
from gateway.stripe_client.failover import Route
from gateway.v1 import payment_pb2
from gateway.v1.payment_service_pb2 import (
    CapturePaymentRequest,
    CreatePaymentRequest,
    RefundPaymentRequest,
)
from gateway.v1.refund_pb2 import RefundReason as RefundCauseNumber
from runtime.idempotency import without

_CAUSE_PREFIX = "REFUND_REASON_"


def new_payment(
    request: CreatePaymentRequest, corridor: str, identity: RequestIdentity, now: datetime
) -> Payment:
    """The payment that a request asks for, before anything has been done."""
    queues = request.unavailable_policy == payment_pb2.UNAVAILABLE_POLICY_QUEUE
    queue_timeout: timedelta | None = None
    if queues:
        queue_timeout = DEFAULT_QUEUE_TIMEOUT
        if request.HasField("queue_timeout"):
            queue_timeout = request.queue_timeout.ToTimedelta()
    manual = request.capture_method == payment_pb2.CAPTURE_METHOD_MANUAL
    retry: DeclineRetry | None = None
    if request.HasField("decline_retry"):
        wanted = request.decline_retry
        retry = DeclineRetry(wanted.max_attempts, wanted.window.ToTimedelta())
    has_fee = request.HasField("application_fee")
    return Payment(
        id=identity.of("pay", request),
        request_id=request.request_id,
        request_metadata=payment_request_metadata(
            identity.metadata_of(request), request.merchant_id, request.customer_id
        ),
        merchant_id=request.merchant_id,
        customer_id=request.customer_id,
        corridor=corridor,
        state=PaymentState.RECEIVED,
        currency=request.amount.currency_code,
        amount_minor=request.amount.minor_units,
        payment_method=request.payment_method.token,
        payment_method_customer=request.payment_method.stripe_customer_id,
        payment_method_type=type_of(request.payment_method.type),
        mandate_acceptance=acceptance_of(request),
        capture_method=CaptureMethod.MANUAL if manual else CaptureMethod.AUTOMATIC,
        off_session=request.off_session,
        return_url=request.return_url,
        unavailable_policy=UnavailablePolicy.QUEUE if queues else UnavailablePolicy.FAIL_FAST,
        queue_timeout=queue_timeout,
        queue_deadline=now + queue_timeout if queue_timeout is not None else None,
        description=request.description,
        statement_descriptor_suffix=request.statement_descriptor_suffix,
        metadata=dict(request.metadata),
        destination_account=request.destination_account_id,
        save_payment_method=request.save_payment_method,
        decline_retry=retry,
        application_fee_minor=request.application_fee.minor_units if has_fee else None,
        billing_country=request.billing_country_code,
        stays=request.stay_in_corridor,
        fails_in_review=request.fail_in_review,
        routes=_routes(request, corridor),
        create_time=now,
        update_time=now,
    )


def _routes(request: CreatePaymentRequest, corridor: str) -> tuple[Route, ...]:
    """What is asked for and its alternatives; nothing without any."""
    if not request.alternatives:
        return ()
    asked: list[tuple[str, CreatePaymentRequest | payment_pb2.CorridorAlternative]]
    asked = [(corridor, request)]
    asked += [(other.corridor, other) for other in request.alternatives]
    return tuple(
        Route(
            name,
            charged.payment_method.token,
            charged.payment_method.stripe_customer_id,
            charged.destination_account_id,
        )
        for name, charged in asked
    )


def amount_of(request: Any) -> Amount | None:
    """The amount of a capture or refund; None stands for all of it."""
    if not request.HasField("amount"):
        return None
    return Amount(request.amount.currency_code, request.amount.minor_units)


def fee_of(request: CapturePaymentRequest) -> Amount | None:
    """The application fee of a capture; None stands for the default, zero for none."""
    if not request.HasField("application_fee"):
        return None
    return Amount(request.application_fee.currency_code, request.application_fee.minor_units)


def taking_back_of(request: RefundPaymentRequest) -> TakingBack:
    """What a refund is to take back; None stands for the default."""
    has_reverse = request.HasField("reverse_transfer")
    has_fee = request.HasField("refund_application_fee")
    return TakingBack(
        request.reverse_transfer if has_reverse else None,
        request.refund_application_fee if has_fee else None,
    )


def without_default_fee(request: Message, payment: Payment) -> Message:
    """A capture without an application fee that is the default for the payment: it means the
    same."""
    assert isinstance(request, CapturePaymentRequest), request
    given = fee_of(request)
    if given is None or not payment.destination_account:
        return request
    captured = request.amount.minor_units if request.HasField("amount") else payment.amount_minor
    if given != Amount(payment.currency, default_fee(payment, captured) or 0):
        return request
    if payment.application_fee_minor is None:
        # Zero, where the default is to take none: said or not, the platform gets nothing.
        assert given.minor_units == 0, given
    return without(request, ["application_fee"])


def without_default_taking_back(request: Message, payment: Payment) -> Message:
    """A refund without what is the default for the payment: it means the same."""
    assert isinstance(request, RefundPaymentRequest), request
    asked = taking_back_of(request)
    default = default_taking_back(payment, TakingBack(asked.reverse_transfer))
    same = [
        name
        for name, said, usual in (
            ("reverse_transfer", asked.reverse_transfer, bool(payment.destination_account)),
            (
                "refund_application_fee",
                asked.refund_application_fee,
                default.refund_application_fee,
            ),
        )
        if said is not None and payment.destination_account and said is usual
    ]
    return without(request, same)


def cause_of(number: RefundCauseNumber.ValueType) -> RefundCause:
    """Why a refund is asked for."""
    return RefundCause(RefundCauseNumber.Name(number).removeprefix(_CAUSE_PREFIX))
