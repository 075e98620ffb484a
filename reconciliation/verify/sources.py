"""The bytes that Stripe's items were made of: read again, by what the intake reads them by."""

from base64 import b64decode
from collections.abc import Collection, Iterator
from hashlib import sha256

from google.protobuf.message import DecodeError

from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from gateway.v1.payout_pb2 import Payout
from reconciliation.closing.statement import StatedItem, StatedMatch, source_line
from reconciliation.matching.book_days import BookDays
from reconciliation.matching.item import Item, ItemError, ItemKey, Leg, Source, references
from reconciliation.sources.stripe_items import balance_transaction_item, is_ours, payout_item
from reconciliation.verify.leaves import LeafError, read_canonical, read_key

PERSON = "PERSON"
# Of what is read only the order of revisions depends on these two, and a statement has none.
_EPOCH, _REVISION = 0, 1


def read_source(line: bytes) -> tuple[ItemKey, bytes]:
    """The item of a line, and the bytes that it was made of. Raises `LeafError`."""
    given = read_canonical(line)
    try:
        key, content = read_key(given), b64decode(given["bytes"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise LeafError(f"has no bytes of an item: {type(error).__name__}") from error
    if source_line(key, content) != line:
        raise LeafError("is not written as the bytes of an item are")
    return key, content


def item_of(stated: StatedItem, content: bytes, book_days: BookDays) -> Item:
    """What the bytes say, which is what the leaf does. Raises `LeafError`."""
    if sha256(content).digest() != stated.sha256:
        raise LeafError(f"has other bytes than {stated.key.key} was made of")
    try:
        item = _read(stated.key.source, content, book_days)
    except (DecodeError, ItemError, ValueError) as error:
        raise LeafError(f"has bytes that are no item: {type(error).__name__}") from error
    for name, said, found in (
        ("key", stated.key, item.id),
        ("currency", stated.currency, item.currency),
        ("amount", stated.amount_minor, item.amount_minor),
        ("instant", stated.instant, item.instant),
    ):
        if said != found:
            raise LeafError(f"has bytes that say another {name} than {stated.key.key} has")
    return item


def _read(source: Source, content: bytes, book_days: BookDays) -> Item:
    if source is Source.STRIPE:
        moved = BalanceTransaction.FromString(content)
        return balance_transaction_item(moved, _EPOCH, book_days)
    if source is Source.PAYOUT:
        payout = Payout.FromString(content)
        if is_ours(payout):
            return payout_item(payout, _REVISION)
    raise ItemError("source: has no such bytes")


def strays(match: StatedMatch, items: Collection[Item]) -> Iterator[ItemKey]:
    """Balance transactions of a match that are of none of its payouts by their own bytes, unless a
    person has matched them."""
    if match.leg is not Leg.CONTENT or match.rule == PERSON:
        return
    payouts = {key.key for key, _, _ in match.allocations if key.source is Source.PAYOUT}
    for item in items:
        if item.source is Source.PAYOUT:
            payouts |= references(Leg.CONTENT, item)
    for item in items:
        if item.source is Source.STRIPE and item.group not in payouts:
            yield item.id
