"""What each step of a payment tells the books, whole, and what a charge tells of its settlement."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.bookkeeping.balance_facts import ApplicationFeeEarned, FundsAvailable, TransferCreated
from gateway.bookkeeping.facts import (
    Captured,
    Converted,
    FeeCharged,
    HoldPlaced,
    HoldReleased,
    RefundCreated,
    RefundFailed,
    ReleaseReason,
    StripeBalance,
)
from gateway.money import PartOfMinorUnitError
from gateway.payments.domain.money_facts import (
    ChargeFee,
    facts_of,
    facts_of_refund,
    fee_facts,
    fee_of,
    fee_step,
    is_fee_of,
)
from gateway.payments.domain.payment import Change
from gateway.payments.domain.refund import Refund, RefundState
from gateway.payments.domain.states import PaymentState
from tests.gateway.payments.outcomes import CREATED, NOW, payment_in, step

S = PaymentState
ABOUT: dict[str, Any] = {
    "corridor": "default",
    "currency": "EUR",
    "effective_time": NOW,
    "payment_id": "pay_1",
    "merchant_id": "m_1",
}
CHECKED = payment_in(S.COMPLIANCE_CHECKED)
AUTHORIZING = payment_in(S.AUTHORIZING)
CAPTURED: dict[str, Any] = {
    "captured_minor": 700,
    "authorized_minor": 1000,
    "charge_id": "ch_1",
    "payment_intent_id": "pi_1",
    "hold_id": "",
}


def test_a_payment_that_was_made_moves_nothing() -> None:
    assert facts_of(Change(None, payment_in(S.AUTHORIZING), "received"), NOW) == []


def test_a_hold_is_placed_before_stripe_is_asked() -> None:
    started = step(CHECKED, "authorization_started", S.AUTHORIZING, hold_id="op_2")
    assert facts_of(started, NOW) == [HoldPlaced(**ABOUT, hold_id="op_2", amount_minor=1000)]
    # And stands while it is known what for.
    seen = step(AUTHORIZING, "authorized", S.AUTHORIZED, authorized_minor=1000)
    assert facts_of(seen, NOW) == []


@pytest.mark.parametrize(
    ("transition", "state", "reason"),
    [
        ("declined", S.DECLINED, ReleaseReason.DECLINED),
        ("retry_scheduled", S.RETRY_SCHEDULED, ReleaseReason.DECLINED),
        ("canceled", S.CANCELED, ReleaseReason.CANCELED),
        ("expired", S.EXPIRED, ReleaseReason.EXPIRED),
        ("failed", S.FAILED, ReleaseReason.FAILED),
        ("queued", S.QUEUED, ReleaseReason.FAILED),
        ("failed_over", S.RECEIVED, ReleaseReason.FAILED),
        ("retry_postponed", S.RETRY_SCHEDULED, ReleaseReason.FAILED),
    ],
)
def test_a_hold_is_released_at_the_account_that_it_was_placed_at(
    transition: str, state: PaymentState, reason: ReleaseReason
) -> None:
    change = step(AUTHORIZING, transition, state, hold_id="", corridor="backup")
    assert facts_of(change, NOW) == [
        HoldReleased(**ABOUT, hold_id="op_0", amount_minor=1000, reason=reason)
    ]


def test_a_capture_takes_its_hold_or_one_of_its_own() -> None:
    taken = Captured(**ABOUT, hold_id="op_0", charge_id="ch_1", amount_minor=700)
    assert facts_of(step(AUTHORIZING, "captured", S.SUCCEEDED, **CAPTURED), NOW) == [taken]
    # One that surfaces after its hold was released.
    failed = payment_in(S.FAILED)
    assert facts_of(step(failed, "captured", S.SUCCEEDED, **CAPTURED), NOW) == [
        HoldPlaced(**ABOUT, hold_id="pi_1", amount_minor=1000),
        replace(taken, hold_id="pi_1"),
    ]


REFUND = Refund(
    id="ref_1",
    request_id="r-1",
    payment_id="pay_1",
    state=RefundState.PENDING,
    amount_minor=300,
    create_time=CREATED,
    update_time=CREATED,
    untaken=True,
)
TAKEN = replace(REFUND, stripe_refund_id="re_1", untaken=False)
BACK = replace(TAKEN, state=RefundState.FAILED)
OWED = replace(BACK, unreturned=True)


@pytest.mark.parametrize("balance", StripeBalance)
def test_a_refund_moves_when_stripe_takes_it_and_when_it_comes_back(balance: StripeBalance) -> None:
    payment = payment_in(S.SUCCEEDED)
    taken = replace(TAKEN, balance=balance.value)
    created = RefundCreated(**ABOUT, refund_id="re_1", amount_minor=300, balance=balance)
    returned = RefundFailed(**ABOUT, refund_id="re_1", amount_minor=300)
    back = replace(BACK, balance=balance.value)
    assert facts_of_refund(payment, REFUND, taken, NOW) == [created]
    assert facts_of_refund(payment, taken, back, NOW) == [returned]
    assert facts_of_refund(payment, OWED, back, NOW) == [returned]
    assert facts_of_refund(payment, REFUND, back, NOW) == [created, returned]
    for before, after in ((taken, taken), (back, back), (taken, OWED), (REFUND, REFUND)):
        assert facts_of_refund(payment, before, after, NOW) == []


def charge(transaction: Any, **values: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "currency": "eur",
        "amount_captured": 1000,
        "balance_transaction": transaction,
        **values,
    }


def settled(**values: Any) -> dict[str, Any]:
    return {
        "id": "txn_1",
        "currency": "eur",
        "fee": 30,
        "amount": 1000,
        "status": "pending",
        **values,
    }


PLAIN = ChargeFee("txn_1", "ch_1", "EUR", 30, 1000, False, "", 1000, "", 0)


@pytest.mark.parametrize(
    ("told", "fee"),
    [
        (charge(settled()), PLAIN),
        (charge(settled(status="available")), replace(PLAIN, available=True)),
        (
            charge(settled(currency="usd", amount=1086, fee=33)),
            replace(PLAIN, currency="USD", settled_minor=1086, fee_minor=33),
        ),
        # In Stripe's units on both sides: ISK has two decimals there, and none here.
        (
            charge(settled(currency="isk", amount=150_000, fee=500)),
            replace(PLAIN, currency="ISK", settled_minor=1500, fee_minor=5),
        ),
        (
            charge(
                settled(),
                currency="isk",
                amount_captured=150_000,
                transfer="tr_1",
                application_fee="fee_1",
                application_fee_amount=700,
            ),
            replace(
                PLAIN,
                transfer_id="tr_1",
                transfer_minor=1500,
                application_fee_id="fee_1",
                application_fee_minor=7,
            ),
        ),
        (
            charge(settled(), transfer="tr_1", transfer_data={"amount": 600}),
            replace(PLAIN, transfer_id="tr_1", transfer_minor=600),
        ),
        # Of a part no more goes on than was captured, and no more of it is a fee.
        (
            charge(
                settled(),
                transfer="tr_1",
                transfer_data={"amount": 1001},
                application_fee="fee_1",
                application_fee_amount=1002,
            ),
            replace(
                PLAIN,
                transfer_id="tr_1",
                application_fee_id="fee_1",
                application_fee_minor=1000,
            ),
        ),
        (
            charge(settled(), transfer=None, transfer_data={"amount": None}, application_fee=None),
            PLAIN,
        ),
    ],
)
def test_what_a_charge_tells_of_its_settlement(told: dict[str, Any], fee: ChargeFee) -> None:
    assert fee_of(told) == fee


@pytest.mark.parametrize("transaction", [None, "txn_1"])
def test_a_charge_that_is_not_settled_has_no_fee(transaction: str | None) -> None:
    assert fee_of(charge(transaction)) is None
    assert fee_of({"id": "ch_1"}) is None


@pytest.mark.parametrize(
    "told",
    [
        charge(settled(currency="isk", amount=150)),
        charge(settled(currency="isk", amount=100, fee=50)),
        charge(settled(), currency="isk", amount_captured=150),
    ],
)
def test_a_part_of_a_minor_unit_is_not_booked(told: dict[str, Any]) -> None:
    with pytest.raises(PartOfMinorUnitError):
        fee_of(told)


@pytest.mark.parametrize("known", ["", "ch_1"])
def test_a_fee_becomes_known_with_its_charge(known: str) -> None:
    payment = payment_in(S.SUCCEEDED, charge_id=known)
    assert is_fee_of(payment, PLAIN)
    assert not is_fee_of(replace(payment, charge_id="ch_2"), PLAIN)
    expected = step(
        payment, "fee_known", S.SUCCEEDED, fee_minor=30, fee_currency="EUR", charge_id="ch_1"
    )
    assert fee_step(payment, PLAIN, NOW) == expected
    other = fee_step(replace(payment, charge_id="ch_0"), PLAIN, NOW)
    assert other.after.charge_id == "ch_0"


def test_a_settled_charge_is_booked_with_all_that_went_on() -> None:
    fee = replace(
        PLAIN,
        available=True,
        transfer_id="tr_1",
        application_fee_id="fee_1",
        application_fee_minor=70,
    )
    payment = payment_in(S.SUCCEEDED)
    charged = FeeCharged(**ABOUT, balance_transaction_id="txn_1", charge_id="ch_1", amount_minor=30)
    free = FundsAvailable(
        corridor="default",
        currency="EUR",
        effective_time=NOW,
        balance_transaction_id="txn_1",
        amount_minor=970,
    )
    assert fee_facts(payment, fee, NOW) == [
        charged,
        free,
        TransferCreated(**ABOUT, transfer_id="tr_1", amount_minor=1000),
        ApplicationFeeEarned(**ABOUT, application_fee_id="fee_1", amount_minor=70),
    ]
    # What went on of a charge that was converted is not told by the charge.
    converted = replace(fee, currency="USD", settled_minor=1086, fee_minor=33)
    in_dollars = {**ABOUT, "currency": "USD"}
    assert fee_facts(payment, converted, NOW) == [
        Converted(
            **ABOUT,
            balance_transaction_id="txn_1",
            amount_minor=1000,
            settled_minor=1086,
            settled_currency="USD",
        ),
        replace(charged, **in_dollars, amount_minor=33),
        replace(free, currency="USD", amount_minor=1053),
    ]
