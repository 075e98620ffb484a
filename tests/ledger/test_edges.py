"""Every limit of a request at its edge: what it allows is taken, one more is refused by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.message import Message

from ledger import checks, validation
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.v1.transaction_pb2 import Exchange
from money.v1.money_pb2 import Money
from runtime import rules
from tests.ledger.client import LEDGER, LedgerClient, failure_of, fresh_id
from tests.ledger.requests import (
    batch,
    create,
    create_account,
    create_ledger,
    every_part,
    item,
    leg,
    move,
    named,
    post,
    reverse,
    send,
    void,
    wide,
)
from tests.ledger.written import written

LEGS = validation.MAX_ENTRIES


class Edge(NamedTuple):
    """A request by the size of one thing in it; `field` is what is refused beyond `limit`."""

    name: str
    make: Callable[[int], Message]
    limit: int
    field: str


def text(size: int) -> str:
    """So many bytes in fewer characters."""
    return "é" * (size // 2) + "x" * (size % 2)


def id_of(size: int) -> str:
    return fresh_id().ljust(size, "-")


def labels(count: int) -> dict[str, str]:
    return {f"key-{number}": "value" for number in range(count)}


def account_batch(count: int) -> Message:
    new = [create_account(fresh_id()).account for _ in range(count)]
    return accounts.BatchCreateAccountsRequest(request_id=fresh_id(), ledger=LEDGER, accounts=new)


def exchanges(count: int, rate: str = "1") -> Message:
    one = Money(currency_code="EUR", minor_units=1)
    return move(exchanges=[Exchange(sold=one, bought=one, rate=rate)] * count)


def batch_of_legs(count: int) -> Message:
    """A batch whose items have that many legs in all, none of them too many."""
    rest = count - LEGS
    sizes = [LEGS, rest] if rest <= LEGS else [LEGS, rest - 2, 2]
    return batch(*[BatchItem(create=wide(size)) for size in sizes])


def listed(**more: Any) -> Message:
    return reads.ListTransactionsRequest(ledger=LEDGER, **more)


EDGES = [
    Edge("ledger", lambda n: create_ledger("l" * n), validation.MAX_LEDGER_NAME_BYTES, "name"),
    Edge(
        "ledger's display name",
        lambda n: create_ledger(f"l{n}", display_name=text(n)),
        validation.MAX_TEXT_BYTES,
        "display_name",
    ),
    Edge(
        "request id",
        lambda n: create_ledger(f"r{n}", request_id=id_of(n)),
        rules.MAX_REQUEST_ID_BYTES,
        "request_id",
    ),
    Edge(
        "account",
        lambda n: create_account("a" * n),
        validation.MAX_ACCOUNT_NAME_BYTES,
        "account.name",
    ),
    Edge(
        "segments of an account",
        lambda n: create_account("/".join(["s"] * n)),
        validation.MAX_ACCOUNT_SEGMENTS,
        "account.name",
    ),
    Edge("accounts at once", account_batch, validation.MAX_ACCOUNTS_PER_BATCH, "accounts"),
    Edge(
        "labels",
        lambda n: move(metadata=labels(n)),
        validation.MAX_METADATA_ENTRIES,
        "transaction.metadata",
    ),
    Edge(
        "a label's key",
        lambda n: move(metadata={text(n): ""}),
        validation.MAX_METADATA_KEY_BYTES,
        "transaction.metadata",
    ),
    Edge(
        "a label's value",
        lambda n: move(metadata={"key": text(n)}),
        validation.MAX_METADATA_VALUE_BYTES,
        "transaction.metadata[key]",
    ),
    Edge(
        "an account's labels",
        lambda n: create_account(f"labels-{n}", metadata=labels(n)),
        validation.MAX_METADATA_ENTRIES,
        "account.metadata",
    ),
    Edge(
        "reference",
        lambda n: move(reference=text(n)),
        validation.MAX_TEXT_BYTES,
        "transaction.reference",
    ),
    Edge(
        "description",
        lambda n: leg(description=text(n)),
        validation.MAX_TEXT_BYTES,
        "transaction.entries[1].description",
    ),
    Edge("amount", move, checks.MAX_AMOUNT_MINOR, "transaction.entries[0].amount.minor_units"),
    Edge("legs", lambda n: create(wide(n)), LEGS, "transaction.entries"),
    Edge("conversions", exchanges, validation.MAX_EXCHANGES, "transaction.exchanges"),
    Edge(
        "digits of a rate",
        lambda n: exchanges(1, "1." + "0" * (n - 1)),
        checks.MAX_RATE_DIGITS,
        "transaction.exchanges[0].rate",
    ),
    Edge(
        "bytes of a rate",
        lambda n: exchanges(1, "1".rjust(n, "0")),
        checks.MAX_RATE_BYTES,
        "transaction.exchanges[0].rate",
    ),
    Edge("parts of a post", lambda n: post(named("hold"), every_part(n)), LEGS, "post.parts"),
    Edge(
        "parts of a reversal",
        lambda n: reverse(named("original"), every_part(n)),
        LEGS,
        "reversal.parts",
    ),
    Edge(
        "reference of a void",
        lambda n: void(named("small-hold"), reference=text(n)),
        validation.MAX_TEXT_BYTES,
        "void.reference",
    ),
    Edge("items", lambda n: batch(*[item()] * n), validation.MAX_ITEMS_PER_BATCH, "items"),
    Edge("legs of a batch", batch_of_legs, checks.MAX_ENTRIES_PER_BATCH, "items"),
    Edge("kinds", lambda n: listed(kinds=[1] * n), validation.MAX_KINDS, "kinds"),
]


async def test_what_a_limit_allows_is_taken_and_one_more_is_refused(
    bank: LedgerClient, url: str
) -> None:
    await bank.create(wide(LEGS, pending=True), "hold")
    await bank.create(wide(LEGS), "original")
    await bank.hold("payable", "cash", 1, "small-hold")
    for edge in EDGES:
        await send(bank, edge.make(edge.limit))
    before = written(url)
    refused = {}
    for edge in EDGES:
        error = await failure_of(send(bank, edge.make(edge.limit + 1)))
        assert (error.code, error.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
        ), edge.name
        refused[edge.name] = [violation.field for violation in error.violations]
    assert refused == {edge.name: _every(edge) for edge in EDGES}
    assert written(url) == before


def _every(edge: Edge) -> list[str]:
    """The fields refused: an amount is on both legs."""
    return [edge.field] + (
        ["transaction.entries[1].amount.minor_units"] if edge.name == "amount" else []
    )


@pytest.mark.parametrize("legs", [0, 1])
def test_a_transaction_has_two_legs_at_least(legs: int) -> None:
    assert not validation.VALIDATOR.violations(create(wide(validation.MIN_ENTRIES)))
    short = create(wide(2))
    del short.transaction.entries[legs:]
    (violation,) = validation.VALIDATOR.violations(short)
    assert violation.field == "transaction.entries"


def test_a_batch_is_bounded_by_its_bytes() -> None:
    request = batch(*[item(metadata=labels(32))] * 100)
    size = request.ByteSize()
    assert checks.batch_problem(request, max_bytes=size) is None
    problem = checks.batch_problem(request, max_bytes=size - 1)
    assert problem == f"have more than {size - 1} bytes in total"


async def test_a_batch_of_too_many_bytes_is_refused(bank: LedgerClient, url: str) -> None:
    before = written(url)
    label = {str(number): "v" * validation.MAX_METADATA_VALUE_BYTES for number in range(32)}
    request = batch(*[item(metadata=label)] * 1_010)
    assert request.ByteSize() > checks.MAX_BATCH_BYTES
    error = await failure_of(send(bank, request))
    # It is as large as a request may be, and not looked into.
    assert error.reason == "INVALID_REQUEST"
    assert f"may have {checks.MAX_BATCH_BYTES}" in error.message
    assert written(url) == before


async def test_a_page_is_never_larger_than_the_largest(bank: LedgerClient) -> None:
    await send(bank, batch(*[item()] * 1_001))
    for size, count in ((0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)):
        page = await send(bank, listed(page_size=size))
        assert len(page.transactions) == count
    error = await failure_of(send(bank, listed(page_size=-1)))
    assert [violation.field for violation in error.violations] == ["page_size"]
    error = await failure_of(send(bank, listed(page_token="t" * (rules.MAX_PAGE_TOKEN_BYTES + 1))))
    assert [violation.field for violation in error.violations] == ["page_token"]
