"""What a client is told of thousands of differences or violations at once, it can read."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.__main__ import open_service
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.transaction_reads_pb2 import WatchTransactionsRequest
from runtime.clock import ManualClock
from runtime.errors import MAX_TRAILER_BYTES, ReceivedError
from tests.ledger.client import (
    CREDIT_NORMAL,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    transfer,
)
from tests.ledger.running import settings_for

ITEMS, LEGS = 8_000, 10_000
ATOMIC = mutations.BATCH_MODE_ATOMIC
SUMMARY = transactions.TRANSACTION_VIEW_SUMMARY
Item = mutations.BatchItem


@pytest.fixture
async def strict(url: str, clock: ManualClock) -> AsyncIterator[LedgerClient]:
    """A client that takes no more metadata than an error may have, and gRPC's own limits else."""
    options = [
        ("grpc.max_metadata_size", MAX_TRAILER_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_TRAILER_BYTES),
    ]
    async with (
        open_service(settings_for(url), clock) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel,
    ):
        client = LedgerClient(channel)
        await client.create_ledger()
        await client.account("cash")
        await client.account("wallet", CREDIT_NORMAL)
        yield client


def items(amount: int) -> list[Item]:
    return [Item(create=transfer("wallet", "cash", amount))] * ITEMS


def legs(amount: int) -> transactions.TransactionInput:
    return draft(*[debit("cash", amount), credit("wallet", amount)] * (LEGS // 2))


def reused(error: ReceivedError, count: int, first: str) -> None:
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata["differing_field_count"] == str(count)
    paths = error.metadata["differing_fields"].split(",")
    assert (len(paths), paths[0]) == (20, first)


def invalid(error: ReceivedError, first: str) -> None:
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.metadata == {"violation_count": "1000"}
    assert (len(error.violations), error.violations[0].field) == (20, first)


async def test_a_conflict_of_all_items_of_the_largest_batch(strict: LedgerClient) -> None:
    await strict.batch(*items(1), request_id="batch-1", view=SUMMARY)
    error = await failure_of(strict.batch(*items(2), request_id="batch-1", view=SUMMARY))
    reused(error, 2 * ITEMS, "items[0].create.entries[0].amount.minor_units")


async def test_a_conflict_of_all_legs_of_the_largest_transaction(strict: LedgerClient) -> None:
    await strict.create(legs(1), "create-1")
    error = await failure_of(strict.create(legs(2), "create-1"))
    reused(error, LEGS, "entries[0].amount.minor_units")
    # As an item of a batch it is told in the answer, as briefly.
    (result,) = await strict.batch(Item(request_id="create-1", create=legs(2)))
    assert result.failure.metadata == error.metadata


async def test_a_batch_in_which_every_item_is_wrong(strict: LedgerClient) -> None:
    watch: Any = strict.stub.WatchTransactions(WatchTransactionsRequest(ledger=strict.ledger))
    for mode in (ATOMIC, mutations.BATCH_MODE_INDEPENDENT):
        error = await failure_of(strict.batch(*items(0), mode=mode))
        invalid(error, "items[0].create.entries[0].amount.minor_units")
    invalid(await failure_of(strict.create(legs(0))), "transaction.entries[0].amount.minor_units")
    # A stream on the same connection goes on.
    await strict.create(transfer("wallet", "cash", 1), "after")
    assert (await watch.read()).transactions[0].request_id == "after"
    watch.cancel()


async def test_labels_that_take_three_times_their_bytes_on_the_wire(strict: LedgerClient) -> None:
    keys = {f"{index:02}" + "é" * 31: "value" for index in range(32)}
    await strict.create(transfer("wallet", "cash", 1, metadata=keys), "é".encode().hex())
    error = await failure_of(strict.create(transfer("wallet", "cash", 1), "é".encode().hex()))
    assert error.metadata["differing_field_count"] == "32"
    assert f"metadata[00{'é' * 31}]" in error.metadata["differing_fields"]
    wrong = dict.fromkeys(keys, "é" * 300)
    error = await failure_of(strict.create(transfer("wallet", "cash", 1, metadata=wrong)))
    assert f"{'é' * 31}] is longer than 512 bytes" in error.message
    assert error.metadata == {"violation_count": "32"}
    assert 1 < len(error.violations) <= 20
