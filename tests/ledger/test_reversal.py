"""Reversals: whole or part, never more than the original."""

import pytest

from ledger.v1 import transaction_pb2 as transactions
from tests.ledger.client import LedgerClient, credit, debit, draft, failure_of, transfer


@pytest.fixture
async def sold(bank: LedgerClient) -> LedgerClient:
    """Sequence 1 took 100 for two payees."""
    await bank.create(draft(debit("cash", 100), credit("payable", 70), credit("wallet", 30)))
    return bank


async def test_the_whole_of_a_transaction(sold: LedgerClient) -> None:
    reversal = await sold.reverse(1)
    assert reversal.kind == transactions.TRANSACTION_KIND_REVERSAL
    assert reversal.reverses_sequence == 1
    assert [e.source_entry_index for e in reversal.entries] == [0, 1, 2]
    assert [await sold.posted(name) for name in ("cash", "payable", "wallet")] == [0, 0, 0]
    standing = (await sold.get(1)).standing
    assert list(standing.reversed_by) == [2]
    assert [left.remaining_minor for left in standing.reversible] == [0, 0, 0]


async def test_parts_never_more_than_the_original(sold: LedgerClient) -> None:
    await sold.reverse(1, {0: 30, 2: 30})
    await sold.reverse(1, {0: 50, 1: 50})
    error = await failure_of(sold.reverse(1, {0: 21, 1: 21}))
    assert error.reason == "AMOUNT_EXCEEDS_ORIGINAL"
    assert error.metadata["remaining_minor"] == "20"
    await sold.reverse(1)
    assert await sold.posted("cash") == 0
    assert (await failure_of(sold.reverse(1))).reason == "AMOUNT_EXCEEDS_ORIGINAL"
    assert (await sold.verify()).intact


async def test_a_reversal_may_not_breach_a_limit(sold: LedgerClient) -> None:
    await sold.create(transfer("payable", "wallet", 30))
    error = await failure_of(sold.reverse(1))
    assert error.reason == "FLOOR_BREACHED"
    assert error.metadata["account"] == "wallet"


async def test_a_post_can_be_reversed(sold: LedgerClient) -> None:
    hold = await sold.hold("payable", "wallet", 20)
    posted = await sold.post(hold.sequence)
    # Its entries are release, post, release, post; only what was posted can be reversed.
    assert (await failure_of(sold.reverse(posted.sequence, {0: 5, 2: 5}))).reason == (
        "ENTRY_NOT_FOUND"
    )
    await sold.reverse(posted.sequence, {1: 5, 3: 5})
    assert await sold.posted("wallet") == 15


async def test_what_cannot_be_reversed(sold: LedgerClient) -> None:
    reversal = await sold.reverse(1, {0: 30, 2: 30})
    hold = await sold.hold("payable", "cash", 20)
    void = await sold.void(hold.sequence)
    for sequence in (reversal.sequence, hold.sequence, void.sequence):
        error = await failure_of(sold.reverse(sequence))
        assert error.reason == "TRANSACTION_NOT_REVERSIBLE"
