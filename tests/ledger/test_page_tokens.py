"""Page tokens that this list did not make for these filters are refused, whatever they say."""

import base64
import json
from typing import Any

import grpc
import pytest

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from tests.ledger.client import LEDGER, LedgerClient, failure_of, transfer
from tests.ledger.requests import send

# All of these say the same to the wire: a ledger and, in field 2, a name.
LISTS: dict[str, Any] = {
    "accounts": accounts.ListAccountsRequest(ledger=LEDGER, prefix="cash", page_size=1),
    "transactions": reads.ListTransactionsRequest(ledger=LEDGER, account="cash", page_size=1),
    "entries": entries.ListEntriesRequest(ledger=LEDGER, account="cash", page_size=1),
    "trial balance": balances.GetTrialBalanceRequest(ledger=LEDGER, prefix="cash", page_size=1),
    "ledgers": ledgers.ListLedgersRequest(page_size=1),
}


# What no position has, whatever its parts mean.
PARTS: list[Any] = [-(2**70), 2**63, "\0", "\ud800", "a b", "x" * 300, None, 1.5, [1], {}]


@pytest.fixture
async def books(bank: LedgerClient) -> LedgerClient:
    """Every list has more than a page."""
    await bank.account("cash/drawer")
    await bank.create(transfer("payable", "cash", 1))
    await bank.create(transfer("payable", "cash", 1))
    await LedgerClient(bank.channel, "other").create_ledger()
    return bank


async def refused(client: LedgerClient, request: Any, token: str) -> None:
    asked = type(request)()
    asked.CopyFrom(request)
    asked.page_token = token
    error = await failure_of(send(client, asked))
    assert (error.code, error.reason, error.metadata) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_PAGE_TOKEN",
        {},
    ), (type(request).__name__, token)


async def test_a_token_is_good_for_its_own_list_only(books: LedgerClient) -> None:
    tokens = {name: (await send(books, request)).next_page_token for name, request in LISTS.items()}
    assert all(tokens.values())
    for name, request in LISTS.items():
        for other, token in tokens.items():
            if name != other:
                await refused(books, request, token)
    for name, request in LISTS.items():
        request.page_token, before = tokens[name], request.page_token
        await send(books, request)
        request.page_token = before


async def test_a_token_is_good_for_its_own_filters_only(books: LedgerClient) -> None:
    first = await send(books, LISTS["transactions"])
    for change in (
        {"account": "payable"},
        {"descending": True},
        {"view": 2},
        {"kinds": [1]},
        {"reference": "a"},
        {"after_sequence": 1},
        {"ledger": "other"},
    ):
        asked: dict[str, Any] = {"ledger": LEDGER, "account": "cash", "page_size": 1, **change}
        await refused(books, reads.ListTransactionsRequest(**asked), first.next_page_token)


async def test_a_forged_position_never_reaches_a_query(books: LedgerClient) -> None:
    for request in LISTS.values():
        token = (await send(books, request)).next_page_token
        filters, position = json.loads(base64.urlsafe_b64decode(token))
        shapes = [[], [*position, 1], position[1:]]
        for index in range(len(position)):
            shapes += [[*position[:index], part, *position[index + 1 :]] for part in PARTS]
        for wrong in shapes:
            forged = json.dumps([filters, wrong])
            await refused(books, request, base64.urlsafe_b64encode(forged.encode()).decode())


@pytest.mark.parametrize(
    "token",
    ["-", "AAAA", "!!!!", "é", base64.urlsafe_b64encode(b"[" * 1_500).decode()],
)
async def test_what_is_no_token_at_all(books: LedgerClient, token: str) -> None:
    for request in LISTS.values():
        await refused(books, request, token)
