"""What may happen to payments, as facts, with what each does to Stripe's balance.

The movements are written down by the rules of Stripe's balance transactions, not by our chart of
accounts: they are the second opinion that the books are compared with.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from gateway.bookkeeping.balance_facts import (
    AccountMoved,
    ApplicationFeeEarned,
    DebitMoved,
    DebitSettled,
    DisputeDecided,
    DisputeMoved,
    FundsAvailable,
    PayoutCreated,
    PayoutFailed,
    PayoutPaid,
    TransferCreated,
    UnknownBalanceTransaction,
)
from gateway.bookkeeping.chart import Contra
from gateway.bookkeeping.facts import (
    Captured,
    Converted,
    Fact,
    FeeCharged,
    HoldPlaced,
    HoldReleased,
    RefundCreated,
    RefundFailed,
    ReleaseReason,
    StripeBalance,
)
from gateway.bookkeeping.settlement import SettledCharge, settlement_facts

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
# Two, zero and three decimals.
CURRENCIES = ("USD", "JPY", "KWD")
MAX_AMOUNT = 10**12

# Changes of Stripe's balance by (corridor, currency, part).
Movement = Counter[tuple[str, str, StripeBalance]]


@dataclass(frozen=True)
class Step:
    """A fact and what Stripe's balance transactions say happened to the balance."""

    fact: Fact
    movement: Movement


Scenario = list[Step]


def _moved(corridor: str, *changes: tuple[str, StripeBalance, int]) -> Movement:
    movement: Movement = Counter()
    for currency, part, amount in changes:
        movement[corridor, currency, part] += amount
    return movement


@st.composite
def payment_scenarios(draw: st.DrawFn, number: int) -> Scenario:
    """One payment from its hold to whatever comes of it."""
    corridor = draw(st.sampled_from(("us", "eu")))
    currency = draw(st.sampled_from(CURRENCIES))
    about: dict[str, Any] = {
        "corridor": corridor,
        "currency": currency,
        "effective_time": START,
        "payment_id": f"pay_{number}",
        "merchant_id": f"m_{draw(st.integers(1, 3))}",
    }
    amount = draw(st.integers(1, MAX_AMOUNT))
    hold_id = f"op_{number}"
    none: Movement = Counter()
    scenario = [Step(HoldPlaced(**about, hold_id=hold_id, amount_minor=amount), none)]
    if draw(st.booleans()):
        reason = draw(st.sampled_from(ReleaseReason))
        released = HoldReleased(**about, hold_id=hold_id, amount_minor=amount, reason=reason)
        return [*scenario, *draw(_debits(about, number, amount)), Step(released, none)]

    if draw(st.booleans()):
        scenario += draw(_debits(about, number, amount))
    captured = draw(st.integers(1, amount))
    first = draw(st.integers(1, captured))
    for ordinal, part in enumerate(part for part in (first, captured - first) if part):
        capture = Captured(
            **about,
            hold_id=hold_id,
            charge_id=f"ch_{number}",
            amount_minor=part,
            capture_number=ordinal + 1,
            final=ordinal == 1 or part == captured,
        )
        scenario.append(Step(capture, _moved(corridor, (currency, StripeBalance.PENDING, part))))
    scenario += draw(_settlements(about, number, captured))
    scenario += draw(_refunds(about, number, captured))
    if draw(st.booleans()):
        scenario += draw(_disputes(about, number, captured))
    return scenario


@st.composite
def _settlements(draw: st.DrawFn, about: dict[str, Any], number: int, captured: int) -> Scenario:
    """What `charge.updated` tells: one balance transaction, and what a destination charge adds."""
    corridor, currency = about["corridor"], about["currency"]
    settled_currency = draw(st.sampled_from((currency, *CURRENCIES)))
    converted = settled_currency != currency
    settled = draw(st.integers(1, MAX_AMOUNT)) if converted else captured
    fee = draw(st.integers(-settled, settled))
    destination = draw(st.booleans())
    transfer = draw(st.integers(1, settled)) if destination else 0
    kept = draw(st.integers(0, transfer))
    charge = SettledCharge(
        **about,
        charge_id=f"ch_{number}",
        captured_minor=captured,
        balance_transaction_id=f"txn_{number}",
        settled_currency=settled_currency,
        settled_minor=settled,
        fee_minor=fee,
        available=draw(st.booleans()),
        transfer_id=f"tr_{number}" if transfer else "",
        transfer_minor=transfer,
        application_fee_id=f"fee_{number}" if kept else "",
        application_fee_minor=kept,
    )
    pending, available = StripeBalance.PENDING, StripeBalance.AVAILABLE
    movements = {
        Converted: _moved(
            corridor, (currency, pending, -captured), (settled_currency, pending, settled)
        ),
        FeeCharged: _moved(corridor, (settled_currency, pending, -fee)),
        FundsAvailable: _moved(
            corridor,
            (settled_currency, pending, fee - settled),
            (settled_currency, available, settled - fee),
        ),
        TransferCreated: _moved(corridor, (settled_currency, pending, -transfer)),
        ApplicationFeeEarned: _moved(corridor, (settled_currency, pending, kept)),
    }
    return [Step(fact, movements[type(fact)]) for fact in settlement_facts(charge)]


@st.composite
def _debits(draw: st.DrawFn, about: dict[str, Any], number: int, amount: int) -> Scenario:
    """Attempts of a bank debit: submitted, and taken out again or booked as a capture."""
    scenario = Scenario()
    for ordinal in range(draw(st.integers(0, 2))):
        currency = draw(st.sampled_from((about["currency"], *CURRENCIES)))
        fee, part = draw(st.integers(0, amount)), draw(st.sampled_from(StripeBalance))
        submitted: dict[str, Any] = {
            **about,
            "currency": currency,
            "balance_transaction_id": f"txn_p{number}_{ordinal}",
            "amount_minor": amount,
        }
        there = _moved(about["corridor"], (currency, part, amount - fee))
        back = _moved(about["corridor"], (currency, part, fee - amount))
        debit = {"charge_id": f"py_{number}_{ordinal}", "balance": part}
        scenario.append(Step(DebitMoved(**submitted, **debit, fee_minor=fee), there))
        if draw(st.booleans()):
            # What replaces it is booked by facts that have steps of their own.
            scenario.append(Step(DebitSettled(**submitted), back))
        elif draw(st.booleans()):
            taken_out = {
                **submitted,
                "balance_transaction_id": f"txn_f{number}_{ordinal}",
                "amount_minor": -amount,
            }
            scenario.append(Step(DebitMoved(**taken_out, **debit, fee_minor=-fee), back))
    return scenario


@st.composite
def _refunds(draw: st.DrawFn, about: dict[str, Any], number: int, captured: int) -> Scenario:
    corridor, currency = about["corridor"], about["currency"]
    scenario: Scenario = []
    for ordinal in range(draw(st.integers(0, 3))):
        amount = draw(st.integers(1, captured))
        part = draw(st.sampled_from(StripeBalance))
        refund: dict[str, Any] = {
            **about,
            "refund_id": f"re_{number}_{ordinal}",
            "amount_minor": amount,
        }
        taken = _moved(corridor, (currency, part, -amount))
        scenario.append(Step(RefundCreated(**refund, balance=part), taken))
        if draw(st.booleans()):
            returned = _moved(corridor, (currency, part, amount))
            scenario.append(Step(RefundFailed(**refund), returned))
    return scenario


@st.composite
def _disputes(draw: st.DrawFn, about: dict[str, Any], number: int, captured: int) -> Scenario:
    """Any number of balance transactions, of either sign and in any currency; decided or not."""
    scenario, decisions = Scenario(), Scenario()
    for ordinal in range(draw(st.integers(1, 4))):
        currency = draw(st.sampled_from((about["currency"], *CURRENCIES)))
        amount, fee = draw(st.integers(-captured, captured)), draw(st.integers(-2_000, 2_000))
        if amount == fee == 0:
            continue
        movement: dict[str, Any] = {
            **about,
            "currency": currency,
            "dispute_id": f"du_{number}",
            "balance_transaction_id": f"txn_d{number}_{ordinal}",
            "amount_minor": amount,
        }
        part = draw(st.sampled_from(StripeBalance))
        moved = _moved(about["corridor"], (currency, part, amount - fee))
        scenario.append(Step(DisputeMoved(**movement, fee_minor=fee, balance=part), moved))
        if amount:
            decisions.append(Step(DisputeDecided(**movement), Counter()))
    return scenario + (decisions if draw(st.booleans()) else [])


@st.composite
def balance_scenarios(draw: st.DrawFn, number: int) -> Scenario:
    """Money becoming available, paid out, or moving for a reason nobody has told us."""
    corridor = draw(st.sampled_from(("us", "eu")))
    currency = draw(st.sampled_from(CURRENCIES))
    about: dict[str, Any] = {
        "corridor": corridor,
        "currency": currency,
        "effective_time": START,
    }
    amount = draw(st.integers(1, MAX_AMOUNT))
    signed = draw(st.sampled_from((amount, -amount)))
    pending, available = StripeBalance.PENDING, StripeBalance.AVAILABLE
    kind = draw(st.sampled_from(("available", "payout", "unknown")))
    if kind == "available":
        fact = FundsAvailable(**about, balance_transaction_id=f"txn_b{number}", amount_minor=signed)
        movement = _moved(corridor, (currency, pending, -signed), (currency, available, signed))
        return [Step(fact, movement)]
    if kind == "unknown":
        part = draw(st.sampled_from(StripeBalance))
        if draw(st.booleans()):
            moved = AccountMoved(
                **about,
                balance_transaction_id=f"txn_b{number}",
                type="reserve_hold",
                contra=draw(st.sampled_from(Contra)),
                amount_minor=signed,
                balance=part,
            )
            return [Step(moved, _moved(corridor, (currency, part, signed)))]
        unknown = UnknownBalanceTransaction(
            **about,
            balance_transaction_id=f"txn_b{number}",
            type="from_another_planet",
            amount_minor=signed,
            balance=part,
        )
        return [Step(unknown, _moved(corridor, (currency, part, signed)))]
    payout: dict[str, Any] = {**about, "payout_id": f"po_{number}", "amount_minor": amount}
    scenario = [Step(PayoutCreated(**payout), _moved(corridor, (currency, available, -amount)))]
    paid, failed = draw(st.booleans()), draw(st.booleans())
    if paid:
        scenario.append(Step(PayoutPaid(**payout), Counter()))
    if failed:
        back = _moved(corridor, (currency, available, amount))
        scenario.append(Step(PayoutFailed(**payout, was_paid=paid), back))
    return scenario


@st.composite
def histories(draw: st.DrawFn, max_scenarios: int = 6) -> Scenario:
    """Several scenarios at once: each in its own order, mixed at will."""
    scenarios = [
        draw(payment_scenarios(number) if draw(st.booleans()) else balance_scenarios(number))
        for number in range(draw(st.integers(1, max_scenarios)))
    ]
    order = draw(
        st.permutations([index for index, scenario in enumerate(scenarios) for _ in scenario])
    )
    waiting = [list(scenario) for scenario in scenarios]
    return [waiting[index].pop(0) for index in order]
