"""Bookkeeping's writes as the ledger's messages. Pure: the same fact gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.bookkeeping.chart import Account, Side
from gateway.bookkeeping.codec import kind_of
from gateway.bookkeeping.facts import Fact, PaymentFact
from gateway.bookkeeping.mapping import (
    AccountGroup,
    Create,
    Entry,
    Post,
    Reverse,
    Void,
    account_groups,
    ledger_write,
    request_id,
)
from ledger.v1.account_pb2 import (
    NORMAL_BALANCE_CREDIT,
    NORMAL_BALANCE_DEBIT,
    AccountInput,
    BatchCreateAccountsRequest,
    CreateAccountRequest,
)
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import EntryInput, EntryPart
from ledger.v1.transaction_mutations_pb2 import (
    BATCH_MODE_INDEPENDENT,
    BatchCreateTransactionsRequest,
    BatchItem,
)
from ledger.v1.transaction_pb2 import (
    REMAINDER_KEEP,
    REMAINDER_RELEASE,
    TRANSACTION_VIEW_SUMMARY,
    PostInput,
    ReversalInput,
    TransactionInput,
    TransactionKey,
    VoidInput,
)
from money.v1.money_pb2 import Money

_DIGEST_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """One fact as the ledger is asked to book it, and the accounts that must exist before."""

    operation: BatchItem
    account_groups: tuple[AccountGroup, ...]
    # Whether there may be nothing left to do: what it is about may have ended, or be gone.
    may_be_over: bool = False


def ledger_item(fact: Fact, *, revision: int, required_revision: int | None) -> LedgerItem:
    """The fact as an operation with its own request id.

    `required_revision` is that under which the ledger has the fact that this one posts, voids or
    reverses. It is named by its request id: in a ledger that was put back its sequence may be
    another transaction's. Raises ValueError if that is needed and not given.
    """
    operation = BatchItem(request_id=request_id(fact.id, revision))
    effective_time = Timestamp()
    effective_time.FromDatetime(fact.effective_time)
    reference = fact.payment_id if isinstance(fact, PaymentFact) else fact.subject
    labels = _labels(fact)
    write = ledger_write(fact)
    match write:
        case Create():
            operation.create.CopyFrom(
                TransactionInput(
                    entries=[_entry(entry) for entry in write.entries],
                    pending=write.hold,
                    effective_time=effective_time,
                    reference=reference,
                    metadata=labels,
                )
            )
        case Post():
            operation.post.CopyFrom(
                PostInput(
                    pending=_earlier(fact, required_revision),
                    parts=[
                        EntryPart(entry_index=index, amount_minor=entry.amount_minor)
                        for index, entry in enumerate(write.entries)
                    ],
                    remainder=REMAINDER_RELEASE if write.final else REMAINDER_KEEP,
                    effective_time=effective_time,
                    reference=reference,
                    metadata=labels,
                )
            )
        case Void():
            operation.void.CopyFrom(
                VoidInput(
                    pending=_held(fact, write, required_revision),
                    reference=reference,
                    metadata=labels,
                )
            )
        case Reverse():
            operation.reversal.CopyFrom(
                ReversalInput(
                    original=_earlier(fact, required_revision),
                    effective_time=effective_time,
                    reference=reference,
                    metadata=labels,
                )
            )
    may_be_over = isinstance(write, Void) and write.unreported_revision is not None
    return LedgerItem(operation, account_groups(fact), may_be_over)


def batch(ledger: str, items: Iterable[LedgerItem]) -> BatchCreateTransactionsRequest:
    """Facts that do not depend on each other, each booked or refused by itself.

    The batch's request id is a digest of what is in it: a batch put together differently is
    another batch, and the items' own ids see to it that each is booked once.
    """
    operations = [item.operation for item in items]
    digest = hashlib.sha256()
    for operation in operations:
        content = operation.SerializeToString(deterministic=True)
        digest.update(len(content).to_bytes(4, "big") + content)
    return BatchCreateTransactionsRequest(
        request_id=f"batch.{digest.hexdigest()[:_DIGEST_CHARACTERS]}",
        ledger=ledger,
        mode=BATCH_MODE_INDEPENDENT,
        items=operations,
        view=TRANSACTION_VIEW_SUMMARY,
    )


def accounts_request(ledger: str, group: AccountGroup) -> BatchCreateAccountsRequest:
    """Asks for a group of accounts; the same group always under the same request id."""
    return BatchCreateAccountsRequest(
        request_id=f"accounts.{_digest(group)}",
        ledger=ledger,
        accounts=[_account(account) for account in group],
    )


def account_request(ledger: str, account: Account) -> CreateAccountRequest:
    """Asks for one account, where its group cannot be made because a part of it is there."""
    return CreateAccountRequest(
        request_id=f"account.{_digest((account,))}", ledger=ledger, account=_account(account)
    )


def _earlier(fact: Fact, revision: int | None) -> TransactionKey:
    if fact.requires is None or revision is None:
        raise ValueError(f"{fact.id} builds on {fact.requires}, which is not in the ledger")
    return TransactionKey(request_id=request_id(fact.requires, revision))


def _held(fact: Fact, write: Void, revision: int | None) -> TransactionKey:
    if write.unreported_revision is None:
        return _earlier(fact, revision)
    return TransactionKey(request_id=request_id(write.of, write.unreported_revision))


def _entry(entry: Entry) -> EntryInput:
    return EntryInput(
        account=entry.account.path,
        direction=DIRECTION_DEBIT if entry.side is Side.DEBIT else DIRECTION_CREDIT,
        amount=Money(currency_code=entry.account.currency, minor_units=entry.amount_minor),
    )


def _account(account: Account) -> AccountInput:
    debit = account.normal_side is Side.DEBIT
    return AccountInput(
        name=account.path,
        currency_code=account.currency,
        normal_balance=NORMAL_BALANCE_DEBIT if debit else NORMAL_BALANCE_CREDIT,
    )


def _digest(accounts: tuple[Account, ...]) -> str:
    text = "\n".join(f"{a.path} {a.currency} {a.normal_side}" for a in accounts)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _labels(fact: Fact) -> dict[str, str]:
    """What the ledger keeps for people: the kind of fact and every id it names."""
    labels = {"fact": kind_of(fact)}
    for field in fields(fact):
        if field.name.endswith("_id") or field.name in ("type", "reason"):
            labels[field.name] = str(getattr(fact, field.name))
    return labels
