"""The shortest answer of a batch stays far below what gRPC clients take by themselves."""

from ledger.commands import Operation, Prior
from ledger.encoding import encode_batch, encode_failure, short_batch
from ledger.refusal import Reason, Refusal
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.error_reason_pb2 import ERROR_REASON_FLOOR_BREACHED
from ledger.v1.transaction_reads_pb2 import ListTransactionsRequest
from ledger.validation import MAX_ITEMS_PER_BATCH
from tests.ledger.client import LedgerClient, fresh_id, transfer

SEQUENCE = transactions.TRANSACTION_VIEW_SEQUENCE
CLIENT_BYTES = 4 * 1024 * 1024
SHORT_BYTES = 512 * 1024
FAILED = Refusal(
    Reason.FLOOR_BREACHED,
    "words " * 100,
    {"account": "a" * 256, "limit": "min_available_minor", "balance_minor": -(10**18)},
)


def made(sequence: int) -> Prior:
    return Prior(Operation.CREATE, b"", sequence, False, b"", None)


def test_of_the_largest_batch() -> None:
    largest = encode_batch([made(2**63 - 1)] * MAX_ITEMS_PER_BATCH)
    assert len(short_batch(largest)) < SHORT_BYTES
    kept = Prior(Operation.CREATE, b"", None, True, encode_failure(FAILED), None)
    failed = encode_batch([kept] * MAX_ITEMS_PER_BATCH)
    assert len(failed) > CLIENT_BYTES, "the failures alone would be too much"
    assert len(short_batch(failed)) < SHORT_BYTES


async def test_over_a_socket_at_once_and_again(bank: LedgerClient) -> None:
    items = [
        mutations.BatchItem(request_id="kept", create=transfer("wallet", "cash", 5)),
        mutations.BatchItem(create=transfer("payable", "wallet", 6)),
        mutations.BatchItem(create=transfer("payable", "wallet", 5)),
    ]
    request_id = fresh_id()
    first = await bank.batch(*items, request_id=request_id, view=SEQUENCE)
    assert [result.transaction for result in first[::2]] == [
        transactions.Transaction(sequence=1),
        transactions.Transaction(sequence=2),
    ]
    assert first[1].failure == mutations.ItemFailure(reason=ERROR_REASON_FLOOR_BREACHED, code=9)
    assert await bank.batch(*items, request_id=request_id, view=SEQUENCE) == first
    # Whoever wants to know more asks again.
    in_full = await bank.batch(*items, request_id=request_id)
    assert in_full[1].failure.metadata["account"] == "wallet"
    assert len(in_full[2].transaction.entries) == 2
    # An item of an earlier batch is as short.
    assert (await bank.batch(items[0], view=SEQUENCE))[0] == first[0]
    page = await bank.stub.ListTransactions(
        ListTransactionsRequest(ledger=bank.ledger, view=SEQUENCE, descending=True)
    )
    assert list(page.transactions) == [
        transactions.Transaction(sequence=2),
        transactions.Transaction(sequence=1),
    ]
