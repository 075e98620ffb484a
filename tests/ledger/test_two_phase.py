"""Holds: posted in full or part, voided, expired to the microsecond."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import balance_pb2 as balances
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.entry_pb2 import ENTRY_EFFECT_POST, ENTRY_EFFECT_RELEASE
from runtime.clock import ManualClock
from tests.ledger.client import LedgerClient, failure_of, transfer

KEEP = transactions.REMAINDER_KEEP


def at(clock: ManualClock, **later: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(clock.now() + timedelta(**later))
    return stamp


@pytest.fixture
async def funded(bank: LedgerClient) -> LedgerClient:
    """The wallet has 1,000."""
    await bank.create(transfer("wallet", "cash", 1000))
    return bank


async def totals(client: LedgerClient, account: str) -> tuple[int, int]:
    balance = await client.balance(account)
    return balance.posted_minor, balance.available_minor


async def test_a_hold_reserves_and_posting_it_moves_the_money(funded: LedgerClient) -> None:
    hold = await funded.hold("payable", "wallet", 400)
    assert await totals(funded, "wallet") == (1000, 600)
    assert (
        await funded.get(hold.sequence)
    ).standing.state == transactions.TRANSACTION_STATE_PENDING
    posted = await funded.post(hold.sequence)
    assert [e.effect for e in posted.entries] == [ENTRY_EFFECT_RELEASE, ENTRY_EFFECT_POST] * 2
    assert await totals(funded, "wallet") == (600, 600)
    assert await totals(funded, "payable") == (400, 400)
    read = await funded.get(hold.sequence)
    assert read.transaction == hold
    assert read.standing.state == transactions.TRANSACTION_STATE_POSTED
    assert list(read.standing.settled_by) == [posted.sequence]


async def test_posting_a_part_releases_the_rest(funded: LedgerClient) -> None:
    hold = await funded.hold("payable", "wallet", 400)
    await funded.post(hold.sequence, {0: 150, 1: 150})
    assert await totals(funded, "wallet") == (850, 850)
    error = await failure_of(funded.post(hold.sequence))
    assert (error.code, error.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "HOLD_ALREADY_POSTED",
    )
    assert error.metadata == {"sequence": "2", "closed_by_sequence": "3"}


async def test_the_rest_can_be_kept_for_several_posts(funded: LedgerClient) -> None:
    hold = await funded.hold("payable", "wallet", 400)
    await funded.post(hold.sequence, {0: 150, 1: 150}, remainder=KEEP)
    assert await totals(funded, "wallet") == (850, 600)
    error = await failure_of(funded.post(hold.sequence, {0: 251, 1: 251}))
    assert error.reason == "AMOUNT_EXCEEDS_HOLD"
    assert error.metadata["remaining_minor"] == "250"
    await funded.post(hold.sequence, {0: 100, 1: 100}, remainder=KEEP)
    standing = (await funded.get(hold.sequence)).standing
    assert [left.remaining_minor for left in standing.held] == [150, 150]
    await funded.void(hold.sequence)
    assert await totals(funded, "wallet") == (750, 750)
    error = await failure_of(funded.void(hold.sequence))
    assert error.reason == "HOLD_ALREADY_VOIDED"
    assert (await funded.verify()).intact


async def test_parts_have_to_balance_and_to_exist(funded: LedgerClient) -> None:
    hold = await funded.hold("payable", "wallet", 400)
    assert (await failure_of(funded.post(hold.sequence, {0: 1}))).reason == "UNBALANCED"
    assert (await failure_of(funded.post(hold.sequence, {2: 1}))).reason == "ENTRY_NOT_FOUND"


async def test_only_a_pending_transaction_can_be_settled(funded: LedgerClient) -> None:
    assert (await failure_of(funded.post(1))).reason == "TRANSACTION_NOT_PENDING"
    assert (await failure_of(funded.void(1))).reason == "TRANSACTION_NOT_PENDING"
    assert (await failure_of(funded.post(99))).reason == "TRANSACTION_NOT_FOUND"
    hold = await funded.hold("payable", "wallet", 400)
    void = await funded.void(hold.sequence)
    assert (await failure_of(funded.post(void.sequence))).reason == "TRANSACTION_NOT_PENDING"


async def test_a_hold_can_be_named_by_its_request_id(funded: LedgerClient) -> None:
    await funded.hold("payable", "wallet", 400, request_id="hold-7")
    posted = await funded.post("hold-7")
    assert posted.settles_sequence == 2
    assert (await funded.get("hold-7")).transaction.sequence == 2


async def test_a_hold_expires_exactly_when_it_says(
    funded: LedgerClient, clock: ManualClock
) -> None:
    hold = await funded.hold("payable", "wallet", 400, expire_time=at(clock, hours=1))
    clock.advance(timedelta(hours=1) - timedelta(microseconds=1))
    assert await totals(funded, "wallet") == (1000, 600)
    clock.advance(timedelta(microseconds=1))
    assert await totals(funded, "wallet") == (1000, 1000)
    standing = (await funded.get(hold.sequence)).standing
    assert standing.state == transactions.TRANSACTION_STATE_EXPIRED
    error = await failure_of(funded.post(hold.sequence))
    assert error.reason == "HOLD_EXPIRED"
    assert error.metadata["expire_time"] == "2026-01-05T13:00:00.000000Z"


async def test_an_expired_hold_is_free_for_the_next_transaction(
    funded: LedgerClient, clock: ManualClock
) -> None:
    await funded.hold("payable", "wallet", 1000, expire_time=at(clock, hours=1))
    assert (await failure_of(funded.create(transfer("payable", "wallet", 1)))).reason == (
        "FLOOR_BREACHED"
    )
    clock.advance(timedelta(hours=1))
    made = await funded.create(transfer("payable", "wallet", 1000))
    # The expiry is recorded first, so that the log explains itself.
    assert made.sequence == 4
    expiry = (await funded.get(3)).transaction
    assert expiry.kind == transactions.TRANSACTION_KIND_EXPIRY
    assert expiry.effective_time.ToDatetime().hour == 13
    assert (await funded.verify()).intact


async def test_holds_count_in_every_reading_of_the_past(
    funded: LedgerClient, clock: ManualClock
) -> None:
    start = clock.now()
    await funded.hold("payable", "wallet", 400, expire_time=at(clock, hours=1))
    clock.advance(timedelta(hours=3))
    await funded.create(transfer("wallet", "cash", 1))
    for hours, available in ((0.0, 600), (0.999, 600), (1.0, 1000), (2.9, 1000), (3.0, 1001)):
        moment = Timestamp()
        moment.FromDatetime(start + timedelta(hours=hours))
        assert await funded.available("wallet", record_time=moment) == available
    for sequence, available in ((0, 0), (1, 1000), (2, 600), (3, 1000), (4, 1001)):
        assert await funded.available("wallet", sequence=sequence) == available


async def test_a_hold_needs_an_expiry_in_the_future(
    funded: LedgerClient, clock: ManualClock
) -> None:
    error = await failure_of(funded.hold("payable", "wallet", 1, expire_time=at(clock)))
    assert error.reason == "EXPIRE_TIME_PASSED"


async def test_balance_and_holds_are_read_together(
    funded: LedgerClient, clock: ManualClock
) -> None:
    await funded.hold("payable", "wallet", 100)
    await funded.hold("payable", "wallet", 200, expire_time=at(clock, hours=1))
    request = balances.GetBalanceRequest(ledger="main", account="wallet", include_holds=True)
    read = await funded.stub.GetBalance(request)
    assert [hold.remaining_minor for hold in read.holds] == [100, 200]
    assert read.balances[0].available_minor == 700
    clock.advance(timedelta(hours=1))
    read = await funded.stub.GetBalance(request)
    assert [hold.remaining_minor for hold in read.holds] == [100]
    assert read.balances[0].available_minor == 900
