"""The feed: everything, in commit order, from any point on."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from runtime.merkle import HASH_BYTES
from tests.ledger.client import (
    CREDIT_NORMAL,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    transfer,
)
from tests.ledger.running import OpenReplica


async def test_history_first_and_then_what_happens(bank: LedgerClient) -> None:
    for amount in (1, 2, 3):
        await bank.create(transfer("wallet", "cash", amount))
    call = bank.watch(after_sequence=1)
    first = await call.read()
    assert [t.sequence for t in first.transactions] == [2, 3]
    assert first.transactions[0].entries[1].balance_after.posted_minor == 3
    assert first.through_sequence == 3
    made = await bank.create(transfer("wallet", "cash", 4))
    assert list((await call.read()).transactions) == [made]
    call.cancel()


async def test_many_watchers_see_the_same_without_gaps(bank: LedgerClient) -> None:
    count = 300
    watchers = [asyncio.create_task(bank.watched(count, after)) for after in (0, 0, 0, 0)]
    await asyncio.gather(*(bank.create(transfer("wallet", "cash", 1)) for _ in range(count)))
    for transactions in await asyncio.gather(*watchers):
        assert [t.sequence for t in transactions] == list(range(1, count + 1))
        assert [t.entries[1].balance_after.posted_minor for t in transactions] == list(
            range(1, count + 1)
        )


async def test_commits_of_another_replica_are_seen(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    other = await open_replica(url)
    call = other.watch()
    await bank.create(transfer("wallet", "cash", 1))
    assert (await call.read()).through_sequence == 1
    call.cancel()


async def test_a_prefix_leaves_out_the_rest_but_not_the_progress(bank: LedgerClient) -> None:
    await bank.account("shops/1/cash")
    await bank.create(transfer("wallet", "cash", 1))
    call = bank.watch(account_prefix="shops/1")
    first = await call.read()
    assert (list(first.transactions), first.through_sequence) == ([], 1)
    await bank.create(transfer("wallet", "shops/1/cash", 1))
    assert [t.sequence for t in (await call.read()).transactions] == [2]
    call.cancel()


async def test_a_point_that_is_not_reached_is_refused(bank: LedgerClient) -> None:
    error = await failure_of(bank.watch(after_sequence=1).read())
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_NOT_REACHED")


async def test_a_cursor_of_another_history_is_refused(
    bank: LedgerClient, open_replica: OpenReplica, service_database: Callable[[str], str]
) -> None:
    """Restored, and gone on since: the sequence is there again, and is another transaction."""
    restored = await open_replica(service_database("ledger"))
    await restored.create_ledger()
    await restored.account("cash")
    await restored.account("wallet", CREDIT_NORMAL, min_available_minor=0)
    for client in (bank, restored):
        await client.create(transfer("wallet", "cash", 1))
    await restored.create(transfer("wallet", "cash", 2))
    call = bank.watch()
    seen = await call.read()
    call.cancel()

    cursor = {"after_sequence": 1, "after_leaf_hash": seen.through_leaf_hash}
    error = await failure_of(restored.watch(**cursor).read())
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_OUTDATED")
    assert error.metadata == {"sequence": "1", "after_sequence": "0"}
    # Whoever has kept no hash is believed.
    call = restored.watch(after_sequence=1)
    assert [t.sequence for t in (await call.read()).transactions] == [2]
    call.cancel()


async def test_a_hash_goes_on_where_it_was_seen(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 1))
    call = bank.watch()
    seen = await call.read()
    call.cancel()
    assert len(seen.through_leaf_hash) == HASH_BYTES
    await bank.create(transfer("wallet", "cash", 2))
    again = bank.watch(after_sequence=1, after_leaf_hash=seen.through_leaf_hash)
    assert [t.sequence for t in (await again.read()).transactions] == [2]
    again.cancel()


@pytest.mark.parametrize("length", [1, HASH_BYTES - 1, HASH_BYTES + 1])
async def test_a_hash_has_its_length(bank: LedgerClient, length: int) -> None:
    error = await failure_of(bank.watch(after_leaf_hash=bytes(length)).read())
    assert error.reason == "INVALID_REQUEST"


async def test_messages_stay_small_enough_for_any_client(bank: LedgerClient) -> None:
    many = draft(debit("cash", 99), *[credit("payable", 1)] * 99)
    for _ in range(45):
        await bank.create(many)
    call = bank.watch()
    seen: list[int] = []
    while len(seen) < 45:
        response = await call.read()
        assert response.ByteSize() < 4 * 1024 * 1024
        assert sum(len(t.entries) for t in response.transactions) <= 2_000
        seen += [t.sequence for t in response.transactions]
        assert response.through_sequence == seen[-1]
    call.cancel()
    assert seen == list(range(1, 46))
