"""What the ledger and the gateway tell as items."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_EXPLAINED,
    BALANCE_TRANSACTION_STATE_MISSING,
    BalanceTransaction,
)
from gateway.v1.payout_pb2 import (
    PAYOUT_STATE_BLOCKED,
    PAYOUT_STATE_CANCELED,
    PAYOUT_STATE_CREATING,
    PAYOUT_STATE_FAILED,
    PAYOUT_STATE_IN_REVIEW,
    PAYOUT_STATE_IN_TRANSIT,
    PAYOUT_STATE_PAID,
    PAYOUT_STATE_PENDING,
    Payout,
    PayoutState,
)
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT, Direction
from ledger.v1.entry_pb2 import ENTRY_EFFECT_HOLD, ENTRY_EFFECT_POST, Entry, EntryEffect
from ledger.v1.transaction_pb2 import Transaction
from money.v1.money_pb2 import Money
from reconciliation.matching.item import Content, Leg, Source, State, takes_part
from reconciliation.sources import stripe_items
from reconciliation.sources.ledger import items_of
from reconciliation.sources.stripe_items import balance_transaction_item

WHEN = datetime(2026, 3, 1, 23, 59, 59, 5, tzinfo=UTC)


def entry(
    account: str,
    minor: int,
    direction: Direction.ValueType,
    effect: EntryEffect.ValueType = ENTRY_EFFECT_POST,
    currency: str = "EUR",
) -> Entry:
    amount = Money(currency_code=currency, minor_units=minor)
    return Entry(account=account, amount=amount, direction=direction, effect=effect)


def transaction(*entries: Entry, sequence: int = 7, **metadata: str) -> Transaction:
    made = Transaction(
        sequence=sequence, request_id="refund.re_1", entries=entries, metadata=metadata
    )
    made.effective_time.FromDatetime(WHEN)
    return made


def moved(sequence: int = 3, **changes: Any) -> BalanceTransaction:
    fields: dict[str, Any] = {
        "id": "txn_1",
        "corridor": "us",
        "type": "charge",
        "net": Money(currency_code="EUR", minor_units=970),
        "source_id": "ch_1",
        "source_type": "charge",
        "stripe_payout_id": "po_1",
        "state": BALANCE_TRANSACTION_STATE_EXPLAINED,
    }
    made = BalanceTransaction(sequence=sequence, **(fields | changes))
    made.stripe_create_time.FromDatetime(WHEN)
    return made


def test_a_transaction_is_what_it_does_to_the_balance_at_stripe() -> None:
    [item] = items_of(
        transaction(
            entry("us/eur/stripe/pending", 1_000, DIRECTION_CREDIT),
            entry("us/eur/stripe/available", 30, DIRECTION_DEBIT),
            entry("us/eur/merchants/m_1/refunds", 970, DIRECTION_DEBIT),
            refund_id="re_1",
            charge_id="ch_1",
            payment_id="pay_1",
            merchant_id="m_1",
            hold_id="op_1",
            fact="refund_created",
        )
    )
    assert (item.source, item.corridor, item.key) == (Source.LEDGER, "us", "refund.re_1:EUR")
    assert (item.currency, item.amount_minor) == ("EUR", -970)
    assert (item.instant, item.book_date) == (WHEN, WHEN.date())
    assert item.tokens == {"re_1", "ch_1"}
    assert item.revision == 7


def test_each_corridor_and_currency_has_its_item() -> None:
    items = items_of(
        transaction(
            entry("us/eur/stripe/pending", 10, DIRECTION_CREDIT),
            entry("us/usd/stripe/pending", 11, DIRECTION_DEBIT, currency="USD"),
            entry("eu/eur/stripe/pending", 12, DIRECTION_DEBIT),
        )
    )
    assert [(i.corridor, i.currency, i.amount_minor) for i in items] == [
        ("eu", "EUR", 12),
        ("us", "EUR", -10),
        ("us", "USD", 11),
    ]


def test_an_adjustment_is_what_it_does_to_the_bank_too() -> None:
    entries = [
        entry("us/eur/bank", 15, DIRECTION_CREDIT),
        entry("us/eur/fees", 15, DIRECTION_DEBIT),
        entry("us/usd/bank", 9, DIRECTION_DEBIT, currency="USD"),
        entry("us/usd/bank", 9, DIRECTION_CREDIT, currency="USD"),
        entry("us/eur/bank", 1, DIRECTION_DEBIT, ENTRY_EFFECT_HOLD),
        entry("us/eur/bank/x", 1, DIRECTION_DEBIT),
    ]
    [item] = items_of(transaction(*entries, kind="reconciliation.adjustment", adjusts_id="t"))
    assert (item.source, item.corridor, item.key) == (Source.ADJUSTMENT, "us", "refund.re_1:EUR")
    assert (item.currency, item.amount_minor) == ("EUR", -15)
    assert item.tokens == {"t"}
    assert item.fee_minor is None
    assert list(items_of(transaction(*entries, kind="payout_paid", payout_id="po_1"))) == []
    assert takes_part(Leg.BANKED, item)
    assert not takes_part(Leg.BOOKED, item)


@pytest.mark.parametrize(
    "entries",
    [
        [
            entry("us/eur/stripe/pending", 5, DIRECTION_CREDIT),
            entry("us/eur/stripe/available", 5, DIRECTION_DEBIT),
        ],
        [entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT, ENTRY_EFFECT_HOLD)],
        [entry("us/eur/bank", 5, DIRECTION_DEBIT)],
        [entry("us/eur/merchants/stripe/payable", 5, DIRECTION_DEBIT)],
        [entry("stripe", 5, DIRECTION_DEBIT)],
    ],
    ids=["within", "held", "bank", "a merchant of that name", "no path"],
)
def test_what_changes_no_balance_at_stripe_is_no_item(entries: list[Entry]) -> None:
    assert list(items_of(transaction(*entries, charge_id="ch_1"))) == []


def test_what_was_booked_again_elsewhere_is_the_same() -> None:
    one = transaction(entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT), sequence=7)
    other = transaction(entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT), sequence=9)
    other.entries[0].balance_after.version = 4
    other.record_time.FromDatetime(WHEN)
    [before], [after] = items_of(one), items_of(other)
    assert (before.id, before.sha256) == (after.id, after.sha256)
    other.entries[0].amount.minor_units = 6
    [changed] = items_of(other)
    assert changed.sha256 != before.sha256


def test_a_balance_transaction_is_its_net() -> None:
    item = balance_transaction_item(moved(), epoch=2)
    assert (item.source, item.corridor, item.key) == (Source.STRIPE, "us", "txn_1")
    assert (item.currency, item.amount_minor) == ("EUR", 970)
    assert (item.instant, item.book_date) == (WHEN, WHEN.date())
    assert item.tokens == {"txn_1", "ch_1"}
    assert (item.group, item.state) == ("po_1", State.BOOKED)
    # What is told after a restore comes after all that was told before.
    assert item.revision > balance_transaction_item(moved(sequence=2**39), epoch=1).revision


def test_a_payout_is_no_part_of_its_content_and_what_is_missing_takes_no_part() -> None:
    itself: dict[str, Any] = {"type": "payout", "source_type": "payout", "source_id": "po_1"}
    assert balance_transaction_item(moved(**itself), 0).group == ""
    # What came back of one, and a manual one, are content of the payout that Stripe makes next.
    for type_ in ("payout", "payout_failure", "payout_cancel"):
        assert balance_transaction_item(moved(**itself | {"type": type_}), 0).group == ""
        later = balance_transaction_item(
            moved(**itself | {"type": type_, "stripe_payout_id": "po_2"}), 0
        )
        assert later.group == "po_2"
    assert balance_transaction_item(moved(source_id=""), 0).tokens == {"txn_1"}
    gone = balance_transaction_item(moved(state=BALANCE_TRANSACTION_STATE_MISSING), 0)
    assert gone.state is State.PENDING


def paid_out(**changes: Any) -> Payout:
    """A payout of Stripe's schedule."""
    fields: dict[str, Any] = {
        "id": "pyo_1",
        "stripe_payout_id": "po_1",
        "corridor": "us",
        "state": PAYOUT_STATE_PAID,
        "amount": Money(currency_code="EUR", minor_units=970),
        "automatic": True,
        "method": "standard",
        "reconciliation_status": "completed",
        "content_complete": True,
        "trace_id": "REF1",
    }
    made = Payout(**(fields | changes))
    made.stripe_create_time.FromDatetime(WHEN)
    made.arrival_time.FromDatetime(WHEN + timedelta(days=2))
    return made


def test_a_payout_is_what_it_brings_to_the_bank() -> None:
    item = stripe_items.payout_item(paid_out(), revision=7)
    assert (item.source, item.corridor, item.key) == (Source.PAYOUT, "us", "po_1")
    assert (item.currency, item.amount_minor) == ("EUR", 970)
    # It is booked on the day on which it is to arrive.
    assert (item.instant, item.book_date) == (WHEN, date(2026, 3, 3))
    assert item.tokens == {"po_1", "REF1"}
    assert (item.group, item.state, item.content) == ("", State.BOOKED, Content.COMPLETE)
    assert item.revision == 7
    # A debit of the bank is below zero; a reference that is too long for one is none.
    taken = Money(currency_code="EUR", minor_units=-970)
    negative = stripe_items.payout_item(paid_out(amount=taken, trace_id="R" * 129), 8)
    assert negative.amount_minor == -970
    assert negative.tokens == {"po_1"}
    assert stripe_items.payout_item(paid_out(trace_id="R" * 128), 8).tokens == {"po_1", "R" * 128}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (PAYOUT_STATE_PENDING, State.BOOKED),
        (PAYOUT_STATE_IN_TRANSIT, State.BOOKED),
        (PAYOUT_STATE_FAILED, State.RETURNED),
        (PAYOUT_STATE_CANCELED, State.RETURNED),
    ],
)
def test_a_payout_counts_from_the_start_and_owes_nothing_once_it_came_back(
    state: PayoutState.ValueType, expected: State
) -> None:
    assert stripe_items.payout_item(paid_out(state=state), 1).state is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"content_complete": False}, Content.IN_PROGRESS),
        ({"content_complete": False, "reconciliation_status": "in_progress"}, Content.IN_PROGRESS),
        ({"automatic": False, "reconciliation_status": "not_applicable"}, Content.NONE),
        ({"automatic": False}, Content.NONE),
        ({"method": "instant", "content_complete": False}, Content.NONE),
        ({"reconciliation_status": "not_applicable"}, Content.NONE),
        # Of a part of a split payout the primary one has all content.
        ({"primary_payout_id": "po_0"}, Content.NONE),
    ],
)
def test_content_is_known_when_the_gateway_has_read_it(
    changes: dict[str, Any], expected: Content
) -> None:
    item = stripe_items.payout_item(paid_out(**changes), 1)
    assert item.content is expected
    assert item.group == changes.get("primary_payout_id", "")
    assert takes_part(Leg.CONTENT, item) == (expected is not Content.NONE or bool(item.group))


def test_merchants_payouts_and_those_that_stripe_does_not_have_are_no_items() -> None:
    assert stripe_items.is_ours(paid_out())
    assert not stripe_items.is_ours(paid_out(connected_account_id="acct_1"))
    for state in (PAYOUT_STATE_CREATING, PAYOUT_STATE_IN_REVIEW, PAYOUT_STATE_BLOCKED):
        assert not stripe_items.is_ours(paid_out(state=state))
    for field in ("stripe_create_time", "arrival_time"):
        partial = paid_out()
        partial.ClearField(field)
        assert not stripe_items.is_ours(partial)
