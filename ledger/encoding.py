"""What the ledger decided, as protobuf messages: answers, stored answers, stored failures."""

from collections.abc import Sequence

from google.protobuf.message import Message

from ledger.accounts import Account, Side, Totals, spans
from ledger.commands import ItemOutcome, Operation, Record
from ledger.errors import failure_of
from ledger.refusal import Refusal
from ledger.times import timestamp_of
from ledger.v1 import account_pb2, balance_pb2, direction_pb2, transaction_pb2
from ledger.v1.transaction_mutations_pb2 import (
    BatchCreateTransactionsRequest,
    BatchCreateTransactionsResponse,
)
from ledger.validation import VALIDATOR
from ledger.wire import encode_batch_answer, encode_transaction, field, varint
from runtime.idempotency import Differences, differences_of

BODIES: dict[Operation, type[Message]] = {
    Operation.CREATE: transaction_pb2.TransactionInput,
    Operation.POST: transaction_pb2.PostInput,
    Operation.VOID: transaction_pb2.VoidInput,
    Operation.REVERSE: transaction_pb2.ReversalInput,
    Operation.BATCH: BatchCreateTransactionsRequest,
    Operation.CREATE_ACCOUNT: account_pb2.AccountInput,
    Operation.BATCH_ACCOUNTS: account_pb2.BatchCreateAccountsRequest,
    Operation.CLOSE_ACCOUNT: account_pb2.CloseAccountRequest,
}

NORMAL_BALANCE = {
    Side.DEBIT: account_pb2.NORMAL_BALANCE_DEBIT,
    Side.CREDIT: account_pb2.NORMAL_BALANCE_CREDIT,
}

DIRECTION = {
    Side.DEBIT: direction_pb2.DIRECTION_DEBIT,
    Side.CREDIT: direction_pb2.DIRECTION_CREDIT,
}


def differing_bodies(operation: Operation, first: bytes, second: bytes) -> Differences:
    """The fields in which two stored bodies differ."""
    return differences_of(VALIDATOR, BODIES[operation].FromString(second), first)


def encode_failure(refusal: Refusal) -> bytes:
    """A refusal as it is stored."""
    return failure_of(refusal).SerializeToString(deterministic=True)


def encode_batch(results: Sequence[ItemOutcome]) -> bytes:
    """A batch's outcomes as they are stored: bare sequences, failures in full."""
    return encode_batch_answer([_kept_result(result) for result in results])


def _kept_result(result: ItemOutcome) -> bytes:
    if isinstance(result, Refusal):
        return _failure_result(encode_failure(result))
    if result.sequence is None:
        return _failure_result(result.answer)
    # A result (1) that is a transaction of which only the sequence (2) is kept.
    return field(0x0A, b"\x10" + varint(result.sequence))


def _failure_result(failure: bytes) -> bytes:
    return field(0x12, failure)


def without_successes(body: bytes, results: Sequence[ItemOutcome]) -> bytes:
    """A batch request without the items that became transactions, which keep theirs."""
    request = BatchCreateTransactionsRequest.FromString(body)
    kept = BatchCreateTransactionsRequest(
        request_id=request.request_id, ledger=request.ledger, mode=request.mode
    )
    for item, result in zip(request.items, results, strict=True):
        if isinstance(result, Record):
            kept.items.add()
        else:
            kept.items.append(item)
    return kept.SerializeToString(deterministic=True)


def encode_account(ledger: str, account: Account) -> bytes:
    """The answer to closing an account."""
    return account_pb2.CloseAccountResponse(
        account=account_message(ledger, account)
    ).SerializeToString(deterministic=True)


def encode_accounts(ledger: str, accounts: Sequence[Account], operation: Operation) -> bytes:
    """The answer to making one account or several."""
    messages = [account_message(ledger, account) for account in accounts]
    answer: Message
    if operation is Operation.CREATE_ACCOUNT:
        answer = account_pb2.CreateAccountResponse(account=messages[0])
    else:
        answer = account_pb2.BatchCreateAccountsResponse(accounts=messages)
    return answer.SerializeToString(deterministic=True)


def account_message(ledger: str, account: Account) -> account_pb2.Account:
    """An account as clients see it."""
    closed = account.closed_us is not None
    message = account_pb2.Account(
        ledger=ledger,
        name=account.name,
        currency_code=account.currency,
        normal_balance=NORMAL_BALANCE[account.normal],
        metadata=account.metadata,
        state=account_pb2.ACCOUNT_STATE_CLOSED if closed else account_pb2.ACCOUNT_STATE_OPEN,
        create_time=timestamp_of(account.create_us),
    )
    limits = account.limits
    for name, value in (
        ("min_posted_minor", limits.min_posted),
        ("max_posted_minor", limits.max_posted),
        ("min_available_minor", limits.min_available),
        ("max_available_minor", limits.max_available),
    ):
        if value is not None:
            setattr(message.limits, name, value)
    if account.closed_us is not None:
        message.close_time.CopyFrom(timestamp_of(account.closed_us))
    return message


def balance_message(name: str, currency: str, normal: Side, totals: Totals) -> balance_pb2.Balance:
    """Totals as clients see them."""
    posted, available, _ = spans(totals, normal)
    return balance_pb2.Balance(
        account=name,
        currency_code=currency,
        posted_debits_minor=totals[0],
        posted_credits_minor=totals[1],
        pending_debits_minor=totals[2],
        pending_credits_minor=totals[3],
        posted_minor=posted,
        available_minor=available,
        version=totals[4],
    )


def transaction_message(
    ledger: str, record: Record, *, entries: bool = True
) -> transaction_pb2.Transaction:
    """A transaction as clients see it; `entries=False` leaves its entries out."""
    return transaction_pb2.Transaction.FromString(
        encode_transaction(ledger, record, entries=entries)
    )


def encode_result(ledger: str, outcome: Record, *, entries: bool) -> bytes:
    """An item's transaction as clients see it, a `BatchItemResult`."""
    return field(0x0A, encode_transaction(ledger, outcome, entries=entries))


def encode_failed(outcome: Refusal) -> bytes:
    """An item's refusal as clients see it, a `BatchItemResult`."""
    return _failure_result(encode_failure(outcome))


def short_batch(answer: bytes) -> bytes:
    """A stored answer of a batch as TRANSACTION_VIEW_SEQUENCE has it: bare sequences as they are,
    of failures no more than reason and code."""
    response = BatchCreateTransactionsResponse.FromString(answer)
    for result in response.results:
        if result.HasField("failure"):
            result.failure.ClearField("message")
            result.failure.ClearField("metadata")
    return response.SerializeToString()
