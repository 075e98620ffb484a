"""Requests that break a rule of a field: each is refused by its field, and nothing is written."""

from typing import Any

import grpc
from google.protobuf.message import Message

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.account_pb2 import BalanceLimits
from ledger.v1.entry_pb2 import EntryPart, Precondition
from ledger.v1.transaction_pb2 import REMAINDER_KEEP, Exchange, TransactionKey
from money.v1.money_pb2 import Money
from runtime.rules import MAX_TIMESTAMP_SECONDS, MIN_TIMESTAMP_SECONDS
from tests.ledger.client import LEDGER, LedgerClient, credit, debit, draft, failure_of
from tests.ledger.requests import (
    ATOMIC,
    Item,
    at,
    batch,
    close,
    create,
    create_account,
    create_ledger,
    item,
    leg,
    move,
    named,
    post,
    reverse,
    send,
    void,
)
from tests.ledger.written import written

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EUR = Money(currency_code="EUR", minor_units=1)


def amount(minor: int, currency: str = "EUR") -> Message:
    return create(draft(debit("cash", 1), credit("payable", minor, currency)))


def exchange(**more: Any) -> Message:
    return move(exchanges=[Exchange(**{"sold": EUR, "bought": EUR, "rate": "1", **more})])


def rate(text: str) -> Message:
    return exchange(rate=text)


def without(field: str) -> Message:
    """A good request less one field."""
    request = move()
    message: Any = request
    message.ClearField(field)
    return request


def listed(**more: Any) -> Message:
    return reads.ListTransactionsRequest(ledger=LEDGER, **more)


ENTRY = "transaction.entries[1]"
MONEY = f"{ENTRY}.amount.minor_units"
CURRENCY = f"{ENTRY}.amount.currency_code"
RATE = "transaction.exchanges[0].rate"
LIMITS = "account.limits"

BAD: dict[str, tuple[Message, str]] = {
    # What every mutation has.
    "no request id": (without("request_id"), "request_id"),
    "no ledger": (without("ledger"), "ledger"),
    "no transaction": (without("transaction"), "transaction"),
    "a space in the request id": (create_ledger("x", request_id="a b"), "request_id"),
    "a line feed in the request id": (create_ledger("x", request_id="a\n"), "request_id"),
    # Names.
    "a ledger in capitals": (create_ledger("Main"), "name"),
    "a ledger that begins with a digit": (create_ledger("1st"), "name"),
    "a ledger with a path": (create_ledger("main/x"), "name"),
    "a ledger with a NUL": (create_ledger("main\0"), "name"),
    "an account without a name": (create_account(""), "account.name"),
    "an account with a space": (create_account("a b"), "account.name"),
    "an account that is no ASCII": (create_account("cäsh"), "account.name"),
    "an account with a NUL": (create_account("cash\0"), "account.name"),
    "an account with an empty segment": (create_account("a//b"), "account.name"),
    "an account that begins with a slash": (create_account("/a"), "account.name"),
    "an account that ends with a slash": (create_account("a/"), "account.name"),
    "an account that ends with a line feed": (create_account("a\n"), "account.name"),
    "a leg's bad account": (leg(account="a b"), f"{ENTRY}.account"),
    "closing a bad account": (close("a b"), "name"),
    # Texts.
    "a NUL in a display name": (create_ledger("x", display_name="\0"), "display_name"),
    "a NUL in a reference": (move(reference="a\0"), "transaction.reference"),
    "a NUL in a description": (leg(description="a\0"), f"{ENTRY}.description"),
    "a NUL in a label's key": (move(metadata={"\0": "v"}), "transaction.metadata"),
    "a NUL in a label": (move(metadata={"key": "\0"}), "transaction.metadata[key]"),
    "a label without a key": (move(metadata={"": "v"}), "transaction.metadata"),
    # Amounts and currencies.
    "an amount of zero": (amount(0), MONEY),
    "an amount below zero": (amount(-1), MONEY),
    "the least amount there is": (amount(INT64_MIN), MONEY),
    "the largest amount there is": (amount(INT64_MAX), MONEY),
    "no currency": (amount(1, ""), CURRENCY),
    "an unknown currency": (amount(1, "ABC"), CURRENCY),
    "a currency in small letters": (amount(1, "eur"), CURRENCY),
    "a currency without minor units": (amount(1, "XAU"), CURRENCY),
    "an account of an unknown currency": (
        create_account("a", currency_code="EU"),
        "account.currency_code",
    ),
    # Enums.
    "no direction": (leg(direction=0), f"{ENTRY}.direction"),
    "an unknown direction": (leg(direction=3), f"{ENTRY}.direction"),
    "no normal balance": (create_account("a", normal_balance=0), "account.normal_balance"),
    "an unknown normal balance": (create_account("a", normal_balance=9), "account.normal_balance"),
    "an unknown remainder": (post(named(1), remainder=7), "post.remainder"),
    "no batch mode": (batch(item(), mode=0), "mode"),
    "an unknown batch mode": (batch(item(), mode=3), "mode"),
    "an unknown view": (batch(item(), view=9), "view"),
    # Times.
    "effective in the year 0": (
        move(effective_time=at(MIN_TIMESTAMP_SECONDS - 1)),
        "transaction.effective_time",
    ),
    "effective in the year 10000": (
        move(effective_time=at(MAX_TIMESTAMP_SECONDS + 1)),
        "transaction.effective_time",
    ),
    "nanoseconds below zero": (move(effective_time=at(0, -1)), "transaction.effective_time"),
    "a second of nanoseconds": (move(effective_time=at(0, 10**9)), "transaction.effective_time"),
    "an expiry in the year 10000": (
        move(pending=True, expire_time=at(MAX_TIMESTAMP_SECONDS + 1)),
        "transaction.expire_time",
    ),
    "an expiry of what does not hold": (move(expire_time=at(2**33)), "transaction.expire_time"),
    "a reversal in the year 0": (
        reverse(named(1), effective_time=at(MIN_TIMESTAMP_SECONDS - 1)),
        "reversal.effective_time",
    ),
    # Limits and preconditions.
    "a floor above its ceiling": (
        create_account("a", limits=BalanceLimits(min_posted_minor=1, max_posted_minor=0)),
        f"{LIMITS}.min_posted_minor",
    ),
    "the highest floor above the lowest ceiling": (
        create_account(
            "a",
            limits=BalanceLimits(min_available_minor=INT64_MAX, max_available_minor=INT64_MIN),
        ),
        f"{LIMITS}.min_posted_minor",
    ),
    "a version below zero": (
        leg(precondition=Precondition(expected_version=-1)),
        f"{ENTRY}.precondition.expected_version",
    ),
    # Conversions.
    "a rate of zero": (rate("0.00"), RATE),
    "no rate": (rate(""), RATE),
    "a rate below zero": (rate("-1"), RATE),
    "a rate with an exponent": (rate("1e5"), RATE),
    "a rate that ends in its point": (rate("1."), RATE),
    "a rate in other digits": (rate("１"), RATE),
    "a rate with a line feed": (rate("1\n"), RATE),
    "nothing sold": (
        move(exchanges=[Exchange(bought=EUR, rate="1")]),
        "transaction.exchanges[0].sold",
    ),
    "none of it bought": (
        exchange(bought=Money(currency_code="EUR")),
        "transaction.exchanges[0].bought.minor_units",
    ),
    # Posts, voids, reversals.
    "a post of nothing": (post(TransactionKey()), "post.pending.key"),
    "a post of sequence 0": (post(named(0)), "post.pending.sequence"),
    "a void of sequence -1": (void(named(-1)), "void.pending.sequence"),
    "a reversal of an empty id": (reverse(named("")), "reversal.original.request_id"),
    "a reversal of a bad id": (reverse(named("a b")), "reversal.original.request_id"),
    "a rest kept of everything": (post(named(1), remainder=REMAINDER_KEEP), "post.remainder"),
    "a part of nothing": (
        post(named(1), [EntryPart(entry_index=0, amount_minor=0)]),
        "post.parts[0].amount_minor",
    ),
    "a part of too much": (
        reverse(named(1), [EntryPart(entry_index=0, amount_minor=10**18 + 1)]),
        "reversal.parts[0].amount_minor",
    ),
    "a part of entry -1": (
        post(named(1), [EntryPart(entry_index=-1, amount_minor=1)]),
        "post.parts[0].entry_index",
    ),
    # Batches.
    "no items": (batch(), "items"),
    "an item that does nothing": (batch(Item()), "items[0].operation"),
    "an id twice in a batch": (batch(item("a"), item("b"), item("a")), "items"),
    "an item with the batch's id": (batch(item("a"), request_id="a"), "items"),
    "an item's id in an atomic batch": (batch(item("a"), mode=ATOMIC), "items"),
    "no accounts": (
        accounts.BatchCreateAccountsRequest(request_id="a", ledger=LEDGER),
        "accounts",
    ),
    # Reads.
    "a balance of nothing": (balances.GetBalanceRequest(ledger=LEDGER), "target"),
    "a balance of no account": (balances.GetBalanceRequest(ledger=LEDGER, account=""), "account"),
    "a balance as of nothing": (
        balances.GetBalanceRequest(ledger=LEDGER, account="cash", as_of=balances.AsOf()),
        "as_of.point",
    ),
    "a balance as of sequence -1": (
        balances.GetBalanceRequest(ledger=LEDGER, account="cash", as_of=balances.AsOf(sequence=-1)),
        "as_of.sequence",
    ),
    "a balance before the year 1": (
        balances.GetBalanceRequest(
            ledger=LEDGER,
            account="cash",
            as_of=balances.AsOf(effective_time=at(MIN_TIMESTAMP_SECONDS - 1)),
        ),
        "as_of.effective_time",
    ),
    "a list of an unknown kind": (
        listed(kinds=[7]),
        "kinds[0]",
    ),
    "a list of no kind": (listed(kinds=[0]), "kinds[0]"),
    "a list after -1": (
        listed(after_sequence=-1),
        "after_sequence",
    ),
    "entries of no account": (entries.ListEntriesRequest(ledger=LEDGER), "account"),
    "a path of accounts with a space": (
        accounts.ListAccountsRequest(ledger=LEDGER, prefix="a b"),
        "prefix",
    ),
    "a ledger with a bad name": (ledgers.GetLedgerRequest(name="Main"), "name"),
}


async def test_each_is_refused_by_its_field_and_writes_nothing(
    bank: LedgerClient, url: str
) -> None:
    before = written(url)
    refused = {}
    for name, (request, _) in BAD.items():
        error = await failure_of(send(bank, request))
        assert (error.code, error.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
        ), name
        refused[name] = [violation.field for violation in error.violations]
    assert refused == {name: [field] for name, (_, field) in BAD.items()}
    assert written(url) == before


async def test_at_most_twenty_violations_are_named(bank: LedgerClient) -> None:
    request = create(draft(*[debit("a b", 0)] * 100))
    error = await failure_of(send(bank, request))
    assert len(error.violations) == 20


async def test_what_is_no_protobuf_or_not_utf8_is_named(bank: LedgerClient, url: str) -> None:
    before = written(url)
    good = move(reference="good").SerializeToString()
    for data, field, problem in (
        (good.replace(b"good", b"go\xffd"), "transaction.reference", "is not valid UTF-8"),
        (good.replace(b"payable", b"payabl\xc3"), "transaction.entries[1].account", "UTF-8"),
        (good.replace(b"good", b"\xed\xa0\x80d"), "transaction.reference", "is not valid UTF-8"),
        (good[:-1], "transaction", "is cut short or not protobuf"),
        (b"\xff\xff", "", "is cut short or not protobuf"),
    ):
        call: Any = bank.channel.unary_unary("/ledger.v1.LedgerService/CreateTransaction")
        error = await failure_of(call(data))
        assert (error.code, error.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
        )
        (violation,) = error.violations
        assert violation.field == field
        assert problem in violation.description
    assert written(url) == before
