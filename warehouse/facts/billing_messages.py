"""What of each object of Billing goes into the warehouse. Pure."""

from typing import Any

from gateway.v1.billing_pb2 import CreditNote, Invoice, InvoicePayment, Subscription
from gateway.v1.billing_service_pb2 import WatchBillingResponse
from warehouse.facts import tables
from warehouse.facts.columns import EPOCH, SEQUENCE, Table
from warehouse.facts.rows import Row, Value, currency, instant, json_of, minor

_SUMS = ("subtotal", "tax", "total")
_INVOICE_AMOUNTS = (*_SUMS, "amount_due", "amount_paid", "amount_remaining")
_INVOICE_TIMES = (
    *("period_start_time", "period_end_time", "due_time", "stripe_create_time"),
    *("finalize_time", "pay_time", "void_time", "uncollectible_time"),
)
_SUBSCRIPTION_TIMES = (
    *("start_time", "trial_start_time", "trial_end_time", "cancel_at_time", "cancel_time"),
    *("end_time", "stripe_create_time"),
)


def billing_change(change: WatchBillingResponse) -> tuple[Table, Row] | None:
    """The table and the row of a change; None of a kind that this release does not know."""
    kind = change.WhichOneof("changed")
    if kind is None:
        return None
    table, row_of = _KINDS[kind]
    told = getattr(change, kind)
    return table, {
        EPOCH: change.epoch,
        SEQUENCE: change.sequence,
        "record_time": instant(change, "record_time"),
        "corridor": told.corridor,
        "status": told.status,
        **row_of(told),
    }


def _invoice(told: Invoice) -> Row:
    return {
        "invoice_id": told.id,
        "number": told.number or None,
        "customer_id": told.customer_id or None,
        "subscription_id": told.subscription_id or None,
        "billing_reason": told.billing_reason or None,
        "collection_method": told.collection_method or None,
        "currency": currency(told, "total"),
        **_amounts(told, _INVOICE_AMOUNTS),
        **_times(told, _INVOICE_TIMES),
    }


def _invoice_payment(told: InvoicePayment) -> Row:
    return {
        "invoice_payment_id": told.id,
        "invoice_id": told.invoice_id,
        "stripe_payment_intent_id": told.payment_intent_id or None,
        "stripe_charge_id": told.charge_id or None,
        "payment_record_id": told.payment_record_id or None,
        "currency": currency(told, "amount_requested"),
        **_amounts(told, ("amount_requested", "amount_paid")),
        "is_default": told.is_default,
        **_times(told, ("stripe_create_time", "pay_time", "cancel_time")),
    }


def _credit_note(told: CreditNote) -> Row:
    return {
        "credit_note_id": told.id,
        "invoice_id": told.invoice_id,
        "number": told.number or None,
        "customer_id": told.customer_id or None,
        "type": told.type or None,
        "reason": told.reason or None,
        "currency": currency(told, "total"),
        **_amounts(told, (*_SUMS, "pre_payment", "post_payment")),
        "refund_ids": json_of(list(told.refund_ids)),
        **_times(told, ("stripe_create_time", "void_time")),
    }


def _subscription(told: Subscription) -> Row:
    return {
        "subscription_id": told.id,
        "currency": told.currency_code,
        "items": json_of(
            [
                {
                    "id": item.id,
                    "price_id": item.price_id,
                    "product_id": item.product_id,
                    "period_unit": item.interval,
                    "period_count": str(item.interval_count),
                    "quantity": str(item.quantity),
                    "usage_type": item.usage_type,
                    "amount_minor": _text(minor(item, "amount")),
                }
                for item in told.items
            ]
        ),
        "customer_id": told.customer_id or None,
        "collection_method": told.collection_method or None,
        "pause_behavior": told.pause_behavior or None,
        "latest_invoice_id": told.latest_invoice_id or None,
        "cancel_at_period_end": told.cancel_at_period_end,
        **_times(told, _SUBSCRIPTION_TIMES),
    }


_KINDS: dict[str, tuple[Table, Any]] = {
    "invoice": (tables.INVOICE, _invoice),
    "invoice_payment": (tables.INVOICE_PAYMENT, _invoice_payment),
    "credit_note": (tables.CREDIT_NOTE, _credit_note),
    "subscription": (tables.SUBSCRIPTION, _subscription),
}


def _amounts(told: Any, names: tuple[str, ...]) -> dict[str, Value]:
    return {f"{name}_minor": minor(told, name) for name in names}


def _times(told: Any, names: tuple[str, ...]) -> dict[str, Value]:
    return {name: instant(told, name) for name in names}


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)
