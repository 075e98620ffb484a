"""What was let through before, against a plain list of payments that is counted anew each time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.history import (
    MAX_BUCKETS,
    MAX_CUSTOMERS,
    CountedPayment,
    Histories,
    History,
    HistoryFacts,
    Scope,
    Window,
    firsts_of,
)
from compliance.checks.history_store import MAX_REMEMBERED, RememberedHistories
from tests.compliance.check_facts import AS_OF, paid

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
# Length of each window, and how its beginning is rounded down.
WINDOWS: dict[Window, tuple[timedelta, Callable[[datetime], datetime]]] = {
    Window.HOUR: (HOUR, lambda t: t.replace(minute=t.minute // 5 * 5, second=0, microsecond=0)),
    Window.DAY: (DAY, lambda t: t.replace(minute=0, second=0, microsecond=0)),
    Window.WEEK: (7 * DAY, lambda t: t.replace(hour=0, minute=0, second=0, microsecond=0)),
    Window.MONTH: (30 * DAY, lambda t: t.replace(hour=0, minute=0, second=0, microsecond=0)),
}


def begins(window: Window, as_of: datetime) -> datetime:
    length, rounded = WINDOWS[window]
    return rounded(as_of - length)


@dataclass
class PlainList:
    """All payments that were let through, each once, as it was let through last."""

    payments: dict[str, CountedPayment] = field(default_factory=dict)

    def count(self, payment: CountedPayment) -> None:
        own = self.payments.get(payment.reference_id)
        if (
            own is None
            or replace(own, count_time=payment.count_time, is_near=payment.is_near) != payment
        ):
            self.payments[payment.reference_id] = payment

    def facts_of(self, payment: CountedPayment) -> tuple[HistoryFacts, ...]:
        facts = []
        for scope, name in (
            (Scope.CUSTOMER, "customer_id"),
            (Scope.MERCHANT, "merchant_id"),
            (Scope.CARD, "card"),
        ):
            key = getattr(payment, name)
            if not key:
                continue
            others = [
                other
                for other in self.payments.values()
                if getattr(other, name) == key and other.reference_id != payment.reference_id
            ]
            within = [
                [
                    other
                    for other in others
                    if other.count_time >= begins(window, payment.count_time)
                ]
                for window in Window
            ]
            same = [
                [other for other in found if other.currency_code == payment.currency_code]
                for found in within
            ]
            customers = [
                len({other.customer_id for other in found} - {"", payment.customer_id})
                for found in within
            ]
            facts.append(
                HistoryFacts(
                    scope=scope,
                    counts=tuple(len(found) for found in within),
                    currency_counts=tuple(len(found) for found in same),
                    amounts_minor=tuple(sum(o.amount_minor for o in found) for found in same),
                    near_counts=tuple(sum(o.is_near for o in found) for found in same),
                    other_customers=tuple(customers) if scope is Scope.CARD else (),
                    last_time=max((other.count_time for other in others), default=None),
                )
            )
        return tuple(facts)


# Where windows and the widths of buckets have their edges, from one payment to the next.
EDGES = [
    timedelta(0),
    *(MICROSECOND, 5 * MINUTE, HOUR, HOUR - MICROSECOND, HOUR + MICROSECOND, 2 * HOUR),
    *(DAY, DAY - MICROSECOND, 2 * DAY, 7 * DAY, 7 * DAY - MICROSECOND, 30 * DAY, 31 * DAY),
]
LONGEST = [MINUTE, HOUR, 5 * HOUR, 3 * DAY]
STARTS = [
    AS_OF,
    datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 11, 23, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
]
DRAWN = 40


def drawn_payments(drawn: Random) -> Iterator[CountedPayment]:
    """Payments in order of time; some come again as they were."""
    now, before, longest = drawn.choice(STARTS), [paid(DRAWN)], drawn.choice(LONGEST)
    for number in range(DRAWN):
        now += drawn.choice(EDGES) if drawn.random() < 0.3 else longest * drawn.random()
        payment = CountedPayment(
            reference_id=f"pay-{number}",
            merchant_id=drawn.choice("mn"),
            customer_id=drawn.choice(["", "c", "d", "e"]),
            card=drawn.choice(["", "main/1", "main/2"]),
            currency_code=drawn.choice(["EUR", "JPY"]),
            amount_minor=drawn.choice([1, drawn.randint(1, 2**53)]),
            count_time=now,
            is_near=drawn.random() < 0.5,
        )
        if drawn.random() < 0.2:
            payment = replace(drawn.choice(before), count_time=now)
        before.append(payment)
        yield payment


def read_again(
    written: dict[tuple[Scope, str, str], History], counted: Iterable[CountedPayment]
) -> Histories:
    """What another process reads of what this one has written."""
    stored = [(*key, History.loads(history.dumps())) for key, history in written.items()]
    return Histories(stored, counted)


# Payments are drawn by a generator of their own: Hypothesis would take a second for each example.
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_figures_are_those_of_a_plain_list(seed: int, stored_every: int) -> None:
    plain, histories = PlainList(), Histories()
    written: dict[tuple[Scope, str, str], History] = {}
    for number, payment in enumerate(drawn_payments(Random(seed))):
        assert histories.facts_of(payment) == plain.facts_of(payment)
        if payment.amount_minor % 7 == 0:
            continue  # Not let through.
        histories.count(payment)
        plain.count(payment)
        if number % stored_every == 0:
            written |= {(scope, key, code): kept for scope, key, code, kept in histories.changes}
            histories = read_again(written, plain.payments.values())


@pytest.mark.parametrize("window", Window)
@pytest.mark.parametrize("moment", [timedelta(0), MICROSECOND, 37 * MINUTE, 11 * HOUR])
def test_a_window_begins_with_its_unit(window: Window, moment: timedelta) -> None:
    index, as_of = list(Window).index(window), AS_OF + moment
    first = begins(window, as_of)
    for count_time, counts in ((first, 1), (first - MICROSECOND, 0)):
        histories = Histories()
        histories.count(paid(1, count_time=count_time))
        for facts in histories.facts_of(paid(2, count_time=as_of)):
            assert facts.counts[index] == facts.currency_counts[index] == counts
            assert facts.amounts_minor[index] == 100 * counts
            if facts.scope is Scope.CARD:
                # Its own customer is no other one.
                assert facts.other_customers[index] == 0


def test_what_is_kept_has_a_bound_and_no_window_loses_by_it() -> None:
    history, as_of = History(), AS_OF
    for step, many in ((HOUR, 35 * 24), (5 * MINUTE, 5 * 24 * 12)):
        for _ in range(many):
            as_of += step
            history = history.with_payment(paid(count_time=as_of), notes_customer=True)
            assert len(history.buckets) <= MAX_BUCKETS
    counts = history.figures(firsts_of(as_of)).counts
    assert counts[:2] == [(as_of - begins(w, as_of)) // (5 * MINUTE) + 1 for w in list(Window)[:2]]
    hours_before = [(AS_OF + 35 * DAY - begins(w, as_of)) // HOUR + 1 for w in list(Window)[2:]]
    assert counts[2:] == [hours + 5 * 24 * 12 for hours in hours_before]
    assert len(history.dumps()) < 6_000


def test_what_a_clock_ahead_has_counted_is_in_every_window() -> None:
    histories = Histories()
    histories.count(paid(1, count_time=AS_OF + 2 * MINUTE))
    for facts in histories.facts_of(paid(2)):
        assert facts.counts == (1, 1, 1, 1)


@pytest.mark.parametrize("behind", [MINUTE, 10 * MINUTE, 55 * MINUTE])
def test_a_clock_that_is_behind_by_less_than_an_hour_misses_nothing(behind: timedelta) -> None:
    plain, histories = PlainList(), Histories()
    for number in range(150):
        late = behind if number % 3 == 0 else timedelta(0)
        payment = paid(number, count_time=AS_OF + number * 27 * MINUTE - late)
        assert histories.facts_of(payment) == plain.facts_of(payment)
        histories.count(payment)
        plain.count(payment)


def test_a_payment_that_is_checked_again_counts_once_and_not_against_itself() -> None:
    histories = Histories()
    for _ in range(3):
        histories.count(paid(1))
        assert all(facts.counts == (0, 0, 0, 0) for facts in histories.facts_of(paid(1)))
    (merchant,) = [f for f in histories.facts_of(paid(2)) if f.scope is Scope.MERCHANT]
    assert (merchant.counts, merchant.amounts_minor) == ((1,) * 4, (100,) * 4)


@pytest.mark.parametrize(
    "changes",
    [{"amount_minor": 900}, {"currency_code": "JPY"}, {"card": "second/1"}, {"customer_id": "d"}],
)
def test_a_payment_that_has_changed_counts_as_it_is(changes: dict[str, object]) -> None:
    histories = Histories()
    histories.count(paid(1))
    changed = paid(1, **changes)
    histories.count(changed)
    like_it = histories.facts_of(replace(changed, reference_id="pay-2"))
    assert [facts.counts[0] for facts in like_it] == [1, 1, 1]
    assert {facts.amounts_minor[0] for facts in like_it} == {changed.amount_minor}
    merchant = next(f for f in histories.facts_of(paid(3)) if f.scope is Scope.MERCHANT)
    assert merchant.counts[0] == 1


def test_of_a_card_the_newest_customers_are_kept() -> None:
    history = History()
    for number in range(MAX_CUSTOMERS + 5):
        payment = paid(number, customer_id=f"c{number}", count_time=AS_OF + number * MINUTE)
        history = history.with_payment(payment, notes_customer=True)
    names = [name for name, _ in history.customers]
    assert names == [f"c{number}" for number in range(5, MAX_CUSTOMERS + 5)]


def long_history(hours: int = 70) -> History:
    history = History()
    for hour in range(hours):
        count_time = AS_OF + hour * HOUR
        history = history.with_payment(paid(count_time=count_time), notes_customer=True)
    return history


def test_what_is_remembered_is_what_would_be_read() -> None:
    remembered = RememberedHistories()
    for history in (History(), long_history(1), long_history()):
        text = remembered.dumps(history)
        assert text == history.dumps()
        # It is remembered once: what is read is written anew.
        for _ in range(2):
            assert remembered.loads(text) == history == History.loads(text)


def test_what_somebody_else_has_written_since_is_read() -> None:
    remembered, history = RememberedHistories(), long_history()
    remembered.dumps(history)
    assert remembered.count == 1
    others = history.with_payment(paid(count_time=AS_OF + 71 * HOUR), notes_customer=True)
    assert remembered.loads(others.dumps()) == others


def test_what_is_remembered_has_a_bound() -> None:
    remembered, history = RememberedHistories(), long_history()
    texts = [
        remembered.dumps(replace(history, last_us=number)) for number in range(MAX_REMEMBERED + 3)
    ]
    assert remembered.count == MAX_REMEMBERED
    # Who was written first is forgotten first, and read.
    assert [remembered.loads(text).last_us for text in texts] == [*range(MAX_REMEMBERED + 3)]
    assert remembered.count == 0
