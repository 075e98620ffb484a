"""Payments, refunds and operations as messages of gateway.v1."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.bookkeeping.reporting import PaymentBookings
from gateway.operations.operation import Operation, OperationState
from gateway.payments.domain.decline_retries import DeclinedAttempt
from gateway.payments.domain.payment import Decline, FailureCode, Payment
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.refund import Refund
from gateway.payments.domain.states import PaymentState
from gateway.v1 import payment_pb2 as pb
from gateway.v1 import refund_pb2
from money.v1.money_pb2 import Money

# The code of the failure of an operation that the bank or Stripe's rules refused.
DECLINED = "declined"
MAX_SHOWN_OPERATIONS = 100
MAX_SHOWN_FACTS = 200


def money(currency: str, minor_units: int) -> Money:
    """An amount."""
    return Money(currency_code=currency, minor_units=minor_units)


def stamp(time: datetime | None) -> Timestamp | None:
    """A time; None stays unset."""
    if time is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def payment_message(payment: Payment, *, secrets: bool = False) -> pb.Payment:
    """The payment by itself; with `secrets`, the client_secret where it is needed."""
    p = payment
    message = pb.Payment(
        id=p.id,
        request_id=p.request_id,
        merchant_id=p.merchant_id,
        customer_id=p.customer_id,
        state=pb.PaymentState.Value(f"PAYMENT_STATE_{p.state}"),
        amount=money(p.currency, p.amount_minor),
        amount_authorized=money(p.currency, p.authorized_minor),
        amount_captured=money(p.currency, p.captured_minor),
        amount_refunded=money(p.currency, p.refunded_minor),
        amount_disputed=money(p.currency, p.disputed_minor),
        payment_method=pb.PaymentMethod(
            token=p.payment_method,
            stripe_customer_id=p.payment_method_customer,
            type=pb.PaymentMethodType.Value(f"PAYMENT_METHOD_TYPE_{p.payment_method_type}"),
        ),
        capture_method=pb.CaptureMethod.Value(f"CAPTURE_METHOD_{p.capture_method}"),
        off_session=p.off_session,
        return_url=p.return_url,
        unavailable_policy=pb.UnavailablePolicy.Value(f"UNAVAILABLE_POLICY_{p.unavailable_policy}"),
        description=p.description,
        statement_descriptor_suffix=p.statement_descriptor_suffix,
        metadata=p.metadata,
        destination_account_id=p.destination_account,
        corridor=p.corridor,
        payment_intent_id=p.payment_intent_id,
        charge_id=p.charge_id,
        capture_before_time=stamp(p.capture_before),
        billing_country_code=p.billing_country,
        stay_in_corridor=p.stays,
        fail_in_review=p.fails_in_review,
        revision=p.revision,
        create_time=stamp(p.create_time),
        update_time=stamp(p.update_time),
    )
    message.save_payment_method = p.save_payment_method
    message.customer_returned = p.customer_returned
    if p.decline_retry is not None:
        message.decline_retry.max_attempts = p.decline_retry.max_attempts
        message.decline_retry.window.FromTimedelta(p.decline_retry.within)
    if p.state is PaymentState.RETRY_SCHEDULED and p.wake_time is not None:
        message.next_retry_time.FromDatetime(p.wake_time)
    if p.fee_minor is not None:
        message.fee.CopyFrom(money(p.fee_currency, p.fee_minor))
    if p.queue_timeout is not None:
        message.queue_timeout.FromTimedelta(p.queue_timeout)
    if p.application_fee_minor is not None:
        message.application_fee.CopyFrom(money(p.currency, p.application_fee_minor))
    if p.application_fee_captured_minor is not None:
        message.application_fee_captured.CopyFrom(
            money(p.currency, p.application_fee_captured_minor)
        )
    if p.application_fee_refunded_minor:
        message.application_fee_refunded.CopyFrom(
            money(p.application_fee_refunded_currency, p.application_fee_refunded_minor)
        )
    if p.transfer_reversed_minor:
        message.transfer_reversed.CopyFrom(
            money(p.transfer_reversed_currency, p.transfer_reversed_minor)
        )
    for route in p.routes[1:]:
        message.alternatives.add(
            corridor=route.corridor,
            payment_method=pb.PaymentMethod(
                token=route.payment_method,
                stripe_customer_id=route.payment_method_customer,
                type=pb.PAYMENT_METHOD_TYPE_CARD,
            ),
            destination_account_id=route.destination_account,
        )
    for left in p.left_corridors:
        shown = message.failovers.add(corridor=left.corridor, reason=left.reason)
        shown.failover_time.FromJsonString(left.leave_time)
    _add_particulars(message, payment, secrets=secrets)
    return message


def add_details(
    message: pb.Payment,
    operations: Sequence[Operation],
    refunds: Sequence[Refund],
    currency: str,
    booked: PaymentBookings,
) -> None:
    """Adds what only the answers about a single payment carry."""
    message.operations.extend(
        operation_message(operation) for operation in operations[-MAX_SHOWN_OPERATIONS:]
    )
    message.refunds.extend(refund_message(refund, currency) for refund in refunds)
    if not booked.bookings:
        return
    message.booking.state = pb.BookingState.Value(f"BOOKING_STATE_{booked.state}")
    for booking in booked.bookings[:MAX_SHOWN_FACTS]:
        message.booking.facts.append(
            pb.BookedFact(
                id=booking.fact_id,
                kind=booking.kind,
                state=pb.BookingState.Value(f"BOOKING_STATE_{booking.state}"),
                amount=money(booking.currency, booking.amount_minor),
                ledger=booking.ledger or "",
                ledger_sequence=booking.ledger_sequence or 0,
                failure_reason=booking.failure_reason or "",
                record_time=stamp(booking.create_time),
                decide_time=stamp(booking.decide_time),
            )
        )


def operation_message(operation: Operation) -> pb.PaymentOperation:
    """One operation. A dead letter may have happened, which is what callers have to know."""
    dead = operation.state is OperationState.DEAD_LETTER
    state = OperationState.UNKNOWN if dead else operation.state
    waits = operation.next_attempt_time if operation.open else None
    message = pb.PaymentOperation(
        id=operation.id,
        kind=pb.OperationKind.Value(f"OPERATION_KIND_{operation.kind}"),
        state=pb.OperationState.Value(f"OPERATION_STATE_{state}"),
        send_count=operation.send_count,
        create_time=stamp(operation.create_time),
        next_attempt_time=stamp(waits),
        end_time=stamp(operation.end_time),
        failure_code=operation.failure_code,
    )
    declined = operation.state is OperationState.DECLINED
    if operation.failure_type and (declined or operation.state is OperationState.FAILED):
        # Only a refusal of Stripe's has a type, which stands in for a code that it does not have.
        code = operation.failure_code
        message.failure.code = DECLINED if declined else FailureCode.STRIPE_REJECTED
        message.failure.stripe_code = "" if code == operation.failure_type else code
        message.failure.stripe_param = operation.failure_param
        message.failure.stripe_type = operation.failure_type
        message.failure.stripe_request_id = operation.failure_request_id
    return message


def refund_message(refund: Refund, currency: str) -> refund_pb2.Refund:
    """One refund."""
    return refund_pb2.Refund(
        id=refund.id,
        request_id=refund.request_id,
        payment_id=refund.payment_id,
        state=refund_pb2.RefundState.Value(f"REFUND_STATE_{refund.state}"),
        amount=money(currency, refund.amount_minor),
        reason=refund_pb2.RefundReason.Value(f"REFUND_REASON_{refund.cause}"),
        stripe_refund_id=refund.stripe_refund_id,
        failure_code=refund.failure_code,
        pending_reason=refund.pending_reason,
        reverse_transfer=refund.reverse_transfer,
        refund_application_fee=refund.refund_application_fee,
        create_time=stamp(refund.create_time),
        update_time=stamp(refund.update_time),
    )


def decline_message(decline: Decline) -> pb.Decline:
    """Why it was refused. The card's fingerprint stays here: it is for counting alone."""
    return pb.Decline(
        code=decline.code,
        decline_code=decline.decline_code,
        advice_code=decline.advice_code,
        authentication_required=decline.authentication_required,
        network_advice_code=decline.network_advice_code,
    )


def radar_message(outcome: RadarOutcome) -> pb.RadarOutcome:
    """What Radar made of a charge; a word of Stripe's that the contract does not have is left
    unspecified."""
    message = pb.RadarOutcome(
        type=_TYPES.get(outcome.type, pb.RADAR_OUTCOME_TYPE_UNSPECIFIED),
        risk_level=_LEVELS.get(outcome.risk_level, pb.RADAR_RISK_LEVEL_UNSPECIFIED),
        network_status=_STATUSES.get(outcome.network_status, pb.RADAR_NETWORK_STATUS_UNSPECIFIED),
        reason=outcome.reason,
        advice_code=outcome.advice_code,
        network_advice_code=outcome.network_advice_code,
        network_decline_code=outcome.network_decline_code,
    )
    if outcome.risk_score is not None:
        message.risk_score = outcome.risk_score
    return message


# The contract's values by Stripe's words.
_TYPES = {
    name.removeprefix("RADAR_OUTCOME_TYPE_").lower(): number
    for name, number in pb.RadarOutcomeType.items()
    if number
}
_LEVELS = {
    name.removeprefix("RADAR_RISK_LEVEL_").lower(): number
    for name, number in pb.RadarRiskLevel.items()
    if number
}
_STATUSES = {
    name.removeprefix("RADAR_NETWORK_STATUS_").lower(): number
    for name, number in pb.RadarNetworkStatus.items()
    if number
}


def declined_attempt_message(declined: DeclinedAttempt) -> pb.DeclinedAttempt:
    """One refused attempt."""
    return pb.DeclinedAttempt(
        attempt=declined.attempt,
        decline=decline_message(declined.decline),
        charge_id=declined.charge_id,
        decline_time=stamp(declined.decline_time),
    )


def _add_particulars(message: pb.Payment, payment: Payment, *, secrets: bool) -> None:
    """What belongs to the state that the payment is in."""
    if payment.radar_outcome is not None:
        message.radar_outcome.CopyFrom(radar_message(payment.radar_outcome))
    asked = payment.three_d_secure
    if asked is not None and asked.request:
        message.three_d_secure.request = pb.ThreeDSecureRequest.Value(
            f"THREE_D_SECURE_REQUEST_{asked.request.upper()}"
        )
        message.three_d_secure.rule = asked.rule
    if payment.decline is not None:
        message.decline.CopyFrom(decline_message(payment.decline))
    if payment.failure is not None:
        message.failure.code = payment.failure.code
        message.failure.stripe_code = payment.failure.stripe_code
        message.failure.stripe_param = payment.failure.stripe_param
        message.failure.stripe_type = payment.failure.stripe_type
        message.failure.stripe_request_id = payment.failure.stripe_request_id
        message.failure.not_sent_reason = payment.failure.not_sent_reason
        message.failure.reason = payment.failure.reason
    if payment.next_action is not None and payment.state is PaymentState.REQUIRES_ACTION:
        message.next_action.redirect_url = payment.next_action.redirect_url
        if secrets:
            message.next_action.client_secret = payment.next_action.client_secret
    if payment.compliance is not None:
        record = payment.compliance
        message.compliance.decision_id = record.decision_id
        message.compliance.verdict = pb.ComplianceVerdict.Value(
            f"COMPLIANCE_VERDICT_{record.verdict}"
        )
        message.compliance.merchant_reasons.extend(record.merchant_reasons)
        message.compliance.request_errors.extend(record.request_errors)
        message.compliance.decide_time.FromJsonString(record.decide_time)
    if payment.state is PaymentState.QUEUED:
        assert payment.queue_deadline is not None, "who waits has a deadline"
        message.queue.expire_time.FromDatetime(payment.queue_deadline)
        message.queue.reason = payment.queue_reason or ""
