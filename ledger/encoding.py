"""What the ledger decided, as protobuf messages: answers, stored answers, stored failures."""

from collections.abc import Iterable, Sequence

from google.protobuf.message import Message

from ledger.accounts import Account, Effect, Side, Totals, spans
from ledger.commands import ItemOutcome, Operation, Record
from ledger.errors import failure_of
from ledger.posting import Kind
from ledger.refusal import Refusal
from ledger.times import timestamp_of
from ledger.v1 import account_pb2, balance_pb2, direction_pb2, entry_pb2, transaction_pb2
from ledger.v1.money_pb2 import Money
from ledger.v1.transaction_mutations_pb2 import (
    BatchCreateTransactionsRequest,
    BatchCreateTransactionsResponse,
    BatchItemResult,
)
from runtime.messages import differing_fields

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
EFFECT = {
    Effect.POST: entry_pb2.ENTRY_EFFECT_POST,
    Effect.HOLD: entry_pb2.ENTRY_EFFECT_HOLD,
    Effect.RELEASE: entry_pb2.ENTRY_EFFECT_RELEASE,
}
KIND = {
    Kind.DIRECT: transaction_pb2.TRANSACTION_KIND_DIRECT,
    Kind.PENDING: transaction_pb2.TRANSACTION_KIND_PENDING,
    Kind.POST: transaction_pb2.TRANSACTION_KIND_POST,
    Kind.VOID: transaction_pb2.TRANSACTION_KIND_VOID,
    Kind.EXPIRY: transaction_pb2.TRANSACTION_KIND_EXPIRY,
    Kind.REVERSAL: transaction_pb2.TRANSACTION_KIND_REVERSAL,
}


def differing_paths(operation: Operation, first: bytes, second: bytes) -> list[str]:
    """Paths of the fields in which two stored bodies differ."""
    kind = BODIES[operation]
    return differing_fields(kind.FromString(first), kind.FromString(second))


def encode_failure(refusal: Refusal) -> bytes:
    """A refusal as it is stored."""
    return failure_of(refusal).SerializeToString(deterministic=True)


def encode_batch(results: Sequence[ItemOutcome]) -> bytes:
    """A batch's outcomes as they are stored: bare sequences, failures in full."""
    answer = BatchCreateTransactionsResponse()
    for result in results:
        if isinstance(result, Record):
            answer.results.add().transaction.sequence = result.sequence
        elif isinstance(result, Refusal):
            answer.results.add().failure.CopyFrom(failure_of(result))
        elif result.sequence is not None:
            answer.results.add().transaction.sequence = result.sequence
        else:
            answer.results.add().failure.MergeFromString(result.answer)
    return answer.SerializeToString(deterministic=True)


def without_successes(body: bytes, results: Sequence[ItemOutcome]) -> bytes:
    """A batch request without the items that became transactions, which keep theirs."""
    request = BatchCreateTransactionsRequest.FromString(body)
    for item, result in zip(request.items, results, strict=True):
        if isinstance(result, Record):
            item.Clear()
    return request.SerializeToString(deterministic=True)


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
    record_time = timestamp_of(record.record_us)
    effective_time = (
        record_time if record.effective_us is None else timestamp_of(record.effective_us)
    )
    message = transaction_pb2.Transaction(
        ledger=ledger,
        sequence=record.sequence,
        request_id=record.request_id,
        kind=KIND[record.kind],
        record_time=record_time,
        effective_time=effective_time,
        reference=record.reference,
        settles_sequence=record.settles or 0,
        reverses_sequence=record.reverses or 0,
    )
    if record.expire_us is not None:
        message.expire_time.CopyFrom(timestamp_of(record.expire_us))
    descriptions = _add_body(message, record)
    if not entries:
        return message
    for index, (movement, totals) in enumerate(record.posted):
        account = movement.account
        message.entries.add(
            sequence=record.sequence,
            entry_index=index,
            account=account.name,
            direction=DIRECTION[movement.side],
            effect=EFFECT[movement.effect],
            amount=Money(currency_code=account.currency, minor_units=movement.amount),
            balance_after=balance_message(account.name, account.currency, account.normal, totals),
            description=descriptions[index] if descriptions else "",
            source_entry_index=movement.source_index,
            record_time=record_time,
            effective_time=effective_time,
        )
    return message


def _add_body(message: transaction_pb2.Transaction, record: Record) -> Sequence[str]:
    """Adds what only the request says; answers the descriptions of its entries, if any."""
    if record.kind in (Kind.DIRECT, Kind.PENDING):
        request = transaction_pb2.TransactionInput.FromString(record.body)
        message.metadata.update(request.metadata)
        message.exchanges.extend(request.exchanges)
        return [entry.description for entry in request.entries]
    if record.kind is Kind.POST:
        message.metadata.update(transaction_pb2.PostInput.FromString(record.body).metadata)
    elif record.kind is Kind.VOID:
        message.metadata.update(transaction_pb2.VoidInput.FromString(record.body).metadata)
    elif record.kind is Kind.REVERSAL:
        message.metadata.update(transaction_pb2.ReversalInput.FromString(record.body).metadata)
    return ()


def entry_messages(ledger: str, records: Iterable[Record]) -> list[entry_pb2.Entry]:
    """The entries of transactions, in order."""
    return [entry for r in records for entry in transaction_message(ledger, r).entries]


def result_message(ledger: str, outcome: Record | Refusal, *, entries: bool) -> BatchItemResult:
    """One item's outcome as clients see it."""
    if isinstance(outcome, Refusal):
        return BatchItemResult(failure=failure_of(outcome))
    return BatchItemResult(transaction=transaction_message(ledger, outcome, entries=entries))
