"""The same request_id: the first answer again, for good, or a conflict that names the fields."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.entry_pb2 import Precondition
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, failure_of, key, transfer
from tests.ledger.requests import batch, create_account, item, leg, move, part, post, reverse, send
from tests.ledger.running import OpenReplica


async def test_a_repeated_request_gives_the_first_answer(bank: LedgerClient) -> None:
    request = transfer("wallet", "cash", 100, metadata={"order": "7"})
    first = await bank.create(request, "create-1")
    await bank.create(transfer("wallet", "cash", 1))
    assert await bank.create(request, "create-1") == first
    hold = await bank.hold("payable", "wallet", 40, request_id="hold-1")
    posted = await bank.post(hold.sequence, request_id="post-1")
    assert await bank.post(hold.sequence, request_id="post-1") == posted
    reversal = await bank.reverse(first.sequence, {0: 5, 1: 5}, request_id="reverse-1")
    assert await bank.reverse(first.sequence, {0: 5, 1: 5}, request_id="reverse-1") == reversal
    void = await bank.void((await bank.hold("payable", "wallet", 1)).sequence, "void-1")
    assert await bank.void(void.settles_sequence, "void-1") == void
    assert await bank.hold("payable", "wallet", 40, request_id="hold-1") == hold


async def test_a_conflict_names_the_fields(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 100), "create-1")
    error = await failure_of(
        bank.create(transfer("wallet", "cash", 100, reference="x", metadata={"a": "b"}), "create-1")
    )
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata == {
        "request_id": "create-1",
        "differing_fields": "reference,metadata[a]",
        "differing_field_count": "2",
    }
    error = await failure_of(bank.post(1, request_id="create-1"))
    assert error.metadata["differing_fields"] == "method"
    error = await failure_of(bank.account("new", request_id="create-1"))
    assert error.metadata["differing_fields"] == "method"
    # The refusal of the conflict leaves the first answer as it was.
    assert (await bank.create(transfer("wallet", "cash", 100), "create-1")).sequence == 1


NANOS = 1_800_000_000_000_000_000


def nanos(nanoseconds: int) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(NANOS + nanoseconds)
    return made


def limits(**given: int) -> accounts.BalanceLimits:
    return accounts.BalanceLimits(**given)


def release(remainder: transactions.Remainder.ValueType) -> mutations.PostTransactionRequest:
    return post(key("hold"), [part(0, 1), part(1, 1)], remainder=remainder)


@pytest.mark.parametrize(
    ("first", "same", "other", "path"),
    [
        pytest.param(
            release(transactions.REMAINDER_RELEASE),
            release(transactions.REMAINDER_UNSPECIFIED),
            release(transactions.REMAINDER_KEEP),
            "remainder",
            id="the remainder of a post",
        ),
        pytest.param(
            move(effective_time=nanos(1_999)),
            move(effective_time=nanos(1_000)),
            move(effective_time=nanos(2_000)),
            "effective_time.nanos",
            id="an effective time",
        ),
        pytest.param(
            move(pending=True, expire_time=nanos(1_000)),
            move(pending=True, expire_time=nanos(1_001)),
            move(pending=True, expire_time=nanos(999)),
            "expire_time.nanos",
            id="an expiry",
        ),
        pytest.param(
            reverse(key("direct"), effective_time=nanos(0)),
            reverse(key("direct"), effective_time=nanos(999)),
            reverse(key("direct")),
            "effective_time",
            id="the time of a reversal",
        ),
        pytest.param(
            leg(precondition=Precondition()),
            leg(),
            leg(precondition=Precondition(expected_version=0)),
            "entries[1].precondition",
            id="a condition of nothing",
        ),
        pytest.param(
            create_account("limited"),
            create_account("limited", limits=limits()),
            create_account("limited", limits=limits(min_posted_minor=0)),
            "limits",
            id="limits of nothing",
        ),
        pytest.param(
            batch(item(effective_time=nanos(1)), item(pending=True, expire_time=nanos(0))),
            batch(item(effective_time=nanos(0)), item(pending=True, expire_time=nanos(2))),
            batch(item(effective_time=nanos(0)), item(pending=True, expire_time=nanos(1_000))),
            "items[1].create.expire_time.nanos",
            id="times in a batch",
        ),
        pytest.param(
            batch(item("item-1", effective_time=nanos(1)), item("item-2")),
            batch(item("item-1", effective_time=nanos(0)), item("item-2")),
            batch(item("item-1"), item("item-2")),
            "items[0].create.effective_time",
            id="times of items with ids",
        ),
    ],
)
async def test_requests_that_mean_the_same_are_the_same(
    bank: LedgerClient, first: Any, same: Any, other: Any, path: str
) -> None:
    await bank.hold("payable", "receivable", 5, request_id="hold")
    await bank.create(transfer("wallet", "cash", 5), "direct")
    for request in (first, same, other):
        request.request_id = "the-id"
    answer = await send(bank, first)
    assert await send(bank, same) == answer
    assert await send(bank, first) == answer
    error = await failure_of(send(bank, other))
    assert (error.reason, error.metadata["differing_fields"]) == ("REQUEST_ID_REUSED", path)


async def test_a_decided_failure_is_as_final_as_a_success(bank: LedgerClient) -> None:
    first = await failure_of(bank.create(transfer("payable", "wallet", 10), "create-1"))
    assert first.reason == "FLOOR_BREACHED"
    await bank.create(transfer("wallet", "cash", 1000))
    assert await failure_of(bank.create(transfer("payable", "wallet", 10), "create-1")) == first
    unknown = await failure_of(bank.create(transfer("later", "cash", 10), "create-2"))
    await bank.account("later", CREDIT_NORMAL)
    assert await failure_of(bank.create(transfer("later", "cash", 10), "create-2")) == unknown
    changed = await failure_of(bank.create(transfer("later", "cash", 11), "create-2"))
    assert changed.reason == "REQUEST_ID_REUSED"


async def test_answers_outlive_the_process(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    first = await bank.create(transfer("wallet", "cash", 100), "create-1")
    failed = await failure_of(bank.create(transfer("payable", "wallet", 101), "create-2"))
    other = await open_replica(url)
    assert await other.create(transfer("wallet", "cash", 100), "create-1") == first
    assert await failure_of(other.create(transfer("payable", "wallet", 101), "create-2")) == failed
    assert (await other.trial()).sequence == 1


async def test_one_request_sent_many_times_at_once_is_made_once(bank: LedgerClient) -> None:
    answers = await asyncio.gather(
        *(bank.create(transfer("wallet", "cash", 100), "create-1") for _ in range(50))
    )
    assert all(answer == answers[0] for answer in answers)
    assert await bank.posted("wallet") == 100


async def test_making_and_closing_accounts(bank: LedgerClient) -> None:
    first = await bank.account("new", request_id="account-1", min_posted_minor=-5)
    assert await bank.account("new", request_id="account-1", min_posted_minor=-5) == first
    error = await failure_of(bank.account("new", request_id="account-1", min_posted_minor=-6))
    assert error.metadata["differing_fields"] == "limits.min_posted_minor"
    error = await failure_of(bank.account("new", request_id="account-2"))
    assert error.reason == "ACCOUNT_ALREADY_EXISTS"
    closed = await bank.close("new", "close-1")
    assert await bank.close("new", "close-1") == closed
    assert await bank.account("new", request_id="account-1", min_posted_minor=-5) == first


async def test_making_ledgers(client: LedgerClient) -> None:
    request = ledgers.CreateLedgerRequest(request_id="ledger-2", name="second", display_name="B")
    first = await client.stub.CreateLedger(request)
    assert await client.stub.CreateLedger(request) == first
    request.display_name = "C"
    error = await failure_of(client.stub.CreateLedger(request))
    assert (error.reason, error.metadata["differing_fields"]) == (
        "REQUEST_ID_REUSED",
        "display_name",
    )
    request.request_id = "ledger-3"
    error = await failure_of(client.stub.CreateLedger(request))
    assert error.reason == "LEDGER_ALREADY_EXISTS"


async def test_request_ids_of_one_ledger_mean_nothing_in_another(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 100), "create-1")
    await bank.stub.CreateLedger(ledgers.CreateLedgerRequest(request_id="l2", name="second"))
    bank.ledger = "second"
    await bank.account("cash")
    await bank.account("wallet", CREDIT_NORMAL)
    assert (await bank.create(transfer("wallet", "cash", 5), "create-1")).sequence == 1
