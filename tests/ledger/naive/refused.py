"""Refusals as the contract lists them: reason, gRPC code and metadata."""

from dataclasses import dataclass, field

# From the comments of ledger.v1.ErrorReason, in their order, which is that of precedence.
CODES = {
    "LEDGER_NOT_FOUND": "NOT_FOUND",
    "REQUEST_ID_REUSED": "ALREADY_EXISTS",
    "ACCOUNT_ALREADY_EXISTS": "ALREADY_EXISTS",
    "TRANSACTION_NOT_FOUND": "NOT_FOUND",
    "TRANSACTION_NOT_PENDING": "FAILED_PRECONDITION",
    "HOLD_ALREADY_POSTED": "FAILED_PRECONDITION",
    "HOLD_ALREADY_VOIDED": "FAILED_PRECONDITION",
    "HOLD_EXPIRED": "FAILED_PRECONDITION",
    "TRANSACTION_NOT_REVERSIBLE": "FAILED_PRECONDITION",
    "ENTRY_NOT_FOUND": "INVALID_ARGUMENT",
    "AMOUNT_EXCEEDS_HOLD": "FAILED_PRECONDITION",
    "AMOUNT_EXCEEDS_ORIGINAL": "FAILED_PRECONDITION",
    "ACCOUNT_NOT_FOUND": "NOT_FOUND",
    "ACCOUNT_CLOSED": "FAILED_PRECONDITION",
    "CURRENCY_MISMATCH": "INVALID_ARGUMENT",
    "UNBALANCED": "INVALID_ARGUMENT",
    "EXCHANGE_MISMATCH": "INVALID_ARGUMENT",
    "EXPIRE_TIME_PASSED": "INVALID_ARGUMENT",
    "VERSION_MISMATCH": "FAILED_PRECONDITION",
    "BALANCE_OUT_OF_BOUNDS": "FAILED_PRECONDITION",
    "FLOOR_BREACHED": "FAILED_PRECONDITION",
    "CEILING_BREACHED": "FAILED_PRECONDITION",
    "BALANCE_OVERFLOW": "OUT_OF_RANGE",
    "ACCOUNT_NOT_EMPTY": "FAILED_PRECONDITION",
    "SEQUENCE_NOT_REACHED": "OUT_OF_RANGE",
}

# What names a transaction, and what names it in the failure of the batch that would have made it.
ITEM_KEYS = {
    "sequence": "source_item_index",
    "closed_by_sequence": "closed_by_item_index",
}


@dataclass(frozen=True)
class Failure:
    """How a call failed. Words are no part of it: the contract leaves them open."""

    reason: str
    code: str
    metadata: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The rules say no."""

    def __init__(self, reason: str, **metadata: str | int) -> None:
        super().__init__(reason)
        self.failure = Failure(
            reason, CODES[reason], {key: str(value) for key, value in metadata.items()}
        )

    def at_item(self, index: int) -> "RefusedError":
        """The same as the failure of a whole batch."""
        return RefusedError(self.failure.reason, **self.failure.metadata, item_index=index)

    def of_items_after(self, last_sequence: int) -> "RefusedError":
        """The same without transactions that never were: what an item made is named by the item."""
        metadata: dict[str, str | int] = {}
        for key, value in self.failure.metadata.items():
            made_by = int(value) - last_sequence - 1 if key in ITEM_KEYS else -1
            if made_by < 0:
                metadata[key] = value
            else:
                metadata[ITEM_KEYS[key]] = made_by
        return RefusedError(self.failure.reason, **metadata)
