"""Earlier requests with something changed, as a client does that reuses a request_id by mistake."""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.account_pb2 import AccountInput
from ledger.v1.entry_pb2 import EntryInput
from ledger.v1.transaction_pb2 import (
    REMAINDER_KEEP,
    REMAINDER_RELEASE,
    REMAINDER_UNSPECIFIED,
    PostInput,
    TransactionKey,
    VoidInput,
)

BODIES = ("transaction", "post", "void", "reversal")


def changed(request: Any, change: str) -> Any:
    """The request with that change where it has something to change, otherwise as it was."""
    other = type(request)()
    other.CopyFrom(request)
    if change == "operation":
        return other_operation(request)
    if change == "form":
        other_form(other)
        return other
    if isinstance(other, mutations.BatchCreateTransactionsRequest):
        change_batch(other, change)
    elif isinstance(other, accounts.CreateAccountRequest):
        change_account(other.account, change)
    elif isinstance(other, accounts.BatchCreateAccountsRequest):
        change_account(other.accounts[0], change)
    elif isinstance(other, accounts.CloseAccountRequest):
        other.name += "/other" if change else ""
    else:
        field = next(name for name in BODIES if name in other.DESCRIPTOR.fields_by_name)
        change_body(getattr(other, field), change)
    return other


def other_form(message: Any) -> None:
    """Writes a message in another way that means the same."""
    if isinstance(message, AccountInput):
        message.limits.SetInParent()
    elif isinstance(message, EntryInput):
        message.precondition.SetInParent()
    elif isinstance(message, PostInput) and message.remainder != REMAINDER_KEEP:
        given = message.remainder
        message.remainder = REMAINDER_UNSPECIFIED if given else REMAINDER_RELEASE
    for field, value in message.ListFields():
        if isinstance(value, Timestamp):
            value.nanos = value.nanos // 1000 * 1000 + 999 - value.nanos % 1000
        elif isinstance(value, Message):
            other_form(value)
        elif field.message_type is not None and not hasattr(value, "items"):
            for item in value:
                other_form(item)


def other_operation(request: Any) -> Message:
    """Another method's request under the same id."""
    ids = {"request_id": request.request_id, "ledger": request.ledger}
    if isinstance(request, accounts.CloseAccountRequest):
        void = VoidInput(pending=TransactionKey(sequence=1))
        return mutations.VoidTransactionRequest(void=void, **ids)
    return accounts.CloseAccountRequest(name="cash", **ids)


def change_batch(batch: Any, change: str) -> None:
    if change == "length" and len(batch.items) > 1:
        del batch.items[-1]
    elif change == "mode" and not any(item.request_id for item in batch.items):
        is_atomic = batch.mode == mutations.BATCH_MODE_ATOMIC
        batch.mode = mutations.BATCH_MODE_INDEPENDENT if is_atomic else mutations.BATCH_MODE_ATOMIC
    elif change:
        item = batch.items[-1]
        change_body(getattr(item, item.WhichOneof("operation")), change)


def change_account(account: Any, change: str) -> None:
    if change in ("amount", "several"):
        account.limits.max_posted_minor = 12_345
    if change in ("metadata", "several"):
        account.metadata["made"] = "second"
    if change == "reference":
        account.currency_code = "USD" if account.currency_code != "USD" else "EUR"


def change_body(body: Any, change: str) -> None:
    """A change of a transaction, post, void or reversal."""
    if change in ("reference", "several"):
        body.reference += "!"
    if change in ("metadata", "several"):
        body.metadata["changed"] = "yes"
    if change == "amount":
        fields = body.DESCRIPTOR.fields_by_name
        if "entries" in fields:
            amount = body.entries[0].amount
            amount.minor_units += -1 if amount.minor_units > 1 else 1
        elif "parts" in fields and body.parts:
            body.parts[0].amount_minor += 1
        elif "pending" in fields:
            body.pending.sequence = 77_777
        else:
            body.original.sequence = 77_777
