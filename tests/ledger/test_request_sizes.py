"""The largest request that the rules allow is no larger than its method may be."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.disputes import validation as disputes
from gateway.v1 import dispute_service_pb2
from ledger.checks import MAX_AMOUNT_MINOR, MAX_TRANSACTION_BYTES
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.direction_pb2 import DIRECTION_CREDIT
from ledger.v1.entry_pb2 import EntryInput
from ledger.validation import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_ENTRIES,
    MAX_LEDGER_NAME_BYTES,
    MAX_METADATA_ENTRIES,
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_VALUE_BYTES,
    MAX_TEXT_BYTES,
)
from money.v1.money_pb2 import Money
from runtime.admission import MAX_REQUEST_BYTES
from runtime.rules import MAX_REQUEST_ID_BYTES

MAX_INT64 = 2**63 - 1
NOTES: dict[str, Any] = {
    "reference": "r" * MAX_TEXT_BYTES,
    "metadata": {
        f"{number:0{MAX_METADATA_KEY_BYTES}}": "v" * MAX_METADATA_VALUE_BYTES
        for number in range(MAX_METADATA_ENTRIES)
    },
}
NAMED: dict[str, Any] = {
    "request_id": "i" * MAX_REQUEST_ID_BYTES,
    "ledger": "l" * MAX_LEDGER_NAME_BYTES,
}
KEY = transactions.TransactionKey(request_id="k" * MAX_REQUEST_ID_BYTES)
PARTS = [
    transactions.PostInput().parts.add(entry_index=index, amount_minor=MAX_AMOUNT_MINOR)
    for index in range(MAX_ENTRIES)
]


def widest_transaction() -> mutations.CreateTransactionRequest:
    entry = EntryInput(
        account="a" * MAX_ACCOUNT_NAME_BYTES,
        direction=DIRECTION_CREDIT,
        amount=Money(currency_code="EUR", minor_units=MAX_AMOUNT_MINOR),
        description="d" * MAX_TEXT_BYTES,
    )
    precondition = entry.precondition
    for field in precondition.DESCRIPTOR.fields:
        setattr(precondition, field.name, MAX_INT64)
    draft = transactions.TransactionInput(entries=[entry] * MAX_ENTRIES, **NOTES)
    draft.effective_time.FromDatetime(datetime(9999, 1, 1, tzinfo=UTC))
    return mutations.CreateTransactionRequest(transaction=draft, **NAMED)


@pytest.mark.parametrize(
    ("request_of", "limit"),
    [
        (widest_transaction, MAX_TRANSACTION_BYTES),
        (
            lambda: mutations.PostTransactionRequest(
                post=transactions.PostInput(pending=KEY, parts=PARTS, **NOTES), **NAMED
            ),
            MAX_REQUEST_BYTES,
        ),
        (
            lambda: mutations.ReverseTransactionRequest(
                reversal=transactions.ReversalInput(original=KEY, parts=PARTS, **NOTES), **NAMED
            ),
            MAX_REQUEST_BYTES,
        ),
        (
            lambda: dispute_service_pb2.SubmitDisputeEvidenceRequest(
                request_id="i" * MAX_REQUEST_ID_BYTES,
                dispute_id="d" * 255,
                evidence={
                    f"{number:064}": "x" * disputes.MAX_FIELD_BYTES
                    for number in range(disputes.MAX_FIELDS)
                },
            ),
            disputes.MAX_EVIDENCE_REQUEST_BYTES,
        ),
    ],
    ids=["transaction", "post", "reversal", "evidence"],
)
def test_the_largest_request_is_taken(request_of: Any, limit: int) -> None:
    assert limit / 3 < request_of().ByteSize() < limit
