"""What is made of each error of the SDK: whole verdicts, in a table; and what two calls say."""

from datetime import timedelta
from typing import Any

import pytest
import stripe

from gateway.stripe_client.classify import Health, Verdict, classify_error, classify_timeout
from gateway.stripe_client.http_client import OWN_SHORTAGE, TransportError, _AnswerHeaders
from gateway.stripe_client.outcome import (
    Failure,
    NotSentReason,
    Outcome,
    OutcomeClass,
    follow,
    is_missing,
    names_lost_method,
    refused_for_good,
    text_of,
)

C, H, R = OutcomeClass, Health, NotSentReason
BODY = {
    "code": "card_declined",
    "decline_code": "stolen_card",
    "advice_code": "do_not_try_again",
    "type": "card_error",
    "param": "source",
    "message": "names somebody",
    "payment_intent": {"id": "pi_1"},
    "setup_intent": {"id": "seti_1"},
}


def raised(status: int, body: dict[str, Any] | None, **headers: str) -> stripe.StripeError:
    named = {"Request-Id": "req_1", **{k.replace("_", "-"): v for k, v in headers.items()}}
    answer = _AnswerHeaders(named)
    answer.error = body
    return stripe.StripeError("names somebody", None, status, None, answer)  # type: ignore[arg-type]


def failure(status: int, **values: Any) -> Failure:
    return Failure(http_status=status, stripe_request_id="req_1", **values)


def test_all_that_is_kept_of_an_error() -> None:
    expected = Failure(
        code="card_declined",
        decline_code="stolen_card",
        advice_code="do_not_try_again",
        type="card_error",
        param="source",
        http_status=402,
        stripe_request_id="req_1",
        payment_intent={"id": "pi_1"},
        setup_intent={"id": "seti_1"},
    )
    verdict = classify_error(raised(402, BODY))
    assert verdict == Verdict(Outcome(C.DECLINED, failure=expected), False, H.ANSWERED)
    odd = {**BODY, "code": None, "param": 7, "payment_intent": "pi_1", "setup_intent": None}
    bare = classify_error(raised(402, odd)).outcome.failure
    assert bare is not None
    assert (bare.code, bare.param, bare.payment_intent, bare.setup_intent) == ("", "", None, None)
    without = stripe.StripeError("x", None, None, None, None)
    unreadable = Failure(code="UNREADABLE_ANSWER")
    assert classify_error(without) == Verdict(
        Outcome(C.UNKNOWN, failure=unreadable), False, H.FAILED
    )


INVALID, API = "invalid_request_error", "api_error"
YES, NO = {"stripe_should_retry": "true"}, {"stripe_should_retry": "false"}
REPLAYED = {"idempotent_replayed": "true"}
# Status, body and headers; the outcome's class and code, whether to retry, and the health.
Row = tuple[int, dict[str, str], dict[str, str], OutcomeClass, str, bool, Health]
ROWS: list[Row] = [
    (402, {"type": INVALID, "code": "x"}, {}, C.DECLINED, "x", False, H.ANSWERED),
    (400, {"type": "card_error", "code": "x"}, {}, C.DECLINED, "x", False, H.ANSWERED),
    *[
        (status, {"type": INVALID, "code": "x"}, YES, C.REJECTED, "x", False, H.ANSWERED)
        for status in (400, 401, 403, 404)
    ],
    (400, {"type": "idempotency_error"}, {}, C.UNKNOWN, "", False, H.ANSWERED),
    (409, {"type": "idempotency_error"}, {}, C.UNKNOWN, "", True, H.ANSWERED),
    (409, {"type": INVALID}, {}, C.UNKNOWN, "", True, H.ANSWERED),
    (409, {"type": INVALID}, NO, C.UNKNOWN, "", False, H.ANSWERED),
    (405, {"type": INVALID}, {}, C.UNKNOWN, "", False, H.ANSWERED),
    (405, {"type": INVALID}, YES, C.UNKNOWN, "", True, H.ANSWERED),
    (499, {"type": API}, {}, C.UNKNOWN, "", False, H.ANSWERED),
    (500, {"type": API}, {}, C.UNKNOWN, "", True, H.FAILED),
    (503, {"type": API}, NO, C.UNKNOWN, "", False, H.FAILED),
    (399, {"type": API}, {}, C.UNKNOWN, "", False, H.FAILED),
    # Kept under the key: the same comes again.
    (500, {"type": API}, REPLAYED, C.UNKNOWN, "KEPT_FAILURE", False, H.NOT_COUNTED),
    (500, {}, REPLAYED, C.UNKNOWN, "KEPT_FAILURE", False, H.NOT_COUNTED),
    (402, {"type": "card_error", "code": "x"}, REPLAYED, C.DECLINED, "x", False, H.ANSWERED),
    (400, {"type": INVALID, "code": "x"}, REPLAYED, C.REJECTED, "x", False, H.ANSWERED),
    # No error of Stripe's, whatever its status.
    (402, {"code": "x"}, {}, C.UNKNOWN, "UNREADABLE_ANSWER", True, H.FAILED),
    (400, {}, {}, C.UNKNOWN, "UNREADABLE_ANSWER", True, H.FAILED),
    (399, {}, {}, C.UNKNOWN, "UNREADABLE_ANSWER", False, H.FAILED),
    (502, {}, NO, C.UNKNOWN, "UNREADABLE_ANSWER", False, H.FAILED),
    (200, {}, YES, C.UNKNOWN, "UNREADABLE_ANSWER", True, H.FAILED),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}")
def test_what_is_made_of_an_answer(row: Row) -> None:
    status, body, headers, outcome_class, code, retry, health = row
    kept = failure(status, type=body.get("type", ""), code=code)
    waits = outcome_class is C.UNKNOWN and health is not H.NOT_COUNTED
    quarrel = body.get("type") == "idempotency_error" and status != 409
    after = timedelta(seconds=7) if waits and not quarrel else None
    expected = Verdict(Outcome(outcome_class, failure=kept, retry_after=after), retry, health)
    assert classify_error(raised(status, body, retry_after="7", **headers)) == expected


@pytest.mark.parametrize(
    ("status", "code", "why", "reason"),
    [
        (429, "lock_timeout", "", R.OBJECT_LOCKED),
        (429, "lock_timeout", "global-concurrency", R.OBJECT_LOCKED),
        (429, "", "endpoint-concurrency", R.CONCURRENCY_LIMITED),
        (429, "", "global-rate", R.RATE_LIMITED),
        (429, "rate_limit", "", R.RATE_LIMITED),
        (400, "rate_limit", "", R.RATE_LIMITED),
    ],
)
@pytest.mark.parametrize(("headers", "retry"), [({}, True), (YES, True), (NO, False)])
def test_what_was_refused_for_its_pace_was_not_sent(
    status: int, code: str, why: str, reason: NotSentReason, headers: dict[str, str], retry: bool
) -> None:
    error = raised(
        status,
        {"type": INVALID, "code": code},
        stripe_rate_limited_reason=why,
        retry_after="7",
        **headers,
    )
    outcome = Outcome(
        C.NOT_SENT,
        failure=failure(status, type=INVALID, code=code),
        retry_after=timedelta(seconds=7),
        not_sent_reason=reason,
    )
    assert classify_error(error) == Verdict(outcome, retry, H.NOT_COUNTED)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("0", 0), ("7", 7), ("300", 300), ("301", 300), ("-1", None), ("soon", None), ("٣", None)],
)
def test_how_long_stripe_asks_to_wait(told: str, seconds: int | None) -> None:
    outcome = classify_error(raised(500, {"type": API}, retry_after=told)).outcome
    assert outcome.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_no_answer() -> None:
    timeout = Outcome(C.UNKNOWN, failure=Failure(code="TIMEOUT"))
    assert classify_timeout(cut_short=False) == Verdict(timeout, True, H.FAILED)
    assert classify_timeout(cut_short=True) == Verdict(timeout, False, H.NOT_COUNTED)
    lost = Failure(code="DISCONNECTED")
    assert classify_error(TransportError("DISCONNECTED", sent=True)) == Verdict(
        Outcome(C.UNKNOWN, failure=lost), True, H.FAILED
    )
    assert classify_error(TransportError("DISCONNECTED", sent=False)) == Verdict(
        Outcome(C.NOT_SENT, failure=lost, not_sent_reason=R.CONNECT_FAILED), True, H.FAILED
    )
    shortage = Outcome(
        C.NOT_SENT, failure=Failure(code=OWN_SHORTAGE), not_sent_reason=R.OWN_SHORTAGE
    )
    assert classify_error(TransportError(OWN_SHORTAGE, sent=False)) == Verdict(
        shortage, True, H.NOT_COUNTED
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"retry_after": timedelta(seconds=9)}, {"retry_after": timedelta(seconds=9)}),
        ({"failure": Failure(code="later")}, {"failure": Failure(code="later")}),
    ],
)
def test_what_stays_unknown_has_the_latest_word(
    values: dict[str, Any], expected: dict[str, Any]
) -> None:
    known: dict[str, Any] = {"failure": Failure(code="x"), "retry_after": timedelta(seconds=3)}
    earlier = Outcome(C.UNKNOWN, attempts=1, **known)
    later = Outcome(C.NOT_SENT, attempts=2, not_sent_reason=R.DEADLINE, **values)
    assert follow(earlier, later) == Outcome(C.UNKNOWN, attempts=2, **{**known, **expected})


@pytest.mark.parametrize(
    ("param", "code", "lost"),
    [
        ("payment_method", "resource_missing", True),
        ("payment_method", "", True),
        ("payment_method", "parameter_invalid", False),
        ("invoice_settings[default_payment_method]", "resource_missing", True),
        ("payment_method_data", "", False),
        ("customer", "resource_missing", False),
    ],
)
def test_a_refusal_about_a_lost_payment_method(param: str, code: str, lost: bool) -> None:
    assert names_lost_method(Failure(code=code, param=param)) is lost


def test_what_was_refused_for_good_and_what_is_missing() -> None:
    for outcome_class in OutcomeClass:
        for status in (400, 401, 402, 403, 404, 429):
            outcome = Outcome(outcome_class, failure=Failure(http_status=status))
            decided = outcome_class in (C.REJECTED, C.DECLINED)
            assert refused_for_good(outcome) is (decided and status in (400, 402, 404))
        assert not refused_for_good(Outcome(outcome_class))
    assert is_missing(Outcome(C.REJECTED, failure=Failure(code="resource_missing")))
    assert not is_missing(Outcome(C.REJECTED, failure=Failure(code="x")))
    assert not is_missing(Outcome(C.SUCCEEDED))
    values = {"text": "x", "null": None, "number": 7}
    assert [text_of(values, name) for name in ("text", "null", "number", "none")] == [
        *("x", "", "", "")
    ]
