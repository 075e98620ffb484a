"""What callers are told when nothing was sent, or Stripe said no."""

import pytest

from gateway.errors import not_sent_text
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.failover import ACCOUNT_REFUSED
from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass


def test_stripe_cannot_be_reached_only_when_it_cannot() -> None:
    texts = {reason: not_sent_text(reason) for reason in NotSentReason}
    assert len(set(texts.values())) == len(NotSentReason), "each reason has words of its own"
    assert not_sent_text("") not in texts.values()
    assert "key or the account" in not_sent_text(ACCOUNT_REFUSED)
    unreachable = [reason for reason, text in texts.items() if "cannot be reached" in text]
    assert unreachable == [NotSentReason.CONNECT_FAILED]
    for reason in (NotSentReason.CORRIDOR_CLOSED, NotSentReason.CORRIDOR_DRAINED):
        assert "operators" in texts[reason]


@pytest.mark.parametrize("reason", NotSentReason)
def test_a_call_that_was_not_sent_says_why(reason: NotSentReason) -> None:
    error = call_failed("default", Outcome(OutcomeClass.NOT_SENT, not_sent_reason=reason))
    assert error.message.startswith(not_sent_text(reason))
    assert error.metadata == {"corridor": "default", "not_sent_reason": reason.value}


def test_a_refusal_carries_all_that_stripe_said_of_it() -> None:
    failure = Failure(type="invalid_request_error", param="email", stripe_request_id="req_1")
    error = call_failed("default", Outcome(OutcomeClass.REJECTED, failure=failure))
    assert error.metadata == {
        "stripe_code": "",
        "stripe_type": "invalid_request_error",
        "stripe_param": "email",
        "stripe_request_id": "req_1",
    }
