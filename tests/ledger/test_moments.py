"""What was answered of a moment is final, whatever is being committed meanwhile and by whom."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from runtime.clock import ManualClock
from tests.ledger.client import LedgerClient, transfer
from tests.ledger.running import serving
from tests.ledger.test_reads import stamp

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


async def answers(client: LedgerClient, moment: datetime) -> list[Any]:
    """All that can be asked of a moment."""
    period = entries.StatementPeriod(end_record_time=stamp(moment + MICROSECOND))
    ledger = client.ledger
    reads: list[Any] = []
    for point in (
        balances.AsOf(record_time=stamp(moment)),
        balances.AsOf(effective_time=stamp(moment)),
    ):
        for target in ({"account": "wallet"}, {"prefix": ""}):
            request = balances.GetBalanceRequest(
                ledger=ledger,
                as_of=point,
                include_holds=True,
                **target,  # type: ignore[arg-type]
            )
            read = await client.stub.GetBalance(request)
            assert read.record_time == stamp(moment)
            if point.HasField("effective_time"):
                # It says how far the log went, which what is dated back later is behind.
                read.ClearField("sequence")
            reads.append(read)
    reads.append(await client.trial(as_of=balances.AsOf(record_time=stamp(moment))))
    statement = await client.stub.ListEntries(
        entries.ListEntriesRequest(ledger=ledger, account="wallet", period=period)
    )
    assert statement.end_record_time == period.end_record_time
    return [*reads, statement]


async def test_a_replica_whose_clock_is_behind_records_nothing_of_a_moment_that_was_read(
    bank: LedgerClient, clock: ManualClock, url: str
) -> None:
    """Its commits are those that were decided before the read and are written after it."""
    slow = ManualClock(clock.now())
    async with serving(url, slow) as behind:
        await behind.client.create(transfer("wallet", "cash", 50))
        await bank.create(transfer("wallet", "cash", 50))
        clock.advance(10 * SECOND)
        moment = clock.now()
        first = await answers(bank, moment)
        await behind.client.account("new")
        made = await behind.client.create(transfer("wallet", "cash", 7))
        assert made.record_time == stamp(moment + MICROSECOND)
        soon = moment + 2 * SECOND
        await behind.client.hold("payable", "wallet", 9, expire_time=stamp(soon))
        assert await answers(bank, moment) == first
        assert await answers(behind.client, slow.now()) == await answers(bank, slow.now())
    assert await bank.posted("wallet") == 107
    assert (await bank.verify()).intact


async def test_what_this_replica_commits_next_is_later_than_what_was_read(
    bank: LedgerClient, clock: ManualClock
) -> None:
    await bank.create(transfer("wallet", "cash", 50))
    first = await answers(bank, clock.now())
    made = await bank.create(transfer("wallet", "cash", 7))
    assert made.record_time == stamp(clock.now() + MICROSECOND)
    assert await answers(bank, clock.now()) == first
    # Nothing is closed beyond what was asked for.
    clock.advance(SECOND)
    assert (await bank.create(transfer("wallet", "cash", 1))).record_time == stamp(clock.now())
    # Nor again: something was recorded after it.
    await answers(bank, clock.now() - SECOND)
    assert (await bank.create(transfer("wallet", "cash", 1))).record_time == stamp(clock.now())


async def test_a_moment_in_the_future_counts_as_the_present_and_the_answer_says_so(
    bank: LedgerClient, clock: ManualClock
) -> None:
    await bank.create(transfer("wallet", "cash", 50))
    future = stamp(clock.now() + 60 * SECOND)
    request = balances.GetBalanceRequest(
        ledger=bank.ledger, account="wallet", as_of=balances.AsOf(record_time=future)
    )
    first = await bank.stub.GetBalance(request)
    assert first.record_time == stamp(clock.now())
    listing = entries.ListEntriesRequest(
        ledger=bank.ledger,
        account="wallet",
        period=entries.StatementPeriod(end_record_time=future),
        page_size=1,
    )
    statement = await bank.stub.ListEntries(listing)
    assert statement.end_record_time == stamp(clock.now() + MICROSECOND)
    assert (statement.opening_sequence, statement.closing_sequence) == (0, 1)
    await bank.create(transfer("wallet", "cash", 7))
    again = await bank.trial(as_of=balances.AsOf(record_time=first.record_time))
    assert again.sequence == first.sequence == 1
    listing.period.end_record_time.CopyFrom(statement.end_record_time)
    assert await bank.stub.ListEntries(listing) == statement


async def test_the_present_and_the_empty_ledger_have_no_moment(
    bank: LedgerClient, clock: ManualClock
) -> None:
    await bank.create(transfer("wallet", "cash", 50))
    for as_of in (None, balances.AsOf(sequence=0)):
        assert not (await bank.trial(as_of=as_of)).HasField("record_time")
    empty = await bank.trial(as_of=balances.AsOf(sequence=0))
    assert not empty.lines
    clock.advance(SECOND)
    await bank.account("later")
    by_sequence = await bank.trial(as_of=balances.AsOf(sequence=1))
    assert by_sequence.record_time == stamp(clock.now() - SECOND)
    assert "later" not in {line.balance.account for line in by_sequence.lines}
    assert "later" in {line.balance.account for line in (await bank.trial()).lines}


@pytest.mark.parametrize("size", [2, 3, 4])
async def test_holds_come_in_pages_of_one_point(size: int, bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 50))
    for amount in range(1, 4):
        await bank.hold("payable", "wallet", amount)
    request = balances.GetBalanceRequest(
        ledger=bank.ledger, prefix="", include_holds=True, page_size=size
    )
    page = await bank.stub.GetBalance(request)
    whole = list(page.holds)
    while page.next_page_token:
        assert page.more_holds
        assert len(page.holds) == size
        await bank.hold("payable", "wallet", 1)
        request.page_token = page.next_page_token
        following = await bank.stub.GetBalance(request)
        assert following.balances == page.balances
        assert following.sequence == page.sequence == 4
        page = following
        whole.extend(page.holds)
    assert not page.more_holds
    assert [(h.sequence, h.remaining_minor) for h in whole if h.account == "wallet"] == [
        (2, 1),
        (3, 2),
        (4, 3),
    ]
    assert len(whole) == 6


async def test_a_record_time_ahead_of_the_clock_counts_by_a_later_effective_time(
    bank: LedgerClient, clock: ManualClock
) -> None:
    await bank.trial(as_of=balances.AsOf(record_time=stamp(clock.now())))
    made = await bank.create(transfer("wallet", "cash", 50))
    assert made.record_time == stamp(clock.now() + MICROSECOND)
    assert await bank.posted("wallet", effective_time=stamp(clock.now() + SECOND)) == 50
    assert await bank.posted("wallet", effective_time=stamp(clock.now())) == 0
    assert await bank.posted("wallet") == 50
