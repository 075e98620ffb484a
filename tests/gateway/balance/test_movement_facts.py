"""Balance transactions as facts: whatever Stripe shows, its balance is in the books to the cent.

The model is Stripe's own arithmetic: a movement's net counts in the part of the balance that it is
in. The facts are those that the engine reports of it, first as pending and again as available.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.balance import movement_facts
from gateway.balance.movement import PAYOUTS, FeeDetail, Movement, read_movement
from gateway.balance.types import TYPES
from gateway.bookkeeping.balance_facts import AccountMoved, UnknownBalanceTransaction
from gateway.bookkeeping.chart import Chart, Contra
from gateway.bookkeeping.codec import from_json, kind_of, to_json
from gateway.bookkeeping.facts import Fact, RefundCreated, RefundFailed, StripeBalance
from gateway.payouts.domain import Payout, PayoutState, payout_facts
from tests.gateway.bookkeeping.notebook import Notebook

NOW = datetime(2026, 11, 1, tzinfo=UTC)
# Two, zero and three decimals.
CURRENCIES = ("USD", "JPY", "KWD")
OTHER_TYPES = ("adjustment", "from_another_planet")
# The balances besides that of payments.
OTHER_BALANCES = (None, *(part for part in StripeBalance if not part.is_of_payments))
ABOUT: dict[str, Any] = {"payment_id": "pay_1", "merchant_id": "m_1"}
AMOUNTS = st.integers(-(10**9), 10**9).filter(bool)

Books = Counter[tuple[str, str, StripeBalance]]


@st.composite
def movements(
    draw: st.DrawFn,
    number: int,
    types: tuple[str, ...],
    balances: tuple[StripeBalance | None, ...] = (None,),
) -> Movement:
    """A balance transaction of one of the types, of either sign, with or without a fee."""
    amount, fee = draw(AMOUNTS), draw(st.integers(-500, 500))
    return Movement(
        corridor=draw(st.sampled_from(("us", "eu"))),
        id=f"txn_{number}",
        type=draw(st.sampled_from(types)),
        source_id="",
        currency=draw(st.sampled_from(CURRENCIES)),
        amount_minor=amount,
        fee_minor=fee,
        net_minor=amount - fee,
        is_available=False,
        create_time=NOW,
        available_time=NOW + timedelta(days=draw(st.sampled_from((0, 2)))),
        reporting_category=draw(st.sampled_from(("", "fee", "other_adjustment"))),
        other_balance=draw(st.sampled_from(balances)),
    )


def snapshots(movement: Movement) -> list[Movement]:
    """The movement as it is seen first, and once it is available."""
    at_once = movement.begins_in is StripeBalance.AVAILABLE
    ripe = Movement(**{name: getattr(movement, name) for name in Movement.__slots__} | RIPE)
    return [ripe] if at_once else [movement, ripe]


RIPE: dict[str, Any] = {"is_available": True}


class Model:
    """Stripe's balance, and our books, after each snapshot of each movement."""

    def __init__(self) -> None:
        self.notebook = Notebook()
        self.booked: dict[str, dict[str, Any]] = {}

    def report(self, facts: list[Fact]) -> None:
        """Books what is news; what was reported before says the same."""
        for fact in facts:
            content = {**to_json(fact), "effective_time": None}
            assert self.booked.setdefault(fact.id, content) == content
            if content is self.booked[fact.id]:
                assert from_json(kind_of(fact), to_json(fact)) == fact
                self.notebook.book(fact)

    def check(self, books: Books) -> None:
        """The ledger's Stripe accounts are Stripe's balance."""
        for (corridor, currency, part), minor in books.items():
            account = Chart(corridor, currency).stripe(part)
            assert self.notebook.debit_balances[account] == minor


@given(st.data())
def test_movements_without_a_payment_are_booked_to_the_cent(data: st.DataObject) -> None:
    types = (*sorted(name for name, _ in TYPES.accounts), *OTHER_TYPES)
    drawn = [data.draw(movements(number, types, OTHER_BALANCES)) for number in range(5)]
    order = data.draw(st.permutations([snapshot for each in drawn for snapshot in snapshots(each)]))
    model, last = Model(), dict[str, Movement]()
    for snapshot in order:
        seen = last.get(snapshot.id)
        if seen is not None and seen.is_available:
            # It is never seen pending again: the sweep keeps what it saw last.
            snapshot = seen
        last[snapshot.id] = snapshot
        model.report(movement_facts.account_facts(snapshot))
        books: Books = Counter()
        for each in last.values():
            books[each.corridor, each.currency, each.counts_in] += each.net_minor
        model.check(books)


@given(
    charge_currency=st.sampled_from(CURRENCIES),
    refunded=st.integers(1, 10**9),
    part=st.sampled_from((StripeBalance.PENDING, StripeBalance.AVAILABLE)),
    back=st.booleans(),
    data=st.data(),
)
def test_refunds_are_booked_in_whatever_currency_they_settle(
    charge_currency: str, refunded: int, part: StripeBalance, back: bool, data: st.DataObject
) -> None:
    """Of the amount, and where it settles in another currency of the conversion, nothing is left
    in the charge's currency; a refund that fails undoes both."""
    model, books = Model(), Books()
    for number, kind in enumerate(("refund", "refund_failure") if back else ("refund",)):
        drawn = data.draw(movements(number, (kind,)))
        sign = -1 if kind == "refund" else 1
        same = drawn.currency == charge_currency
        settled = refunded if same else abs(drawn.amount_minor)
        values = {name: getattr(drawn, name) for name in Movement.__slots__}
        values |= {"corridor": "us", "amount_minor": sign * settled}
        values["net_minor"] = values["amount_minor"] - values["fee_minor"]
        movement = Movement(**values)
        about = {
            **ABOUT,
            "corridor": "us",
            "currency": charge_currency,
            "effective_time": NOW,
            "refund_id": "re_1",
            "amount_minor": refunded,
        }
        told: Fact = RefundCreated(**about, balance=part) if sign < 0 else RefundFailed(**about)
        ripe = snapshots(movement)[-1]
        for snapshot in snapshots(movement):
            model.report(
                [
                    told,
                    *movement_facts.refund_facts(
                        snapshot,
                        **ABOUT,
                        currency=charge_currency,
                        refunded_minor=refunded,
                        balance=part,
                    ),
                ]
            )
        books["us", ripe.currency, StripeBalance.AVAILABLE] += ripe.net_minor
        model.check(books)
        for currency in CURRENCIES:
            pending = Chart("us", currency).stripe(StripeBalance.PENDING)
            assert model.notebook.debit_balances[pending] == 0


@given(
    amount=AMOUNTS,
    was_paid=st.booleans(),
    end=st.sampled_from(PayoutState),
    fee=movements(1, ("payout",)),
)
def test_payouts_are_booked_to_the_cent(
    amount: int, was_paid: bool, end: PayoutState, fee: Movement
) -> None:
    payout = Payout(
        id="pyo_1",
        merchant_id="",
        corridor=fee.corridor,
        account_id="",
        state=end,
        currency=fee.currency,
        amount_minor=amount,
        create_time=NOW,
        update_time=NOW,
        stripe_payout_id="po_1",
        was_paid=was_paid or end is PayoutState.PAID,
    )
    model, books = Model(), Books()
    model.report(payout_facts(payout, NOW))
    model.report(movement_facts.beside(fee, StripeBalance.AVAILABLE))
    returned = end in (PayoutState.FAILED, PayoutState.CANCELED)
    left = 0 if returned else -amount
    books[fee.corridor, fee.currency, StripeBalance.AVAILABLE] = left - fee.fee_minor
    model.check(books)
    chart = Chart(fee.corridor, fee.currency)
    away = model.notebook.debit_balances
    assert away[chart.bank] + away[chart.payouts_in_transit] == -left


def test_what_nobody_knows_is_named_in_suspense() -> None:
    transaction = {
        "id": "txn_1",
        "type": "from_another_planet",
        "source": None,
        "currency": "usd",
        "amount": 100,
        "fee": 3,
        "net": 97,
        "status": "available",
        "created": 1,
        "available_on": 1,
    }
    (fact,) = movement_facts.account_facts(read_movement("us", transaction))
    assert isinstance(fact, UnknownBalanceTransaction)
    assert (fact.type, fact.amount_minor) == ("from_another_planet", 97)
    assert fact.balance is StripeBalance.AVAILABLE


def test_a_balance_transaction_is_read_whole() -> None:
    transaction = {
        "id": "txn_1",
        "type": "reserve_hold",
        "source": None,
        "currency": "usd",
        "amount": -100,
        "fee": 3,
        "net": -103,
        "fee_details": [
            {"amount": 2, "application": None, "currency": "usd", "type": "stripe_fee"},
            {"amount": 1, "application": "ca_1", "currency": "usd", "type": "application_fee"},
        ],
        "balance_type": "risk_reserved",
        "reporting_category": "risk_reserved_funds",
        "exchange_rate": 0.93,
        "status": "pending",
        "created": 1,
        "available_on": 9,
    }
    movement = read_movement("us", transaction)
    assert (movement.amount_minor, movement.fee_minor, movement.net_minor) == (-100, 3, -103)
    assert movement.fee_details == (
        FeeDetail(type="stripe_fee", currency="USD", amount_minor=2, application_id=""),
        FeeDetail(type="application_fee", currency="USD", amount_minor=1, application_id="ca_1"),
    )
    assert movement.reporting_category == "risk_reserved_funds"
    assert movement.exchange_rate == "0.93"
    # It is neither pending nor available: it is in another balance.
    assert {movement.begins_in, movement.counts_in} == {StripeBalance.RISK_RESERVED}
    moved, fee = movement_facts.account_facts(movement)
    assert isinstance(moved, AccountMoved)
    assert (moved.contra, moved.amount_minor) == (Contra.RESERVES, -100)
    assert moved.balance is fee.balance is StripeBalance.RISK_RESERVED  # type: ignore[attr-defined]


def test_a_balance_that_nobody_knows_counts_as_that_of_payments() -> None:
    assert StripeBalance.besides_payments("of_another_planet") is None
    assert StripeBalance.besides_payments("payments") is None
    assert StripeBalance.besides_payments("available") is None
    assert StripeBalance.besides_payments("issuing") is StripeBalance.ISSUING


def test_a_payout_lowers_what_is_available_though_it_is_called_pending() -> None:
    assert "payout" in PAYOUTS
    transaction = {
        "id": "txn_1",
        "type": "payout",
        "source": "po_1",
        "currency": "usd",
        "amount": -100,
        "fee": 0,
        "net": -100,
        "status": "pending",
        "created": 1,
        "available_on": 200_000,
    }
    movement = read_movement("us", transaction)
    assert movement.begins_in is movement.counts_in is StripeBalance.AVAILABLE
