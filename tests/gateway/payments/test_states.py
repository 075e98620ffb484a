"""The state machine by itself: what is possible, and what holds whatever happens."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bookkeeping.facts import Captured, HoldPlaced, HoldReleased, ReleaseReason
from gateway.payments.domain.money_facts import facts_of
from gateway.payments.domain.payment import Payment, take
from gateway.payments.domain.states import (
    FINAL,
    HOLDING,
    IllegalTransitionError,
    PaymentState,
    Transition,
    allows,
    edges,
    state_after,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DOCUMENT = Path("docs/gateway.md")
# Why a hold ended, where it is not that the attempt failed.
RELEASED = {
    Transition.DECLINED: ReleaseReason.DECLINED,
    Transition.RETRY_SCHEDULED: ReleaseReason.DECLINED,
    Transition.CANCELED: ReleaseReason.CANCELED,
    Transition.EXPIRED: ReleaseReason.EXPIRED,
}


def new_payment(**values: Any) -> Payment:
    return Payment(
        **{
            "id": "pay_1",
            "request_id": "r1",
            "merchant_id": "m_1",
            "customer_id": "c_1",
            "corridor": "default",
            "state": PaymentState.RECEIVED,
            "currency": "EUR",
            "amount_minor": 1000,
            "payment_method": "pm_1",
            "create_time": NOW,
            "update_time": NOW,
            **values,
        }
    )


def values_of(payment: Payment, transition: Transition) -> dict[str, Any]:
    """What goes along with a transition, as the rules give it."""
    if transition is Transition.AUTHORIZATION_STARTED:
        return {"hold_id": f"op_{payment.revision}"}
    if transition is Transition.AUTHORIZED:
        return {
            "hold_id": payment.hold_id or "pi_1",
            "authorized_minor": 1000,
            "payment_intent_id": "pi_1",
        }
    if transition in (Transition.PROCESSING_STARTED, Transition.ACTION_REQUIRED):
        return {"hold_id": payment.hold_id or "pi_1", "payment_intent_id": "pi_1"}
    if transition is Transition.CAPTURED:
        return {
            "hold_id": "",
            "authorized_minor": 1000,
            "captured_minor": 700,
            "charge_id": "ch_1",
            "payment_intent_id": "pi_1",
        }
    if state_after(payment.state, transition) not in HOLDING and payment.hold_id:
        return {"hold_id": ""}
    return {}


class History:
    """A payment, its steps and what the books were told. The model is one hold at a time at the
    bank: placed before Stripe is asked, and either captured or given back."""

    def __init__(self) -> None:
        self.payment = new_payment()
        self.open_holds: set[str] = set()
        self.captured = 0
        self.reached = {self.payment.state}

    def take(self, transition: Transition) -> None:
        payment = self.payment
        change = take(payment, transition, NOW, **values_of(payment, transition))
        for fact in facts_of(change, NOW):
            assert isinstance(fact, HoldPlaced | HoldReleased | Captured)
            assert (fact.payment_id, fact.merchant_id) == ("pay_1", "m_1")
            assert (fact.corridor, fact.currency) == ("default", "EUR")
            if isinstance(fact, HoldPlaced):
                assert not self.open_holds
                assert fact.amount_minor == 1000
                self.open_holds.add(fact.hold_id)
                continue
            self.open_holds.remove(fact.hold_id)
            if isinstance(fact, Captured):
                self.captured += fact.amount_minor
                assert (fact.charge_id, fact.final) == ("ch_1", True)
            else:
                assert fact.amount_minor == 1000
                assert fact.reason == RELEASED.get(transition, ReleaseReason.FAILED)
        assert change.after.revision == payment.revision + 1
        self.payment = change.after
        self.reached.add(self.payment.state)
        assert bool(self.open_holds) == self.payment.holding
        assert self.captured == (700 if self.payment.state is PaymentState.SUCCEEDED else 0)


def shortest_ways() -> dict[PaymentState, list[Transition]]:
    """How each state is reached in the fewest steps."""
    ways: dict[PaymentState, list[Transition]] = {PaymentState.RECEIVED: []}
    for _ in PaymentState:
        for before, transition, after in edges():
            if before in ways:
                ways.setdefault(after, [*ways[before], transition])
    return ways


WAYS = shortest_ways()


def test_holds_and_facts_agree_on_the_way_to_every_state_and_through_every_step() -> None:
    reached: set[PaymentState] = set()
    for before, transition, after in edges():
        history = History()
        for step in (*WAYS[before], transition):
            history.take(step)
        assert history.payment.state is after
        reached |= history.reached
    assert reached == set(PaymentState)


@given(st.data())
def test_whatever_happens_holds_and_facts_agree(data: st.DataObject) -> None:
    """Histories of what each state allows, from any state on."""
    history = History()
    for step in WAYS[data.draw(st.sampled_from(PaymentState))]:
        history.take(step)
    for _ in range(data.draw(st.integers(0, 20))):
        allowed = [each for each in Transition if allows(history.payment.state, each)]
        if not allowed:
            break
        history.take(data.draw(st.sampled_from(allowed)))


@pytest.mark.parametrize("state", PaymentState)
def test_what_a_state_does_not_allow_is_impossible(state: PaymentState) -> None:
    payment = new_payment(state=state, hold_id="op_1" if state in HOLDING else "")
    for transition in Transition:
        if not allows(state, transition):
            with pytest.raises(IllegalTransitionError) as raised:
                take(payment, transition, NOW)
            assert str(raised.value) == f"{transition} is impossible in {state}"
            assert (raised.value.state, raised.value.transition) == (state, transition)


def test_transitions_are_listed_by_the_state_that_they_leave() -> None:
    places = [list(PaymentState).index(before) for before, _, _ in edges()]
    assert places == sorted(places)


def test_every_state_can_be_reached_and_left_unless_final() -> None:
    reached = {after for _, _, after in edges()} | {PaymentState.RECEIVED}
    assert reached == set(PaymentState)
    left = {before for before, _, after in edges() if before is not after}
    # Late news from Stripe and a repeated request lead out of these, nothing out of the others.
    assert FINAL - left == {
        PaymentState.BLOCKED,
        PaymentState.SUCCEEDED,
        PaymentState.CANCELED,
    }


def test_nothing_is_charged_without_compliance() -> None:
    into_authorizing = {
        before
        for before, transition, after in edges()
        if after is PaymentState.AUTHORIZING and transition is Transition.AUTHORIZATION_STARTED
    }
    assert into_authorizing == {PaymentState.COMPLIANCE_CHECKED}
    into_checked = {t for _, t, after in edges() if after is PaymentState.COMPLIANCE_CHECKED}
    assert into_checked == {Transition.COMPLIANCE_ALLOWED}


def test_a_captured_payment_never_leaves_succeeded() -> None:
    payment = take(
        new_payment(state=PaymentState.AUTHORIZING, hold_id="op_1"),
        Transition.CAPTURED,
        NOW,
        **values_of(new_payment(state=PaymentState.AUTHORIZING), Transition.CAPTURED),
    ).after
    for transition in Transition:
        if allows(payment.state, transition):
            assert state_after(payment.state, transition) is PaymentState.SUCCEEDED


def test_the_document_shows_exactly_these_transitions() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", text, flags=re.MULTILINE))
    assert shown == {(b.value, t.value, a.value) for b, t, a in edges()}
