"""What Stripe says of a refund, in whatever order it is heard, and what moves when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import StripeBalance
from gateway.operations.operation import GivenUp, Operation, OperationKind, OperationState
from gateway.payments.domain.apply import apply_outcome
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.commands import (
    CommandContext,
    Start,
    start_refund,
)
from gateway.payments.domain.decision import StripeReply
from gateway.payments.domain.destination_fees import Amount
from gateway.payments.domain.money_facts import facts_of_refund
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.refund import Refund, RefundCause, RefundState, as_stripe_says
from gateway.payments.domain.refund_outcome import refund_step
from gateway.payments.domain.refusal import Refusal
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from tests.gateway.bookkeeping.notebook import Notebook
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ASKED = Refund(
    id="ref_1",
    request_id="refund-1",
    payment_id="pay_1",
    state=RefundState.PENDING,
    amount_minor=700,
    create_time=NOW,
    update_time=NOW,
)


def _told(*statuses: str) -> RefundState:
    refund = ASKED
    for number, status in enumerate(statuses):
        later = NOW + timedelta(seconds=number)
        refund = as_stripe_says(refund, {"id": "re_1", "status": status}, later)
    return refund.state


@pytest.mark.parametrize("late", ["pending", "requires_action"])
def test_a_late_answer_does_not_take_back_that_it_succeeded(late: str) -> None:
    # A resend under the same key is answered with what was so when the refund was made.
    assert _told("succeeded", late) is RefundState.SUCCEEDED


@pytest.mark.parametrize("end", ["failed", "canceled"])
@pytest.mark.parametrize("late", ["pending", "requires_action", "succeeded"])
def test_nothing_follows_a_refund_whose_money_came_back(end: str, late: str) -> None:
    assert _told("succeeded", end, late) is RefundState(end.upper())


@pytest.mark.parametrize("then", ["succeeded", "failed", "canceled", "requires_action"])
def test_a_pending_refund_goes_on(then: str) -> None:
    assert _told("pending", then) is RefundState(then.upper())


def test_a_refund_that_succeeded_may_still_fail() -> None:
    assert _told("pending", "succeeded", "failed") is RefundState.FAILED


WAITING = {"id": "re_1", "status": "pending", "pending_reason": "insufficient_funds"}
TAKEN: dict[str, Any] = {
    "balance_transaction": {
        "id": "txn_1",
        "status": "available",
        "created": int(NOW.timestamp()),
        "available_on": int(NOW.timestamp()),
    }
}
BACK = {"failure_balance_transaction": "txn_2"}
# The ways that a refund can go at Stripe: its objects, one after the other.
COURSES: dict[str, list[dict[str, Any]]] = {
    "at once": [{"id": "re_1", "status": "succeeded", **TAKEN}],
    "waits for balance": [WAITING, {"id": "re_1", "status": "succeeded", **TAKEN}],
    "waits, is processed, and arrives": [
        WAITING,
        {"id": "re_1", "status": "pending", "pending_reason": "processing", **TAKEN},
        {"id": "re_1", "status": "succeeded", **TAKEN},
    ],
    "waits in vain": [
        WAITING,
        {"id": "re_1", "status": "failed", "failure_reason": "charge_for_pending_refund_disputed"},
    ],
    "fails, and comes back later": [
        {"id": "re_1", "status": "succeeded", **TAKEN},
        {"id": "re_1", "status": "failed", "failure_reason": "declined", **TAKEN},
        {"id": "re_1", "status": "failed", "failure_reason": "declined", **TAKEN, **BACK},
    ],
    "waits, is taken, and fails": [
        WAITING,
        {"id": "re_1", "status": "pending", "pending_reason": "processing", **TAKEN},
        {"id": "re_1", "status": "failed", "failure_reason": "declined", **TAKEN, **BACK},
    ],
    "is canceled before it moved": [
        {"id": "re_1", "status": "requires_action"},
        {"id": "re_1", "status": "canceled", "failure_reason": "merchant_request"},
    ],
    "is canceled after it moved": [
        {"id": "re_1", "status": "requires_action", **TAKEN},
        {"id": "re_1", "status": "canceled", **TAKEN, **BACK},
    ],
}
CONTEXT = DecisionContext(NOW, Timing(), 0.5)
MERCHANT = Chart("default", "EUR")


def captured(**values: Any) -> Payment:
    return new_payment(
        state=PaymentState.SUCCEEDED, authorized_minor=1000, captured_minor=1000, **values
    )


class Books:
    """A payment, its refund and its books, as they follow what is seen of Stripe's objects."""

    def __init__(self) -> None:
        self.payment, self.refund = captured(refunding_minor=700), ASKED
        self.notebook = Notebook()
        self.kinds: list[str] = []

    def see(self, stripe_refund: dict[str, Any]) -> None:
        after = as_stripe_says(self.refund, stripe_refund, NOW)
        change = refund_step(self.payment, self.refund, after, CONTEXT)
        for fact in facts_of_refund(self.payment, self.refund, after, NOW):
            self.notebook.book(fact)
            self.kinds.append(type(fact).__name__)
        self.payment = self.payment if change is None else change.after
        self.refund = after

    @property
    def at_stripe(self) -> int:
        balances = self.notebook.debit_balances
        return sum(balances[MERCHANT.stripe(part)] for part in StripeBalance)


def moved(stripe_refund: dict[str, Any]) -> int:
    """Stripe's own arithmetic: what the refund's balance transactions add up to."""
    taken = stripe_refund.get("balance_transaction") is not None
    back = stripe_refund.get("failure_balance_transaction") is not None
    return -700 * taken + 700 * back


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_the_books_equal_stripe_at_every_moment_of_a_refund(course: list[dict[str, Any]]) -> None:
    books = Books()
    for stripe_refund in course:
        for _ in range(2):
            books.see(stripe_refund)
            assert books.at_stripe == moved(stripe_refund)
            assert books.notebook.debit_balances[MERCHANT.refunds("m_1")] == -moved(stripe_refund)
        assert books.refund.state == stripe_refund["status"].upper()
        assert books.refund.pending_reason == stripe_refund.get("pending_reason", "")
        assert books.refund.failure_code == stripe_refund.get("failure_reason", "")
        given_up = stripe_refund["status"] in ("failed", "canceled")
        gone = moved(stripe_refund) and not given_up
        assert books.payment.refunded_minor == (700 if gone else 0)
        assert books.payment.refunding_minor == (0 if gone or given_up else 700)


@given(st.sampled_from(sorted(COURSES)), st.data())
def test_whatever_is_seen_of_a_refund_ends_in_the_same_books(
    name: str, data: st.DataObject
) -> None:
    """Seen late, doubled and not at all: what is taken back is nothing, and the last look says
    all."""
    course = COURSES[name]
    books = Books()
    for stripe_refund in data.draw(st.lists(st.sampled_from(course), max_size=5)):
        books.see(stripe_refund)
        assert books.at_stripe in {moved(each) for each in course} | {0}
    books.see(course[-1])
    assert books.at_stripe == moved(course[-1])
    assert books.refund.state == course[-1]["status"].upper()
    taken = any("balance_transaction" in each for each in course)
    back = any("failure_balance_transaction" in each for each in course)
    assert books.kinds == ["RefundCreated"] * taken + ["RefundFailed"] * back
    accepted = taken and not back
    assert books.payment.refunded_minor == (700 if accepted else 0)
    assert books.payment.refunding_minor == 0


def test_a_late_look_brings_no_reason_back() -> None:
    books = Books()
    for stripe_refund in [*COURSES["waits, is processed, and arrives"][:2], WAITING]:
        books.see(stripe_refund)
    assert books.refund.pending_reason == "processing"
    books.see({"id": "re_1", "status": "succeeded", **TAKEN})
    books.see(WAITING)
    assert (books.refund.state, books.refund.pending_reason) == (RefundState.SUCCEEDED, "")


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_a_refund_that_we_gave_up_and_stripe_has_is_as_stripe_says(
    course: list[dict[str, Any]],
) -> None:
    books = Books()
    books.refund = replace(ASKED, state=RefundState.FAILED, failure_code="deadline")
    books.payment = captured()
    for stripe_refund in course:
        books.see(stripe_refund)
    assert books.refund.state == course[-1]["status"].upper()
    assert books.refund.failure_code == course[-1].get("failure_reason", "")
    assert books.at_stripe == moved(course[-1])
    assert books.payment.refunded_minor == (700 if books.refund.accepted else 0)
    assert books.payment.refunding_minor == 0


def test_what_moved_is_told_by_balance_transactions_and_not_by_the_state() -> None:
    gone = as_stripe_says(ASKED, {"id": "re_1", "status": "succeeded"}, NOW)
    assert (gone.taken, gone.accepted, gone.undecided) == (False, True, False)
    assert facts_of_refund(captured(), ASKED, gone, NOW) == []
    back = as_stripe_says(ASKED, {"id": "re_1", "status": "failed", **BACK}, NOW)
    assert (back.taken, back.returned) == (True, True)
    kinds = [type(fact).__name__ for fact in facts_of_refund(captured(), ASKED, back, NOW)]
    assert kinds == ["RefundCreated", "RefundFailed"]


def test_where_it_was_taken_from_stays_as_it_was_booked() -> None:
    by_id = {"id": "re_1", "status": "succeeded", "balance_transaction": "txn_1"}
    booked = as_stripe_says(ASKED, by_id, NOW)
    later = as_stripe_says(booked, {"id": "re_1", "status": "succeeded", **TAKEN}, NOW)
    assert booked.balance == later.balance == "pending"


def test_only_a_pending_refund_has_a_reason_for_it() -> None:
    told = {"id": "re_1", "status": "succeeded", "pending_reason": "processing", **TAKEN}
    assert as_stripe_says(ASKED, told, NOW).pending_reason == ""


@pytest.mark.parametrize(
    ("status", "available_after", "part"),
    [("available", 0, "available"), ("pending", 0, "available"), ("available", 1, "pending")],
)
def test_where_it_was_taken_from_does_not_depend_on_when_we_looked(
    status: str, available_after: int, part: str
) -> None:
    transaction = {"id": "txn_1", "status": status, "created": 5, "available_on": 5}
    transaction["available_on"] = 5 + available_after
    seen = {"id": "re_1", "status": "succeeded", "balance_transaction": transaction}
    assert as_stripe_says(ASKED, seen, NOW).balance == part


def asked_for(payment: Payment, minor_units: int = 700) -> tuple[Operation, Payment]:
    started = start_refund(
        payment,
        Amount("EUR", minor_units),
        RefundCause.UNSPECIFIED,
        "refund-1",
        CommandContext(NOW, "op_1", "ref_1", 0),
    )
    assert isinstance(started, Start)
    assert started.operation is not None
    return started.operation, started.payment


NOTHING_FOUND = StripeReply(Outcome(OutcomeClass.REJECTED), nothing_found=True)


@pytest.mark.parametrize("reply", [NOTHING_FOUND, GivenUp()], ids=["nothing found", "given up"])
@pytest.mark.parametrize("known", [WAITING, {"id": "re_1", "status": "succeeded", **TAKEN}])
def test_a_refund_that_is_known_is_not_tried_anew(
    known: dict[str, Any], reply: StripeReply | GivenUp
) -> None:
    """An event told of it while its own answer was being looked for."""
    operation, payment = asked_for(captured())
    refund = as_stripe_says(ASKED, known, NOW)
    decision = apply_outcome(payment, operation, refund, reply, CONTEXT, resend=True)
    assert decision.operation.state is OperationState.SUCCEEDED
    assert decision.operation.idempotency_key == operation.idempotency_key
    assert decision.changes == ()
    assert decision.refund is None


def test_a_refund_is_wanted_for_seven_days() -> None:
    operation, payment = asked_for(captured())
    assert operation.kind is OperationKind.REFUND
    assert operation.deadline == NOW + timedelta(days=7)
    last = replace(CONTEXT, now=operation.deadline - timedelta(microseconds=1))
    again = apply_outcome(payment, operation, ASKED, NOTHING_FOUND, last, resend=True)
    assert again.operation.state is OperationState.PENDING
    assert again.operation.idempotency_key != operation.idempotency_key
    over = replace(CONTEXT, now=operation.deadline)
    ended = apply_outcome(payment, operation, ASKED, NOTHING_FOUND, over, resend=True)
    assert ended.operation.state is OperationState.FAILED
    assert ended.refund is not None
    assert (ended.refund.state, ended.refund.failure_code) == (RefundState.FAILED, "not_performed")
    assert ended.payment.refunding_minor == 0


@pytest.mark.parametrize(("minor_units", "taken"), [(999, True), (1000, False)])
def test_what_a_won_dispute_kept_is_not_refunded(minor_units: int, taken: bool) -> None:
    payment = captured(disputed_minor=1)
    context = CommandContext(NOW, "op_1", "ref_1", 0)
    cause = RefundCause.UNSPECIFIED
    started = start_refund(payment, Amount("EUR", minor_units), cause, "r-1", context)
    assert isinstance(started, Start) is taken
    if isinstance(started, Refusal):
        assert started.reason == "AMOUNT_EXCEEDS_REFUNDABLE"
        assert started.metadata["limit_minor"] == "999"
    everything = start_refund(payment, None, cause, "r-1", context)
    assert isinstance(everything, Start)
    assert everything.refund is not None
    assert everything.refund.amount_minor == 999


@pytest.mark.parametrize(
    ("disputed_minor", "charged_back"), [(1, True), (0, True), (1000, False), (1001, False)]
)
def test_what_is_charged_back_is_not_refunded(disputed_minor: int, charged_back: bool) -> None:
    context = CommandContext(NOW, "op_1", "ref_1", 0, charged_back=charged_back)
    payment = captured(disputed_minor=disputed_minor)
    refused = start_refund(payment, Amount("EUR", 1), RefundCause.UNSPECIFIED, "r-1", context)
    assert isinstance(refused, Refusal)
    assert refused.reason == "PAYMENT_DISPUTED"
    assert refused.metadata["disputed_minor"] == str(disputed_minor)
