"""Values of the rules as rows of the tables, and back."""

from collections.abc import Collection
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import Table

from gateway.payments.domain.card import Card
from gateway.payments.domain.payment import (
    CaptureMethod,
    Change,
    ComplianceRecord,
    Decline,
    DeclineRetry,
    FailureCode,
    LeftCorridor,
    NextAction,
    Payment,
    PaymentFailure,
    QueueReason,
    ThreeDSecure,
    UnavailablePolicy,
)
from gateway.payments.domain.payment_methods import MandateAcceptance, PaymentMethodType
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.refund import Refund, RefundCause, RefundState
from gateway.payments.domain.states import PaymentState
from gateway.payments.rendering import payment_message
from gateway.stripe_client.failover import Route

_PAYMENT_FIELDS = tuple(field.name for field in fields(Payment))
_REFUND_FIELDS = tuple(field.name for field in fields(Refund))
_JSON_FIELDS = (
    *("decline", "failure", "next_action", "compliance", "mandate_acceptance"),
    *("radar_outcome", "three_d_secure", "card"),
)


def payment_row(payment: Payment) -> dict[str, Any]:
    """The columns of a payment."""
    row = {name: getattr(payment, name) for name in _PAYMENT_FIELDS}
    for name in _JSON_FIELDS:
        row[name] = asdict(row[name]) if row[name] is not None else None
    row["metadata"] = dict(payment.metadata)
    row["request_metadata"] = dict(payment.request_metadata)
    row["routes"] = [asdict(route) for route in payment.routes] or None
    row["left_corridors"] = [asdict(left) for left in payment.left_corridors] or None
    retry = payment.decline_retry
    if retry is not None:
        within = retry.within.total_seconds()
        row["decline_retry"] = {"max_attempts": retry.max_attempts, "within_seconds": within}
    return row


def payment_of(row: Any) -> Payment:
    """The payment of a row."""
    values = {name: getattr(row, name) for name in _PAYMENT_FIELDS}
    values["state"] = PaymentState(row.state)
    values["payment_method_type"] = PaymentMethodType(row.payment_method_type)
    if row.mandate_acceptance:
        values["mandate_acceptance"] = MandateAcceptance(**row.mandate_acceptance)
    values["capture_method"] = CaptureMethod(row.capture_method)
    values["unavailable_policy"] = UnavailablePolicy(row.unavailable_policy)
    values["queue_reason"] = QueueReason(row.queue_reason) if row.queue_reason else None
    if row.decline_retry:
        within = timedelta(seconds=row.decline_retry["within_seconds"])
        values["decline_retry"] = DeclineRetry(row.decline_retry["max_attempts"], within)
    outcome = row.radar_outcome
    values["radar_outcome"] = RadarOutcome(**outcome) if outcome else None
    values["card"] = Card(**row.card) if row.card else None
    asked = row.three_d_secure
    values["three_d_secure"] = ThreeDSecure(**asked) if asked else None
    values["decline"] = Decline(**row.decline) if row.decline else None
    values["next_action"] = NextAction(**row.next_action) if row.next_action else None
    values["routes"] = tuple(Route(**route) for route in row.routes or ())
    values["left_corridors"] = tuple(LeftCorridor(**left) for left in row.left_corridors or ())
    if row.failure:
        code = FailureCode(row.failure["code"])
        values["failure"] = PaymentFailure(**{**row.failure, "code": code})
    if row.compliance:
        values["compliance"] = ComplianceRecord(
            **{
                **row.compliance,
                "merchant_reasons": tuple(row.compliance["merchant_reasons"]),
                "request_errors": tuple(row.compliance.get("request_errors", ())),
            }
        )
    return Payment(**values)


def refund_row(refund: Refund) -> dict[str, Any]:
    """The columns of a refund."""
    return {name: getattr(refund, name) for name in _REFUND_FIELDS}


def refund_of(row: Any) -> Refund:
    """The refund of a row."""
    values = {name: getattr(row, name) for name in _REFUND_FIELDS}
    values["state"] = RefundState(row.state)
    values["cause"] = RefundCause(row.cause)
    return Refund(**values)


def event_row(change: Change) -> dict[str, Any]:
    """The columns of the event of a step, but for its numbers: with the payment as it is then."""
    payment = change.after
    return {
        "payment_id": payment.id,
        "merchant_id": payment.merchant_id,
        "revision": payment.revision,
        "transition": change.transition,
        "previous_state": change.before.state if change.before is not None else None,
        "snapshot": payment_message(payment).SerializeToString(deterministic=True),
        "record_time": payment.update_time,
    }


def assignments(table: Table, fixed: Collection[str]) -> str:
    """What an UPDATE sets, in SQL: each column that can change to that of the row `changed`."""
    names = [column.name for column in table.columns if column.name not in fixed]
    return ", ".join(f"{name} = changed.{name}" for name in names)
