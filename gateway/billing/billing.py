"""What is kept of the objects of Stripe Billing: the form that `gateway.v1` shows them in, as JSON.

Only what is named here is kept, so that nothing personal is: no names, addresses, descriptions,
metadata or links. Words are Stripe's own. https://docs.stripe.com/api/invoices/object,
https://docs.stripe.com/api/subscriptions/object and the pages beside them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from gateway.money import PartOfMinorUnitError, from_stripe
from gateway.stripe_times import time_of

StripeObject = Mapping[str, Any]
Content = dict[str, Any]
DELETED = "deleted"
# What a period of one item costs is an amount of 64 bits.
MAX_AMOUNT = 2**63 - 1
MAX_QUANTITY = 2**63 - 1
MAX_DECIMAL_CHARACTERS = 40
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


class BillingKind(StrEnum):
    """What an object is: its `object` at Stripe, and its field in WatchBilling."""

    INVOICE = "invoice"
    INVOICE_PAYMENT = "invoice_payment"
    CREDIT_NOTE = "credit_note"
    SUBSCRIPTION = "subscription"


ID_PREFIXES = {
    BillingKind.INVOICE: "in_",
    BillingKind.INVOICE_PAYMENT: "inpay_",
    BillingKind.CREDIT_NOTE: "cn_",
    BillingKind.SUBSCRIPTION: "sub_",
}


class UnreadableBillingError(ValueError):
    """An object that is not as Stripe documents it. The text names the field and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One object as it is kept; `digest` differs where the content does."""

    kind: BillingKind
    id: str
    customer_id: str
    status: str
    content: Content
    digest: str


def read_object(kind: BillingKind, told: StripeObject) -> Kept:
    """What is kept of an object of Stripe's. Raises UnreadableBillingError."""
    object_id = told.get("id")
    if not isinstance(object_id, str) or not object_id.startswith(ID_PREFIXES[kind]):
        raise UnreadableBillingError("id")
    content = {"id": object_id, **_READERS[kind](told)}
    return kept(kind, {name: value for name, value in content.items() if value not in (None, "")})


def kept(kind: BillingKind, content: Content) -> Kept:
    """The object with this content."""
    told = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return Kept(
        kind,
        content["id"],
        content.get("customerId", ""),
        content["status"],
        content,
        hashlib.sha256(told.encode()).hexdigest(),
    )


def _invoice(told: StripeObject) -> Content:
    currency = _currency(told)
    transitions = told.get("status_transitions") or {}
    return {
        "status": _word(told, "status"),
        "number": _text(told, "number"),
        "customerId": _id(told, "customer"),
        "subscriptionId": _subscription_of(told),
        "billingReason": _text(told, "billing_reason"),
        "collectionMethod": _text(told, "collection_method"),
        **_sums(told, currency),
        "amountDue": _money(told, "amount_due", currency),
        "amountPaid": _money(told, "amount_paid", currency),
        "amountRemaining": _money(told, "amount_remaining", currency),
        "periodStartTime": _time(told, "period_start"),
        "periodEndTime": _time(told, "period_end"),
        "dueTime": _time(told, "due_date"),
        "stripeCreateTime": _time(told, "created"),
        "finalizeTime": _time(transitions, "finalized_at"),
        "payTime": _time(transitions, "paid_at"),
        "voidTime": _time(transitions, "voided_at"),
        "uncollectibleTime": _time(transitions, "marked_uncollectible_at"),
    }


def _invoice_payment(told: StripeObject) -> Content:
    currency = _currency(told)
    payment = told.get("payment") or {}
    transitions = told.get("status_transitions") or {}
    return {
        "invoiceId": _id(told, "invoice"),
        "status": _word(told, "status"),
        "paymentIntentId": _id(payment, "payment_intent"),
        "chargeId": _id(payment, "charge"),
        "paymentRecordId": _id(payment, "payment_record"),
        "amountRequested": _money(told, "amount_requested", currency),
        "amountPaid": _money(told, "amount_paid", currency),
        "isDefault": told.get("is_default") is True,
        "stripeCreateTime": _time(told, "created"),
        "payTime": _time(transitions, "paid_at"),
        "cancelTime": _time(transitions, "canceled_at"),
    }


def _credit_note(told: StripeObject) -> Content:
    currency = _currency(told)
    refunds = [_id(refund, "refund") for refund in told.get("refunds") or ()]
    return {
        "invoiceId": _id(told, "invoice"),
        "status": _word(told, "status"),
        "number": _text(told, "number"),
        "customerId": _id(told, "customer"),
        "type": _text(told, "type"),
        "reason": _text(told, "reason"),
        **_sums(told, currency),
        "prePayment": _money(told, "pre_payment_amount", currency),
        "postPayment": _money(told, "post_payment_amount", currency),
        "refundIds": [refund for refund in refunds if refund],
        "stripeCreateTime": _time(told, "created"),
        "voidTime": _time(told, "voided_at"),
    }


def _subscription(told: StripeObject) -> Content:
    currency = _currency(told)
    items = told.get("items") or {}
    if items.get("has_more"):
        raise UnreadableBillingError("items")
    return {
        "status": _word(told, "status"),
        "customerId": _id(told, "customer"),
        "items": [_item(item, currency) for item in items.get("data") or ()],
        "collectionMethod": _text(told, "collection_method"),
        "pauseBehavior": _text(told.get("pause_collection") or {}, "behavior"),
        "latestInvoiceId": _id(told, "latest_invoice"),
        "cancelAtPeriodEnd": told.get("cancel_at_period_end") is True,
        "startTime": _time(told, "start_date"),
        "trialStartTime": _time(told, "trial_start"),
        "trialEndTime": _time(told, "trial_end"),
        "cancelAtTime": _time(told, "cancel_at"),
        "cancelTime": _time(told, "canceled_at"),
        "endTime": _time(told, "ended_at"),
        "stripeCreateTime": _time(told, "created"),
        "currencyCode": currency,
    }


def _item(item: StripeObject, currency: str) -> Content:
    price = item.get("price") or {}
    recurring = price.get("recurring") or {}
    quantity = item.get("quantity") or 0
    if type(quantity) is not int or not 0 <= quantity <= MAX_QUANTITY:
        raise UnreadableBillingError("items.quantity")
    content = {
        "id": _text(item, "id"),
        "priceId": _text(price, "id"),
        "productId": _id(price, "product"),
        "interval": _text(recurring, "interval"),
        "intervalCount": _whole(recurring, "interval_count"),
        "quantity": str(quantity),
        "usageType": _text(recurring, "usage_type"),
        "amount": _period_amount(price, recurring, quantity, currency),
        "periodStartTime": _time(item, "current_period_start"),
        "periodEndTime": _time(item, "current_period_end"),
    }
    return {name: value for name, value in content.items() if value not in (None, "")}


def _period_amount(
    price: StripeObject, recurring: StripeObject, quantity: int, currency: str
) -> Content | None:
    """The price by the quantity. Prices may have parts of Stripe's units, which are rounded once,
    of the product: https://docs.stripe.com/api/prices/object (`unit_amount_decimal`)."""
    is_metered = recurring.get("usage_type") == "metered"
    if is_metered or price.get("billing_scheme", "per_unit") != "per_unit":
        return None
    told = price.get("unit_amount_decimal")
    if told is None:
        told = price.get("unit_amount")
    if told is None:
        return None
    if len(str(told)) > MAX_DECIMAL_CHARACTERS or not _DECIMAL.fullmatch(str(told)):
        raise UnreadableBillingError("items.price.unit_amount_decimal")
    exact = Fraction(str(told)) * quantity
    amount = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    return _amount(amount, currency, "items.price.unit_amount_decimal")


_READERS: Mapping[BillingKind, Callable[[StripeObject], Content]] = {
    BillingKind.INVOICE: _invoice,
    BillingKind.INVOICE_PAYMENT: _invoice_payment,
    BillingKind.CREDIT_NOTE: _credit_note,
    BillingKind.SUBSCRIPTION: _subscription,
}


def _sums(told: StripeObject, currency: str) -> Content:
    return {
        "subtotal": _money(told, "subtotal", currency),
        "tax": _tax(told, currency),
        "total": _money(told, "total", currency),
    }


def _tax(told: StripeObject, currency: str) -> Content | None:
    """The sum of `total_taxes`; of an account with an older version, what it says in its place."""
    taxes = told.get("total_taxes")
    if isinstance(taxes, list):
        return _amount(sum(_minor(tax, "amount") or 0 for tax in taxes), currency, "total_taxes")
    total, without = _minor(told, "total"), _minor(told, "total_excluding_tax")
    if total is None or without is None:
        return None
    return _amount(total - without, currency, "total_excluding_tax")


def _subscription_of(invoice: StripeObject) -> str:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return _id(details, "subscription")


def _currency(told: StripeObject) -> str:
    return _word(told, "currency").upper()


def _money(told: StripeObject, name: str, currency: str) -> Content | None:
    amount = _minor(told, name)
    return None if amount is None else _amount(amount, currency, name)


def _amount(amount: int, currency: str, name: str) -> Content:
    try:
        minor_units = from_stripe(currency, amount)
    except PartOfMinorUnitError:
        raise UnreadableBillingError(name) from None
    if abs(minor_units) > MAX_AMOUNT:
        raise UnreadableBillingError(name)
    # Whole numbers of 64 bits are text in Protobuf's JSON.
    return {"currencyCode": currency, "minorUnits": str(minor_units)}


def _minor(told: StripeObject, name: str) -> int | None:
    amount = told.get(name)
    if amount is not None and type(amount) is not int:
        raise UnreadableBillingError(name)
    return amount


def _whole(told: StripeObject, name: str) -> int | None:
    count = _minor(told, name)
    if count is not None and not 0 < count < 2**31:
        raise UnreadableBillingError(name)
    return count


def _word(told: StripeObject, name: str) -> str:
    word = told.get(name)
    if not isinstance(word, str) or not word:
        raise UnreadableBillingError(name)
    return word


def _text(told: StripeObject, name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _id(told: StripeObject, name: str) -> str:
    """The id of what may be expanded."""
    value = told.get(name)
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def _time(told: StripeObject, name: str) -> str | None:
    time: datetime | None = time_of(told.get(name))
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
