"""What a dispute holds and what is booked of it, whatever moves, in whatever order it is seen.

The model is what the card holder's bank does: it takes and gives back amounts of the payment's
currency, each of which moves on the balance at the day's rate.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.bookkeeping.balance_facts import DisputeDecided, DisputeMoved
from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.codec import to_json
from gateway.bookkeeping.facts import StripeBalance
from gateway.disputes.domain import (
    CLOSED,
    Dispute,
    DisputeState,
    UnreadableDisputeError,
    dispute_facts,
    newer,
    read_dispute,
)
from gateway.disputes.stripe_events import steps
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.store.payments import REFUNDABLE_DISPUTES
from tests.gateway.bookkeeping.notebook import Notebook
from tests.gateway.payments.test_states import new_payment

S = DisputeState
NOW = datetime(2026, 11, 1, tzinfo=UTC)
CREATED = int(NOW.timestamp())


@dataclass(frozen=True)
class Move:
    """What the bank moves, signed, in minor units of the payment's currency; in the balance it is
    `settled`, at `rate` unless that is None."""

    amount: int
    settled: int
    rate: str | None = None
    fee: int = 0

    def transaction(self, number: int) -> dict[str, Any]:
        return {
            "id": f"txn_{number}",
            "type": "adjustment",
            "source": "du_1",
            "currency": "usd" if self.rate is None else "eur",
            "amount": self.settled,
            "fee": self.fee,
            "net": self.settled - self.fee,
            "status": "available",
            "created": CREATED + number,
            "available_on": CREATED + number,
            "exchange_rate": None if self.rate is None else float(self.rate),
        }


def plain(*amounts: int) -> list[Move]:
    return [Move(amount, amount) for amount in amounts]


def converted(amount: int, rate: str) -> Move:
    settled = (amount * Decimal(rate)).quantize(Decimal(1), ROUND_HALF_EVEN)
    return Move(amount, int(settled), rate)


def stripe_says(state: DisputeState, moves: list[Move], amount: int = 100_00) -> dict[str, Any]:
    return {
        "id": "du_1",
        "status": state.value.lower(),
        "currency": "usd",
        "amount": amount,
        "reason": "fraudulent",
        "created": CREATED,
        "evidence_details": {"due_by": None, "submission_count": 0},
        "balance_transactions": [move.transaction(n) for n, move in enumerate(moves)],
    }


def dispute_of(
    state: DisputeState, moves: list[Move], amount: int = 100_00, look: int = 0
) -> Dispute:
    return read_dispute(
        stripe_says(state, moves, amount),
        dispute_id="dsp_1",
        payment_id="pay_1",
        merchant_id="m_1",
        corridor="us",
        look_time=NOW + timedelta(hours=look),
        now=NOW + timedelta(hours=look),
    )


@pytest.mark.parametrize(
    ("state", "moves", "held"),
    [
        pytest.param(S.WARNING_NEEDS_RESPONSE, [], 0, id="an inquiry"),
        pytest.param(S.NEEDS_RESPONSE, plain(-100_00), 100_00, id="open"),
        pytest.param(S.LOST, plain(-100_00, 30_00), 70_00, id="lost, some came back"),
        pytest.param(S.NEEDS_RESPONSE, plain(-100_00, 30_00), 70_00, id="back before closed"),
        pytest.param(S.WON, plain(-100_00, 30_00, 70_00), 0, id="won, in parts"),
        pytest.param(S.WON, plain(-100_00, 30_00), 70_00, id="won, the rest not there yet"),
        pytest.param(S.NEEDS_RESPONSE, plain(-60_00, -40_00, 50), 99_50, id="a third movement"),
        pytest.param(S.UNDER_REVIEW, plain(-50_00, -50_00), 100_00, id="a second withdrawal"),
        pytest.param(S.LOST, plain(-102_50), 102_50, id="more than the charge"),
        pytest.param(S.WON, plain(-100_00, 100_50), 0, id="more came back"),
        pytest.param(
            S.WON, [converted(-100_00, "0.93"), converted(100_00, "0.91")], 0, id="another rate"
        ),
        pytest.param(
            S.LOST, [converted(-100_00, "0.93"), converted(30_00, "0.91")], 70_00, id="part of it"
        ),
        pytest.param(
            S.WON,
            [converted(-100_00, "0.93"), converted(30_00, "0.91"), converted(70_00, "0.95")],
            0,
            id="parts at other rates",
        ),
    ],
)
def test_the_sum_of_all_movements_is_held(
    state: DisputeState, moves: list[Move], held: int
) -> None:
    assert dispute_of(state, moves).held_minor == held


def test_a_dispute_of_one_minor_unit_is_held() -> None:
    assert dispute_of(S.NEEDS_RESPONSE, plain(-1), amount=1).held_minor == 1
    assert dispute_of(S.NEEDS_RESPONSE, [converted(-1, "0.93")], amount=1).held_minor == 1
    assert dispute_of(S.WON, plain(-1, 1), amount=1).held_minor == 0


@pytest.mark.parametrize(
    ("state", "back", "held"),
    [
        (S.WON, [91_00], 0),
        (S.WON, [45_00, 46_00], 0),
        (S.WON, [-7_00], 100_00),
        (S.LOST, [27_90], 70_00),
        (S.NEEDS_RESPONSE, [46_50], 50_00),
    ],
)
def test_without_a_rate_the_withdrawal_stands_for_the_dispute(
    state: DisputeState, back: list[int], held: int
) -> None:
    told = stripe_says(state, [Move(0, minor, "1") for minor in (-93_00, *back)])
    for transaction in told["balance_transactions"]:
        transaction["exchange_rate"] = None
    dispute = read_dispute(
        told,
        dispute_id="dsp_1",
        payment_id="pay_1",
        merchant_id="m_1",
        corridor="us",
        look_time=NOW,
        now=NOW,
    )
    assert dispute.held_minor == held


rates = st.integers(2_000, 3_000_000).map(lambda millionths: f"{millionths / 1e6:.6f}")


@example(amount=1341, rates=["0.019196", "0.013050", "0.906319"], share=95, whole=False)
@given(
    amount=st.integers(1, 10**9),
    rates=st.lists(rates, min_size=3, max_size=3),
    share=st.integers(0, 100),
    whole=st.booleans(),
)
def test_rounding_leaves_nothing_behind(
    amount: int, rates: list[str], share: int, whole: bool
) -> None:
    """What came back in full leaves nothing held, whatever the rates; and of a part no more is
    taken or left than the settlement's minor unit and the rate's last decimal hide."""
    part = amount * share // 100
    parts = [part, amount - part] if whole else [part]
    back = [converted(minor, rate) for minor, rate in zip(parts, rates[1:], strict=False) if minor]
    dispute = dispute_of(S.UNDER_REVIEW, [converted(-amount, rates[0]), *back], amount)
    # Amounts that settle to the same figure differ by so much: half a unit to either side.
    hidden = sum(
        1 / Decimal(rate) + Decimal(amount) * Decimal("0.000001") / Decimal(rate) + 1
        for rate in rates
    )
    left = amount - sum(parts)
    assert abs(dispute.held_minor - left) <= hidden
    if not back and dispute.movements[0].amount_minor:
        assert dispute.held_minor == amount


def test_all_of_it_back_at_once_is_all_of_it() -> None:
    """A forint is a quarter of a cent: two forints are told apart by nothing that Stripe says."""
    moves = [converted(-1_000_001, "0.002534"), converted(1_000_001, "0.002491")]
    assert dispute_of(S.WON, moves, 1_000_001).held_minor == 0
    assert dispute_of(S.LOST, moves[:1], 1_000_001).held_minor == 1_000_001


def test_the_rest_of_it_back_is_the_rest() -> None:
    """Parts at two rates, and the last is told from what is left by less than rounding hides."""
    moves = [converted(-1_000_001, "0.002534"), Move(500_000, 1_250, "0.0025")]
    assert dispute_of(S.UNDER_REVIEW, moves, 1_000_001).held_minor == 500_001
    rest = converted(500_001, "0.002494")
    assert dispute_of(S.WON, [*moves, rest], 1_000_001).held_minor == 0


def test_a_rate_is_told_to_six_decimals_and_used_with_all_it_has() -> None:
    amount, used, told = 987_654_321, Decimal("0.9123454"), "0.912345"
    settled = int((amount * used).quantize(Decimal(1)))
    assert settled != int((amount * Decimal(told)).quantize(Decimal(1)))
    withdrawn = Move(-amount, -settled, told)
    assert dispute_of(S.LOST, [withdrawn], amount).held_minor == amount
    assert dispute_of(S.WON, [withdrawn, Move(amount, settled, told)], amount).held_minor == 0


def test_a_fee_alone_keeps_nothing_of_the_payment() -> None:
    moves = [converted(-1, "0.6"), Move(0, 0, "0.3", fee=15_00)]
    assert dispute_of(S.UNDER_REVIEW, moves, amount=1).held_minor == 1
    back = [*moves, Move(0, 0, "0.3", fee=5), converted(1, "0.7")]
    assert dispute_of(S.WON, back, amount=1).held_minor == 0


def test_its_fee_is_what_stripe_keeps() -> None:
    assert dispute_of(S.WARNING_NEEDS_RESPONSE, []).fee_minor is None
    moves = [Move(-100_00, -100_00, fee=15_00), Move(100_00, 100_00, fee=-5_00)]
    dispute = dispute_of(S.WON, moves)
    assert (dispute.fee_minor, dispute.fee_currency) == (10_00, "USD")


def test_a_rate_that_cannot_be_is_not_read() -> None:
    told = stripe_says(S.NEEDS_RESPONSE, [converted(-1, "0.93")])
    told["balance_transactions"][0]["exchange_rate"] = 0.0
    with pytest.raises(UnreadableDisputeError):
        read_dispute(
            told,
            dispute_id="dsp_1",
            payment_id="pay_1",
            merchant_id="m_1",
            corridor="us",
            look_time=NOW,
            now=NOW,
        )


# What may follow: a dispute is opened, perhaps answered, decided, perhaps appealed and won then.
COURSES = [
    [S.WARNING_NEEDS_RESPONSE, S.WARNING_CLOSED],
    [S.WARNING_NEEDS_RESPONSE, S.NEEDS_RESPONSE, S.LOST],
    [S.NEEDS_RESPONSE, S.UNDER_REVIEW, S.WON],
    [S.NEEDS_RESPONSE, S.LOST],
    [S.PREVENTED],
    [S.NEEDS_RESPONSE, S.LOST, S.APPEAL_NEEDS_RESPONSE, S.APPEAL_UNDER_REVIEW, S.WON],
    [S.NEEDS_RESPONSE, S.LOST, S.APPEAL_NEEDS_RESPONSE, S.LOST],
]
REACHED: set[DisputeState] = set()


@given(st.data())
def test_facts_never_depend_on_when_we_looked(data: st.DataObject) -> None:
    """Looks at any moments, told late and doubled, end in the same books: those of Stripe's balance
    transactions. What was reported before is never reported otherwise."""
    course = data.draw(st.sampled_from(COURSES))
    moved = course[0] is not S.WARNING_NEEDS_RESPONSE or S.NEEDS_RESPONSE in course
    signed = st.integers(-200_00, 200_00)
    drawn = data.draw(st.lists(st.tuples(signed, st.integers(-20_00, 20_00)), max_size=4))
    moves = [Move(amount, amount, fee=fee) for amount, fee in drawn] if moved else []
    # How much had moved when each state was reached: some before, some after it is decided.
    counts = sorted(data.draw(st.integers(0, len(moves))) for _ in course[:-1])
    moments = [
        dispute_of(state, moves[:count], look=look)
        for look, (state, count) in enumerate(zip(course, (*counts, len(moves)), strict=True))
    ]
    looks = [*data.draw(st.permutations(moments * 2)), moments[-1]]
    notebook, reported = Notebook(), dict[str, dict[str, Any]]()
    dispute = looks[0]
    for look in looks:
        dispute = newer(dispute, look)
        REACHED.add(dispute.state)
        for fact in dispute_facts(dispute):
            content = {**to_json(fact), "effective_time": None}
            if fact.id not in reported:
                notebook.book(fact)
            assert reported.setdefault(fact.id, content) == content
    chart, books = Chart("us", "USD"), notebook.debit_balances
    taken = -sum(move.amount for move in moves)
    assert dispute.state is course[-1]
    assert dispute.held_minor == max(taken, 0)
    assert books[chart.stripe(StripeBalance.AVAILABLE)] == -taken - sum(m.fee for m in moves)
    assert books[chart.fees] == sum(move.fee for move in moves)
    assert books[chart.disputes_held("m_1")] == 0
    assert books[chart.payable("m_1")] == taken


def test_every_state_was_reached() -> None:
    test_facts_never_depend_on_when_we_looked()
    assert set(DisputeState) - REACHED == {S.WARNING_UNDER_REVIEW}


def test_a_second_withdrawal_is_booked_like_the_first() -> None:
    facts = dispute_facts(dispute_of(S.NEEDS_RESPONSE, plain(-60_00, -40_00)))
    assert [(type(fact), fact.id) for fact in facts] == [
        (DisputeMoved, "dispute_moved.txn_0"),
        (DisputeMoved, "dispute_moved.txn_1"),
    ]
    notebook = Notebook()
    for fact in facts:
        notebook.book(fact)
    chart = Chart("us", "USD")
    assert notebook.debit_balances[chart.disputes_held("m_1")] == 100_00
    assert notebook.debit_balances[chart.stripe(StripeBalance.AVAILABLE)] == -100_00


def test_what_is_open_stays_held_and_what_is_decided_is_the_merchants() -> None:
    chart = Chart("us", "USD")
    for state in DisputeState:
        notebook = Notebook()
        for fact in dispute_facts(dispute_of(state, plain(-100_00, 30_00))):
            notebook.book(fact)
        decided = state in CLOSED or state.startswith("APPEAL")
        assert notebook.debit_balances[chart.disputes_held("m_1")] == (0 if decided else 70_00)
        assert notebook.debit_balances[chart.payable("m_1")] == (70_00 if decided else 0)


def test_a_movement_of_a_fee_alone_is_decided_by_nobody() -> None:
    facts = dispute_facts(dispute_of(S.WON, [Move(0, 0, fee=15_00), Move(0, 0)]))
    assert [type(fact) for fact in facts] == [DisputeMoved]
    with pytest.raises(ValueError, match="cannot be 0"):
        DisputeDecided(
            corridor="us",
            currency="USD",
            effective_time=NOW,
            payment_id="pay_1",
            merchant_id="m_1",
            dispute_id="du_1",
            balance_transaction_id="txn_1",
            amount_minor=0,
        )
    with pytest.raises(ValueError, match="cannot both be 0"):
        DisputeMoved(
            corridor="us",
            currency="USD",
            effective_time=NOW,
            payment_id="pay_1",
            merchant_id="m_1",
            dispute_id="du_1",
            balance_transaction_id="txn_1",
            amount_minor=0,
        )


def test_an_older_look_takes_nothing_back() -> None:
    won = dispute_of(S.WON, plain(-100_00, 100_00), look=2)
    older = dispute_of(S.NEEDS_RESPONSE, plain(-100_00), look=1)
    assert newer(won, older) is won
    # Begun later and told an earlier state: of that only what moved is news.
    strange = dispute_of(S.UNDER_REVIEW, plain(-100_00, 100_00, -1_00), look=3)
    after = newer(won, strange)
    assert (after.state, after.held_minor) == (S.WON, 1_00)
    assert after.look_time == strange.look_time
    assert newer(older, replace(won, look_time=NOW)).state is S.NEEDS_RESPONSE
    # Two looks that began at once: the later state is the later one.
    assert newer(older, replace(won, look_time=older.look_time)).state is S.WON


def test_a_payment_is_told_when_money_moves_after_the_end() -> None:
    payment = new_payment(state=PaymentState.SUCCEEDED, amount_minor=100_00, captured_minor=100_00)
    before = dispute_of(S.LOST, plain(-100_00))
    after = newer(before, dispute_of(S.LOST, plain(-100_00, 30_00), look=1))
    (change,) = steps(payment, before, after, after.held_minor, NOW)
    assert change.transition == Transition.DISPUTE_UPDATED
    assert change.after.disputed_minor == 70_00


def test_stripe_refunds_what_is_no_chargeback_or_was_won() -> None:
    refundable = {state for state in DisputeState if state.startswith("WARNING")} | {S.WON}
    assert set(REFUNDABLE_DISPUTES) == {state.value for state in refundable}
