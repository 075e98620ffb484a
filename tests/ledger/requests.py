"""Requests as tests write them by hand, right and wrong, and one way to send any of them."""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.direction_pb2 import DIRECTION_CREDIT
from money.v1.money_pb2 import Money
from tests.ledger.client import (
    DEBIT_NORMAL,
    LEDGER,
    LedgerClient,
    credit,
    debit,
    draft,
    fresh_id,
    key,
    transfer,
)

Item = mutations.BatchItem
ATOMIC = mutations.BATCH_MODE_ATOMIC
INDEPENDENT = mutations.BATCH_MODE_INDEPENDENT


async def send(client: LedgerClient, request: Message) -> Any:
    """Calls the method whose request it is."""
    method = type(request).__name__.removesuffix("Request")
    return await getattr(client.stub, method)(request)


def create_ledger(name: str, **more: Any) -> ledgers.CreateLedgerRequest:
    return ledgers.CreateLedgerRequest(**{"request_id": fresh_id(), "name": name, **more})


def create_account(name: str, **more: Any) -> accounts.CreateAccountRequest:
    described = {"currency_code": "EUR", "normal_balance": DEBIT_NORMAL, **more}
    return accounts.CreateAccountRequest(
        request_id=fresh_id(),
        ledger=LEDGER,
        account=accounts.AccountInput(name=name, **described),
    )


def create(transaction: transactions.TransactionInput) -> mutations.CreateTransactionRequest:
    return mutations.CreateTransactionRequest(
        request_id=fresh_id(), ledger=LEDGER, transaction=transaction
    )


def move(amount: int = 1, **more: Any) -> mutations.CreateTransactionRequest:
    """A transfer from the payable account to cash."""
    return create(transfer("payable", "cash", amount, **more))


def leg(**more: Any) -> mutations.CreateTransactionRequest:
    """A transfer of which the second leg is written as given."""
    second = {
        "account": "payable",
        "direction": DIRECTION_CREDIT,
        "amount": Money(currency_code="EUR", minor_units=1),
        **more,
    }
    return create(draft(debit("cash", 1), entries.EntryInput(**second)))


def post(
    named: transactions.TransactionKey, parts: Any = (), **more: Any
) -> mutations.PostTransactionRequest:
    return mutations.PostTransactionRequest(
        request_id=fresh_id(),
        ledger=LEDGER,
        post=transactions.PostInput(pending=named, parts=parts, **more),
    )


def void(named: transactions.TransactionKey, **more: Any) -> mutations.VoidTransactionRequest:
    return mutations.VoidTransactionRequest(
        request_id=fresh_id(),
        ledger=LEDGER,
        void=transactions.VoidInput(pending=named, **more),
    )


def reverse(
    named: transactions.TransactionKey, parts: Any = (), **more: Any
) -> mutations.ReverseTransactionRequest:
    return mutations.ReverseTransactionRequest(
        request_id=fresh_id(),
        ledger=LEDGER,
        reversal=transactions.ReversalInput(original=named, parts=parts, **more),
    )


def batch(*items: Item, **more: Any) -> mutations.BatchCreateTransactionsRequest:
    described = {
        "request_id": fresh_id(),
        "mode": INDEPENDENT,
        "view": transactions.TRANSACTION_VIEW_SUMMARY,
        **more,
    }
    return mutations.BatchCreateTransactionsRequest(ledger=LEDGER, items=items, **described)


def item(request_id: str = "", **more: Any) -> Item:
    return Item(request_id=request_id, create=transfer("payable", "cash", 1, **more))


def wide(legs: int, amount: int = 1, **more: Any) -> transactions.TransactionInput:
    """One debit and so many credits that it has that number of legs."""
    rest = legs - 1
    return draft(debit("cash", rest * amount), *[credit("payable", amount)] * rest, **more)


def every_part(legs: int, amount: int = 1) -> list[entries.EntryPart]:
    """Some of each leg of a wide transaction, in balance."""
    first = entries.EntryPart(entry_index=0, amount_minor=(legs - 1) * amount)
    rest = range(1, legs)
    return [first, *(entries.EntryPart(entry_index=i, amount_minor=amount) for i in rest)]


def at(seconds: int, nanos: int = 0) -> Timestamp:
    """A moment in seconds since 1970."""
    return Timestamp(seconds=seconds, nanos=nanos)


def named(by: int | str) -> transactions.TransactionKey:
    return key(by)


def stamp(moment: Any) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def part(index: int, minor: int) -> entries.EntryPart:
    return entries.EntryPart(entry_index=index, amount_minor=minor)


def both(minor: int) -> list[entries.EntryPart]:
    return [part(0, minor), part(1, minor)]


def legs(*entries: Any, **more: Any) -> Message:
    return create(draft(*entries, **more))


def sold(minor: int, to_minor: int, rate: str, *, currency: str = "JPY", **more: Any) -> Message:
    """Euros for another currency."""
    other = "yen" if currency == "JPY" else "dinar"
    exchange = transactions.Exchange(
        sold=Money(currency_code="EUR", minor_units=minor),
        bought=Money(currency_code=currency, minor_units=to_minor),
        rate=rate,
        **more,
    )
    return legs(
        debit("cash", minor),
        credit("payable", minor),
        debit(other, to_minor, currency),
        credit(f"{other}-owed", to_minor, currency),
        exchanges=[exchange],
    )


def when(**condition: int) -> Message:
    """A transfer of 1 to payable, which has a posted balance of 100 before."""
    return leg(precondition=entries.Precondition(**condition))


def close(name: str) -> Message:
    return accounts.CloseAccountRequest(request_id=fresh_id(), ledger=LEDGER, name=name)
