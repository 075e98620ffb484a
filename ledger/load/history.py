"""Recorded transactions as requests for new ones that do the same again.

Only the transactions' effects are made again, in their order, by the requests that would have made
them: docs/export.md says what of a transaction cannot be kept.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.export.rows import LIMITS, micros_of_text
from ledger.times import timestamp_of
from ledger.v1.account_pb2 import AccountInput, NormalBalance
from ledger.v1.direction_pb2 import Direction
from ledger.v1.entry_pb2 import EntryInput, EntryPart
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.v1.transaction_pb2 import (
    REMAINDER_KEEP,
    REMAINDER_RELEASE,
    Exchange,
    PostInput,
    ReversalInput,
    TransactionInput,
    TransactionKey,
    VoidInput,
)
from money.v1.money_pb2 import Money

Leaf = Mapping[str, Any]


def generated_id(ledger: str, sequence: int) -> str:
    """The request_id of what had none in its own ledger: an expiry, or an item without its own."""
    return f"export:{ledger}:{sequence}"


def account_of(line: Leaf) -> AccountInput:
    """The account that an export's line defines, to be made again."""
    account = AccountInput(
        name=line["name"],
        currency_code=line["currency"],
        normal_balance=NormalBalance.Value(f"NORMAL_BALANCE_{line['normal_balance']}"),
        metadata=line.get("metadata"),
    )
    for name in LIMITS:
        if name in line.get("limits", {}):
            setattr(account.limits, f"{name}_minor", int(line["limits"][name]))
    return account


def item_of(leaf: Leaf, original_id: str | None, *, expires: bool) -> BatchItem:
    """The request that does again what a transaction did.

    `original_id` is the request_id of what it settles or reverses; `expires` says whether a hold
    keeps its expiry.
    """
    kind = leaf["kind"]
    request_id = leaf.get("request_id") or generated_id(leaf["ledger"], int(leaf["sequence"]))
    item = BatchItem(request_id=request_id)
    texts: dict[str, Any] = {"reference": leaf.get("reference"), "metadata": leaf.get("metadata")}
    dated = {**texts, "effective_time": _stamp(leaf["effective_time"])}
    key = TransactionKey(request_id=original_id) if original_id is not None else None
    if kind in ("DIRECT", "PENDING"):
        item.create.CopyFrom(_draft(leaf, dated, expires=expires))
    elif kind == "POST":
        parts, keeps = _posted(leaf)
        remainder = REMAINDER_KEEP if keeps else REMAINDER_RELEASE
        item.post.CopyFrom(PostInput(pending=key, parts=parts, remainder=remainder, **dated))
    elif kind in ("VOID", "EXPIRY"):
        item.void.CopyFrom(VoidInput(pending=key, **texts))
    elif kind == "REVERSAL":
        parts = [_part(entry) for entry in leaf["entries"]]
        item.reversal.CopyFrom(ReversalInput(original=key, parts=parts, **dated))
    else:
        raise ValueError(f"{kind} is no kind of transaction")
    return item


def _draft(leaf: Leaf, dated: Mapping[str, Any], *, expires: bool) -> TransactionInput:
    return TransactionInput(
        entries=[
            EntryInput(
                account=entry["account"],
                direction=Direction.Value(f"DIRECTION_{entry['direction']}"),
                amount=_money(entry),
                description=entry.get("description"),
            )
            for entry in leaf["entries"]
        ],
        pending=leaf["kind"] == "PENDING",
        expire_time=_stamp(leaf["expire_time"]) if expires else None,
        exchanges=[
            Exchange(
                sold=_money(exchange["sold"]),
                bought=_money(exchange["bought"]),
                rate=exchange["rate"],
                remainder_account=exchange.get("remainder_account"),
            )
            for exchange in leaf.get("exchanges", ())
        ],
        **dated,
    )


def _posted(leaf: Leaf) -> tuple[list[EntryPart], bool]:
    """What a post posted of each entry, and whether no more than that was released.

    Where nothing was left over, keeping the rest and releasing it are the same.
    """
    parts = [_part(entry) for entry in leaf["entries"] if entry["effect"] == "POST"]
    posted = {part.entry_index: part.amount_minor for part in parts}
    released = {
        part.entry_index: part.amount_minor
        for part in (_part(entry) for entry in leaf["entries"] if entry["effect"] == "RELEASE")
    }
    return parts, posted == released


def _part(entry: Mapping[str, str]) -> EntryPart:
    return EntryPart(entry_index=int(entry["source_entry"]), amount_minor=int(entry["amount"]))


def _money(amount: Mapping[str, str]) -> Money:
    return Money(currency_code=amount["currency"], minor_units=int(amount["amount"]))


def _stamp(text: str) -> Timestamp:
    return timestamp_of(micros_of_text(text))
