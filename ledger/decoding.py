"""Validated requests as commands for the committer."""

import hashlib
from typing import Any

from ledger.accounts import NO_LIMITS, Limits, Side, limits_of
from ledger.commands import Action, Command, Item, NewAccount, Notes, Operation
from ledger.currencies import exponent
from ledger.exchange import Exchange
from ledger.posting import Draft, Kind, Leg, Precondition
from ledger.settlement import Key, Post, Reverse, Void
from ledger.times import micros_of_timestamp
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.entry_pb2 import EntryInput

SIDES = {1: Side.DEBIT, 2: Side.CREDIT}
_OPERATIONS = {
    "create": Operation.CREATE,
    "post": Operation.POST,
    "void": Operation.VOID,
    "reversal": Operation.REVERSE,
}


def item_command(
    request_id: str,
    operation: Operation,
    body: transactions.TransactionInput
    | transactions.PostInput
    | transactions.VoidInput
    | transactions.ReversalInput,
) -> Command:
    """The command of a call that makes one transaction."""
    item = _item(request_id, operation, body)
    return Command(operation, request_id, item.body, items=[item], legs=_legs(item.action))


def batch_command(request: mutations.BatchCreateTransactionsRequest) -> Command:
    """The command of a batch. The view is no part of what a repetition must match."""
    # Taken out and put back: a copy of the largest takes a tenth of a second, and 20 MB.
    view = request.view
    request.ClearField("view")
    encoded = request.SerializeToString(deterministic=True)
    request.view = view
    items = []
    for item in request.items:
        name = item.WhichOneof("operation")
        assert name is not None, "validation lets no item without operation through"
        items.append(_item(item.request_id, _OPERATIONS[name], getattr(item, name)))
    return Command(
        Operation.BATCH,
        request.request_id,
        encoded,
        items=items,
        atomic=request.mode == mutations.BATCH_MODE_ATOMIC,
        fingerprint=hashlib.sha256(encoded).digest(),
        legs=sum([_legs(item.action) for item in items]),
    )


def account_command(request: accounts.CreateAccountRequest) -> Command:
    """The command that makes one account."""
    return Command(
        Operation.CREATE_ACCOUNT,
        request.request_id,
        request.account.SerializeToString(deterministic=True),
        accounts=[_new_account(request.account)],
    )


def account_batch_command(request: accounts.BatchCreateAccountsRequest) -> Command:
    """The command that makes several accounts."""
    return Command(
        Operation.BATCH_ACCOUNTS,
        request.request_id,
        request.SerializeToString(deterministic=True),
        accounts=[_new_account(account) for account in request.accounts],
    )


def close_command(request: accounts.CloseAccountRequest) -> Command:
    """The command that closes an account."""
    return Command(
        Operation.CLOSE_ACCOUNT,
        request.request_id,
        request.SerializeToString(deterministic=True),
        close=request.name,
    )


def key_of(key: transactions.TransactionKey) -> Key:
    """What names an earlier transaction."""
    return key.sequence if key.WhichOneof("key") == "sequence" else key.request_id


def notes_of(kind: Kind, body: bytes) -> Notes | None:
    """The notes in a stored request."""
    if kind in (Kind.DIRECT, Kind.PENDING):
        return _draft(transactions.TransactionInput.FromString(body))[1]
    if kind is Kind.POST:
        return _notes(transactions.PostInput.FromString(body))
    if kind is Kind.VOID:
        return _notes(transactions.VoidInput.FromString(body))
    if kind is Kind.REVERSAL:
        return _notes(transactions.ReversalInput.FromString(body))
    return None


def _legs(action: Action) -> int:
    """The legs or parts that a request names; what it settles as a whole is not known yet."""
    if isinstance(action, Draft):
        return len(action.legs)
    return 0 if isinstance(action, Void) else len(action.parts)


def _item(request_id: str, operation: Operation, body: Any) -> Item:
    action: Action
    if operation is Operation.CREATE:
        action, notes = _draft(body)
    else:
        notes = _notes(body)
        if operation is Operation.POST:
            action = Post(
                key_of(body.pending), _parts(body), body.remainder == transactions.REMAINDER_KEEP
            )
        elif operation is Operation.VOID:
            action = Void(key_of(body.pending))
        else:
            action = Reverse(key_of(body.original), _parts(body))
    dated = operation is not Operation.VOID and body.HasField("effective_time")
    return Item(
        operation,
        request_id,
        body.SerializeToString(deterministic=True),
        action,
        micros_of_timestamp(body.effective_time) if dated else None,
        body.reference,
        notes,
    )


def _notes(body: Any) -> Notes | None:
    return Notes(dict(body.metadata)) if body.metadata else None


def _parts(body: Any) -> list[tuple[int, int]]:
    return [(part.entry_index, part.amount_minor) for part in body.parts]


def _draft(body: transactions.TransactionInput) -> tuple[Draft, Notes | None]:
    """What the rules decide, and the rest: in one pass, as each step costs an object."""
    legs: list[Leg] = []
    descriptions: list[str] = []
    for entry in body.entries:
        amount = entry.amount
        condition = _precondition(entry) if entry.HasField("precondition") else None
        legs.append(
            (
                entry.account,
                SIDES[entry.direction],
                amount.minor_units,
                amount.currency_code,
                condition,
            )
        )
        if entry.description:
            # Those before it had none, if it is the first.
            descriptions.extend([""] * (len(legs) - 1 - len(descriptions)))
            descriptions.append(entry.description)
    metadata, exchanges = body.metadata, body.exchanges
    notes = None
    if descriptions or metadata or exchanges:
        if descriptions:
            descriptions.extend([""] * (len(legs) - len(descriptions)))
        notes = Notes(
            dict(metadata),
            tuple([_exchange(exchange) for exchange in exchanges]),
            tuple(descriptions),
        )
    draft = Draft(
        legs,
        body.pending,
        micros_of_timestamp(body.expire_time) if body.HasField("expire_time") else None,
        notes.exchanges if notes is not None else (),
    )
    return draft, notes


def _precondition(entry: EntryInput) -> Precondition:
    condition = entry.precondition
    return Precondition(
        condition.expected_version if condition.HasField("expected_version") else None,
        condition.min_posted_minor if condition.HasField("min_posted_minor") else None,
        condition.max_posted_minor if condition.HasField("max_posted_minor") else None,
        condition.min_available_minor if condition.HasField("min_available_minor") else None,
        condition.max_available_minor if condition.HasField("max_available_minor") else None,
    )


def _exchange(exchange: transactions.Exchange) -> Exchange:
    sold, bought = exchange.sold, exchange.bought
    return Exchange(
        sold.currency_code,
        sold.minor_units,
        exponent(sold.currency_code),
        bought.currency_code,
        bought.minor_units,
        exponent(bought.currency_code),
        exchange.rate,
        exchange.remainder_account,
    )


def _new_account(account: accounts.AccountInput) -> NewAccount:
    return NewAccount(
        account.name,
        account.currency_code,
        SIDES[account.normal_balance],
        _limits(account.limits) if account.HasField("limits") else NO_LIMITS,
        dict(account.metadata),
    )


def _limits(limits: accounts.BalanceLimits) -> Limits:
    return limits_of(
        limits.min_posted_minor if limits.HasField("min_posted_minor") else None,
        limits.max_posted_minor if limits.HasField("max_posted_minor") else None,
        limits.min_available_minor if limits.HasField("min_available_minor") else None,
        limits.max_available_minor if limits.HasField("max_available_minor") else None,
    )
