"""Batches, atomic and independent."""

import grpc

from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.entry_pb2 import EntryPart
from tests.ledger.client import LedgerClient, failure_of, key, transfer

ATOMIC = mutations.BATCH_MODE_ATOMIC
Item = mutations.BatchItem


def created(source: str, target: str, amount: int, request_id: str = "", **more: object) -> Item:
    return Item(request_id=request_id, create=transfer(source, target, amount, **more))


async def test_items_of_an_independent_batch_stand_by_themselves(bank: LedgerClient) -> None:
    results = await bank.batch(
        created("wallet", "cash", 100),
        created("payable", "wallet", 101),
        created("payable", "wallet", 100),
        created("nobody", "wallet", 1),
    )
    assert [r.WhichOneof("result") for r in results] == [
        "transaction",
        "failure",
        "transaction",
        "failure",
    ]
    assert [r.transaction.sequence for r in results] == [1, 0, 2, 0]
    assert results[1].failure.metadata["limit"] == "min_available_minor"
    assert results[3].failure.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert results[2].transaction.entries[0].balance_after.posted_minor == 0


async def test_an_atomic_batch_is_all_or_nothing(bank: LedgerClient) -> None:
    error = await failure_of(
        bank.batch(
            created("wallet", "cash", 100),
            created("payable", "wallet", 60),
            created("payable", "wallet", 60),
            mode=ATOMIC,
        )
    )
    assert error.reason == "FLOOR_BREACHED"
    assert error.metadata["item_index"] == "2"
    assert (await bank.trial()).sequence == 0
    assert await bank.posted("wallet") == 0
    results = await bank.batch(
        created("wallet", "cash", 100), created("payable", "wallet", 60), mode=ATOMIC
    )
    assert [r.transaction.sequence for r in results] == [1, 2]
    assert (await bank.verify()).intact


async def test_a_failed_atomic_batch_undoes_holds_posts_and_reversals(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 1000))
    hold = await bank.hold("payable", "wallet", 400)
    error = await failure_of(
        bank.batch(
            Item(post=transactions.PostInput(pending=key(hold.sequence))),
            Item(reversal=transactions.ReversalInput(original=key(1))),
            mode=ATOMIC,
        )
    )
    assert error.metadata["item_index"] == "1"
    standing = (await bank.get(hold.sequence)).standing
    assert [left.remaining_minor for left in standing.held] == [400, 400]
    assert [left.remaining_minor for left in (await bank.get(1)).standing.reversible] == [1000] * 2
    await bank.post(hold.sequence)
    assert await bank.posted("wallet") == 600
    assert (await bank.verify()).intact


async def test_an_item_can_settle_what_an_earlier_item_held(bank: LedgerClient) -> None:
    results = await bank.batch(
        created("wallet", "cash", 100, "hold-1", pending=True),
        Item(post=transactions.PostInput(pending=key("hold-1"))),
        created("wallet", "cash", 50, "direct-1"),
        Item(reversal=transactions.ReversalInput(original=key("direct-1"))),
        created("wallet", "cash", 70, "hold-2", pending=True),
        Item(void=transactions.VoidInput(pending=key("hold-2"))),
    )
    assert [r.transaction.sequence for r in results] == [1, 2, 3, 4, 5, 6]
    balance = await bank.balance("wallet")
    assert (balance.posted_minor, balance.pending_credits_minor) == (100, 0)
    assert (await bank.verify()).intact


async def test_a_repeated_batch_gives_the_first_answer(bank: LedgerClient) -> None:
    items = [created("wallet", "cash", 100), created("payable", "wallet", 101)]
    first = await bank.batch(*items, request_id="batch-1")
    again = await bank.batch(*items, request_id="batch-1")
    assert again == first
    summary = await bank.batch(
        *items, request_id="batch-1", view=transactions.TRANSACTION_VIEW_SUMMARY
    )
    assert summary[0].transaction.sequence == 1
    assert not summary[0].transaction.entries
    assert (await bank.trial()).sequence == 1


async def test_a_changed_batch_is_told_what_changed(bank: LedgerClient) -> None:
    items = [created("wallet", "cash", 100), created("payable", "wallet", 101)]
    await bank.batch(*items, request_id="batch-1")
    items[0].create.entries[1].amount.minor_units = 99
    items[1].create.reference = "new"
    error = await failure_of(bank.batch(*items, request_id="batch-1"))
    assert error.reason == "REQUEST_ID_REUSED"
    assert error.metadata["differing_fields"] == (
        "items[0].create.entries[1].amount.minor_units,items[1].create.reference"
    )


async def test_a_failed_atomic_batch_stays_failed(bank: LedgerClient) -> None:
    items = [created("payable", "wallet", 100)]
    first = await failure_of(bank.batch(*items, mode=ATOMIC, request_id="batch-1"))
    await bank.create(transfer("wallet", "cash", 1000))
    again = await failure_of(bank.batch(*items, mode=ATOMIC, request_id="batch-1"))
    assert again == first
    assert again.reason == "FLOOR_BREACHED"


async def test_an_item_with_its_own_id_is_made_once_in_whichever_batch(
    bank: LedgerClient,
) -> None:
    await bank.batch(created("wallet", "cash", 100, "item-1"))
    results = await bank.batch(
        created("wallet", "cash", 100, "item-1"),
        created("wallet", "cash", 101, "item-1-changed"),
    )
    assert [r.transaction.sequence for r in results] == [1, 2]
    results = await bank.batch(created("wallet", "cash", 77, "item-1"))
    assert results[0].failure.metadata["differing_fields"] == (
        "entries[0].amount.minor_units,entries[1].amount.minor_units"
    )
    assert await bank.posted("wallet") == 201


async def test_a_failed_item_with_its_own_id_stays_failed(bank: LedgerClient) -> None:
    first = await bank.batch(created("payable", "wallet", 100, "item-1"))
    await bank.create(transfer("wallet", "cash", 1000))
    again = await bank.batch(created("payable", "wallet", 100, "item-1"))
    assert again == first
    error = await failure_of(bank.create(transfer("payable", "wallet", 100), "item-1"))
    assert error.message == first[0].failure.message


async def test_the_largest_batch_goes_through(bank: LedgerClient) -> None:
    results = await bank.batch(
        *[created("wallet", "cash", 1)] * 8000, view=transactions.TRANSACTION_VIEW_SUMMARY
    )
    assert [r.transaction.sequence for r in results] == list(range(1, 8001))
    assert await bank.posted("wallet") == 8000


async def test_bounds_of_a_batch(bank: LedgerClient) -> None:
    too_many = await failure_of(bank.batch(*[created("wallet", "cash", 1)] * 8001))
    assert too_many.violations[0].field == "items"
    with_ids = await failure_of(bank.batch(created("wallet", "cash", 1, "a"), mode=ATOMIC))
    assert with_ids.violations[0].field == "items"
    twice = await failure_of(bank.batch(*[created("wallet", "cash", 1, "a")] * 2))
    assert twice.violations[0].field == "items"


async def test_a_failed_atomic_batch_names_items_and_no_transaction_that_never_was(
    bank: LedgerClient,
) -> None:
    await bank.create(transfer("wallet", "cash", 1000))
    hold = await bank.hold("payable", "wallet", 400)
    settled = Item(void=transactions.VoidInput(pending=key(hold.sequence)))
    twice = await failure_of(bank.batch(settled, settled, mode=ATOMIC))
    assert twice.reason == "HOLD_ALREADY_VOIDED"
    assert twice.metadata == {
        "sequence": str(hold.sequence),
        "closed_by_item_index": "0",
        "item_index": "1",
    }
    assert str(hold.sequence + 1) not in twice.message
    # A sequence that is only being given out.
    guessed = key(hold.sequence + 2)
    for operation, reason, more in (
        (Item(void=transactions.VoidInput(pending=guessed)), "TRANSACTION_NOT_PENDING", {}),
        (
            Item(
                reversal=transactions.ReversalInput(
                    original=guessed, parts=[EntryPart(entry_index=7, amount_minor=1)]
                )
            ),
            "ENTRY_NOT_FOUND",
            {"entry_index": "7"},
        ),
        (
            Item(
                reversal=transactions.ReversalInput(
                    original=guessed, parts=[EntryPart(entry_index=0, amount_minor=9)]
                )
            ),
            "AMOUNT_EXCEEDS_ORIGINAL",
            {"entry_index": "0", "requested_minor": "9", "remaining_minor": "1"},
        ),
    ):
        failed = await failure_of(
            bank.batch(
                created("wallet", "cash", 2), created("wallet", "cash", 1), operation, mode=ATOMIC
            )
        )
        assert failed.reason == reason
        assert failed.metadata == {"source_item_index": "1", "item_index": "2", **more}
        assert "item 1 of the batch" in failed.message
    # Of what is there the sequence is named, and in an independent batch everything is there.
    results = await bank.batch(settled, settled)
    assert results[1].failure.metadata == {"sequence": "2", "closed_by_sequence": "3"}
