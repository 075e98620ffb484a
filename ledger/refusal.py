"""Why the rules refuse: a reason, words for people, and facts for programs."""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """The decided failures, named as in `ledger.v1.ErrorReason`, in order of precedence."""

    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    ACCOUNT_ALREADY_EXISTS = "ACCOUNT_ALREADY_EXISTS"
    TRANSACTION_NOT_FOUND = "TRANSACTION_NOT_FOUND"
    TRANSACTION_NOT_PENDING = "TRANSACTION_NOT_PENDING"
    HOLD_ALREADY_POSTED = "HOLD_ALREADY_POSTED"
    HOLD_ALREADY_VOIDED = "HOLD_ALREADY_VOIDED"
    HOLD_EXPIRED = "HOLD_EXPIRED"
    TRANSACTION_NOT_REVERSIBLE = "TRANSACTION_NOT_REVERSIBLE"
    ENTRY_NOT_FOUND = "ENTRY_NOT_FOUND"
    AMOUNT_EXCEEDS_HOLD = "AMOUNT_EXCEEDS_HOLD"
    AMOUNT_EXCEEDS_ORIGINAL = "AMOUNT_EXCEEDS_ORIGINAL"
    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    UNBALANCED = "UNBALANCED"
    EXCHANGE_MISMATCH = "EXCHANGE_MISMATCH"
    EXPIRE_TIME_PASSED = "EXPIRE_TIME_PASSED"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    BALANCE_OUT_OF_BOUNDS = "BALANCE_OUT_OF_BOUNDS"
    FLOOR_BREACHED = "FLOOR_BREACHED"
    CEILING_BREACHED = "CEILING_BREACHED"
    BALANCE_OVERFLOW = "BALANCE_OVERFLOW"
    ACCOUNT_NOT_EMPTY = "ACCOUNT_NOT_EMPTY"


class Refusal(Exception):  # noqa: N818 (a refusal is an outcome, no error)
    """A request that the rules decided against. Nothing of it takes effect."""

    def __init__(self, reason: Reason, message: str, metadata: Mapping[str, str | int]) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = {key: str(value) for key, value in metadata.items()}


def at_item(refusal: Refusal, index: int) -> Refusal:
    """The refusal of one item as that of its whole batch."""
    return Refusal(refusal.reason, refusal.message, {**refusal.metadata, "item_index": index})
