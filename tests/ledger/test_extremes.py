"""The ends of what can be said: the first and the last moment, and totals of 64 bits."""

from typing import Any

import grpc
import pytest

from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from runtime.rules import MAX_TIMESTAMP_SECONDS, MIN_TIMESTAMP_SECONDS
from tests.ledger.client import LEDGER, LedgerClient, credit, debit, draft, failure_of, transfer
from tests.ledger.requests import at

FIRST = at(MIN_TIMESTAMP_SECONDS)
LAST = at(MAX_TIMESTAMP_SECONDS, 999_999_999)
# Times are kept to the microsecond.
LAST_KEPT = at(MAX_TIMESTAMP_SECONDS, 999_999_000)
LARGEST = 10**18
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


async def test_transactions_of_the_first_and_the_last_moment(bank: LedgerClient) -> None:
    early = await bank.create(transfer("payable", "cash", 1, effective_time=FIRST))
    await bank.create(transfer("payable", "cash", 10))
    late = await bank.create(transfer("payable", "cash", 100, effective_time=LAST))
    assert (early.effective_time, late.effective_time) == (FIRST, LAST_KEPT)
    for made in (early, late):
        assert (await bank.get(made.sequence)).transaction == made
    assert [t.effective_time for t in await bank.watched(3)][::2] == [FIRST, LAST_KEPT]
    assert await bank.posted("cash", effective_time=FIRST) == 1
    assert await bank.posted("cash", effective_time=at(0)) == 1
    assert await bank.posted("cash", effective_time=at(MAX_TIMESTAMP_SECONDS)) == 11
    assert await bank.posted("cash", effective_time=LAST) == 111
    assert await bank.posted("cash", record_time=FIRST) == 0
    assert await bank.posted("cash", record_time=LAST) == 111
    assert (await bank.verify()).intact


@pytest.mark.parametrize(
    ("start", "end", "amounts"),
    [(FIRST, LAST, [1, 10]), (FIRST, FIRST, []), (LAST, LAST, []), (LAST, FIRST, [])],
)
async def test_statements_from_the_first_moment_to_the_last(
    bank: LedgerClient, start: Any, end: Any, amounts: list[int]
) -> None:
    await bank.create(transfer("payable", "cash", 1, effective_time=FIRST))
    await bank.create(transfer("payable", "cash", 10, effective_time=LAST))
    period = entries.StatementPeriod(start_record_time=start, end_record_time=end)
    request = entries.ListEntriesRequest(ledger=LEDGER, account="cash", period=period)
    found = await bank.stub.ListEntries(request)
    assert [entry.amount.minor_units for entry in found.entries] == amounts
    difference = found.closing_balance.posted_minor - found.opening_balance.posted_minor
    assert difference == sum(amounts)


@pytest.mark.parametrize(("moment", "posted"), [(FIRST, 1), (LAST, 1)])
async def test_pages_of_a_trial_balance_keep_such_a_moment(
    bank: LedgerClient, moment: Any, posted: int
) -> None:
    await bank.create(transfer("payable", "cash", 1, effective_time=FIRST))
    as_of = balances.AsOf(effective_time=moment)
    token = ""
    found: dict[str, int] = {}
    for _ in range(4):
        page = await bank.trial(page_size=1, as_of=as_of, page_token=token)
        found.update({line.balance.account: line.balance.posted_minor for line in page.lines})
        token = page.next_page_token
    assert token == ""
    assert (found["cash"], found["payable"], len(found)) == (posted, posted, 4)


async def test_a_hold_until_the_last_moment(bank: LedgerClient) -> None:
    hold = await bank.hold("payable", "cash", 5, expire_time=LAST)
    assert hold.expire_time == LAST_KEPT
    assert (await bank.balance("cash")).pending_debits_minor == 5
    await bank.post(hold.sequence)
    assert await bank.posted("cash") == 5


async def test_limits_and_preconditions_at_the_ends_of_64_bits(bank: LedgerClient) -> None:
    ends: dict[str, Any] = {
        f"{bound}_{of}_minor": value
        for of in ("posted", "available")
        for bound, value in (("min", INT64_MIN), ("max", INT64_MAX))
    }
    account = await bank.account("bounded", **ends)
    assert {name: getattr(account.limits, name) for name in ends} == ends
    condition = entries.Precondition(expected_version=0, **ends)
    entry = debit("bounded", LARGEST, precondition=condition)
    await bank.create(draft(entry, credit("payable", LARGEST)))
    assert await bank.posted("bounded") == LARGEST


async def test_posted_and_held_of_a_side_together_stay_within_64_bits(bank: LedgerClient) -> None:
    """So whatever is held can be posted, and every balance can be said."""
    for _ in range(5):
        await bank.create(transfer("receivable", "cash", LARGEST))
    for _ in range(4):
        await bank.hold("receivable", "cash", LARGEST)
    rest = INT64_MAX - 9 * LARGEST
    before = await bank.balance("receivable")
    for pending in (False, True):
        wrong = transfer("receivable", "cash", rest + 1, pending=pending)
        error = await failure_of(bank.create(wrong))
        assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "BALANCE_OVERFLOW")
        assert await bank.balance("receivable") == before
    hold = await bank.hold("receivable", "cash", rest)
    assert hold.entries[1].balance_after.available_minor == -INT64_MAX
    assert await bank.available("receivable") == -INT64_MAX
    for sequence in range(6, 11):
        await bank.post(sequence)
    assert await bank.posted("receivable") == -INT64_MAX
    assert (await bank.verify()).intact


async def test_one_transaction_can_reach_the_largest_totals_on_both_sides(
    bank: LedgerClient,
) -> None:
    rest = INT64_MAX - 9 * LARGEST
    amounts = [LARGEST] * 9 + [rest]
    made = await bank.create(
        draft(*[debit("cash", a) for a in amounts], *[credit("cash", a) for a in amounts])
    )
    balance = made.entries[-1].balance_after
    assert (balance.posted_debits_minor, balance.posted_credits_minor) == (INT64_MAX, INT64_MAX)
    assert await bank.posted("cash") == 0
    error = await failure_of(bank.create(draft(debit("cash", 1), credit("cash", 1))))
    assert (error.reason, error.metadata) == ("BALANCE_OVERFLOW", {"account": "cash"})


async def test_a_total_over_accounts_that_leaves_64_bits_is_refused_by_name(
    bank: LedgerClient,
) -> None:
    await bank.account("vast/a")
    await bank.account("vast/b")
    for account in ("vast/a", "vast/b"):
        await bank.create(
            draft(debit(account, LARGEST), credit("payable", 1), credit("payable", LARGEST - 1))
        )
        for _ in range(4):
            await bank.create(draft(debit(account, LARGEST), credit(account, LARGEST)))
    assert await bank.posted("vast/a") == LARGEST
    request = balances.GetBalanceRequest(ledger=LEDGER, prefix="vast")
    calls = [bank.stub.GetBalance(request), bank.trial(prefix="vast"), bank.trial()]
    for call, path in zip(calls, ("vast", "vast", ""), strict=True):
        error = await failure_of(call)
        assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "BALANCE_OVERFLOW")
        assert error.metadata == {"account": path}
