"""When things happened at Stripe: whoever looks says the same time, and fees go with captures."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balance.movement import read_movement
from gateway.balance.movement_facts import application_fee_facts, become_available, transfer_facts
from gateway.bookkeeping.facts import Captured, HoldPlaced, HoldReleased, RefundCreated
from gateway.bookkeeping.facts import RefundFailed as ComeBack
from gateway.payments.domain.intents import IntentSnapshot, read_intent
from gateway.payments.domain.money_facts import facts_of, facts_of_refund, fee_facts, fee_of
from gateway.payments.domain.payment import Change
from gateway.payments.domain.reconcile import Timing, reconcile
from gateway.payments.domain.refund import Refund, RefundState, as_stripe_says
from gateway.payments.domain.states import PaymentState
from gateway.stripe_times import MAX_EPOCH_SECONDS, made_time, time_of
from tests.gateway.payments.outcomes import CREATED, NOW, payment_in

S = PaymentState
MADE, MOVED, BACK = 1_793_491_199, 1_793_491_260, 1_793_500_000
AVAILABLE_ON = 1_793_577_600


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def transaction(**values: Any) -> dict[str, Any]:
    """The balance transaction of a charge, made a minute after it."""
    return {
        "id": "txn_1",
        "type": "charge",
        "source": "ch_1",
        "currency": "eur",
        "amount": 1000,
        "fee": 30,
        "net": 970,
        "status": "pending",
        "created": MOVED,
        "available_on": AVAILABLE_ON,
        **values,
    }


def charge(kind: str = "card", **values: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "created": MADE,
        "currency": "eur",
        "amount_captured": 1000,
        "status": "succeeded",
        "payment_method_details": {"type": kind},
        "balance_transaction": None,
        **values,
    }


def seen(status: str, latest: Any, **values: Any) -> IntentSnapshot:
    shown = {"id": "pi_1", "status": status, "currency": "eur", "amount_received": 1000, **values}
    return read_intent({**shown, "latest_charge": latest})


def reconciled(state: PaymentState, shown: IntentSnapshot) -> Change:
    payment = payment_in(state, payment_intent_id="pi_1")
    change = reconcile(payment, shown, NOW, Timing(), decided=True)
    assert change is not None
    return change


@pytest.mark.parametrize(
    ("seconds", "read"),
    [
        (1, at(1)),
        (MAX_EPOCH_SECONDS, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (MAX_EPOCH_SECONDS + 1, None),
        (0, None),
        (-1, None),
        (None, None),
        (True, None),
        ("1793491199", None),
        (1.5, None),
    ],
)
def test_a_time_of_stripes_is_one_that_a_date_can_be(seconds: object, read: object) -> None:
    assert time_of(seconds) == read
    assert made_time({"id": "ch_1", "created": seconds}) == read
    assert made_time("ch_1") is None


@pytest.mark.parametrize("latest", [charge(), charge(balance_transaction=transaction())])
@pytest.mark.parametrize("method", ["automatic", "automatic_async"])
def test_a_card_is_charged_when_its_charge_is_made_whenever_that_settles(
    latest: dict[str, Any], method: str
) -> None:
    assert seen("succeeded", latest, capture_method=method).effective_time == at(MADE)


@pytest.mark.parametrize(
    ("status", "latest", "values", "when"),
    [
        ("succeeded", charge(balance_transaction=transaction()), {}, MOVED),
        ("succeeded", charge(balance_transaction="txn_1"), {}, None),
        ("succeeded", charge(), {}, None),
        ("succeeded", "ch_1", {}, None),
        ("requires_capture", charge(), {}, MADE),
        ("requires_capture", "ch_1", {}, None),
        ("canceled", charge(), {"canceled_at": BACK}, BACK),
        ("canceled", None, {"canceled_at": BACK}, BACK),
        ("canceled", charge(), {"canceled_at": None}, None),
        ("requires_action", None, {}, None),
        ("requires_confirmation", None, {}, None),
        ("requires_payment_method", charge(status="failed"), {}, MADE),
        ("requires_payment_method", charge(status="succeeded"), {}, None),
        ("processing", charge("us_bank_account", status="pending"), {}, MADE),
    ],
)
def test_a_manual_capture_happens_when_it_moves_money(
    status: str, latest: Any, values: dict[str, Any], when: int | None
) -> None:
    told = seen(status, latest, capture_method="manual", **values).effective_time
    assert told == (None if when is None else at(when))


@pytest.mark.parametrize("status", ["succeeded", "requires_payment_method"])
def test_when_a_bank_has_decided_about_a_debit_its_charge_does_not_tell(status: str) -> None:
    """It was made when the debit was submitted, days before."""
    state = "failed" if status == "requires_payment_method" else "succeeded"
    for kind in ("us_bank_account", "sepa_debit"):
        latest = charge(kind, status=state, balance_transaction=transaction())
        assert seen(status, latest, capture_method="automatic").effective_time is None


@given(learned=st.integers(0, 10**6), settled=st.integers(0, 10**5))
def test_capture_and_all_that_settles_with_it_have_one_time(learned: int, settled: int) -> None:
    """Whenever it is learned, and by how much later Stripe settles it."""
    now = at(MADE + learned)
    taken = reconcile(
        payment_in(S.AUTHORIZING, payment_intent_id="pi_1"),
        seen("succeeded", charge(), capture_method="automatic_async"),
        now,
        Timing(),
        decided=True,
    )
    assert taken is not None
    assert taken.after.capture_time == at(MADE)
    (captured,) = facts_of(taken, now)
    assert isinstance(captured, Captured)
    made = MADE + settled
    available = AVAILABLE_ON + settled
    told = transaction(created=made, status="available", available_on=available)
    fee = fee_of(
        charge(
            balance_transaction=told,
            transfer="tr_1",
            application_fee="fee_1",
            application_fee_amount=70,
        )
    )
    assert fee is not None
    charged, free, went_on, earned = fee_facts(taken.after, fee, now)
    times = {fact.effective_time for fact in (captured, charged, went_on, earned)}
    assert times == {at(MADE)}
    assert free.effective_time == at(available)
    # The sweep says the same of the same things.
    movement = read_movement("default", told)
    about = ("pay_1", "m_1", taken.after.capture_time)
    gone = replace(movement, amount_minor=-1000)
    assert transfer_facts(gone, "tr_1", *about)[0].effective_time == at(MADE)
    assert transfer_facts(gone, "tr_1", *about[:2])[0].effective_time == at(made)
    assert application_fee_facts(movement, "fee_1", *about)[0].effective_time == at(MADE)
    assert [fact.effective_time for fact in become_available(movement)] == [at(available)]


def test_a_fee_whose_capture_has_no_time_has_that_of_its_balance_transaction() -> None:
    payment = payment_in(S.SUCCEEDED)
    fee = fee_of(charge(balance_transaction=transaction()))
    assert fee is not None
    assert [fact.effective_time for fact in fee_facts(payment, fee, NOW)] == [at(MOVED)]
    timeless = replace(fee, create_time=None)
    assert [fact.effective_time for fact in fee_facts(payment, timeless, NOW)] == [NOW]


def test_a_charge_that_surfaces_and_its_hold_have_one_time() -> None:
    change = reconciled(S.FAILED, seen("succeeded", charge(), capture_method="automatic"))
    placed, captured = facts_of(change, NOW)
    assert isinstance(placed, HoldPlaced)
    assert placed.effective_time == captured.effective_time == at(MADE)


@pytest.mark.parametrize(
    ("shown", "when"),
    [
        (seen("canceled", None, canceled_at=BACK), at(BACK)),
        (seen("canceled", None), NOW),
        (seen("requires_payment_method", charge(status="failed")), at(MADE)),
        (seen("requires_payment_method", "ch_1"), NOW),
    ],
)
def test_a_hold_is_released_when_stripe_says_so(shown: IntentSnapshot, when: datetime) -> None:
    (released,) = facts_of(reconciled(S.AUTHORIZING, shown), NOW)
    assert isinstance(released, HoldReleased)
    assert released.effective_time == when


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


@pytest.mark.parametrize(
    ("moved", "taken"),
    [(transaction(), at(MOVED)), ("txn_1", at(MADE)), ({"id": "txn_1"}, at(MADE))],
)
@pytest.mark.parametrize(
    ("back", "returned"), [({"id": "txn_2", "created": BACK}, at(BACK)), ("txn_2", NOW)]
)
def test_a_refund_moves_with_its_balance_transactions(
    moved: Any, taken: datetime, back: Any, returned: datetime
) -> None:
    payment = payment_in(S.SUCCEEDED)
    shown = {"id": "re_1", "status": "succeeded", "created": MADE, "balance_transaction": moved}
    first = as_stripe_says(REFUND, shown, NOW)
    (created,) = facts_of_refund(payment, REFUND, first, NOW)
    assert isinstance(created, RefundCreated)
    assert created.effective_time == first.take_time == taken
    failed = {**shown, "status": "failed", "failure_balance_transaction": back}
    last = as_stripe_says(first, failed, NOW)
    (failure,) = facts_of_refund(payment, first, last, NOW)
    assert isinstance(failure, ComeBack)
    assert failure.effective_time == returned
    # A later look that shows less takes nothing back, and both at once say the same.
    assert as_stripe_says(last, {**failed, "balance_transaction": "txn_1"}, NOW) == last
    both = facts_of_refund(payment, REFUND, as_stripe_says(REFUND, failed, NOW), NOW)
    assert [fact.effective_time for fact in both] == [taken, returned]


def test_a_refund_that_waits_for_balance_moves_when_it_is_taken() -> None:
    waits = {"id": "re_1", "status": "pending", "created": MADE, "balance_transaction": None}
    waiting = as_stripe_says(REFUND, waits, NOW)
    assert waiting.take_time is None
    later = NOW + timedelta(days=1)
    taken = as_stripe_says(waiting, {**waits, "balance_transaction": transaction()}, later)
    assert taken.take_time == at(MOVED)
