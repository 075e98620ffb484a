"""What Stripe says of a refund, in whatever order it is heard."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.payments.domain.refund import Refund, RefundState, as_stripe_says

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
