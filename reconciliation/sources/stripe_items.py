"""Items of Stripe: what a balance transaction and a payout of the gateway's feeds are as items.

Pure, and without gRPC: whoever verifies an export reads the bytes that were kept by these, too.
"""

from datetime import UTC, date
from hashlib import sha256

from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_MISSING,
    BalanceTransaction,
)
from gateway.v1.payout_pb2 import (
    PAYOUT_STATE_CANCELED,
    PAYOUT_STATE_FAILED,
    PAYOUT_STATE_IN_TRANSIT,
    PAYOUT_STATE_PAID,
    PAYOUT_STATE_PENDING,
    Payout,
)
from reconciliation.fees.schedule import Charged
from reconciliation.matching.book_days import IN_UTC, BookDays
from reconciliation.matching.item import MAX_TOKEN_BYTES, Content, Item, Source, State
from reconciliation.sources.gateway_cursors import revision_of

INSTANT, NOT_APPLICABLE = "instant", "not_applicable"
# Movements that are a fee themselves, by Stripe's types and by its reporting categories
# (https://docs.stripe.com/reports/balance-transaction-types, /reports/reporting-categories).
FEE_TYPES = frozenset(
    {"stripe_fee", "stripe_fx_fee", "tax_fee", "fee_credit_funding", "network_cost"}
)
FEE_CATEGORIES = frozenset({"fee", "network_cost"})
# The part of a fee that Stripe takes for itself; others are taxes, or go to somebody else.
OWN_FEE = "stripe_fee"
# From the moment that Stripe has made it, its money is no longer in the balance there.
STATES = {
    PAYOUT_STATE_PENDING: State.BOOKED,
    PAYOUT_STATE_IN_TRANSIT: State.BOOKED,
    PAYOUT_STATE_PAID: State.BOOKED,
    PAYOUT_STATE_FAILED: State.RETURNED,
    PAYOUT_STATE_CANCELED: State.RETURNED,
}


def balance_transaction_item(
    moved: BalanceTransaction, epoch: int, book_days: BookDays = IN_UTC
) -> Item:
    """A balance transaction by its net, known by its own id and that of what moved it. One that
    Stripe has no longer takes part in nothing. Pure."""
    when = moved.stripe_create_time.ToDatetime(tzinfo=UTC)
    is_missing = moved.state == BALANCE_TRANSACTION_STATE_MISSING
    content = moved.SerializeToString(deterministic=True)
    # A payout is no part of its own content, nor is its return. It is of the payout that Stripe
    # makes next, if it was a manual one, and so is what came back to the balance.
    is_content = moved.stripe_payout_id != moved.source_id
    return Item(
        source=Source.STRIPE,
        corridor=moved.corridor,
        key=moved.id,
        currency=moved.net.currency_code,
        amount_minor=moved.net.minor_units,
        instant=when,
        book_date=book_days.day_of(moved.corridor, when),
        sha256=sha256(content).digest(),
        source_bytes=content,
        tokens=frozenset(filter(None, (moved.id, moved.source_id))),
        group=moved.stripe_payout_id if is_content else "",
        state=State.PENDING if is_missing else State.BOOKED,
        revision=revision_of(epoch, moved.sequence),
        fee_minor=fee_of(moved),
    )


def fee_of(moved: BalanceTransaction) -> int | None:
    """What of a balance transaction is a fee, which for some is all of it; None if that is not
    known, of what an old release of the gateway has read. Pure."""
    if not moved.HasField("amount"):
        return None
    is_fee = moved.type in FEE_TYPES or moved.reporting_category in FEE_CATEGORIES
    return moved.fee.minor_units - (moved.amount.minor_units if is_fee else 0)


def charged_of(moved: BalanceTransaction, day: date) -> Charged:
    """What a balance transaction says of its fee, to be compared with a schedule. Pure."""
    parts = [part.amount.minor_units for part in moved.fee_details if part.type == OWN_FEE]
    return Charged(
        corridor=moved.corridor,
        currency=moved.net.currency_code,
        category=moved.reporting_category or moved.type,
        day=day,
        amount_minor=moved.amount.minor_units,
        fee_minor=sum(parts) if moved.fee_details else moved.fee.minor_units,
        is_converted=bool(moved.exchange_rate),
    )


def is_ours(payout: Payout) -> bool:
    """Whether it is an item. One that a gateway of before has read is told again when it is whole:
    without its time it could not be the same item later. Pure."""
    return (
        not payout.connected_account_id
        and payout.state in STATES
        and payout.HasField("stripe_create_time")
        and payout.HasField("arrival_time")
    )


def payout_item(payout: Payout, revision: int) -> Item:
    """A payout by what it brings to the bank, on the day on which Stripe expects it there. The bank
    knows it by its trace id, or by what Stripe calls it. Pure."""
    content = payout.SerializeToString(deterministic=True)
    # A bank may call it what it likes: what is too long for a reference is none.
    trace_id = payout.trace_id if len(payout.trace_id.encode()) <= MAX_TOKEN_BYTES else ""
    return Item(
        source=Source.PAYOUT,
        corridor=payout.corridor,
        key=payout.stripe_payout_id,
        currency=payout.amount.currency_code,
        amount_minor=payout.amount.minor_units,
        instant=payout.stripe_create_time.ToDatetime(tzinfo=UTC),
        book_date=payout.arrival_time.ToDatetime(tzinfo=UTC).date(),
        sha256=sha256(content).digest(),
        source_bytes=content,
        tokens=frozenset(filter(None, (payout.stripe_payout_id, trace_id))),
        group=payout.primary_payout_id,
        state=STATES[payout.state],
        content=content_of(payout),
        revision=revision,
    )


def content_of(payout: Payout) -> Content:
    """Whether it is known what it contains. Of manual and instant payouts Stripe never tells, and
    of the parts of one that it split the primary payout has it all. Pure."""
    told = payout.automatic and payout.method != INSTANT
    if not told or payout.primary_payout_id or payout.reconciliation_status == NOT_APPLICABLE:
        return Content.NONE
    return Content.COMPLETE if payout.content_complete else Content.IN_PROGRESS
