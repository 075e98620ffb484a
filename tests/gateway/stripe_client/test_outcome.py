"""What is known after two calls with the same key."""

import pytest

from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass, follow

SUCCEEDED = Outcome(OutcomeClass.SUCCEEDED, object={"id": "pi_1"})
DECLINED = Outcome(OutcomeClass.DECLINED, failure=Failure(http_status=402))
REJECTED = Outcome(OutcomeClass.REJECTED, failure=Failure(http_status=400))
UNAUTHORIZED = Outcome(OutcomeClass.REJECTED, failure=Failure(http_status=401))
FORBIDDEN = Outcome(OutcomeClass.REJECTED, failure=Failure(http_status=403))
NOT_SENT = Outcome(OutcomeClass.NOT_SENT, not_sent_reason=NotSentReason.BREAKER_OPEN)
UNKNOWN = Outcome(OutcomeClass.UNKNOWN, failure=Failure(code="TIMEOUT"))
ALL = [SUCCEEDED, DECLINED, REJECTED, UNAUTHORIZED, FORBIDDEN, NOT_SENT, UNKNOWN]


@pytest.mark.parametrize("later", ALL)
@pytest.mark.parametrize("earlier", [None, NOT_SENT])
def test_nothing_sent_before_leaves_the_later_word(earlier: Outcome | None, later: Outcome) -> None:
    assert follow(earlier, later) is later


@pytest.mark.parametrize("later", [SUCCEEDED, DECLINED, REJECTED])
def test_an_answer_to_the_key_settles_an_unknown(later: Outcome) -> None:
    assert follow(UNKNOWN, later) is later


@pytest.mark.parametrize("later", [NOT_SENT, UNAUTHORIZED, FORBIDDEN, UNKNOWN])
def test_nothing_else_settles_an_unknown(later: Outcome) -> None:
    assert follow(UNKNOWN, later).outcome_class is OutcomeClass.UNKNOWN
    assert follow(UNKNOWN, later).not_sent_reason is None
