"""Items as the intake writes them; without a database, so that another process may make them."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from reconciliation.items.source import MAX_BATCH_ITEMS
from reconciliation.matching.item import Item, ItemError, folded


def document_of(name: str, items: Sequence[Item]) -> str:
    """The items of a batch as JSON. Raises `ItemError` for too many, or where they contradict each
    other."""
    if len(items) > MAX_BATCH_ITEMS:
        raise ItemError(f"a batch of {name} has more than {MAX_BATCH_ITEMS} items")
    folded(items)
    _check_revisions(items)
    return json.dumps([_row(item) for item in items])


def _check_revisions(items: Sequence[Item]) -> None:
    given: dict[Any, bytes] = {}
    for item in items:
        if given.setdefault((item.id, item.revision), item.sha256) != item.sha256:
            raise ItemError(f"{item.source} {item.key} came twice as revision {item.revision}")


def _row(item: Item) -> dict[str, Any]:
    return {
        "source": item.source.value,
        "corridor": item.corridor,
        "key": item.key,
        "revision": item.revision,
        "currency": item.currency,
        "amount_minor": item.amount_minor,
        "instant": item.instant.isoformat(),
        "book_date": item.book_date.isoformat(),
        "sha256": item.sha256.hex(),
        "tokens": sorted(item.tokens),
        "group_key": item.group,
        "state": item.state.value,
        "content": item.content.value,
        "fee_minor": item.fee_minor,
        "source_bytes": b64encode(item.source_bytes).decode() or None,
    }
