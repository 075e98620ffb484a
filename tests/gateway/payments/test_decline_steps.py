"""The steps after a decline, whole: the last one, another attempt, and one that is put off; and the
data of `declines.toml` as it is read."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.decline_retries import (
    decline_step,
    due_step,
    is_too_late,
    longest_window,
    put_back_step,
)
from gateway.payments.domain.payment import Decline, DeclineRetry, Payment
from gateway.payments.domain.retry_policy import (
    NetworkLimit,
    RetryClass,
    RetryRule,
    next_attempt_time,
    read_data,
)
from gateway.payments.domain.states import PaymentState
from tests.gateway.payments.outcomes import CREATED, NOW, payment_in, step

S = PaymentState
DAY, HOUR, MOMENT = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
BROKE = Decline("card_declined", "insufficient_funds", card_brand="visa")
STOLEN = Decline("card_declined", "stolen_card", card_brand="visa")
RETRIES: dict[str, Any] = {
    "off_session": True,
    "decline_retry": DeclineRetry(4, timedelta(days=20)),
}
AUTHORIZING = payment_in(S.AUTHORIZING, payment_intent_id="pi_0", charge_id="ch_0", **RETRIES)


@pytest.mark.parametrize(
    ("state", "decline", "declined_before", "wait"),
    [
        # Each wait is twice the one before.
        (S.AUTHORIZING, BROKE, 0, DAY),
        (S.AUTHORIZING, BROKE, 1, 2 * DAY),
        (S.AUTHORIZING, BROKE, 2, 4 * DAY),
        (S.AUTHORIZING, BROKE, 3, None),
        (S.PROCESSING, BROKE, 0, DAY),
        # The customer acts, or it is being canceled: it is not charged again without him.
        (S.REQUIRES_ACTION, BROKE, 0, None),
        (S.CANCELING, BROKE, 0, None),
        (S.AUTHORIZING, STOLEN, 0, None),
    ],
)
def test_a_decline_is_the_last_or_followed_by_another_attempt(
    state: PaymentState, decline: Decline, declined_before: int, wait: timedelta | None
) -> None:
    payment = payment_in(state, decline_count=declined_before, **RETRIES)
    name, after = (
        ("declined", S.DECLINED) if wait is None else ("retry_scheduled", S.RETRY_SCHEDULED)
    )
    assert decline_step(payment, decline, NOW, "pi_1", "ch_1") == step(
        payment,
        name,
        after,
        decline=decline,
        decline_count=declined_before + 1,
        payment_intent_id="pi_1",
        charge_id="ch_1",
        hold_id="",
        wake_time=None if wait is None else NOW + wait,
    )


def test_no_wait_is_longer_than_a_week() -> None:
    payment = replace(AUTHORIZING, decline_retry=DeclineRetry(20, timedelta(days=30)))
    waits = [
        next_attempt_time(replace(payment, decline_count=count), BROKE, NOW) for count in range(12)
    ]
    week = timedelta(days=7)
    assert waits == [NOW + DAY, NOW + 2 * DAY, NOW + 4 * DAY, *[NOW + week] * 9]


SCHEDULED = payment_in(S.RETRY_SCHEDULED, decline=BROKE, decline_count=1, wake_time=NOW, **RETRIES)
END = CREATED + timedelta(days=20)


def check() -> Operation:
    return Operation(
        id="op_2",
        subject_id="pay_1",
        kind=OperationKind.CHECK,
        state=OperationState.PENDING,
        corridor="default",
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW + timedelta(minutes=10),
        queue_time=CREATED,
    )


@pytest.mark.parametrize(
    ("declines", "brand"),
    [
        ([], "visa"),
        # Of a Visa card, fifteen in thirty days may be followed by another; of others fewer.
        ([NOW - HOUR] * 15, "visa"),
        ([NOW - 30 * DAY] * 16, "visa"),
        ([NOW - HOUR] * 9, "mastercard"),
    ],
)
def test_an_attempt_that_is_due_begins_with_the_check(declines: list[datetime], brand: str) -> None:
    payment = replace(SCHEDULED, decline=replace(BROKE, card_brand=brand))
    started = step(payment, "retry_started", S.RETRY_SCHEDULED, wake_time=None)
    assert due_step(payment, declines, NOW, "op_2") == (started, check())


def test_an_attempt_that_the_networks_do_not_allow_yet_is_put_off() -> None:
    # Visa's window is thirty days: the sixteenth before has to leave it.
    oldest = END - 30 * DAY
    declines = [*[NOW - HOUR] * 15, oldest]
    postponed = step(SCHEDULED, "retry_postponed", S.RETRY_SCHEDULED, wake_time=END)
    assert due_step(SCHEDULED, declines, NOW, "op_2") == (postponed, None)


def test_an_attempt_that_the_networks_do_not_allow_in_time_is_the_end() -> None:
    declines = [*[NOW - HOUR] * 15, END - 30 * DAY + MOMENT]
    declined = step(SCHEDULED, "declined", S.DECLINED)
    assert due_step(SCHEDULED, declines, NOW, "op_2") == (declined, None)


@pytest.mark.parametrize(
    "payment", [replace(SCHEDULED, decline=None), replace(SCHEDULED, decline_retry=None)]
)
def test_only_what_was_declined_and_is_to_be_tried_again_is_due(payment: Payment) -> None:
    with pytest.raises(AssertionError):
        due_step(payment, [], NOW, "op_2")


@pytest.mark.parametrize(
    ("values", "later"),
    [
        ({}, True),
        ({"decline_retry": DeclineRetry(4, NOW - CREATED + HOUR)}, True),
        ({"decline_retry": DeclineRetry(4, NOW - CREATED + HOUR - MOMENT)}, False),
        ({"decline_retry": None}, False),
        ({"customer_returned": True}, False),
        ({"off_session": False}, False),
    ],
)
def test_an_attempt_that_did_not_happen_is_put_off_an_hour_if_there_is_time(
    values: dict[str, Any], later: bool
) -> None:
    payment = replace(AUTHORIZING, decline=BROKE, decline_count=1, **values)
    expected = step(payment, "declined", S.DECLINED, hold_id="")
    if later:
        expected = step(
            payment, "retry_postponed", S.RETRY_SCHEDULED, wake_time=NOW + HOUR, hold_id=""
        )
    assert put_back_step(payment, NOW) == expected


@pytest.mark.parametrize(
    ("values", "after", "too_late"),
    [
        ({}, timedelta(days=20, minutes=10), False),
        ({}, timedelta(days=20, minutes=10) + MOMENT, True),
        ({"decline_count": 0}, timedelta(days=21), False),
        ({"decline_retry": None}, timedelta(days=21), False),
        ({"customer_returned": True}, timedelta(days=21), False),
    ],
)
def test_when_the_client_does_not_want_another_attempt_any_more(
    values: dict[str, Any], after: timedelta, too_late: bool
) -> None:
    assert is_too_late(replace(SCHEDULED, **values), CREATED + after) is too_late


def test_the_networks_count_for_thirty_days() -> None:
    assert longest_window() == timedelta(days=30)


ROWS = """
[sources]
here = "https://here.example"
there = "https://there.example"

[[advice]]
code = "try_again_later"
class = "later"
wait_hours = 6
source = "here"

[[network_advice]]
brand = "visa"
code = "03"
class = "never"
source = "there"

[[decline]]
code = "stolen_card"
class = "customer"
source = "there"

[[bank_decline]]
type = "sepa_debit"
code = "insufficient_funds"
class = "later"
wait_hours = 3
max_attempts = 5
source = "here"

[[limit]]
brand = "visa"
attempts = 15
hours = 48
source = "here"

[[limit]]
brand = "*"
attempts = 9
hours = 1
source = "there"

[[limit]]
brand = "visa"
attempts = 2
hours = 3
source = "there"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "declines.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_data_is_read_with_its_sources(tmp_path: Path) -> None:
    data = read_data(written(tmp_path, ROWS))
    here, there = "https://here.example", "https://there.example"
    assert data.advice == {"try_again_later": RetryRule(RetryClass.LATER, 6 * HOUR, here)}
    assert data.network_advice == {("visa", "03"): RetryRule(RetryClass.NEVER, timedelta(0), there)}
    assert data.decline == {"stolen_card": RetryRule(RetryClass.CUSTOMER, timedelta(0), there)}
    assert data.bank_decline == {
        ("sepa_debit", "insufficient_funds"): RetryRule(RetryClass.LATER, 3 * HOUR, here, 5)
    }
    assert data.limits == {
        "visa": [NetworkLimit(15, 48 * HOUR, here), NetworkLimit(2, 3 * HOUR, there)],
        "*": [NetworkLimit(9, HOUR, there)],
    }
    assert data.longest_window == 48 * HOUR


@pytest.mark.parametrize(
    ("old", "new", "error", "named"),
    [
        ("wait_hours = 6\n", "", ValueError, "try_again_later: wait_hours belongs to"),
        ('"never"\n', '"never"\nwait_hours = 1\n', ValueError, "03: wait_hours belongs to"),
        ('"customer"\n', '"customer"\nwait_hours = 0\n', ValueError, "stolen_card: wait_hours"),
        ('"customer"\n', '"often"\n', ValueError, "'often' is not a valid RetryClass"),
        ('class = "customer"\n', "", KeyError, "class"),
        ('class = "later"\nwait_hours = 6\nsource = "here"', 'class = "never"', KeyError, "source"),
        ('source = "here"', 'source = "nowhere"', KeyError, "nowhere"),
        ("attempts = 2\n", "", KeyError, "attempts"),
    ],
)
def test_a_row_that_is_not_sound_is_not_read(
    tmp_path: Path, old: str, new: str, error: type[Exception], named: str
) -> None:
    assert old in ROWS
    with pytest.raises(error, match=named):
        read_data(written(tmp_path, ROWS.replace(old, new, 1)))
