"""Whose fault it was, line by line."""

import pytest

from gateway.routing.attribution import Attribution, CallResult, Cause, Ending, attribute
from gateway.stripe_client.outcome import OutcomeClass

WELL_APPROVED = Attribution(Cause.APPROVED, failed=False, approved=True)
ISSUER = Attribution(Cause.ISSUER, failed=False, approved=False)
CUSTOMER = Attribution(Cause.CUSTOMER, failed=False, approved=None)
CORRIDOR = Attribution(Cause.CORRIDOR, failed=True, approved=None)
NOTHING = Attribution(Cause.NOBODY, failed=None, approved=None)


def declined(decline_code: str = "", **known: str) -> CallResult:
    return CallResult(Ending.DECLINED, "card_declined", decline_code, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "attribution"),
    [
        (CallResult(Ending.SUCCEEDED), WELL_APPROVED),
        (declined("do_not_honor"), ISSUER),
        (declined("generic_decline", outcome_type="issuer_declined"), ISSUER),
        (declined("lost_card"), ISSUER),
        (declined("a code of tomorrow"), ISSUER),
        (declined("incorrect_cvc"), CUSTOMER),
        (declined("insufficient_funds"), CUSTOMER),
        (CallResult(Ending.DECLINED, "expired_card"), CUSTOMER),
        (declined("authentication_required"), CUSTOMER),
        (declined(outcome_type="invalid"), CUSTOMER),
        (declined(outcome_type="blocked"), NOTHING),
        (declined("fraudulent", outcome_type="blocked", reason="highest_risk_level"), NOTHING),
        (declined(reason="rule"), NOTHING),
        (declined("do_not_honor", network_status="not_sent_to_network"), NOTHING),
        (declined("merchant_blacklist"), NOTHING),
        (declined("processing_error"), CORRIDOR),
        (CallResult(Ending.DECLINED, "processing_error"), CORRIDOR),
        (declined("issuer_not_available"), CORRIDOR),
        (CallResult(Ending.UNKNOWN, "TIMEOUT"), CORRIDOR),
        (CallResult(Ending.UNKNOWN, http_status=500), CORRIDOR),
        (CallResult(Ending.REJECTED, "parameter_missing"), NOTHING),
        (CallResult(Ending.NOT_SENT), NOTHING),
        (CallResult(Ending.NOT_SENT, connect_failed=True), CORRIDOR),
    ],
)
def test_attribution(result: CallResult, attribution: Attribution) -> None:
    assert attribute(result) == attribution


@pytest.mark.parametrize(
    ("result", "attribution"),
    [
        (
            CallResult(Ending.SUCCEEDED, was_unknown=True),
            Attribution(Cause.APPROVED, failed=None, approved=True),
        ),
        (
            CallResult(Ending.DECLINED, decline_code="do_not_honor", was_unknown=True),
            Attribution(Cause.ISSUER, failed=None, approved=False),
        ),
        (CallResult(Ending.DECLINED, "processing_error", was_unknown=True), NOTHING),
        (
            CallResult(Ending.DECLINED, decline_code="incorrect_cvc", was_unknown=True),
            Attribution(Cause.CUSTOMER, failed=None, approved=None),
        ),
    ],
)
def test_what_an_unknown_call_came_to(result: CallResult, attribution: Attribution) -> None:
    assert attribute(result) == attribution


def test_an_unknown_outcome_says_nothing_of_the_issuer() -> None:
    for http_status in (0, 500, 503):
        assert attribute(CallResult(Ending.UNKNOWN, http_status=http_status)).approved is None


def test_endings_are_the_outcome_classes() -> None:
    assert {ending.value for ending in Ending} == {one.value for one in OutcomeClass}
