"""Transactions of 10,000 legs from end to end, and answers that stay bounded when many are read."""

from itertools import chain
from typing import Any

import pytest

from ledger import feed, pages
from ledger.limits import Limits
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.validation import MAX_ENTRIES
from runtime.message_size import MAX_MESSAGE_BYTES
from tests.ledger.client import (
    LEDGER,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    transfer,
)
from tests.ledger.requests import every_part, wide
from tests.ledger.running import OpenReplica

# What gRPC clients take unless told otherwise.
DEFAULT_MESSAGE_BYTES = 4 * 1024 * 1024
SUMMARY = transactions.TRANSACTION_VIEW_SUMMARY
LONGEST = "n" * 256


async def listed(client: LedgerClient, **more: Any) -> list[list[int]]:
    """The sequences of each page to the last."""
    request = reads.ListTransactionsRequest(ledger=LEDGER, page_size=1_000, **more)
    found: list[list[int]] = []
    while True:
        page = await client.stub.ListTransactions(request)
        assert page.ByteSize() < MAX_MESSAGE_BYTES
        found.append([transaction.sequence for transaction in page.transactions])
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


async def statement(client: LedgerClient, account: str, size: int = 1_000) -> list[Any]:
    """The pages of an account's entries."""
    request = entries.ListEntriesRequest(ledger=LEDGER, account=account, page_size=size)
    found: list[Any] = []
    while True:
        found.append(await client.stub.ListEntries(request))
        request.page_token = found[-1].next_page_token
        if not request.page_token:
            return found


async def test_ten_thousand_legs_are_made_read_reversed_listed_and_watched(
    bank: LedgerClient,
) -> None:
    made = await bank.create(wide(MAX_ENTRIES, 2), "wide")
    assert len(made.entries) == MAX_ENTRIES
    assert (await bank.get("wide")).transaction == made
    assert await bank.create(wide(MAX_ENTRIES, 2), "wide") == made
    half = {part.entry_index: part.amount_minor for part in every_part(MAX_ENTRIES)}
    for amounts in (half, None):
        reversal = await bank.reverse("wide", amounts)
        assert len(reversal.entries) == MAX_ENTRIES
    standing = (await bank.get("wide")).standing
    assert [left.remaining_minor for left in standing.reversible] == [0] * MAX_ENTRIES
    assert await bank.posted("cash") == 0
    assert await listed(bank) == [[1], [2], [3]]
    assert await listed(bank, view=SUMMARY) == [[1, 2, 3]]
    watched = await bank.watched(3)
    assert (watched[0], [t.sequence for t in watched]) == (made, [1, 2, 3])


async def test_a_hold_of_ten_thousand_legs_is_posted_in_parts_and_voided(
    bank: LedgerClient,
) -> None:
    await bank.create(wide(MAX_ENTRIES, 3, pending=True), "hold")
    part = {part.entry_index: part.amount_minor for part in every_part(MAX_ENTRIES)}
    kept = transactions.REMAINDER_KEEP
    posted = await bank.post("hold", part, remainder=kept)
    # Each leg is released and posted.
    assert len(posted.entries) == 2 * MAX_ENTRIES
    assert [e.entry_index for e in posted.entries] == list(range(2 * MAX_ENTRIES))
    assert (await bank.get(posted.sequence)).transaction == posted
    assert len((await bank.void("hold")).entries) == MAX_ENTRIES
    assert await bank.posted("cash") == await bank.available("cash") == MAX_ENTRIES - 1
    await bank.create(wide(MAX_ENTRIES, pending=True), "another")
    assert len((await bank.post("another")).entries) == 2 * MAX_ENTRIES
    assert await listed(bank) == [[1], [2], [3], [4], [5]]


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        ([5_000, 5_000, 2], [[1, 2], [3]]),
        ([5_000, 5_001, 2], [[1], [2, 3]]),
        ([9_998, 2, 10_000, 2], [[1, 2], [3], [4]]),
    ],
)
async def test_a_page_has_at_most_ten_thousand_entries(
    bank: LedgerClient, legs: list[int], expected: list[list[int]]
) -> None:
    assert pages.MAX_ENTRIES_PER_PAGE == 10_000
    for size in legs:
        await bank.create(wide(size))
    assert await listed(bank) == expected
    assert await listed(bank, account="payable") == expected
    assert list(chain(*await listed(bank, descending=True))) == list(range(len(legs), 0, -1))
    assert await listed(bank, view=SUMMARY) == [list(range(1, len(legs) + 1))]


async def test_a_page_has_at_most_so_many_bytes_of_requests(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    request = transfer("payable", "cash", 1, metadata={"key": "value"})
    for _ in range(5):
        await bank.create(request)
    size = request.ByteSize()
    fitting = await open_replica(url, Limits(page_request_bytes=2 * size))
    narrow = await open_replica(url, Limits(page_request_bytes=2 * size - 1))
    for view in (transactions.TRANSACTION_VIEW_FULL, SUMMARY):
        assert await listed(fitting, view=view) == [[1, 2], [3, 4], [5]]
        assert await listed(narrow, view=view) == [[1], [2], [3], [4], [5]]


async def test_the_widest_answers_fit_a_message(bank: LedgerClient) -> None:
    await bank.account(LONGEST)
    leg = debit(LONGEST, 1, description=LONGEST)
    rest = credit("payable", MAX_ENTRIES - 1)
    widest = draft(*[leg] * (MAX_ENTRIES - 1), rest)
    results = await bank.batch(BatchItem(create=widest), BatchItem(create=widest))
    assert [len(result.transaction.entries) for result in results] == [MAX_ENTRIES] * 2
    assert await listed(bank) == [[1], [2]]
    first, *_ = await statement(bank, LONGEST)
    assert {entry.description for entry in first.entries} == {LONGEST}


async def test_a_statement_reads_only_its_own_entries(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    notes = [credit("payable", 1, description=f"note {n}") for n in range(1_200)]
    await bank.create(draft(debit("cash", 1_300), *notes, credit("wallet", 100)))
    await bank.create(transfer("payable", "cash", 7, reference="without a note"))
    found = await statement(bank, "payable")
    assert [len(page.entries) for page in found] == [1_000, 201]
    listed_entries = [entry for page in found for entry in page.entries]
    assert [(e.sequence, e.entry_index) for e in listed_entries] == [
        *((1, index) for index in range(1, 1_201)),
        (2, 1),
    ]
    assert [e.description for e in listed_entries] == [*(f"note {n}" for n in range(1_200)), ""]
    assert listed_entries[-1].balance_after.posted_minor == 1_207
    got = (await bank.get(1)).transaction
    assert listed_entries[:1_200] == list(got.entries)[1:1_201]
    (alone,) = await statement(bank, "wallet")
    assert [(e.entry_index, e.amount.minor_units) for e in alone.entries] == [(1_201, 100)]
    # Of several large requests a page reads only so many: at least one, then up to the bound.
    narrow = await open_replica(url, Limits(page_request_bytes=1))
    assert [len(page.entries) for page in await statement(narrow, "cash")] == [1, 1]


async def test_messages_of_the_feed_are_bounded_by_entries(bank: LedgerClient) -> None:
    assert feed.MAX_ENTRIES_PER_MESSAGE == 2_000
    for legs in (1_000, 1_000, 1_000, 1_001, 3_000, 2):
        await bank.create(wide(legs))
    assert await watched(bank, 6) == [[1, 2], [3], [4], [5], [6]]


async def test_messages_of_the_feed_are_bounded_by_bytes(bank: LedgerClient) -> None:
    labels = {f"{number:064}": "v" * 512 for number in range(32)}
    heavy = BatchItem(create=transfer("payable", "cash", 1, metadata=labels))
    await bank.batch(*[heavy] * 200, view=SUMMARY)
    messages = await watched(bank, 200)
    assert list(chain(*messages)) == list(range(1, 201))
    assert len(messages) == 2


async def watched(client: LedgerClient, last: int) -> list[list[int]]:
    """The sequences in each message of the feed up to one."""
    call = client.watch()
    found: list[list[int]] = []
    while not found or found[-1][-1] < last:
        response = await call.read()
        alone = len(response.transactions) == 1
        assert response.ByteSize() < (MAX_MESSAGE_BYTES if alone else DEFAULT_MESSAGE_BYTES)
        found.append([transaction.sequence for transaction in response.transactions])
        assert response.through_sequence == found[-1][-1]
    call.cancel()
    return found


async def test_a_batch_settles_no_more_than_one_commit_holds(bank: LedgerClient) -> None:
    """Ten holds of 10,000 legs are as many as fit; of eleven nothing is done."""
    for number in range(11):
        pending = wide(MAX_ENTRIES, 2)
        pending.pending = True
        await bank.create(pending, f"hold-{number}")
    voids = [
        BatchItem(
            void=transactions.VoidInput(
                pending=transactions.TransactionKey(request_id=f"hold-{number}")
            )
        )
        for number in range(11)
    ]
    failure = await failure_of(bank.batch(*voids, request_id="eleven"))
    assert (failure.reason, failure.metadata) == ("BATCH_TOO_LARGE", {"entries": "110000"})
    answer = await bank.batch(*voids[:10], request_id="ten")
    assert [result.transaction.settles_sequence for result in answer] == list(range(1, 11))
