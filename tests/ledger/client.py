"""The ledger as a test talks to it: over a real socket, with short names for long messages."""

import itertools
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import EntryInput, EntryPart
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from money.v1.money_pb2 import Money
from runtime.errors import ReceivedError, from_rpc_error

LEDGER = "main"
DEBIT_NORMAL = accounts.NORMAL_BALANCE_DEBIT
CREDIT_NORMAL = accounts.NORMAL_BALANCE_CREDIT

_numbers = itertools.count(1)


def fresh_id() -> str:
    """A request_id that no other request of this process has."""
    return f"request-{next(_numbers)}"


def debit(account: str, amount: int, currency: str = "EUR", **more: Any) -> EntryInput:
    return EntryInput(
        account=account,
        direction=DIRECTION_DEBIT,
        amount=Money(currency_code=currency, minor_units=amount),
        **more,
    )


def credit(account: str, amount: int, currency: str = "EUR", **more: Any) -> EntryInput:
    return EntryInput(
        account=account,
        direction=DIRECTION_CREDIT,
        amount=Money(currency_code=currency, minor_units=amount),
        **more,
    )


def draft(*entries: EntryInput, **more: Any) -> transactions.TransactionInput:
    return transactions.TransactionInput(entries=entries, **more)


def transfer(source: str, target: str, amount: int, **more: Any) -> transactions.TransactionInput:
    """Credits one account and debits another: between debit-normal ones, from first to second."""
    return draft(debit(target, amount), credit(source, amount), **more)


def parts(amounts: Mapping[int, int]) -> list[EntryPart]:
    return [EntryPart(entry_index=index, amount_minor=units) for index, units in amounts.items()]


def key(named: int | str) -> transactions.TransactionKey:
    if isinstance(named, int):
        return transactions.TransactionKey(sequence=named)
    return transactions.TransactionKey(request_id=named)


async def failure_of(call: Any) -> ReceivedError:
    """The error of a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


class LedgerClient:
    """A client of one ledger."""

    def __init__(self, channel: grpc.aio.Channel, ledger: str = LEDGER) -> None:
        self.channel = channel
        self.stub = LedgerServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.ledger = ledger

    async def create_ledger(self) -> None:
        await self.stub.CreateLedger(
            ledgers.CreateLedgerRequest(request_id=fresh_id(), name=self.ledger)
        )

    async def account(
        self,
        name: str,
        normal: accounts.NormalBalance.ValueType = DEBIT_NORMAL,
        currency: str = "EUR",
        request_id: str | None = None,
        **limits: int,
    ) -> accounts.Account:
        request = accounts.CreateAccountRequest(
            request_id=request_id or fresh_id(),
            ledger=self.ledger,
            account=accounts.AccountInput(name=name, currency_code=currency, normal_balance=normal),
        )
        for limit, value in limits.items():
            setattr(request.account.limits, limit, value)
        return (await self.stub.CreateAccount(request)).account

    async def close(self, name: str, request_id: str | None = None) -> accounts.Account:
        request = accounts.CloseAccountRequest(
            request_id=request_id or fresh_id(), ledger=self.ledger, name=name
        )
        return (await self.stub.CloseAccount(request)).account

    async def create(
        self, transaction: transactions.TransactionInput, request_id: str | None = None
    ) -> transactions.Transaction:
        request = mutations.CreateTransactionRequest(
            request_id=request_id or fresh_id(), ledger=self.ledger, transaction=transaction
        )
        return (await self.stub.CreateTransaction(request)).transaction

    async def hold(
        self, source: str, target: str, amount: int, request_id: str | None = None, **more: Any
    ) -> transactions.Transaction:
        return await self.create(transfer(source, target, amount, pending=True, **more), request_id)

    async def post(
        self,
        pending: int | str,
        amounts: Mapping[int, int] | None = None,
        request_id: str | None = None,
        **more: Any,
    ) -> transactions.Transaction:
        request = mutations.PostTransactionRequest(
            request_id=request_id or fresh_id(),
            ledger=self.ledger,
            post=transactions.PostInput(pending=key(pending), parts=parts(amounts or {}), **more),
        )
        return (await self.stub.PostTransaction(request)).transaction

    async def void(
        self, pending: int | str, request_id: str | None = None
    ) -> transactions.Transaction:
        request = mutations.VoidTransactionRequest(
            request_id=request_id or fresh_id(),
            ledger=self.ledger,
            void=transactions.VoidInput(pending=key(pending)),
        )
        return (await self.stub.VoidTransaction(request)).transaction

    async def reverse(
        self,
        original: int | str,
        amounts: Mapping[int, int] | None = None,
        request_id: str | None = None,
    ) -> transactions.Transaction:
        request = mutations.ReverseTransactionRequest(
            request_id=request_id or fresh_id(),
            ledger=self.ledger,
            reversal=transactions.ReversalInput(original=key(original), parts=parts(amounts or {})),
        )
        return (await self.stub.ReverseTransaction(request)).transaction

    async def batch(
        self,
        *items: mutations.BatchItem,
        mode: mutations.BatchMode.ValueType = mutations.BATCH_MODE_INDEPENDENT,
        request_id: str | None = None,
        **more: Any,
    ) -> list[mutations.BatchItemResult]:
        request = mutations.BatchCreateTransactionsRequest(
            request_id=request_id or fresh_id(),
            ledger=self.ledger,
            mode=mode,
            items=items,
            **more,
        )
        return list((await self.stub.BatchCreateTransactions(request)).results)

    async def get(self, named: int | str) -> reads.GetTransactionResponse:
        return await self.stub.GetTransaction(
            reads.GetTransactionRequest(ledger=self.ledger, key=key(named))
        )

    async def balance(self, account: str, **as_of: Any) -> balances.Balance:
        request = balances.GetBalanceRequest(ledger=self.ledger, account=account)
        if as_of:
            request.as_of.CopyFrom(balances.AsOf(**as_of))
        (balance,) = (await self.stub.GetBalance(request)).balances
        return balance

    async def posted(self, account: str, **as_of: Any) -> int:
        return int((await self.balance(account, **as_of)).posted_minor)

    async def available(self, account: str, **as_of: Any) -> int:
        return int((await self.balance(account, **as_of)).available_minor)

    async def trial(self, **more: Any) -> balances.GetTrialBalanceResponse:
        return await self.stub.GetTrialBalance(
            balances.GetTrialBalanceRequest(ledger=self.ledger, **more)
        )

    async def verify(self, after_sequence: int = 0) -> audit.VerifyLedgerResponse:
        """The last message of a recomputation, which says what it found."""
        request = audit.VerifyLedgerRequest(ledger=self.ledger, after_sequence=after_sequence)
        *_, last = [answer async for answer in self.audit.VerifyLedger(request)]
        assert last.done
        return last

    def watch(self, after_sequence: int = 0, **more: Any) -> Any:
        return self.stub.WatchTransactions(
            reads.WatchTransactionsRequest(
                ledger=self.ledger, after_sequence=after_sequence, **more
            )
        )

    async def watched(self, count: int, after_sequence: int = 0) -> list[transactions.Transaction]:
        """The next so many transactions of the feed."""
        found: list[transactions.Transaction] = []
        call = self.watch(after_sequence)
        async for response in call:
            found.extend(response.transactions)
            if len(found) >= count:
                break
        call.cancel()
        return found
