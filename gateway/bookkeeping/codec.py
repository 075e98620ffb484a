"""Facts as JSON: what a booking row keeps, readable by an operator and by a later version."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from gateway.bookkeeping import balance_facts, facts
from gateway.bookkeeping.chart import Contra
from gateway.bookkeeping.facts import Fact, ReleaseReason, StripeBalance

# The kinds a row may name. Never rename one: rows of an earlier release are read by it.
KINDS: dict[str, type[Fact]] = {
    "hold_placed": facts.HoldPlaced,
    "hold_released": facts.HoldReleased,
    "hold_forgotten": facts.HoldForgotten,
    "captured": facts.Captured,
    "fee_charged": facts.FeeCharged,
    "converted": facts.Converted,
    "refund_created": facts.RefundCreated,
    "refund_failed": facts.RefundFailed,
    "transfer_created": balance_facts.TransferCreated,
    "application_fee_earned": balance_facts.ApplicationFeeEarned,
    "transfer_reversed": balance_facts.TransferReversed,
    "application_fee_returned": balance_facts.ApplicationFeeReturned,
    "debit_moved": balance_facts.DebitMoved,
    "debit_settled": balance_facts.DebitSettled,
    "dispute_moved": balance_facts.DisputeMoved,
    "dispute_decided": balance_facts.DisputeDecided,
    "funds_available": balance_facts.FundsAvailable,
    "payout_created": balance_facts.PayoutCreated,
    "payout_paid": balance_facts.PayoutPaid,
    "payout_failed": balance_facts.PayoutFailed,
    "account_fee_charged": balance_facts.AccountFeeCharged,
    "topped_up": balance_facts.ToppedUp,
    "account_moved": balance_facts.AccountMoved,
    "unknown_balance_transaction": balance_facts.UnknownBalanceTransaction,
}
_NAMES = {kind: name for name, kind in KINDS.items()}

_READERS: dict[str, Any] = {
    "effective_time": datetime.fromisoformat,
    "reason": ReleaseReason,
    "balance": StripeBalance,
    "contra": Contra,
}


def kind_of(fact: Fact) -> str:
    """The name that a row keeps for the fact's class."""
    return _NAMES[type(fact)]


def name_of(kind: type[Fact]) -> str:
    """The name that rows keep for a class of facts."""
    return _NAMES[kind]


def to_json(fact: Fact) -> dict[str, Any]:
    """The fact's fields; times as ISO 8601 with their zone."""
    values = {field.name: getattr(fact, field.name) for field in fields(fact)}
    values["effective_time"] = fact.effective_time.isoformat()
    return values


def from_json(kind: str, values: dict[str, Any]) -> Fact:
    """The fact that `to_json` wrote. Raises KeyError, TypeError or ValueError if it is not one."""
    read = {
        name: _READERS[name](value) if name in _READERS else value for name, value in values.items()
    }
    return KINDS[kind](**read)
