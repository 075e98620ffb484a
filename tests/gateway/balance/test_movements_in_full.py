"""A balance transaction as it is read, and the facts of each kind, whole."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.balance.movement import Movement, read_movement
from gateway.balance.movement_facts import (
    account_facts,
    application_fee_facts,
    application_fee_refund_facts,
    become_available,
    beside,
    refund_facts,
    transfer_facts,
    transfer_reversal_facts,
)
from gateway.bookkeeping.balance_facts import (
    AccountFeeCharged,
    ApplicationFeeEarned,
    ApplicationFeeReturned,
    FundsAvailable,
    ToppedUp,
    TransferCreated,
    TransferReversed,
    UnknownBalanceTransaction,
)
from gateway.bookkeeping.facts import Converted, Fact, StripeBalance
from gateway.money import PartOfMinorUnitError

CREATED = datetime(2026, 11, 1, tzinfo=UTC)
LATER = CREATED + timedelta(days=2)
PENDING, AVAILABLE = StripeBalance.PENDING, StripeBalance.AVAILABLE
TOLD: dict[str, Any] = {
    "id": "txn_1",
    "type": "charge",
    "source": "ch_1",
    "currency": "eur",
    "amount": 1000,
    "fee": 30,
    "net": 970,
    "status": "pending",
    "created": int(CREATED.timestamp()),
    "available_on": int(LATER.timestamp()),
}
# Two days until it is available, and not yet so.
MOVEMENT = Movement(
    corridor="default",
    id="txn_1",
    type="charge",
    source_id="ch_1",
    currency="EUR",
    amount_minor=1000,
    fee_minor=30,
    net_minor=970,
    is_available=False,
    create_time=CREATED,
    available_time=LATER,
)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({}, {}),
        (
            {"source": {"id": "ch_2", "object": "charge"}},
            {"source_id": "ch_2", "source_type": "charge"},
        ),
        ({"source": None}, {"source_id": ""}),
        ({"source": {"object": "charge"}}, {"source_id": "", "source_type": "charge"}),
        ({"status": "available"}, {"is_available": True}),
        ({"exchange_rate": 0.93}, {"exchange_rate": "0.93"}),
        ({"exchange_rate": "1.08"}, {"exchange_rate": "1.08"}),
        ({"exchange_rate": 1}, {"exchange_rate": "1"}),
        ({"exchange_rate": None}, {}),
        (
            {"currency": "isk", "amount": -70_000, "fee": 300, "net": -70_300},
            {"currency": "ISK", "amount_minor": -700, "fee_minor": 3, "net_minor": -703},
        ),
    ],
)
def test_a_balance_transaction_as_it_is_read(told: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_movement("default", {**TOLD, **told}) == replace(MOVEMENT, **read)


def test_a_source_that_is_missing_is_none() -> None:
    told = {name: value for name, value in TOLD.items() if name != "source"}
    assert read_movement("default", told) == replace(MOVEMENT, source_id="")


@pytest.mark.parametrize("rate", [0, -1, "0.0"])
def test_a_rate_is_above_zero(rate: object) -> None:
    with pytest.raises(ValueError, match="an exchange rate is above zero"):
        read_movement("default", {**TOLD, "exchange_rate": rate})


@pytest.mark.parametrize("name", ["amount", "fee", "net"])
def test_a_part_of_a_minor_unit_is_not_read(name: str) -> None:
    whole = {"currency": "isk", "amount": 100, "fee": 100, "net": 0}
    with pytest.raises(PartOfMinorUnitError):
        read_movement("default", {**TOLD, **whole, name: 50})


@pytest.mark.parametrize(
    ("type_", "wait", "is_available", "begins", "counts"),
    [
        ("charge", timedelta(days=2), False, PENDING, PENDING),
        ("charge", timedelta(days=2), True, PENDING, AVAILABLE),
        ("charge", timedelta(seconds=1), False, PENDING, PENDING),
        ("charge", timedelta(0), False, AVAILABLE, PENDING),
        ("charge", timedelta(0), True, AVAILABLE, AVAILABLE),
        *[
            (each, timedelta(days=2), False, AVAILABLE, AVAILABLE)
            for each in ("payout", "payout_cancel", "payout_failure")
        ],
    ],
)
def test_the_part_of_the_balance_that_it_counts_in(
    type_: str, wait: timedelta, is_available: bool, begins: StripeBalance, counts: StripeBalance
) -> None:
    movement = replace(
        MOVEMENT, type=type_, available_time=CREATED + wait, is_available=is_available
    )
    assert (movement.begins_in, movement.counts_in) == (begins, counts)


ABOUT: dict[str, Any] = {"corridor": "default", "currency": "EUR", "effective_time": CREATED}
OF_PAYMENT: dict[str, Any] = {**ABOUT, "payment_id": "pay_1", "merchant_id": "m_1"}
NAMES = ("pay_1", "m_1")


def moved(
    amount_minor: int, fee_minor: int = 0, *, at_once: bool = False, **values: Any
) -> Movement:
    """A movement of so much; what is available at once begins so."""
    return replace(
        MOVEMENT,
        amount_minor=amount_minor,
        fee_minor=fee_minor,
        net_minor=amount_minor - fee_minor,
        available_time=CREATED if at_once else LATER,
        **{"is_available": at_once, **values},
    )


def fee(amount_minor: int, balance: StripeBalance, type_: str = "charge") -> AccountFeeCharged:
    return AccountFeeCharged(
        **ABOUT,
        balance_transaction_id="txn_1",
        type=type_,
        amount_minor=amount_minor,
        balance=balance,
    )


def free(amount_minor: int, when: datetime = LATER) -> FundsAvailable:
    """That it became available, as a rule some time after it was made."""
    about = {**ABOUT, "effective_time": when}
    return FundsAvailable(**about, balance_transaction_id="txn_1", amount_minor=amount_minor)


@pytest.mark.parametrize(
    ("movement", "booked_in", "facts"),
    [
        (moved(1000), PENDING, []),
        (moved(1000, 30), PENDING, [fee(30, PENDING)]),
        (moved(1000, 30), AVAILABLE, [fee(30, PENDING)]),
        (moved(1000, 30, is_available=True), PENDING, [fee(30, PENDING), free(970)]),
        # What was booked as available has to become so no more: only the fee was pending.
        (moved(1000, 30, is_available=True), AVAILABLE, [fee(30, PENDING), free(-30)]),
        (moved(1000, is_available=True), AVAILABLE, []),
        (moved(1000, is_available=True), PENDING, [free(1000)]),
        (moved(30, 30, is_available=True), PENDING, [fee(30, PENDING)]),
        (moved(1000, 30, at_once=True), PENDING, [fee(30, AVAILABLE), free(1000, CREATED)]),
        (moved(1000, 30, at_once=True), AVAILABLE, [fee(30, AVAILABLE)]),
        (moved(1000, -30, is_available=True), PENDING, [fee(-30, PENDING), free(1030)]),
    ],
)
def test_what_goes_beside_an_amount(
    movement: Movement, booked_in: StripeBalance, facts: list[Fact]
) -> None:
    assert beside(movement, booked_in) == facts


@pytest.mark.parametrize(
    ("movement", "facts"),
    [
        (moved(1000, 30), []),
        (moved(1000, 30, is_available=True), [free(970)]),
        (moved(1000, 30, at_once=True), []),
        (moved(30, 30, is_available=True), []),
    ],
)
def test_what_has_become_available(movement: Movement, facts: list[Fact]) -> None:
    assert become_available(movement) == facts


@pytest.mark.parametrize("type_", ["refund", "payment_refund", "refund_failure"])
@pytest.mark.parametrize("balance", StripeBalance)
def test_a_refund_in_another_currency_was_converted(type_: str, balance: StripeBalance) -> None:
    movement = moved(-930, 20, type=type_)
    about: dict[str, Any] = {
        "payment_id": "pay_1",
        "merchant_id": "m_1",
        "refunded_minor": 1000,
        "balance": balance,
    }
    converted = Converted(
        **{**OF_PAYMENT, "currency": "USD"},
        balance_transaction_id="txn_1",
        amount_minor=1000,
        settled_minor=930,
        settled_currency="EUR",
        incoming=type_ == "refund_failure",
        balance=balance,
    )
    charged = fee(20, PENDING, type_)
    assert refund_facts(movement, currency="USD", **about) == [converted, charged]
    assert refund_facts(movement, currency="EUR", **about) == [charged]
    # What has become available goes by the part that it was booked in.
    since = replace(movement, is_available=True)
    left = free(-950 if balance is PENDING else -20)
    assert refund_facts(since, currency="EUR", **about) == [charged, left]


def test_what_goes_on_to_a_destination_and_comes_back() -> None:
    out, back = moved(-600, 5, type="transfer"), moved(400, 5, type="transfer_refund")
    created = TransferCreated(**OF_PAYMENT, transfer_id="tr_1", amount_minor=600)
    assert transfer_facts(out, "tr_1", *NAMES) == [
        created,
        *beside(out, created.balance),
    ]
    for at_once, balance in ((False, PENDING), (True, AVAILABLE)):
        movement = replace(back, available_time=CREATED if at_once else LATER)
        assert transfer_reversal_facts(movement, "tr_1", *NAMES) == [
            TransferReversed(
                **OF_PAYMENT,
                transfer_id="tr_1",
                balance_transaction_id="txn_1",
                amount_minor=400,
                balance=balance,
            ),
            fee(5, balance, "transfer_refund"),
        ]


def test_an_application_fee_and_what_is_given_back_of_it() -> None:
    earned = ApplicationFeeEarned(**OF_PAYMENT, application_fee_id="fee_1", amount_minor=70)
    movement = moved(70, 5, type="application_fee")
    assert application_fee_facts(movement, "fee_1", *NAMES) == [
        earned,
        *beside(movement, earned.balance),
    ]
    for at_once, balance in ((False, PENDING), (True, AVAILABLE)):
        back = moved(-70, 5, type="application_fee_refund")
        back = replace(back, available_time=CREATED if at_once else LATER)
        assert application_fee_refund_facts(back, "fee_1", *NAMES) == [
            ApplicationFeeReturned(
                **OF_PAYMENT,
                application_fee_id="fee_1",
                balance_transaction_id="txn_1",
                amount_minor=70,
                balance=balance,
            ),
            fee(5, balance, "application_fee_refund"),
        ]


def test_where_a_transfer_and_a_fee_are_booked() -> None:
    assert transfer_facts(moved(-600, 5), "tr_1", *NAMES)[1:] == [fee(5, PENDING)]
    at_once = moved(-600, 5, at_once=True)
    assert transfer_facts(at_once, "tr_1", *NAMES)[1:] == [
        fee(5, AVAILABLE),
        free(-600, CREATED),
    ]
    assert application_fee_facts(moved(70, 5), "fee_1", *NAMES)[1:] == [fee(5, PENDING)]


IN_SUSPENSE = {**ABOUT, "balance_transaction_id": "txn_1"}


@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_of_the_account(at_once: bool) -> None:
    balance = AVAILABLE if at_once else PENDING

    def of(amount_minor: int, type_: str) -> list[Fact]:
        return account_facts(moved(amount_minor, 5, at_once=at_once, type=type_))

    for type_ in ("topup", "topup_reversal"):
        assert of(900, type_) == [
            ToppedUp(**IN_SUSPENSE, amount_minor=900, balance=balance),
            fee(5, balance, type_),
        ]
    for type_ in ("stripe_fee", "stripe_fx_fee", "tax_fee", "network_cost"):
        assert of(-45, type_) == [fee(50, balance, type_)]
        assert of(5, type_) == []
    assert of(905, "brand_new") == [
        UnknownBalanceTransaction(
            **IN_SUSPENSE, type="brand_new", amount_minor=900, balance=balance
        )
    ]
    assert of(5, "brand_new") == []
    # A top-up of nothing is only its fee.
    assert of(0, "topup") == [fee(5, balance, "topup")]


def test_what_is_of_the_account_becomes_available() -> None:
    since = moved(905, 5, type="brand_new", is_available=True)
    assert account_facts(since)[1:] == [free(900)]
    topped_up = moved(905, 5, type="topup", is_available=True)
    assert account_facts(topped_up)[1:] == [fee(5, PENDING, "topup"), free(900)]
    charged = moved(-50, type="stripe_fee", is_available=True)
    assert account_facts(charged)[1:] == [free(-50)]
