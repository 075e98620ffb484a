"""A dispute as it is read, what a later look changes of it, and its movements: whole."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.bookkeeping.balance_facts import DisputeDecided, DisputeMoved
from gateway.bookkeeping.facts import StripeBalance
from gateway.disputes.domain import (
    Dispute,
    DisputeMovement,
    DisputeState,
    UnreadableDisputeError,
    decided,
    dispute_facts,
    newer,
    read_dispute,
)

S = DisputeState
HAPPENED = datetime(2026, 11, 1, tzinfo=UTC)
DUE, LOOKED, NOW = (HAPPENED + timedelta(days=each) for each in (9, 1, 2))
MOMENT = timedelta(microseconds=1)
TRANSACTION = {
    "id": "txn_1",
    "type": "adjustment",
    "source": "dp_1",
    "currency": "eur",
    "amount": -1000,
    "fee": 1500,
    "net": -2500,
    "status": "available",
    "created": int(HAPPENED.timestamp()),
    "available_on": int(HAPPENED.timestamp()),
    "exchange_rate": None,
}
TOLD: dict[str, Any] = {
    "id": "dp_1",
    "status": "needs_response",
    "currency": "eur",
    "amount": 1000,
    "reason": "fraudulent",
    "created": int(HAPPENED.timestamp()),
    "balance_transactions": [TRANSACTION],
    "evidence_details": {"due_by": int(DUE.timestamp()), "submission_count": 1},
}
WITHDRAWN = DisputeMovement(
    id="txn_1",
    currency="EUR",
    amount_minor=-1000,
    fee_minor=1500,
    exchange_rate="",
    begins_in=StripeBalance.AVAILABLE,
    create_time=HAPPENED,
)
DISPUTE = Dispute(
    id="dis_1",
    payment_id="pay_1",
    merchant_id="m_1",
    corridor="default",
    stripe_dispute_id="dp_1",
    state=S.NEEDS_RESPONSE,
    currency="EUR",
    amount_minor=1000,
    network_cause="fraudulent",
    effective_time=HAPPENED,
    create_time=NOW,
    update_time=NOW,
    look_time=LOOKED,
    movements=(WITHDRAWN,),
    evidence_due_time=DUE,
    submission_count=1,
)


def read(**changes: Any) -> Dispute:
    return read_dispute(
        {**TOLD, **changes},
        dispute_id="dis_1",
        payment_id="pay_1",
        merchant_id="m_1",
        corridor="default",
        look_time=LOOKED,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, {}),
        ({"balance_transactions": []}, {"movements": ()}),
        (
            {"evidence_details": {"due_by": None, "submission_count": 0}},
            {"evidence_due_time": None, "submission_count": 0},
        ),
        ({"currency": "isk", "amount": 70_000}, {"currency": "ISK", "amount_minor": 700}),
        *[({"status": each.value.lower()}, {"state": each}) for each in DisputeState],
    ],
)
def test_a_dispute_as_it_is_read(told: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read(**told) == replace(DISPUTE, **expected)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"status": "brand_new"}, "ValueError"),
        ({"evidence_details": {}}, "KeyError"),
        ({"evidence_details": None}, "TypeError"),
        ({"currency": "isk", "amount": 50}, "PartOfMinorUnitError"),
        ({"balance_transactions": [{"id": "txn_1"}]}, "KeyError"),
    ],
)
def test_a_dispute_that_cannot_be_read_says_why(told: dict[str, Any], name: str) -> None:
    with pytest.raises(UnreadableDisputeError) as raised:
        read(**told)
    assert str(raised.value) == name


# Each look has an id and times of its own, of which the first stand.
LATER = replace(
    DISPUTE,
    id="dis_2",
    create_time=NOW + MOMENT,
    update_time=NOW + MOMENT,
    look_time=LOOKED + MOMENT,
)


def test_the_same_once_more_is_no_news() -> None:
    assert newer(DISPUTE, LATER) is DISPUTE
    assert newer(LATER, DISPUTE) is LATER


@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        (S.NEEDS_RESPONSE, S.UNDER_REVIEW, S.UNDER_REVIEW),
        (S.UNDER_REVIEW, S.NEEDS_RESPONSE, S.UNDER_REVIEW),
        # Of one rank, what was seen later.
        (S.PREVENTED, S.LOST, S.LOST),
        (S.LOST, S.PREVENTED, S.PREVENTED),
        (S.APPEAL_UNDER_REVIEW, S.LOST, S.LOST),
        (S.APPEAL_NEEDS_RESPONSE, S.LOST, S.LOST),
        (S.WON, S.LOST, S.WON),
        (S.APPEAL_UNDER_REVIEW, S.UNDER_REVIEW, S.APPEAL_UNDER_REVIEW),
    ],
)
def test_a_later_look_is_news_unless_it_shows_what_was_before(
    before: DisputeState, seen: DisputeState, after: DisputeState
) -> None:
    known, looked = replace(DISPUTE, state=before), replace(LATER, state=seen)
    expected = known
    if after is not before:
        expected = replace(known, state=after, update_time=NOW + MOMENT, look_time=LOOKED + MOMENT)
    assert newer(known, looked) == expected
    # An earlier look that comes later tells nothing of the state.
    assert newer(known, replace(looked, look_time=LOOKED - MOMENT)) == known


def test_a_movement_that_an_older_look_shows_has_happened() -> None:
    back = replace(WITHDRAWN, id="txn_2", amount_minor=1000, fee_minor=0)
    old = replace(LATER, state=S.LOST, movements=(back,), look_time=LOOKED - MOMENT)
    assert newer(DISPUTE, old) == replace(
        DISPUTE, movements=(WITHDRAWN, back), update_time=NOW + MOMENT
    )


@pytest.mark.parametrize("begins_in", StripeBalance)
@pytest.mark.parametrize("state", [S.UNDER_REVIEW, S.WON])
def test_each_movement_is_booked_where_it_began(
    begins_in: StripeBalance, state: DisputeState
) -> None:
    moved = replace(WITHDRAWN, begins_in=begins_in)
    about: dict[str, Any] = {
        "corridor": "default",
        "currency": "EUR",
        "payment_id": "pay_1",
        "merchant_id": "m_1",
        "dispute_id": "dp_1",
        "balance_transaction_id": "txn_1",
        "amount_minor": -1000,
    }
    facts: list[Any] = [
        DisputeMoved(**about, effective_time=HAPPENED, fee_minor=1500, balance=begins_in)
    ]
    if state is S.WON:
        facts.append(DisputeDecided(**about, effective_time=NOW))
    assert dispute_facts(replace(DISPUTE, state=state, movements=(moved,))) == facts


def in_dollars(amount_minor: int, rate: str = "", number: int = 1) -> DisputeMovement:
    return replace(
        WITHDRAWN,
        id=f"txn_{number}",
        currency="USD",
        amount_minor=amount_minor,
        exchange_rate=rate,
        create_time=HAPPENED + number * timedelta(seconds=1),
    )


@pytest.mark.parametrize(
    ("state", "movements", "held"),
    [
        # A part of the dispute, at its rate; and all of it, rounded to the dollar's cent.
        (S.LOST, (in_dollars(-540, "1.08"),), 500),
        (S.LOST, (in_dollars(-1080, "1.08"),), 1000),
        (S.LOST, (in_dollars(-333, "0.333333"),), 1000),
        # More than rounding makes of it.
        (S.LOST, (in_dollars(-332, "0.333333"),), 996),
        # Without a rate, what was withdrawn stands for the whole of the dispute.
        (S.LOST, (in_dollars(-700),), 1000),
        (S.LOST, (in_dollars(-700), in_dollars(350, number=2)), 500),
        (S.WON, (in_dollars(-700), in_dollars(1, number=2)), 0),
        (S.LOST, (in_dollars(350),), 0),
        (S.LOST, (in_dollars(-700), in_dollars(0, number=2)), 1000),
        (S.LOST, (in_dollars(-350), in_dollars(-350, number=2)), 1000),
    ],
)
def test_what_a_dispute_keeps_in_another_currency(
    state: DisputeState, movements: tuple[DisputeMovement, ...], held: int
) -> None:
    assert replace(DISPUTE, state=state, movements=movements).held_minor == held


@pytest.mark.parametrize(
    ("state", "back", "told", "when"),
    [
        (S.LOST, None, HAPPENED + MOMENT, HAPPENED + MOMENT),
        (S.LOST, None, None, NOW),
        (S.LOST, HAPPENED + 2 * MOMENT, None, NOW),
        (S.WON, HAPPENED + 2 * MOMENT, None, HAPPENED + 2 * MOMENT),
        (S.WON, HAPPENED + 2 * MOMENT, HAPPENED + MOMENT, HAPPENED + MOMENT),
        (S.WON, None, None, NOW),
        (S.APPEAL_UNDER_REVIEW, None, None, NOW),
        (S.UNDER_REVIEW, None, HAPPENED, None),
    ],
)
def test_a_dispute_is_decided_when_that_is_told(
    state: DisputeState, back: datetime | None, told: datetime | None, when: datetime | None
) -> None:
    moved = [WITHDRAWN]
    if back is not None:
        moved.append(replace(WITHDRAWN, id="txn_2", amount_minor=1000, create_time=back))
    seen = decided(replace(DISPUTE, state=state, movements=tuple(moved)), told)
    assert seen.decide_time == when
    times = [
        fact.effective_time for fact in dispute_facts(seen) if isinstance(fact, DisputeDecided)
    ]
    # What moved after the decision is the merchant's when it moves.
    assert times == ([] if when is None else [max(when, one.create_time) for one in moved])


def test_the_first_that_tells_of_a_decision_stands() -> None:
    lost = replace(DISPUTE, state=S.LOST, decide_time=HAPPENED)
    again = decided(replace(LATER, state=S.LOST), None)
    assert newer(lost, again) == lost
    # One of before this was kept has none, and nothing is told of it anew.
    assert newer(replace(lost, decide_time=None), again).decide_time is None
    assert newer(DISPUTE, again).decide_time == NOW + MOMENT
    # An older look has not seen it.
    late = replace(again, look_time=LOOKED - MOMENT)
    assert newer(DISPUTE, late).decide_time is None
