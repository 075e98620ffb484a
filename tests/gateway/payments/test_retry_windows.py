"""Whatever routing chooses, another attempt keeps to every rule: a whole life of declines against a
model of the rules that shares no code with them."""

import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.operations.operation import OperationKind
from gateway.payments.domain.authorization_outcome import apply_authorization
from gateway.payments.domain.decline_retries import due_step
from gateway.payments.domain.payment import DeclineRetry, Payment
from gateway.payments.domain.payment_methods import PaymentMethodType
from gateway.payments.domain.retry_policy import RetryWindow, retry_window
from gateway.payments.domain.routing import Choice, RetryChoice
from gateway.payments.domain.states import PaymentState
from gateway.routing_service.retries import times_of
from gateway.stripe_client.outcome import Failure, OutcomeClass
from tests.gateway.payments.outcomes import CREATED, context, operation, payment_in, reply

DATA = tomllib.loads(
    (Path(gateway.__file__).parent / "data" / "declines.toml").read_text(encoding="utf-8")
)
CODES = {row["code"]: row for row in DATA["decline"]}
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass
class AnyTime:
    """A router that takes any of the times that there are."""

    pick: Callable[[int], int]
    windows: list[RetryWindow] = field(default_factory=list)

    async def choose(self, _payment: Payment, _elsewhere: Any) -> Choice | None:
        raise AssertionError("it is not new")

    def choose_next(self, *_: Any) -> Choice | None:
        raise AssertionError("it goes nowhere")

    def choose_retry_time(
        self, payment: Payment, window: RetryWindow, now: datetime
    ) -> RetryChoice | None:
        self.windows.append(window)
        times = times_of(payment, window, now)
        return RetryChoice(times[self.pick(len(times))].time, {"attempt": payment.decline_count})

    def written(self, _record: Mapping[str, Any]) -> None:
        raise AssertionError("nothing is written here")

    def under_way(self, _payment: Payment) -> AbstractContextManager[None]:
        return nullcontext()


def declined_now(payment: Payment, code: str, brand: str, now: datetime, router: Any) -> Payment:
    """The payment after Stripe has declined it, and its record if routing had a say."""
    intent = {
        "id": "pi_1",
        "latest_charge": f"ch_{payment.decline_count + 1}",
        "last_payment_error": {
            "code": "card_declined",
            "decline_code": code,
            "payment_method": {"card": {"brand": brand, "fingerprint": "fp_1"}},
        },
    }
    failure = Failure(
        code="card_declined", decline_code=code, type="card_error", payment_intent=intent
    )
    decision = apply_authorization(
        payment,
        operation(OperationKind.AUTHORIZE),
        reply(OutcomeClass.DECLINED, failure),
        replace(context(now), router=router),
        resend=False,
    )
    assert (decision.retry is not None) == (
        router is not None and decision.payment.state is PaymentState.RETRY_SCHEDULED
    )
    return decision.payment


def attempts_left(code: str, made: int, at: datetime, most: int, end: datetime) -> int:
    """How many attempts follow from one at a time on, were each declined for that reason."""
    count = 0
    while made < most and at <= end:
        count, made = count + 1, made + 1
        hours = CODES[code]["wait_hours"]
        at += timedelta(hours=min(hours * 2 ** (made - 1), max(hours, 7 * 24)))
    return count


@given(st.data())
def test_another_attempt_keeps_to_the_rules_whatever_is_chosen(data: st.DataObject) -> None:
    policy = DeclineRetry(data.draw(st.integers(2, 10)), data.draw(st.timedeltas(HOUR, 30 * DAY)))
    brand = data.draw(st.sampled_from(["visa", "mastercard", "amex"]))
    end = CREATED + policy.within
    payment = payment_in(
        PaymentState.AUTHORIZING, off_session=True, decline_retry=policy, create_time=CREATED
    )
    now = CREATED + data.draw(st.timedeltas(timedelta(0), HOUR))
    # What else was declined of the card.
    earlier = [
        now - data.draw(st.timedeltas(timedelta(0), 40 * DAY))
        for _ in range(data.draw(st.sampled_from([0, 0, 8, 9, 15, 16])))
    ]
    router = AnyTime(lambda count: data.draw(st.integers(0, count - 1)))
    declines = list(earlier)
    for made in range(1, 12):
        code = data.draw(st.sampled_from([*CODES]))
        declines.append(now)
        payment = declined_now(payment, code, brand, now, router)
        if payment.state is PaymentState.DECLINED:
            break
        # It goes on: for a reason that may pass, with attempts left, after the wait, in time.
        assert CODES[code]["class"] == "later"
        assert made < policy.max_attempts
        assert payment.wake_time is not None
        wait = min(CODES[code]["wait_hours"] * 2 ** (made - 1), 7 * 24)
        assert now + timedelta(hours=wait) <= payment.wake_time <= end
        # No later than costs no attempt.
        kept = attempts_left(code, made, payment.wake_time, policy.max_attempts, end)
        earliest = attempts_left(code, made, router.windows[-1].earliest, policy.max_attempts, end)
        assert kept == earliest >= 1
        now = payment.wake_time
        while True:
            change, begun = due_step(payment, declines, now, "op_2")
            payment = change.after
            if begun is not None or payment.state is PaymentState.DECLINED:
                break
            assert payment.wake_time is not None
            assert payment.wake_time > now
            now = payment.wake_time
        if begun is None:
            break
        # The networks' limits, counted once more: this attempt and those of its window.
        limits = [row for row in DATA["limit"] if row["brand"] == brand] or [
            row for row in DATA["limit"] if row["brand"] == "*"
        ]
        for limit in limits:
            window = timedelta(hours=limit["hours"])
            assert sum(now - window < each <= now for each in declines) < limit["attempts"]
        payment = replace(payment, state=PaymentState.AUTHORIZING, hold_id="op_2")
    else:
        raise AssertionError("more attempts than a client may ask for")
    assert payment.decline_count <= policy.max_attempts


def test_the_window_ends_where_an_attempt_would_be_lost() -> None:
    fourteen = DeclineRetry(4, 14 * DAY)
    payment = payment_in(
        PaymentState.AUTHORIZING, off_session=True, decline_retry=fourteen, create_time=CREATED
    )
    after = declined_now(payment, "insufficient_funds", "visa", CREATED, None)
    assert after.decline is not None
    # After 1, 2 and 4 days it is tried again: 7 of 14 days are left.
    expected = RetryWindow(CREATED + DAY, CREATED + 8 * DAY)
    assert retry_window(payment, after.decline, CREATED) == expected
    last = replace(payment, decline_count=2)
    now = CREATED + 3 * DAY
    assert retry_window(last, after.decline, now) == RetryWindow(now + 4 * DAY, CREATED + 14 * DAY)
    assert retry_window(replace(payment, decline_count=3), after.decline, now) is None


@pytest.mark.parametrize("router", [None, AnyTime(lambda count: count - 1)])
def test_what_the_rules_say_stays_where_nobody_may_choose(router: AnyTime | None) -> None:
    """Without a router, and of a bank debit with one, it is the earliest time."""
    kind = PaymentMethodType.US_BANK_ACCOUNT if router is not None else PaymentMethodType.CARD
    payment = payment_in(
        PaymentState.AUTHORIZING,
        off_session=True,
        payment_method_type=kind,
        decline_retry=DeclineRetry(3, 14 * DAY),
        create_time=CREATED,
    )
    intent = {"id": "pi_1", "latest_charge": "ch_1"}
    failure = Failure(code="insufficient_funds", type="card_error", payment_intent=intent)
    decision = apply_authorization(
        payment,
        operation(OperationKind.AUTHORIZE),
        reply(OutcomeClass.DECLINED, failure),
        replace(context(CREATED), router=router),
        resend=False,
    )
    assert decision.retry is None
    wait = 3 * DAY if router is not None else DAY
    assert decision.payment.wake_time == CREATED + wait
