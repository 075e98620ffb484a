"""What a charge's balance transaction means for the books: compared with what Stripe's balance has.

The model is arithmetic: the balance received the settled amount less the fee; what went on to the
destination left it, and the application fee came back.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import HoldPlaced, StripeBalance
from gateway.payments.domain.money_facts import (
    fee_facts,
    fee_of,
    fee_step,
    is_fee_of,
)
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.states import PaymentState
from tests.gateway.bookkeeping.notebook import Notebook
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PENDING, AVAILABLE = StripeBalance.PENDING, StripeBalance.AVAILABLE
REACHED: set[tuple[bool, bool, bool, bool]] = set()


def captured(amount: int, charge_id: str = "ch_1") -> Payment:
    return new_payment(
        state=PaymentState.SUCCEEDED,
        amount_minor=amount,
        authorized_minor=amount,
        captured_minor=amount,
        charge_id=charge_id,
    )


def charge(amount: int, settled: int, fee: int, **values: Any) -> dict[str, Any]:
    currency, status = values.pop("settled_in", "eur"), values.pop("status", "pending")
    return {
        "id": "ch_1",
        "currency": "eur",
        "amount_captured": amount,
        "balance_transaction": {
            "id": "txn_1",
            "currency": currency,
            "amount": settled,
            "fee": fee,
            "status": status,
        },
        **values,
    }


@given(st.data())
def test_the_books_have_what_stripes_balance_has(data: st.DataObject) -> None:
    amount = data.draw(st.integers(1, 10_000))
    fee = data.draw(st.integers(0, amount))
    is_converted, is_available = data.draw(st.booleans()), data.draw(st.booleans())
    application_fee = data.draw(st.none() | st.integers(0, amount))
    settled = amount * 11 // 10 + 1 if is_converted else amount
    told: dict[str, Any] = {
        "settled_in": "usd" if is_converted else "eur",
        "status": "available" if is_available else "pending",
    }
    is_destination = application_fee is not None
    if is_destination:
        told |= {
            "transfer": "tr_1",
            "application_fee": "fee_1" if application_fee else None,
            "application_fee_amount": application_fee,
        }
    found = fee_of(charge(amount, settled, fee, **told))
    assert found is not None
    payment = captured(amount)
    notebook = Notebook()
    for fact in fee_facts(payment, found, NOW):
        notebook.book(fact)
    ours, theirs = Chart("default", "EUR"), Chart("default", "USD" if is_converted else "EUR")
    books = notebook.debit_balances
    # The capture itself had put the amount into the pending balance of the payment's currency.
    books[ours.stripe(PENDING)] += amount
    # What went on of a converted charge is not told by the charge.
    went_on = is_destination and not is_converted
    net_transfer = amount - (application_fee or 0) if went_on else 0
    assert sum(books[theirs.stripe(part)] for part in StripeBalance) == settled - fee - net_transfer
    assert books[theirs.stripe(AVAILABLE)] == (settled - fee if is_available else 0)
    assert books[theirs.fees] == fee
    assert books[ours.application_fees] == -((application_fee or 0) if went_on else 0)
    assert books[ours.payable("m_1")] == (amount if went_on else 0)
    if is_converted:
        assert books[ours.stripe(PENDING)] == 0
        assert (books[ours.conversion], books[theirs.conversion]) == (amount, -settled)
    REACHED.add((is_converted, is_available, bool(application_fee), fee > 0))

    after = fee_step(payment, found, NOW).after
    assert (after.fee_minor, after.fee_currency, after.charge_id) == (
        *(fee, theirs.currency, "ch_1"),
    )


def test_every_kind_of_charge_was_reached() -> None:
    test_the_books_have_what_stripes_balance_has()
    kinds = {kind[:3] for kind in REACHED}
    assert len(kinds) == 8
    assert {kind[3] for kind in REACHED} == {True, False}


def test_a_converted_destination_charge_has_no_empty_transfer() -> None:
    told = charge(
        *(1000, 1100, 30),
        settled_in="usd",
        transfer="tr_1",
        application_fee="fee_1",
        application_fee_amount=100,
    )
    found = fee_of(told)
    assert found is not None
    kinds = [type(fact).__name__ for fact in fee_facts(captured(1000), found, NOW)]
    assert kinds == ["Converted", "FeeCharged"]


def test_an_amount_for_the_destination_is_all_that_goes_on() -> None:
    told = charge(1000, 1000, 30, transfer="tr_1", transfer_data={"amount": 700})
    found = fee_of(told)
    assert found is not None
    assert (found.transfer_minor, found.application_fee_minor) == (700, 0)
    # Of a capture in part no more goes on than was captured, and no more comes back than went on.
    told = charge(
        *(500, 500, 30),
        transfer="tr_1",
        transfer_data={"amount": 700},
        application_fee="fee_1",
        application_fee_amount=600,
    )
    found = fee_of(told)
    assert found is not None
    assert (found.transfer_minor, found.application_fee_minor) == (500, 500)


@pytest.mark.parametrize("transaction", [None, "txn_1"])
def test_without_a_balance_transaction_there_is_no_fee_yet(transaction: str | None) -> None:
    assert fee_of({**charge(1000, 1000, 30), "balance_transaction": transaction}) is None


def test_a_fee_of_another_charge_is_not_the_payments() -> None:
    found = fee_of(charge(1000, 1000, 30))
    assert found is not None
    assert is_fee_of(captured(1000), found)
    assert is_fee_of(captured(1000, charge_id=""), found)
    assert not is_fee_of(captured(1000, charge_id="ch_2"), found)
    assert fee_step(captured(1000, charge_id=""), found, NOW).after.charge_id == "ch_1"


def test_a_fact_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="cannot be 0"):
        HoldPlaced(
            corridor="default",
            currency="EUR",
            effective_time=NOW,
            payment_id="pay_1",
            merchant_id="m_1",
            hold_id="op_1",
            amount_minor=0,
        )
