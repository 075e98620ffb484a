"""What each answer of Stripe's to a refund leads to: whole decisions, and a model of the sums."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.operations.operation import GivenUp, OperationKind, OperationState
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.refund import Refund, RefundState, as_stripe_says
from gateway.payments.domain.refund_outcome import (
    apply_refund,
    refund_made_elsewhere,
    refund_step,
)
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.outcome import NotSentReason, OutcomeClass
from tests.gateway.payments.outcomes import (
    ASKED_REFUND,
    NOW,
    PAUSE,
    REFUSED,
    RETRY_AFTER,
    anew,
    context,
    decision,
    ended,
    not_sent,
    operation,
    payment_in,
    pending_for,
    reply,
    step,
    unknown_for,
)

Op, R = OperationState, RefundState
REFUND = operation(OperationKind.REFUND, refund_id="ref_1", amount_minor=300)
KNOWN = replace(ASKED_REFUND, stripe_refund_id="re_1", untaken=True)
# 10.00 captured, of which 2.00 were refunded before and 3.00 are asked for; 1.00 is another's.
PAYMENT = payment_in(
    PaymentState.SUCCEEDED,
    payment_intent_id="pi_1",
    refunded_minor=200,
    refunding_minor=400,
)
TRANSACTION = {"id": "txn_1", "status": "available", "created": 7, "available_on": 7}


def refunded(
    answer: StripeReply | GivenUp,
    refund: Refund = ASKED_REFUND,
    *,
    resend: bool = False,
    **about: Any,
) -> Decision:
    asked = replace(REFUND, **about)
    return apply_refund(PAYMENT, asked, refund, answer, context(), resend=resend)


def test_a_refund_that_was_made_counts_as_refunded() -> None:
    made = {"id": "re_1", "status": "succeeded", "balance_transaction": TRANSACTION}
    after = replace(
        ASKED_REFUND,
        state=R.SUCCEEDED,
        stripe_refund_id="re_1",
        balance="available",
        take_time=datetime.fromtimestamp(7, UTC),
        update_time=NOW,
    )
    change = step(
        PAYMENT,
        "refund_succeeded",
        PaymentState.SUCCEEDED,
        refunding_minor=100,
        refunded_minor=500,
    )
    expected = decision(PAYMENT, ended(REFUND, Op.SUCCEEDED), change, refund=after)
    assert refunded(reply(OutcomeClass.SUCCEEDED, object=made)) == expected


def test_a_refund_that_waits_for_balance_leaves_the_sums() -> None:
    waits = {"id": "re_1", "status": "pending", "pending_reason": "insufficient_funds"}
    after = replace(KNOWN, pending_reason="insufficient_funds", update_time=NOW)
    expected = decision(PAYMENT, ended(REFUND, Op.SUCCEEDED), refund=after)
    assert refunded(reply(OutcomeClass.SUCCEEDED, object=waits)) == expected


def test_a_refund_that_failed_at_once_is_asked_for_no_more() -> None:
    failed = {"id": "re_1", "status": "failed", "failure_reason": "declined"}
    after = replace(KNOWN, state=R.FAILED, failure_code="declined", update_time=NOW)
    change = step(
        PAYMENT, "refund_failed", PaymentState.SUCCEEDED, refunding_minor=100, refunded_minor=200
    )
    expected = decision(PAYMENT, ended(REFUND, Op.SUCCEEDED), change, refund=after)
    assert refunded(reply(OutcomeClass.SUCCEEDED, object=failed)) == expected


def test_what_a_refund_took_back_is_told_with_it() -> None:
    reversal = {"id": "trr_1", "transfer": {"currency": "usd", "amount_reversed": 330}}
    fee = {"id": "fee_1", "currency": "eur", "amount_refunded": 30}
    made = {
        "id": "re_1",
        "status": "succeeded",
        "balance_transaction": TRANSACTION,
        "transfer_reversal": reversal,
        "charge": {"id": "ch_1", "application_fee": fee},
    }
    told = {
        "transfer_reversed_minor": 330,
        "transfer_reversed_currency": "USD",
        "application_fee_refunded_minor": 30,
        "application_fee_refunded_currency": "EUR",
    }
    done = refunded(reply(OutcomeClass.SUCCEEDED, object=made))
    assert done.changes == (
        step(
            PAYMENT,
            "refund_succeeded",
            PaymentState.SUCCEEDED,
            refunding_minor=100,
            refunded_minor=500,
            **told,
        ),
    )
    assert done.refund is not None
    assert done.refund.reverse_transfer is True
    # What comes to be known later changes the payment, but none of its sums.
    counted = replace(ASKED_REFUND, state=R.SUCCEEDED, stripe_refund_id="re_1")
    late = refund_step(PAYMENT, counted, counted, context(), made)
    assert late == step(PAYMENT, "refund_updated", PaymentState.SUCCEEDED, **told)
    assert late is not None
    assert refund_step(late.after, counted, counted, context(), made) is None


@pytest.mark.parametrize(
    ("answer", "code", "failure"),
    [
        (GivenUp(), "deadline", None),
        (reply(OutcomeClass.REJECTED, REFUSED), "parameter_invalid", REFUSED),
        (
            reply(OutcomeClass.DECLINED, replace(REFUSED, code="")),
            "invalid_request_error",
            replace(REFUSED, code=""),
        ),
    ],
)
def test_a_refund_that_certainly_is_not_made_fails(
    answer: StripeReply | GivenUp, code: str, failure: Any
) -> None:
    after = replace(ASKED_REFUND, state=R.FAILED, failure_code=code, update_time=NOW)
    change = step(
        PAYMENT, "refund_failed", PaymentState.SUCCEEDED, refunding_minor=100, refunded_minor=200
    )
    for resend in (False, True):
        assert refunded(answer, resend=resend) == decision(
            PAYMENT, ended(REFUND, Op.FAILED, code, failure), change, refund=after
        )


@pytest.mark.parametrize(
    "refund", [KNOWN, replace(ASKED_REFUND, state=R.FAILED, failure_code="before")]
)
def test_what_is_known_of_a_refund_stays(refund: Refund) -> None:
    """An event told of it, or it has failed before: its own words stay."""
    expected = decision(PAYMENT, ended(REFUND, Op.FAILED, "deadline"), refund=refund)
    assert refunded(GivenUp(), refund) == expected


def test_what_stripe_has_no_trace_of_is_asked_anew_while_it_is_wanted() -> None:
    nothing = reply(OutcomeClass.REJECTED, nothing_found=True)
    last = NOW + timedelta(microseconds=1)
    asked = replace(REFUND, deadline=last)
    assert refunded(nothing, deadline=last) == decision(PAYMENT, anew(asked), refund=ASKED_REFUND)
    over = refunded(nothing, deadline=NOW)
    assert over.operation == ended(replace(REFUND, deadline=NOW), Op.FAILED, "not_performed")
    assert over.refund == replace(
        ASKED_REFUND, state=R.FAILED, failure_code="not_performed", update_time=NOW
    )
    assert over.payment.refunding_minor == 100


@pytest.mark.parametrize(("retry_after", "wait"), [(None, PAUSE), (RETRY_AFTER, RETRY_AFTER)])
def test_what_was_not_sent_is_sent_again_later(
    retry_after: timedelta | None, wait: timedelta
) -> None:
    answer = not_sent(NotSentReason.RATE_LIMITED, failure=REFUSED, retry_after=retry_after)
    later = pending_for(REFUND, wait, "not_sent")
    assert refunded(answer) == decision(PAYMENT, later, refund=ASKED_REFUND)
    # After one request that may have arrived, a second that did not proves nothing.
    unknown = unknown_for(REFUND, wait, "parameter_invalid")
    assert refunded(answer, resend=True) == decision(PAYMENT, unknown, refund=ASKED_REFUND)


@pytest.mark.parametrize("resend", [False, True])
def test_what_is_unknown_is_asked_again(resend: bool) -> None:
    later = unknown_for(REFUND, RETRY_AFTER, "parameter_invalid")
    answer = reply(OutcomeClass.UNKNOWN, REFUSED, retry_after=RETRY_AFTER)
    assert refunded(answer, resend=resend) == decision(PAYMENT, later, refund=ASKED_REFUND)


# Where a refund counts: among what is asked for, among what is refunded, or nowhere.
COUNTED: dict[str, tuple[Refund, str]] = {
    "asked for": (ASKED_REFUND, "refunding"),
    "waits for balance": (KNOWN, "refunding"),
    "waits for the customer": (replace(KNOWN, state=R.REQUIRES_ACTION), "refunding"),
    "taken": (replace(KNOWN, untaken=False), "refunded"),
    "taken, waits for the customer": (
        replace(KNOWN, untaken=False, state=R.REQUIRES_ACTION),
        "refunded",
    ),
    "succeeded": (replace(KNOWN, untaken=False, state=R.SUCCEEDED), "refunded"),
    "succeeded, nothing taken yet": (replace(KNOWN, state=R.SUCCEEDED), "refunded"),
    "failed": (replace(KNOWN, state=R.FAILED), "nowhere"),
    "failed after it was taken": (replace(KNOWN, untaken=False, state=R.FAILED), "nowhere"),
    "given up": (replace(ASKED_REFUND, state=R.FAILED), "nowhere"),
    "canceled": (replace(KNOWN, untaken=False, state=R.CANCELED), "nowhere"),
}


@pytest.mark.parametrize("before", COUNTED)
@pytest.mark.parametrize("after", COUNTED)
def test_the_sums_are_those_of_all_refunds(before: str, after: str) -> None:
    """Beside this refund, others of 1.00 asked for and 2.00 refunded."""
    (old, was), (new, now) = COUNTED[before], COUNTED[after]

    def sums(where: str) -> dict[str, int]:
        return {
            "refunding_minor": 100 + (300 if where == "refunding" else 0),
            "refunded_minor": 200 + (300 if where == "refunded" else 0),
        }

    payment = payment_in(PaymentState.SUCCEEDED, **sums(was))
    change = refund_step(payment, old, new, context())
    if was == now:
        assert change is None
        return
    name = "refund_succeeded" if now == "refunded" else "refund_failed"
    assert change == step(payment, name, PaymentState.SUCCEEDED, **sums(now))


@pytest.mark.parametrize(
    ("values", "told", "ours", "reverses", "fee"),
    [
        ({}, {}, False, None, None),
        ({}, {}, True, None, None),
        ({"destination_account": "acct_1"}, {"transfer_reversal": "trr_1"}, False, False, None),
        ({"destination_account": "acct_1"}, {"transfer_reversal": "trr_1"}, True, False, None),
        (
            {"destination_account": "acct_1", "application_fee_minor": 70},
            {"transfer_reversal": "trr_1"},
            *(True, False, True),
        ),
        (
            {"destination_account": "acct_1", "application_fee_minor": 70},
            {"transfer_reversal": "trr_1"},
            *(False, False, None),
        ),
        (
            {"destination_account": "acct_1", "application_fee_minor": 70},
            {"transfer_reversal": None},
            *(True, False, False),
        ),
    ],
)
def test_a_refund_that_is_only_at_stripe_begins_as_if_it_were_asked_for(
    values: dict[str, Any], told: dict[str, Any], ours: bool, reverses: Any, fee: Any
) -> None:
    payment = replace(PAYMENT, **values)
    made, change = refund_made_elsewhere(
        payment, {"id": "re_9", "amount": 150, **told}, "ref_9", "r-9", context(), ours=ours
    )
    assert made == Refund(
        id="ref_9",
        request_id="r-9",
        payment_id="pay_1",
        state=R.PENDING,
        amount_minor=150,
        reverse_transfer=reverses,
        refund_application_fee=fee,
        create_time=NOW,
        update_time=NOW,
    )
    assert change == step(payment, "refund_started", PaymentState.SUCCEEDED, refunding_minor=550)


def test_a_refund_that_is_only_at_stripe_is_in_stripes_units() -> None:
    destination: dict[str, Any] = {"destination_account": "acct_1", "application_fee_minor": 70}
    payment = replace(PAYMENT, currency="ISK", **destination)
    told = {"id": "re_9", "amount": 15_000, "transfer_reversal": "trr_1"}
    made, _ = refund_made_elsewhere(payment, told, "ref_9", "r-9", context())
    assert made.amount_minor == 150
    # Somebody else has made it, unless it is said to be ours: he does not tell of the fee.
    assert made.refund_application_fee is None


LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize("status", [None, "", "brand_new"])
def test_a_status_that_is_not_known_counts_as_pending(status: str | None) -> None:
    told = as_stripe_says(ASKED_REFUND, {"id": "re_1", "status": status}, NOW)
    assert told == replace(KNOWN, update_time=NOW)


def test_a_refund_that_is_over_changes_no_more_than_stripe_says() -> None:
    over = replace(KNOWN, state=R.FAILED, failure_code="declined")
    told = {"id": "re_1", "status": "failed", "failure_reason": "declined"}
    # The same again is no news, and what is not told stays.
    assert as_stripe_says(over, told, LATER) == over
    assert as_stripe_says(over, {"id": "re_1", "status": "pending"}, LATER) == over
    other = as_stripe_says(over, {**told, "failure_reason": "lost_or_stolen_card"}, LATER)
    assert other == replace(over, failure_code="lost_or_stolen_card", update_time=LATER)
    # One that is not over was heard of, whatever it said.
    again = as_stripe_says(KNOWN, {"id": "re_1", "status": "pending"}, LATER)
    assert again == replace(KNOWN, update_time=LATER)


@pytest.mark.parametrize(
    ("transaction", "balance"),
    [
        ({"status": "available"}, "available"),
        ({"status": "pending"}, "pending"),
        ({}, "pending"),
        # What was so when it was made goes first.
        ({"status": "available", "created": 7, "available_on": 8}, "pending"),
        ({"status": "pending", "created": 7, "available_on": 7}, "available"),
    ],
)
def test_the_part_of_the_balance_that_a_refund_was_taken_from(
    transaction: dict[str, Any], balance: str
) -> None:
    told = {"id": "re_1", "status": "succeeded", "balance_transaction": transaction}
    refund = as_stripe_says(ASKED_REFUND, told, NOW)
    assert (refund.balance, refund.taken) == (balance, True)
    # It was taken once: what is told later changes nothing of that.
    other = {"created": 7, "available_on": 7 if balance == "pending" else 8}
    late = as_stripe_says(refund, {**told, "balance_transaction": other}, LATER)
    assert late.balance == balance
