"""What of each message goes into the warehouse. Pure."""

from collections.abc import Iterable
from typing import Any

from compliance.v1 import decision_pb2
from compliance.v1.decision_pb2 import Decision
from gateway.v1 import (
    balance_transaction_pb2,
    dispute_pb2,
    payment_pb2,
    payout_pb2,
    refund_pb2,
)
from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from gateway.v1.balance_transaction_service_pb2 import WatchBalanceTransactionsResponse
from gateway.v1.dispute_pb2 import Dispute
from gateway.v1.payment_pb2 import Payment
from gateway.v1.payment_service_pb2 import WatchPaymentsResponse
from gateway.v1.payout_pb2 import Payout
from gateway.v1.refund_pb2 import Refund
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1.reconciliation_pb2 import Break, BreakEvent, ItemKey, Match
from warehouse.facts.columns import EPOCH, SEQUENCE
from warehouse.facts.rows import Row, currency, flag, instant, json_of, minor, version, word


def payment_change(change: WatchPaymentsResponse, payment: Payment) -> Row:
    """A change of a payment, which is how it was right after it."""
    decision = payment.compliance
    return {
        EPOCH: change.epoch,
        SEQUENCE: change.sequence,
        "transition": change.transition,
        "payment_id": payment.id,
        "record_time": instant(change, "record_time"),
        "previous_state": _state(payment_pb2.PaymentState, "PAYMENT", change.previous_state),
        "state": _state(payment_pb2.PaymentState, "PAYMENT", payment.state),
        "merchant_id": payment.merchant_id or None,
        "customer_id": payment.customer_id or None,
        "corridor": payment.corridor or None,
        "currency": currency(payment, "amount"),
        "amount_minor": minor(payment, "amount"),
        "amount_authorized_minor": minor(payment, "amount_authorized"),
        "amount_captured_minor": minor(payment, "amount_captured"),
        "amount_refunded_minor": minor(payment, "amount_refunded"),
        "amount_disputed_minor": minor(payment, "amount_disputed"),
        "fee_currency": currency(payment, "fee"),
        "fee_minor": minor(payment, "fee"),
        "payment_method_type": word(
            payment_pb2.PaymentMethodType, "PAYMENT_METHOD_TYPE_", payment.payment_method.type
        ),
        "capture_method": word(
            payment_pb2.CaptureMethod, "CAPTURE_METHOD_", payment.capture_method
        ),
        "off_session": payment.off_session,
        "billing_country_code": payment.billing_country_code or None,
        "destination_account_id": payment.destination_account_id or None,
        "application_fee_minor": minor(payment, "application_fee"),
        "application_fee_captured_minor": minor(payment, "application_fee_captured"),
        "application_fee_refunded_currency": currency(payment, "application_fee_refunded"),
        "application_fee_refunded_minor": minor(payment, "application_fee_refunded"),
        "transfer_reversed_currency": currency(payment, "transfer_reversed"),
        "transfer_reversed_minor": minor(payment, "transfer_reversed"),
        "stripe_payment_intent_id": payment.payment_intent_id or None,
        "stripe_charge_id": payment.charge_id or None,
        "decline_code": payment.decline.code or None,
        "network_decline_code": payment.decline.decline_code or None,
        "failure_code": payment.failure.code or None,
        "stripe_failure_code": payment.failure.stripe_code or None,
        "compliance_verdict": word(
            payment_pb2.ComplianceVerdict, "COMPLIANCE_VERDICT_", decision.verdict
        ),
        "decision_id": decision.decision_id or None,
        "failover_count": len(payment.failovers),
        "revision": payment.revision,
        "create_time": instant(payment, "create_time"),
        "update_time": instant(payment, "update_time"),
        **_radar_outcome(payment),
        "three_d_secure_request": word(
            payment_pb2.ThreeDSecureRequest,
            "THREE_D_SECURE_REQUEST_",
            payment.three_d_secure.request,
        ),
        "three_d_secure_rule": payment.three_d_secure.rule or None,
    }


def _radar_outcome(payment: Payment) -> Row:
    """What Radar and the network made of a payment's charge; nothing where it is not told."""
    outcome = payment.radar_outcome
    return {
        "radar_outcome_type": word(
            payment_pb2.RadarOutcomeType, "RADAR_OUTCOME_TYPE_", outcome.type
        ),
        "radar_risk_level": word(
            payment_pb2.RadarRiskLevel, "RADAR_RISK_LEVEL_", outcome.risk_level
        ),
        "radar_risk_score": outcome.risk_score if outcome.HasField("risk_score") else None,
        "radar_network_status": word(
            payment_pb2.RadarNetworkStatus, "RADAR_NETWORK_STATUS_", outcome.network_status
        ),
        "radar_reason": outcome.reason or None,
        "radar_advice_code": outcome.advice_code or None,
        "radar_network_advice_code": outcome.network_advice_code or None,
        "radar_network_decline_code": outcome.network_decline_code or None,
    }


def payment_operations(payment: Payment) -> Iterable[Row]:
    """What was asked of Stripe and of compliance for a payment, as GetPayment tells it."""
    for index, operation in enumerate(payment.operations):
        yield version(
            {
                "operation_id": operation.id,
                "payment_id": payment.id,
                "kind": word(payment_pb2.OperationKind, "OPERATION_KIND_", operation.kind),
                "state": word(payment_pb2.OperationState, "OPERATION_STATE_", operation.state),
                "operation_index": index,
                "send_count": operation.send_count,
                "failure_code": operation.failure_code or None,
                "stripe_failure_code": operation.failure.stripe_code or None,
                "create_time": instant(operation, "create_time"),
                "end_time": instant(operation, "end_time"),
            }
        )


def refund(told: Refund) -> Row:
    """A refund as it stands."""
    return version(
        {
            "refund_id": told.id,
            "payment_id": told.payment_id,
            "state": _state(refund_pb2.RefundState, "REFUND", told.state),
            "currency": told.amount.currency_code,
            "amount_minor": told.amount.minor_units,
            "reason": word(refund_pb2.RefundReason, "REFUND_REASON_", told.reason),
            "stripe_refund_id": told.stripe_refund_id or None,
            "failure_code": told.failure_code or None,
            "pending_reason": told.pending_reason or None,
            "reverse_transfer": flag(told, "reverse_transfer"),
            "refund_application_fee": flag(told, "refund_application_fee"),
            "create_time": instant(told, "create_time"),
            "update_time": instant(told, "update_time"),
        }
    )


def balance_transaction(change: WatchBalanceTransactionsResponse) -> Row:
    """A change of a balance transaction, with all its amounts."""
    moved: BalanceTransaction = change.balance_transaction
    return {
        EPOCH: change.epoch,
        SEQUENCE: moved.sequence,
        "corridor": moved.corridor,
        "balance_transaction_id": moved.id,
        "type": moved.type,
        "currency": moved.net.currency_code,
        "net_minor": moved.net.minor_units,
        "record_time": instant(moved, "record_time"),
        "reporting_category": moved.reporting_category or None,
        "gross_minor": minor(moved, "amount"),
        "fee_minor": minor(moved, "fee"),
        "fee_details": json_of(
            [
                {
                    "type": fee.type,
                    "currency": fee.amount.currency_code,
                    "amount_minor": str(fee.amount.minor_units),
                    "application_id": fee.application_id,
                }
                for fee in moved.fee_details
            ]
        ),
        "exchange_rate": moved.exchange_rate or None,
        "source_id": moved.source_id or None,
        "source_type": moved.source_type or None,
        "stripe_payout_id": moved.stripe_payout_id or None,
        "balance_type": moved.balance_type or None,
        "is_available": moved.available,
        "stripe_create_time": instant(moved, "stripe_create_time"),
        "available_time": instant(moved, "available_time"),
        "payment_id": moved.payment_id or None,
        "merchant_id": moved.merchant_id or None,
        "state": _state(
            balance_transaction_pb2.BalanceTransactionState, "BALANCE_TRANSACTION", moved.state
        ),
        "reason": moved.reason or None,
    }


def dispute(told: Dispute) -> Row:
    """A dispute as it stands."""
    return version(
        {
            "dispute_id": told.id,
            "payment_id": told.payment_id,
            "state": _state(dispute_pb2.DisputeState, "DISPUTE", told.state),
            "currency": told.amount.currency_code,
            "amount_minor": told.amount.minor_units,
            "merchant_id": told.merchant_id or None,
            "fee_currency": currency(told, "fee"),
            "fee_minor": minor(told, "fee"),
            "reason": told.reason or None,
            "evidence_due_time": instant(told, "evidence_due_time"),
            "evidence_submission_count": told.evidence_submission_count,
            "stripe_dispute_id": told.stripe_dispute_id or None,
            "effective_time": instant(told, "effective_time"),
            "create_time": instant(told, "create_time"),
            "update_time": instant(told, "update_time"),
        }
    )


def payout(told: Payout) -> Row:
    """A payout as it stands."""
    return version(
        {
            "payout_id": told.id,
            "state": _state(payout_pb2.PayoutState, "PAYOUT", told.state),
            "currency": told.amount.currency_code,
            "amount_minor": told.amount.minor_units,
            "corridor": told.corridor or None,
            "merchant_id": told.merchant_id or None,
            "connected_account_id": told.connected_account_id or None,
            "is_automatic": told.automatic,
            "stripe_payout_id": told.stripe_payout_id or None,
            "failure_code": told.failure_code or None,
            "method": told.method or None,
            "source_type": told.source_type or None,
            "destination_type": told.destination_type or None,
            "destination_id": told.destination_id or None,
            "reconciliation_status": told.reconciliation_status or None,
            "trace_id_status": told.trace_id_status or None,
            "trace_id": told.trace_id or None,
            "original_payout_id": told.original_payout_id or None,
            "reversed_by_payout_id": told.reversed_by_payout_id or None,
            "was_paid": told.was_paid,
            "arrival_time": instant(told, "arrival_time"),
            "return_time": instant(told, "return_time"),
            "stripe_create_time": instant(told, "stripe_create_time"),
            "create_time": instant(told, "create_time"),
            "update_time": instant(told, "update_time"),
        }
    )


def break_event(event: BreakEvent) -> Row:
    """What happened to a break; who did it and what was said stay where they are."""
    return {
        EPOCH: 0,
        SEQUENCE: event.sequence,
        "break_id": event.break_id,
        "kind": word(reconciliation_pb2.BreakEventKind, "BREAK_EVENT_KIND_", event.kind),
        "record_time": instant(event, "record_time"),
        "is_assigned": bool(event.assignee),
    }


def reconciliation_break(told: Break) -> Row:
    """A break as it stands. How old it is, its times say."""
    return version(
        {
            "break_id": told.break_id,
            "kind": word(reconciliation_pb2.BreakKind, "BREAK_KIND_", told.kind),
            "is_ended": told.state == reconciliation_pb2.BREAK_STATE_ENDED,
            "is_assigned": bool(told.assignee),
            "leg": word(reconciliation_pb2.Leg, "LEG_", told.leg),
            "corridor": told.corridor or None,
            "subject": told.subject or None,
            "amounts": json_of(
                [
                    {"currency": each.currency_code, "amount_minor": str(each.minor_units)}
                    for each in told.amounts
                ]
            ),
            "items": json_of([_key(item) for item in told.items]),
            "proposal": json_of([_key(item) for item in told.proposal]),
            "since_time": instant(told, "since_time"),
            "due_time": instant(told, "due_time"),
            "overdue_time": instant(told, "overdue_time"),
        }
    )


def match(told: Match) -> Row:
    """A match as it stands."""
    return version(
        {
            "match_id": told.match_id,
            "leg": word(reconciliation_pb2.Leg, "LEG_", told.leg),
            "rule": word(reconciliation_pb2.MatchRule, "MATCH_RULE_", told.rule),
            "allocations": json_of(
                [
                    {
                        **_key(each.item),
                        "currency": each.amount.currency_code,
                        "amount_minor": str(each.amount.minor_units),
                    }
                    for each in told.allocations
                ]
            ),
            "is_by_person": bool(told.client),
            "create_time": instant(told, "create_time"),
            "revoke_time": instant(told, "revoke_time"),
        }
    )


def decision(told: Decision) -> Row:
    """A decision: what was found, by code, and not in words."""
    return {
        EPOCH: 0,
        SEQUENCE: told.sequence,
        "decision_id": told.id,
        "verdict": word(decision_pb2.Verdict, "VERDICT_", told.verdict) or "UNREADABLE",
        "hash": told.hash.hex(),
        "previous_hash": told.previous_hash.hex(),
        "kind": word(decision_pb2.DecisionKind, "DECISION_KIND_", told.kind),
        "request_id": told.request_id or None,
        "reference_id": told.reference_id or None,
        "merchant_id": told.merchant_id or None,
        "customer_id": told.customer_id or None,
        "currency": currency(told, "amount"),
        "amount_minor": minor(told, "amount"),
        "reasons": json_of(
            [
                {
                    "code": word(decision_pb2.ReasonCode, "REASON_CODE_", reason.code),
                    "verdict": word(decision_pb2.Verdict, "VERDICT_", reason.verdict),
                    "approved": reason.approved,
                }
                for reason in told.reasons
            ]
        ),
        "policy_version": told.policy_version or None,
        "case_id": told.case_id or None,
        "as_of_time": instant(told, "as_of_time"),
        "record_time": instant(told, "record_time"),
    }


def _state(kind: Any, name: str, value: int) -> str | None:
    return word(kind, f"{name}_STATE_", value)


def _key(key: ItemKey) -> dict[str, str]:
    source = word(reconciliation_pb2.Source, "SOURCE_", key.source) or ""
    return {"source": source, "corridor": key.corridor, "key": key.key}
