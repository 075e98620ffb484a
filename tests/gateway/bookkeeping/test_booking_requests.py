"""Facts in the ledger's own messages: same fact, same bytes, within the ledger's bounds."""

import re

import pytest
from hypothesis import given

from gateway.bookkeeping.facts import Captured, HoldPlaced, RefundFailed
from gateway.bookkeeping.ledger_requests import (
    account_request,
    accounts_request,
    batch,
    ledger_item,
)
from gateway.bookkeeping.mapping import account_groups
from ledger.v1.account_pb2 import NORMAL_BALANCE_CREDIT, NORMAL_BALANCE_DEBIT
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.transaction_pb2 import REMAINDER_KEEP, REMAINDER_RELEASE
from tests.gateway.bookkeeping.conftest import NOON, about, captured, hold, released
from tests.gateway.bookkeeping.scenarios import Scenario, histories

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+){0,15}")


def test_a_hold_is_a_pending_transaction() -> None:
    item = ledger_item(hold(1), revision=0, required_revision=None).operation
    assert item.request_id == "hold.op_1"
    assert item.create.pending
    assert not item.create.HasField("expire_time"), "a hold never ends by a timer"
    assert item.create.reference == "pay_1"
    assert item.create.effective_time.ToDatetime(NOON.tzinfo) == NOON
    assert [
        (e.account, e.direction, e.amount.currency_code, e.amount.minor_units)
        for e in item.create.entries
    ] == [
        ("us/usd/stripe/pending", DIRECTION_DEBIT, "USD", 1_000),
        ("us/usd/merchants/m_42/payable", DIRECTION_CREDIT, "USD", 1_000),
    ]
    assert dict(item.create.metadata) == {
        "fact": "hold_placed",
        "payment_id": "pay_1",
        "merchant_id": "m_42",
        "hold_id": "op_1",
    }


@pytest.mark.parametrize(
    ("final", "remainder"), [(True, REMAINDER_RELEASE), (False, REMAINDER_KEEP)]
)
def test_a_capture_posts_its_part_of_the_hold(final: bool, remainder: int) -> None:
    fact = Captured(**about(1), hold_id="op_1", charge_id="ch_1", amount_minor=600, final=final)
    post = ledger_item(fact, revision=0, required_revision=0).operation.post
    assert post.pending.request_id == "hold.op_1"
    assert [(part.entry_index, part.amount_minor) for part in post.parts] == [(0, 600), (1, 600)]
    assert post.remainder == remainder


def test_a_release_voids_the_hold() -> None:
    item = ledger_item(released(1), revision=0, required_revision=1).operation
    assert item.void.pending.request_id == "hold.op_1:1"
    assert item.void.metadata["reason"] == "declined"


def test_a_failed_refund_reverses_the_refund() -> None:
    fact = RefundFailed(**about(1), refund_id="re_1", amount_minor=5)
    reversal = ledger_item(fact, revision=0, required_revision=0).operation.reversal
    assert (reversal.original.request_id, len(reversal.parts)) == ("refund.re_1", 0)


def test_what_builds_on_an_unbooked_fact_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match=r"captured\.op_1\.1 builds on hold\.op_1"):
        ledger_item(captured(1), revision=0, required_revision=None)


def test_a_retry_after_a_refusal_has_another_request_id() -> None:
    item = ledger_item(hold(1), revision=2, required_revision=None)
    assert item.operation.request_id == "hold.op_1:2"


def test_accounts_grow_on_their_sides() -> None:
    shared, merchant = (accounts_request("payments", g) for g in account_groups(hold(1)))
    sides = {a.name: a.normal_balance for r in (shared, merchant) for a in r.accounts}
    assert sides == {
        "us/usd/stripe/pending": NORMAL_BALANCE_DEBIT,
        "us/usd/stripe/available": NORMAL_BALANCE_DEBIT,
        "us/usd/fees": NORMAL_BALANCE_DEBIT,
        "us/usd/application_fees": NORMAL_BALANCE_CREDIT,
        "us/usd/conversion": NORMAL_BALANCE_DEBIT,
        "us/usd/payouts_in_transit": NORMAL_BALANCE_DEBIT,
        "us/usd/bank": NORMAL_BALANCE_DEBIT,
        "us/usd/suspense": NORMAL_BALANCE_CREDIT,
        "us/usd/merchants/m_42/payable": NORMAL_BALANCE_CREDIT,
        "us/usd/merchants/m_42/refunds": NORMAL_BALANCE_DEBIT,
        "us/usd/merchants/m_42/disputes_held": NORMAL_BALANCE_DEBIT,
    }


@given(histories())
def test_requests_keep_to_the_ledgers_bounds(history: Scenario) -> None:
    items = [ledger_item(step.fact, revision=0, required_revision=0) for step in history]
    request = batch("payments", items)
    assert request == batch("payments", items)
    assert REQUEST_ID.fullmatch(request.request_id)
    for item in items:
        assert REQUEST_ID.fullmatch(item.operation.request_id)
        assert len(item.operation.create.entries) in (0, 2, 3, 4)
        for group in item.account_groups:
            assert REQUEST_ID.fullmatch(accounts_request("payments", group).request_id)
            for account in group:
                assert ACCOUNT_NAME.fullmatch(account.path)
                assert REQUEST_ID.fullmatch(account_request("payments", account).request_id)


def test_the_longest_names_fit() -> None:
    fact = HoldPlaced(
        **{**about(1), "corridor": "c" * 64, "merchant_id": "m" * 64, "payment_id": "p" * 64},
        hold_id="h" * 64,
        amount_minor=1,
    )
    item = ledger_item(fact, revision=999, required_revision=None)
    assert REQUEST_ID.fullmatch(item.operation.request_id)
    for entry in item.operation.create.entries:
        assert len(entry.account) <= 256


def test_a_batch_put_together_differently_is_another_batch() -> None:
    one, two = (ledger_item(hold(n), revision=0, required_revision=None) for n in (1, 2))
    ids = {batch("payments", items).request_id for items in ([one], [two], [one, two], [two, one])}
    assert len(ids) == 4
