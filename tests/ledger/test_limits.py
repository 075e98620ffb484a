"""Limits, preconditions and closing, at their edges."""

from typing import Any

import grpc
import pytest

from ledger.v1.account_pb2 import ACCOUNT_STATE_CLOSED
from ledger.v1.entry_pb2 import Precondition
from ledger.v1.transaction_pb2 import REMAINDER_KEEP
from tests.ledger.client import (
    CREDIT_NORMAL,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    transfer,
)

LARGEST = 10**18


async def test_no_overdraft_to_the_cent(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 100))
    error = await failure_of(bank.create(transfer("payable", "wallet", 101)))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FLOOR_BREACHED")
    assert error.metadata == {
        "account": "wallet",
        "limit": "min_available_minor",
        "limit_minor": "0",
        "balance_minor": "-1",
    }
    await bank.create(transfer("payable", "wallet", 100))
    assert await bank.posted("wallet") == 0


async def test_holds_count_against_an_available_floor_only(bank: LedgerClient) -> None:
    await bank.account("strict", CREDIT_NORMAL, min_posted_minor=0)
    await bank.create(draft(debit("cash", 200), credit("wallet", 100), credit("strict", 100)))
    await bank.hold("payable", "wallet", 60)
    assert (await failure_of(bank.create(transfer("payable", "wallet", 41)))).reason == (
        "FLOOR_BREACHED"
    )
    hold = await bank.hold("payable", "strict", 60)
    await bank.create(transfer("payable", "strict", 41))
    error = await failure_of(bank.post(hold.sequence))
    assert error.metadata["limit"] == "min_posted_minor"
    await bank.post(hold.sequence, {0: 59, 1: 59})


async def test_a_ceiling_counts_incoming_holds_if_it_is_on_available(bank: LedgerClient) -> None:
    await bank.account("capped", CREDIT_NORMAL, max_available_minor=100)
    await bank.account("roomy", CREDIT_NORMAL, max_posted_minor=100)
    for name in ("capped", "roomy"):
        await bank.hold(name, "cash", 60)
    error = await failure_of(bank.create(transfer("capped", "cash", 41)))
    assert (error.reason, error.metadata["balance_minor"]) == ("CEILING_BREACHED", "101")
    await bank.create(transfer("capped", "cash", 40))
    await bank.create(transfer("roomy", "cash", 100))
    assert (await failure_of(bank.create(transfer("roomy", "cash", 1)))).reason == (
        "CEILING_BREACHED"
    )


async def test_a_balance_still_below_its_floor_may_rise(bank: LedgerClient) -> None:
    await bank.account("deposit", CREDIT_NORMAL, min_posted_minor=100)
    await bank.create(transfer("deposit", "cash", 40))
    assert (await failure_of(bank.create(transfer("cash", "deposit", 1)))).reason == (
        "FLOOR_BREACHED"
    )
    await bank.create(transfer("deposit", "cash", 61))
    await bank.create(transfer("cash", "deposit", 1))


async def test_totals_stay_within_64_bits(bank: LedgerClient) -> None:
    for _ in range(9):
        await bank.create(transfer("payable", "cash", LARGEST))
    error = await failure_of(bank.create(transfer("payable", "cash", LARGEST)))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "BALANCE_OVERFLOW")
    rest = 2**63 - 1 - 9 * LARGEST
    await bank.create(transfer("payable", "cash", rest))
    assert await bank.posted("cash") == 2**63 - 1
    assert (await failure_of(bank.create(transfer("payable", "cash", 1)))).reason == (
        "BALANCE_OVERFLOW"
    )


@pytest.mark.parametrize(
    ("condition", "amount", "reason"),
    [
        ({"expected_version": 1}, 10, None),
        ({"expected_version": 0}, 10, "VERSION_MISMATCH"),
        ({"expected_version": 2}, 10, "VERSION_MISMATCH"),
        ({"min_posted_minor": 110}, 10, None),
        ({"min_posted_minor": 111}, 10, "BALANCE_OUT_OF_BOUNDS"),
        ({"max_posted_minor": 110}, 10, None),
        ({"max_posted_minor": 109}, 10, "BALANCE_OUT_OF_BOUNDS"),
        ({"min_available_minor": 111}, 10, "BALANCE_OUT_OF_BOUNDS"),
        ({"max_available_minor": 109}, 10, "BALANCE_OUT_OF_BOUNDS"),
    ],
)
async def test_preconditions(
    bank: LedgerClient, condition: dict[str, Any], amount: int, reason: str | None
) -> None:
    await bank.create(transfer("wallet", "cash", 100))
    request = draft(
        debit("cash", amount),
        credit("wallet", amount, precondition=Precondition(**condition)),
    )
    if reason is None:
        assert (await bank.create(request)).sequence == 2
    else:
        assert (await failure_of(bank.create(request))).reason == reason


async def test_an_account_closes_at_zero_only_and_for_good(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 100))
    error = await failure_of(bank.close("wallet"))
    assert (error.reason, error.metadata["posted_minor"]) == ("ACCOUNT_NOT_EMPTY", "100")
    hold = await bank.hold("payable", "wallet", 100)
    await bank.post(hold.sequence, {0: 99, 1: 99}, remainder=REMAINDER_KEEP)
    await bank.create(transfer("wallet", "payable", 99))
    await bank.void(hold.sequence)
    await bank.create(transfer("payable", "wallet", 100))
    closed = await bank.close("wallet")
    assert closed.state == ACCOUNT_STATE_CLOSED
    error = await failure_of(bank.create(transfer("wallet", "cash", 1)))
    assert (error.reason, error.metadata["account"]) == ("ACCOUNT_CLOSED", "wallet")
    assert (await failure_of(bank.close("wallet"))).reason == "ACCOUNT_CLOSED"
    assert (await failure_of(bank.account("wallet"))).reason == "ACCOUNT_ALREADY_EXISTS"
    assert (await failure_of(bank.reverse(1))).reason == "ACCOUNT_CLOSED"


async def test_an_account_with_a_hold_does_not_close(bank: LedgerClient) -> None:
    await bank.hold("payable", "cash", 5)
    error = await failure_of(bank.close("payable"))
    assert error.metadata["pending_credits_minor"] == "5"
