"""Reads: lists, statements, trial balances, the past."""

from datetime import datetime, timedelta
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from runtime.clock import ManualClock
from tests.ledger.client import (
    CREDIT_NORMAL,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    transfer,
)


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


async def test_ledgers_in_order_of_their_names_page_by_page(client: LedgerClient) -> None:
    for name in ("b", "a", "c"):
        await client.stub.CreateLedger(ledgers.CreateLedgerRequest(request_id=name, name=name))
    first = await client.stub.ListLedgers(ledgers.ListLedgersRequest(page_size=3))
    assert [ledger.name for ledger in first.ledgers] == ["a", "b", "c"]
    second = await client.stub.ListLedgers(
        ledgers.ListLedgersRequest(page_size=3, page_token=first.next_page_token)
    )
    assert [ledger.name for ledger in second.ledgers] == ["main"]
    assert second.next_page_token == ""
    got = await client.stub.GetLedger(ledgers.GetLedgerRequest(name="main"))
    assert got.ledger.last_sequence == 0
    error = await failure_of(client.stub.GetLedger(ledgers.GetLedgerRequest(name="none")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")


async def test_accounts_below_a_path(client: LedgerClient) -> None:
    for name in ("m/42", "m/42/fees", "m/42/payable", "m/421", "m/42-b"):
        await client.account(name)
    request = accounts.ListAccountsRequest(ledger="main", prefix="m/42", page_size=2)
    first = await client.stub.ListAccounts(request)
    assert [account.name for account in first.accounts] == ["m/42", "m/42/fees"]
    request.page_token = first.next_page_token
    second = await client.stub.ListAccounts(request)
    assert [account.name for account in second.accounts] == ["m/42/payable"]
    request.prefix = "m"
    error = await failure_of(client.stub.ListAccounts(request))
    assert (error.code, error.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_PAGE_TOKEN",
    )
    got = await client.stub.GetAccount(accounts.GetAccountRequest(ledger="main", name="m/421"))
    assert (got.account.name, got.balance.version) == ("m/421", 0)


async def test_transactions_by_account_reference_and_kind(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 10, reference="order 1"))
    await bank.create(transfer("payable", "cash", 10, reference="order 2"))
    await bank.hold("wallet", "receivable", 5, reference="order 1")
    await bank.void(3)

    async def listed(**filters: Any) -> list[int]:
        request = reads.ListTransactionsRequest(ledger="main", page_size=1, **filters)
        found: list[int] = []
        while True:
            page = await bank.stub.ListTransactions(request)
            found += [transaction.sequence for transaction in page.transactions]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    assert await listed() == [1, 2, 3, 4]
    assert await listed(descending=True) == [4, 3, 2, 1]
    assert await listed(account="wallet") == [1, 3, 4]
    assert await listed(account="cash", descending=True) == [2, 1]
    assert await listed(reference="order 1") == [1, 3]
    assert await listed(reference="order 1", account="cash") == [1]
    assert await listed(kinds=[transactions.TRANSACTION_KIND_VOID]) == [4]
    assert await listed(after_sequence=2) == [3, 4]


async def test_a_statement_has_opening_and_closing_balance(
    bank: LedgerClient, clock: ManualClock
) -> None:
    for day in range(5):
        await bank.create(transfer("wallet", "cash", 10**day))
        clock.advance(timedelta(days=1))
    start = clock.now() - timedelta(days=4)
    request = entries.ListEntriesRequest(
        ledger="main",
        account="wallet",
        page_size=2,
        period=entries.StatementPeriod(
            start_record_time=stamp(start), end_record_time=stamp(start + timedelta(days=3))
        ),
    )
    first = await bank.stub.ListEntries(request)
    assert (first.opening_balance.posted_minor, first.closing_balance.posted_minor) == (1, 1111)
    assert [entry.amount.minor_units for entry in first.entries] == [10, 100]
    await bank.create(transfer("wallet", "cash", 7))
    request.page_token = first.next_page_token
    second = await bank.stub.ListEntries(request)
    assert [entry.amount.minor_units for entry in second.entries] == [1000]
    assert second.entries[0].balance_after.posted_minor == 1111
    assert second.closing_balance.posted_minor == 1111
    assert second.next_page_token == ""


async def test_a_trial_balance_is_zero_and_keeps_its_point_over_pages(bank: LedgerClient) -> None:
    await bank.account("dollars", currency="USD")
    await bank.account("owed", CREDIT_NORMAL, currency="USD")
    await bank.create(transfer("wallet", "cash", 100))
    await bank.create(draft(debit("dollars", 7, "USD"), credit("owed", 7, "USD")))
    await bank.hold("payable", "wallet", 40)
    first = await bank.trial(page_size=4)
    await bank.create(transfer("wallet", "cash", 1))
    second = await bank.trial(page_size=4, page_token=first.next_page_token)
    assert second.sequence == first.sequence == 3
    lines = {
        line.balance.account: line.balance.posted_minor for line in [*first.lines, *second.lines]
    }
    assert lines == {
        "cash": 100,
        "dollars": 7,
        "owed": 7,
        "payable": 0,
        "receivable": 0,
        "wallet": 100,
    }
    for page in (first, second):
        assert [
            (t.currency_code, t.posted_debits_minor, t.posted_credits_minor) for t in page.totals
        ] == [("EUR", 100, 100), ("USD", 7, 7)]
        assert page.totals[0].pending_debits_minor == page.totals[0].pending_credits_minor == 40


async def test_balances_below_a_path_per_currency(client: LedgerClient) -> None:
    await client.account("m/1/payable", CREDIT_NORMAL)
    await client.account("m/2/payable", CREDIT_NORMAL)
    await client.account("m/1/dollars", CREDIT_NORMAL, currency="USD")
    await client.account("bank/eur")
    await client.account("bank/usd", currency="USD")
    await client.create(transfer("m/1/payable", "bank/eur", 5))
    await client.create(transfer("m/2/payable", "bank/eur", 6))
    await client.create(draft(debit("bank/usd", 7, "USD"), credit("m/1/dollars", 7, "USD")))
    found = await client.stub.GetBalance(balances.GetBalanceRequest(ledger="main", prefix="m"))
    assert [(b.currency_code, b.posted_minor) for b in found.balances] == [("EUR", 11), ("USD", 7)]
    assert found.sequence == 3


async def test_the_past_by_effective_time(bank: LedgerClient, clock: ManualClock) -> None:
    start = clock.now()

    async def moved(amount: int, days: int | None) -> None:
        more = {} if days is None else {"effective_time": stamp(start + timedelta(days=days))}
        await bank.create(transfer("wallet", "cash", amount, **more))

    await moved(1, None)
    clock.advance(timedelta(days=10))
    await moved(10, None)
    await moved(100, 5)  # Recorded on day 10, counts from day 5.
    await moved(1000, 20)  # Counts from day 20.
    clock.advance(timedelta(days=1))
    for day, posted in ((-1, 0), (0, 1), (4, 1), (5, 101), (9, 101), (10, 111), (19, 111)):
        moment = stamp(start + timedelta(days=day))
        assert await bank.posted("wallet", effective_time=moment) == posted
    assert await bank.posted("wallet", effective_time=stamp(start + timedelta(days=20))) == 1111
    # By recorded time they count when they were recorded.
    recorded = stamp(start + timedelta(days=5))
    assert await bank.posted("wallet", record_time=recorded) == 1
    assert await bank.posted("wallet") == 1111


async def test_the_past_by_sequence_never_changes(bank: LedgerClient) -> None:
    for _ in range(5):
        await bank.create(transfer("wallet", "cash", 3))
    assert [await bank.posted("wallet", sequence=n) for n in range(6)] == [0, 3, 6, 9, 12, 15]
    error = await failure_of(bank.balance("wallet", sequence=6))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_NOT_REACHED")
    trial = await bank.trial(as_of=balances.AsOf(sequence=2))
    assert (trial.sequence, trial.totals[0].posted_debits_minor) == (2, 6)


async def test_reads_of_what_does_not_exist(bank: LedgerClient) -> None:
    assert (await failure_of(bank.balance("nobody"))).reason == "ACCOUNT_NOT_FOUND"
    assert (await failure_of(bank.get(1))).reason == "TRANSACTION_NOT_FOUND"
    assert (await failure_of(bank.get("nothing"))).reason == "TRANSACTION_NOT_FOUND"
    bank.ledger = "none"
    error = await failure_of(bank.create(transfer("wallet", "cash", 3)))
    assert error.reason == "LEDGER_NOT_FOUND"
