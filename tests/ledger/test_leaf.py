"""A leaf is the canonical JSON of its transaction."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given

from ledger.commands import Record
from ledger.leaf import leaf_of
from runtime.merkle import leaf_hash
from tests.ledger.records import records


def document(record: Record) -> dict[str, Any]:
    """The leaf as docs/proofs.md describes it, put together key by key."""
    effective = record.record_us if record.effective_us is None else record.effective_us
    found: dict[str, Any] = {
        "ledger": "main",
        "sequence": str(record.sequence),
        "kind": record.kind.name,
        "record_time": moment(record.record_us),
        "effective_time": moment(effective),
        "entries": [entry(record, index) for index in range(len(record.entries))],
    }
    if record.request_id:
        found["request_id"] = record.request_id
    if record.reference:
        found["reference"] = record.reference
    if record.expire_us is not None:
        found["expire_time"] = moment(record.expire_us)
    if record.settles is not None:
        found["settles"] = str(record.settles)
    if record.reverses is not None:
        found["reverses"] = str(record.reverses)
    if record.notes is not None and record.notes.metadata:
        found["metadata"] = dict(record.notes.metadata)
    if record.notes is not None and record.notes.exchanges:
        found["exchanges"] = [
            {
                "sold": {"amount": str(e.sold_minor), "currency": e.sold_currency},
                "bought": {"amount": str(e.bought_minor), "currency": e.bought_currency},
                "rate": e.rate,
                **({"remainder_account": e.remainder_account} if e.remainder_account else {}),
            }
            for e in record.notes.exchanges
        ]
    return found


def entry(record: Record, index: int) -> dict[str, str]:
    account, side, effect, amount, source, *totals = record.entries[index]
    names = ("posted_debits", "posted_credits", "pending_debits", "pending_credits", "version")
    found = {
        "account": account.name,
        "currency": account.currency,
        "direction": side.name,
        "effect": effect.name,
        "amount": str(amount),
        **{name: str(total) for name, total in zip(names, totals, strict=True)},
    }
    if source is not None:
        found["source_entry"] = str(source)
    if record.notes is not None and record.notes.descriptions and record.notes.descriptions[index]:
        found["description"] = record.notes.descriptions[index]
    return found


def moment(micros: int) -> str:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return f"{when.year:04}-{when:%m-%dT%H:%M:%S.%f}Z"


def canonical(value: Any) -> str:
    """RFC 8785 for what a leaf can hold: objects, lists, strings."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(value[k])}" for k in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(records())
def test_a_leaf_is_canonical(record: Record) -> None:
    assert leaf_of("main", record).decode() == canonical(document(record))


def test_the_hash_of_a_leaf_is_not_that_of_a_node() -> None:
    # The first leaf of the test vectors of RFC 6962's reference implementation.
    assert leaf_hash(b"").hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
