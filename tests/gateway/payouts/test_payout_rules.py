"""Payouts as Stripe's object goes, looked at early, late and twice; and what is booked of them.

The model is the bank account: what left Stripe's balance is on its way, there, or back again.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bookkeeping.balance_facts import PayoutCreated, PayoutFailed, PayoutPaid
from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import StripeBalance
from gateway.payouts.domain import (
    Payout,
    PayoutState,
    UnreadablePayoutError,
    as_stripe_says,
    made_elsewhere,
    next_look_time,
    payout_facts,
)
from tests.gateway.bookkeeping.notebook import Notebook

S = PayoutState
NOW = datetime(2026, 11, 1, tzinfo=UTC)
ARRIVAL = NOW + timedelta(days=2)
CHART = Chart("default", "EUR")
# A payout may fail after it was paid: https://docs.stripe.com/api/payouts/object
COURSES = [
    [S.PENDING, S.IN_TRANSIT, S.PAID],
    [S.PENDING, S.CANCELED],
    [S.PENDING, S.IN_TRANSIT, S.FAILED],
    [S.PENDING, S.IN_TRANSIT, S.PAID, S.FAILED],
]
REACHED: set[PayoutState] = set()


def stripe_says(state: PayoutState, **values: Any) -> dict[str, Any]:
    return {
        "id": "po_1",
        "status": state.value.lower(),
        "currency": "eur",
        "amount": 500,
        "automatic": False,
        "arrival_date": int(ARRIVAL.timestamp()),
        "failure_code": "account_closed" if state is S.FAILED else None,
        **values,
    }


def elsewhere(account_id: str = "", **values: Any) -> Payout:
    return made_elsewhere(
        stripe_says(S.PENDING, **values),
        payout_id="pyo_1",
        request_id="r-1",
        merchant_id="m_1" if account_id else "",
        corridor="default",
        account_id=account_id,
        now=NOW,
    )


def booked(payout: Payout) -> Notebook:
    notebook = Notebook()
    for fact in payout_facts(payout, NOW):
        notebook.book(fact)
    return notebook


@given(st.data())
def test_looks_in_any_order_end_where_stripe_ended(data: st.DataObject) -> None:
    course = data.draw(st.sampled_from(COURSES))
    amount = data.draw(st.integers(-1000, 1000).filter(bool))
    looks = [*data.draw(st.permutations(course * 2)), course[-1]]
    payout = elsewhere(amount=amount)
    for number, look in enumerate(looks):
        later = NOW + timedelta(minutes=number)
        after = as_stripe_says(payout, stripe_says(look, amount=amount), later)
        assert after is payout or after.update_time == later
        payout = after
        REACHED.add(payout.state)
    assert payout.state is course[-1]
    assert payout.failure_code == ("account_closed" if course[-1] is S.FAILED else "")
    balances = booked(payout).debit_balances
    kept = amount if course[-1] is S.PAID else 0
    assert balances[CHART.stripe(StripeBalance.AVAILABLE)] == -kept
    assert balances[CHART.bank] == kept
    assert balances[CHART.payouts_in_transit] == 0


def test_every_state_was_reached() -> None:
    test_looks_in_any_order_end_where_stripe_ended()
    assert set(S) - REACHED == {S.CREATING, S.IN_REVIEW, S.BLOCKED}


@pytest.mark.parametrize("course", COURSES)
def test_a_merchants_payout_is_none_of_the_platforms_books(course: list[PayoutState]) -> None:
    """It leaves the merchant's balance at Stripe, which is not ours."""
    merchants, platforms = elsewhere(account_id="acct_1"), elsewhere()
    assert (merchants.account_id, merchants.merchant_id) == ("acct_1", "m_1")
    for state in course:
        merchants = as_stripe_says(merchants, stripe_says(state), NOW)
        platforms = as_stripe_says(platforms, stripe_says(state), NOW)
        assert payout_facts(merchants, NOW) == []
        assert payout_facts(platforms, NOW) != []


def test_what_stripe_does_not_have_is_not_booked() -> None:
    assert payout_facts(elsewhere(), NOW) == []


def test_each_state_has_its_facts() -> None:
    def facts(*course: PayoutState) -> list[tuple[str, int, str]]:
        payout = elsewhere()
        for state in course:
            payout = as_stripe_says(payout, stripe_says(state), NOW)
        told = payout_facts(payout, NOW)
        assert {fact.effective_time for fact in told} == {NOW}
        assert {(fact.corridor, fact.currency) for fact in told} == {("default", "EUR")}
        shown = []
        for fact in told:
            assert isinstance(fact, PayoutCreated | PayoutPaid | PayoutFailed)
            shown.append((type(fact).__name__, fact.amount_minor, fact.payout_id))
        return shown

    made, paid, failed = ((f"Payout{name}", 500, "po_1") for name in ("Created", "Paid", "Failed"))
    assert facts(S.PENDING) == facts(S.IN_TRANSIT) == [made]
    assert facts(S.PAID) == [made, paid]
    assert facts(S.CANCELED) == facts(S.FAILED) == [made, failed]
    assert facts(S.PAID, S.FAILED) == [made, paid, failed]


def test_facts_are_effective_when_it_happened_not_when_it_was_learned() -> None:
    created, learned = NOW - timedelta(days=1), ARRIVAL + timedelta(hours=9)
    said = stripe_says(S.PAID, created=int(created.timestamp()))

    def times(now: datetime, **values: Any) -> list[datetime]:
        payout = as_stripe_says(elsewhere(), said | values, now)
        return [fact.effective_time for fact in payout_facts(payout, now)]

    assert times(learned) == [created, ARRIVAL]
    # Never later than it is known, nor before it was made.
    assert times(NOW) == [created, NOW]
    early = int((created - timedelta(days=1)).timestamp())
    assert times(learned, arrival_date=early) == [created, created]
    # A return happens when its balance transaction is made, and is seen when it is seen.
    back = ARRIVAL + timedelta(hours=1)
    told = {"id": "txn_2", "created": int(back.timestamp())}
    for shown, when in ((told, back), ("txn_2", learned), (None, learned)):
        failed = said | {"status": "failed", "failure_balance_transaction": shown}
        returned = as_stripe_says(as_stripe_says(elsewhere(), said, NOW), failed, learned)
        times_of = [fact.effective_time for fact in payout_facts(returned, learned)]
        assert times_of == [created, ARRIVAL, when]
        # A later look that shows less takes nothing back.
        again = as_stripe_says(returned, failed | {"failure_balance_transaction": "txn_2"}, learned)
        assert again == replace(returned, failure_balance_transaction_id="txn_2")
        assert as_stripe_says(again, failed, learned) == again


def test_where_it_goes_and_by_what_the_bank_knows_it() -> None:
    said = stripe_says(
        S.PAID,
        created=int(NOW.timestamp()),
        method="instant",
        source_type="card",
        type="bank_account",
        destination={"id": "ba_1"},
        reconciliation_status="in_progress",
        trace_id={"status": "pending", "value": None},
        original_payout="po_0",
        reversed_by=None,
    )
    payout = as_stripe_says(elsewhere(), said, NOW)
    assert (payout.stripe_create_time, payout.method, payout.source_type) == (
        NOW,
        "instant",
        "card",
    )
    assert (payout.destination_type, payout.destination_id) == ("bank_account", "ba_1")
    assert (payout.original_payout_id, payout.reversed_by_payout_id) == ("po_0", "")
    assert (payout.trace_id_status, payout.trace_id) == ("pending", "")
    # What comes to be known later is taken over.
    known = {
        "trace_id": {"status": "supported", "value": "REF1"},
        "reconciliation_status": "completed",
    }
    later = as_stripe_says(payout, said | known, ARRIVAL)
    assert (later.trace_id, later.trace_id_status) == ("REF1", "supported")
    assert (later.reconciliation_status, later.update_time) == ("completed", ARRIVAL)


@given(
    state=st.sampled_from(PayoutState),
    trace=st.sampled_from(("", "pending", "supported", "unsupported")),
    content=st.sampled_from(("", "completed", "in_progress", "not_applicable")),
    hours=st.integers(-72, 24 * 16),
)
def test_what_no_event_tells_is_asked_for_ever_more_rarely_and_not_for_ever(
    state: PayoutState, trace: str, content: str, hours: int
) -> None:
    payout = replace(
        elsewhere(),
        state=state,
        arrival_time=ARRIVAL,
        trace_id_status=trace,
        reconciliation_status=content,
    )
    now = ARRIVAL + timedelta(hours=hours)
    due = next_look_time(payout, now)
    on_its_way = state in (S.PENDING, S.IN_TRANSIT)
    was_there = state in (S.PAID, S.FAILED)
    awaited = on_its_way or (was_there and (trace == "pending" or content == "in_progress"))
    if not awaited or hours >= 24 * 14:
        assert due is None
        return
    assert due is not None
    pause = due - max(now, ARRIVAL)
    assert timedelta(hours=1) <= pause <= timedelta(days=1)
    later = next_look_time(payout, due)
    assert later is None or later - max(due, ARRIVAL) >= pause
    assert next_look_time(replace(payout, arrival_time=None), now) is None


def test_in_transit_is_neither_here_nor_there() -> None:
    payout = as_stripe_says(elsewhere(), stripe_says(S.IN_TRANSIT), NOW)
    assert booked(payout).debit_balances[CHART.payouts_in_transit] == 500


def test_it_is_as_stripe_describes_it() -> None:
    payout = elsewhere(statement_descriptor="SHOP", amount=-700)
    assert payout == Payout(
        id="pyo_1",
        merchant_id="",
        corridor="default",
        account_id="",
        state=S.CREATING,
        currency="EUR",
        amount_minor=-700,
        create_time=NOW,
        update_time=NOW,
        request_id="r-1",
        statement_descriptor="SHOP",
    )
    after = as_stripe_says(payout, stripe_says(S.PENDING, automatic=True), ARRIVAL)
    assert (after.automatic, after.stripe_payout_id) == (True, "po_1")
    assert (after.arrival_time, after.update_time) == (ARRIVAL, ARRIVAL)
    undated = as_stripe_says(payout, stripe_says(S.PENDING, arrival_date=None), NOW)
    assert undated.arrival_time is None
    assert elsewhere().statement_descriptor == ""


def test_of_one_rank_the_later_look_counts() -> None:
    failed = as_stripe_says(elsewhere(), stripe_says(S.FAILED), NOW)
    assert as_stripe_says(failed, stripe_says(S.CANCELED), NOW).state is S.CANCELED
    assert as_stripe_says(failed, stripe_says(S.PAID), NOW) is failed


@pytest.mark.parametrize(
    "broken", [{"status": "lost"}, {"status": "creating"}, {"arrival_date": "soon"}]
)
def test_what_cannot_be_read_is_said(broken: dict[str, Any]) -> None:
    with pytest.raises(UnreadablePayoutError, match=r"KeyError|ValueError"):
        as_stripe_says(elsewhere(), stripe_says(S.PENDING, **broken), NOW)
    with pytest.raises(UnreadablePayoutError, match="ValueError"):
        elsewhere(amount="much")
