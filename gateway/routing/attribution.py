"""Whose fault it was: what an outcome teaches of a corridor.

| outcome | health | approval |
|---|---|---|
| succeeded | well | approved |
| declined by the issuer | well | declined |
| declined for the customer's own error (wrong CVC, no money) | well | – |
| blocked by Radar, or by a rule | – | – |
| technical failure (5xx, reset, processing_error, issuer not reached) | failed | – |
| UNKNOWN: no answer in time | failed | – |
| our request was wrong, or was never sent | – | – |

What is UNKNOWN says that a corridor is unwell, and nothing of what the issuer thinks; when it is
resolved, the answer to a resent call is no second failure. Stripe's words are used as given:
https://docs.stripe.com/declines/codes, https://docs.stripe.com/api/charges/object
"""

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a call ended: the outcome classes of the Stripe client."""

    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"


class Cause(StrEnum):
    """Whom an outcome is put down to."""

    NOBODY = "NOBODY"
    """Nothing is learnt."""
    APPROVED = "APPROVED"
    ISSUER = "ISSUER"
    CUSTOMER = "CUSTOMER"
    CORRIDOR = "CORRIDOR"


@dataclass(frozen=True, slots=True)
class CallResult:
    """What Stripe said of a call, in its own words; empty where it said nothing."""

    ending: Ending
    code: str = ""
    """`error.code`."""
    decline_code: str = ""
    outcome_type: str = ""
    """`charge.outcome.type`: authorized, blocked, invalid, issuer_declined, manual_review."""
    network_status: str = ""
    """`charge.outcome.network_status`: approved_by_network, declined_by_network,
    not_sent_to_network, reversed_after_approval."""
    reason: str = ""
    """`charge.outcome.reason`: highest_risk_level, rule, …"""
    http_status: int = 0
    connect_failed: bool = False
    """Of NOT_SENT: the corridor could not be reached."""
    was_unknown: bool = False
    """The call had been UNKNOWN before: its failure is known already."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """What an outcome moves."""

    cause: Cause
    failed: bool | None
    """Of the corridor's health: True is a failure, False went well, None says nothing."""
    approved: bool | None
    """Of the model of approval: None says nothing."""


CUSTOMERS_OWN = frozenset(
    {
        "authentication_required",
        "expired_card",
        "incorrect_address",
        "incorrect_cvc",
        "incorrect_number",
        "incorrect_pin",
        "incorrect_zip",
        "insufficient_funds",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "invalid_pin",
        "offline_pin_required",
        "online_or_offline_pin_required",
        "payment_intent_authentication_failure",
        "pin_try_exceeded",
        "withdrawal_count_limit_exceeded",
    }
)
"""Decline codes that the customer alone can do something about: no other corridor would help."""
TECHNICAL = frozenset({"issuer_not_available", "processing_error", "reenter_transaction"})
"""Decline codes with which nobody judged the payment: something between did not work."""
BLOCKED_REASONS = frozenset({"highest_risk_level", "rule"})
FRAUD_RULES = frozenset({"highest_risk_level", "merchant_blacklist", "testmode_decline"})

_NOTHING = Attribution(Cause.NOBODY, failed=None, approved=None)
_FAILURE = Attribution(Cause.CORRIDOR, failed=True, approved=None)


def attribute(result: CallResult) -> Attribution:
    """What a call's result teaches of the corridor that it was sent through."""
    if result.ending is Ending.SUCCEEDED:
        return Attribution(Cause.APPROVED, failed=_well(result), approved=True)
    if result.ending is Ending.UNKNOWN:
        return _FAILURE
    if result.ending is Ending.NOT_SENT:
        return _FAILURE if result.connect_failed else _NOTHING
    if result.ending is Ending.REJECTED:
        return _NOTHING
    if _is_blocked(result):
        return _NOTHING
    code = result.decline_code or result.code
    if code in TECHNICAL:
        return _NOTHING if result.was_unknown else _FAILURE
    if code in CUSTOMERS_OWN or result.outcome_type == "invalid":
        return Attribution(Cause.CUSTOMER, failed=_well(result), approved=None)
    return Attribution(Cause.ISSUER, failed=_well(result), approved=False)


def _well(result: CallResult) -> bool | None:
    """The end of a call that hung says what the issuer thinks, not that the corridor is well."""
    return None if result.was_unknown else False


def _is_blocked(result: CallResult) -> bool:
    """Whether Radar or a rule stopped it: no network and no issuer was asked."""
    return (
        result.outcome_type == "blocked"
        or result.network_status == "not_sent_to_network"
        or result.reason in BLOCKED_REASONS
        or (result.decline_code or result.code) in FRAUD_RULES
    )
