"""Making transactions and reading them back."""

import grpc

from ledger.v1 import transaction_pb2 as transactions
from tests.ledger.client import LedgerClient, credit, debit, draft, failure_of, transfer


async def test_a_transaction_answers_its_sequence_and_the_resulting_balances(
    bank: LedgerClient,
) -> None:
    made = await bank.create(
        draft(
            debit("cash", 1000, description="from the bank"),
            credit("payable", 900),
            credit("wallet", 100),
            reference="order 7",
            metadata={"channel": "web"},
        )
    )
    assert made.sequence == 1
    assert made.kind == transactions.TRANSACTION_KIND_DIRECT
    assert [e.balance_after.posted_minor for e in made.entries] == [1000, 900, 100]
    assert [e.balance_after.version for e in made.entries] == [1, 1, 1]
    assert made.entries[0].description == "from the bank"
    read = await bank.get(1)
    assert read.transaction == made
    assert read.standing.state == transactions.TRANSACTION_STATE_POSTED
    assert (await bank.verify()).intact


async def test_unbalanced_entries_are_refused(bank: LedgerClient) -> None:
    error = await failure_of(bank.create(draft(debit("cash", 10), credit("payable", 9))))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNBALANCED")
    assert error.metadata == {"currency_code": "EUR", "debits_minor": "10", "credits_minor": "9"}
    assert (await bank.trial()).sequence == 0


async def test_each_currency_balances_by_itself(bank: LedgerClient) -> None:
    await bank.account("dollars", currency="USD")
    error = await failure_of(
        bank.create(draft(debit("dollars", 10, "USD"), credit("payable", 10, "EUR")))
    )
    assert error.reason == "UNBALANCED"
    assert error.metadata["currency_code"] == "USD"


async def test_an_entry_has_to_be_in_its_accounts_currency(bank: LedgerClient) -> None:
    error = await failure_of(
        bank.create(draft(debit("cash", 10, "USD"), credit("payable", 10, "USD")))
    )
    assert error.reason == "CURRENCY_MISMATCH"
    assert error.metadata["account_currency_code"] == "EUR"


async def test_an_unknown_account_is_refused(bank: LedgerClient) -> None:
    error = await failure_of(bank.create(transfer("nobody", "cash", 10)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert error.metadata == {"account": "nobody"}


async def test_of_several_faults_the_first_in_precedence_is_answered(bank: LedgerClient) -> None:
    await bank.account("gone")
    await bank.close("gone")
    wrong_currency, closed = debit("cash", 10, "USD"), credit("gone", 9)
    for entries, reason in (
        ([wrong_currency, closed, debit("nobody", 1)], "ACCOUNT_NOT_FOUND"),
        ([wrong_currency, closed], "ACCOUNT_CLOSED"),
        ([wrong_currency, credit("payable", 9)], "CURRENCY_MISMATCH"),
        ([debit("wallet", 10), credit("cash", 9)], "UNBALANCED"),
        ([debit("wallet", 10), credit("cash", 10)], "FLOOR_BREACHED"),
    ):
        assert (await failure_of(bank.create(draft(*entries)))).reason == reason
