"""What is counted of payments, compared with a plain list of what happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.outcomes.gateway_source import dispute_outcome
from compliance.outcomes.outcome import (
    MAX_REFUNDS,
    Change,
    CountedRefund,
    Counts,
    DayKey,
    DisputeOutcome,
    PaymentOutcome,
    Place,
    day_of,
    difference,
    outcome_after,
)
from gateway.v1 import dispute_pb2

START = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
MERCHANTS = ("m-1", "m-2")
CURRENCIES = ("EUR", "JPY")


@dataclass
class Charge:
    """A payment as it really is: each refund by itself."""

    merchant_id: str
    currency_code: str
    day: str
    captured: int
    refunds: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class World:
    """What happened, and the feed that tells of it."""

    now: datetime = START
    charges: dict[str, Charge] = field(default_factory=dict)
    feed: list[Change] = field(default_factory=list)

    def capture(self, merchant_id: str, currency_code: str, captured: int) -> None:
        payment_id = f"pay_{len(self.charges)}"
        self.charges[payment_id] = Charge(merchant_id, currency_code, day_of(self.now), captured)
        self._tell(payment_id, "captured")

    def refund(self, place: int, part: int) -> None:
        for payment_id, charge in self._chosen(place):
            left = charge.captured - sum(amount for _, amount in charge.refunds)
            if left >= part:
                charge.refunds.append((day_of(self.now), part))
                self._tell(payment_id, "refund_succeeded")

    def fail_refund(self, place: int, which: int) -> None:
        """Of several of one amount the bank returns the newest."""
        for payment_id, charge in self._chosen(place):
            if charge.refunds:
                _, amount = charge.refunds[which % len(charge.refunds)]
                newest = max(i for i, refund in enumerate(charge.refunds) if refund[1] == amount)
                del charge.refunds[newest]
                self._tell(payment_id, "refund_failed")

    def counts(self) -> dict[DayKey, Counts]:
        """What there is by day: added up one by one."""
        found: dict[tuple[DayKey, str], int] = Counter()
        for charge in self.charges.values():
            key = DayKey(charge.merchant_id, charge.day, charge.currency_code)
            found[key, "payments"] += 1
            found[key, "captured_minor"] += charge.captured
            for day, amount in charge.refunds:
                found[key._replace(day=day), "refunds"] += 1
                found[key._replace(day=day), "refunded_minor"] += amount
        return {
            key: Counts(**{name: found[key, name] for name in Counts._fields if found[key, name]})
            for key in {key for key, _ in found}
        }

    def _chosen(self, place: int) -> list[tuple[str, Charge]]:
        known = list(self.charges.items())
        return [known[place % len(known)]] if known else []

    def _tell(self, payment_id: str, transition: str) -> None:
        charge = self.charges[payment_id]
        self.feed.append(
            Change(
                place=Place(0, len(self.feed) + 1),
                payment_id=payment_id,
                merchant_id=charge.merchant_id,
                currency_code=charge.currency_code,
                captured_minor=charge.captured,
                refunded_minor=sum(amount for _, amount in charge.refunds),
                record_time=self.now,
                transition=transition,
            )
        )


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("capture"),
            st.sampled_from(MERCHANTS),
            st.sampled_from(CURRENCIES),
            st.sampled_from([1, 30, 10**12]),
        ),
        st.tuples(st.just("refund"), st.integers(0, 9), st.sampled_from([1, 1, 2, 10])),
        st.tuples(st.just("fail_refund"), st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([1, 23, 24 * 40])),
    ),
    max_size=40,
)


def world_of(steps: Iterable[tuple[object, ...]]) -> World:
    world = World()
    for name, *arguments in steps:
        if name == "wait":
            (hours,) = arguments
            assert isinstance(hours, int)
            world.now += timedelta(hours=hours)
        else:
            getattr(world, str(name))(*arguments)
    return world


class Books:
    """The tables in memory: what a follower keeps."""

    def __init__(self) -> None:
        self.outcomes: dict[str, PaymentOutcome] = {}
        self.days: dict[DayKey, Counts] = {}

    def take(self, batch: Sequence[Change]) -> None:
        before = dict(self.outcomes)
        for change in batch:
            after = outcome_after(self.outcomes.get(change.payment_id), change)
            if after is not None:
                self.outcomes[change.payment_id] = after
        pairs = [
            (before[key].counts if key in before else {}, after.counts)
            for key, after in self.outcomes.items()
        ]
        for key, more in difference(pairs).items():
            self.days[key] = self.days.get(key, Counts()).plus(more)

    @property
    def counts(self) -> dict[DayKey, Counts]:
        return {key: counts for key, counts in self.days.items() if any(counts)}


@given(STEPS, st.data())
def test_each_change_counts_once_however_often_it_is_told(
    steps: list[tuple[object, ...]], data: st.DataObject
) -> None:
    """In batches of any size; from any place the feed may begin again; single ones come late."""
    world, books, place = world_of(steps), Books(), 0
    feed = world.feed
    while place < len(feed):
        size = data.draw(st.integers(1, 7))
        batch = feed[place : place + size]
        told = data.draw(st.lists(st.sampled_from(feed[: place + len(batch)]), max_size=3))
        books.take([*batch, *told])
        place += len(batch)
        if data.draw(st.integers(0, 9)) == 0 and place:
            again = data.draw(st.integers(0, place - 1))
            books.take(feed[again:place])
    assert books.counts == world.counts()
    assert all(min(counts) >= 0 for counts in books.counts.values())


@given(STEPS, st.data())
def test_what_was_missed_is_made_up_for_by_the_last_change(
    steps: list[tuple[object, ...]], data: st.DataObject
) -> None:
    """Any changes may be lost, in any order, as long as the last one of each payment comes."""
    world, books = world_of(steps), Books()
    last = {change.payment_id: change for change in world.feed}
    others = [change for change in world.feed if change != last[change.payment_id]]
    some = data.draw(st.lists(st.sampled_from(others), max_size=9)) if others else []
    books.take(data.draw(st.permutations([*some, *last.values()])))
    for merchant in MERCHANTS:
        for currency in CURRENCIES:
            told = _sum(books.counts, merchant, currency)
            real = _sum(world.counts(), merchant, currency)
            assert (told.payments, told.captured_minor, told.refunded_minor) == (
                real.payments,
                real.captured_minor,
                real.refunded_minor,
            )


def _sum(counts: dict[DayKey, Counts], merchant_id: str, currency_code: str) -> Counts:
    total = Counts()
    for key, found in counts.items():
        if (key.merchant_id, key.currency_code) == (merchant_id, currency_code):
            total = total.plus(found)
    return total


def change(sequence: int, refunded: int, *, epoch: int = 0, captured: int = 100) -> Change:
    return Change(
        place=Place(epoch, sequence),
        payment_id="pay_1",
        merchant_id="m-1",
        currency_code="EUR",
        captured_minor=captured,
        refunded_minor=refunded,
        record_time=START + timedelta(days=sequence),
        transition="captured",
    )


def refunds_after(*changes: Change) -> tuple[tuple[str, int], ...]:
    outcome = None
    for told in changes:
        outcome = outcome_after(outcome, told)
    assert outcome is not None
    return tuple((refund.day, refund.amount_minor) for refund in outcome.refunds)


def test_what_comes_back_is_taken_off_the_refund_that_it_was() -> None:
    made = [change(1, 10), change(2, 40), change(3, 60)]
    one, two, three = ("2026-11-23", 10), ("2026-11-24", 30), ("2026-11-25", 20)
    assert refunds_after(*made) == (one, two, three)
    assert refunds_after(*made, change(4, 50)) == (two, three)
    assert refunds_after(*made, change(4, 30)) == (one, three)
    # None was of that amount: two at once that were told of as one.
    assert refunds_after(*made, change(4, 35)) == (one, ("2026-11-24", 25))
    assert refunds_after(*made, change(4, 0)) == ()


def test_what_a_restored_gateway_tells_comes_after_what_it_has_lost() -> None:
    lost = change(9, 60)
    assert refunds_after(lost, change(3, 0, epoch=1)) == ()
    # And what was lost does not come back.
    assert refunds_after(lost, change(3, 0, epoch=1), lost) == ()


def test_so_many_refunds_are_kept_apart() -> None:
    changes = [change(number, number, captured=10_000) for number in range(1, MAX_REFUNDS + 3)]
    kept = refunds_after(*changes)
    assert len(kept) == MAX_REFUNDS
    assert [amount for _, amount in kept[-2:]] == [1, 3]
    assert len(refunds_after(*changes[:MAX_REFUNDS])) == MAX_REFUNDS
    # What is left comes back off the newest.
    last = change(MAX_REFUNDS + 9, MAX_REFUNDS - 2, captured=10_000)
    assert refunds_after(*changes, last) == kept[:-2]


def test_nothing_counts_before_it_is_captured() -> None:
    assert outcome_after(None, change(1, 0, captured=0)) is None
    assert difference([({}, {})]) == {}


def test_a_payment_that_has_become_another_merchants_counts_for_that_one() -> None:
    before = outcome_after(None, change(1, 10))
    assert before is not None
    after = replace(before, merchant_id="m-2", refunds=(CountedRefund("2026-11-24", 10),))
    assert difference([(before.counts, after.counts)]) == {
        DayKey("m-1", "2026-11-23", "EUR"): Counts(-1, -100, -1, -10),
        DayKey("m-2", "2026-11-23", "EUR"): Counts(1, 100),
        DayKey("m-2", "2026-11-24", "EUR"): Counts(refunds=1, refunded_minor=10),
    }


@pytest.mark.parametrize("state", dispute_pb2.DisputeState.values())
def test_what_is_a_chargeback(state: dispute_pb2.DisputeState.ValueType) -> None:
    name = dispute_pb2.DisputeState.Name(state).removeprefix("DISPUTE_STATE_")
    counts = name != "PREVENTED" and not name.startswith("WARNING_")
    assert dispute_outcome(dispute_pb2.Dispute(state=state)).is_chargeback == counts
    # Nor is one in a state of a later release let go.
    assert dispute_outcome(dispute_pb2.Dispute(state=99)).is_chargeback  # type: ignore[arg-type]


def test_a_dispute_counts_on_the_day_on_which_stripe_opened_it() -> None:
    dispute = DisputeOutcome("dsp_1", "pay_1", "m-1", "EUR", "2026-11-25", 70, True)
    key = DayKey("m-1", "2026-11-25", "EUR")
    assert dispute.counts == {key: Counts(disputes=1, disputed_minor=70)}
    prevented = replace(dispute, is_chargeback=False)
    assert difference([(dispute.counts, prevented.counts)]) == {
        key: Counts(disputes=-1, disputed_minor=-70)
    }
    opened = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)
    told = dispute_pb2.Dispute(id="dsp_1")
    told.effective_time.FromDatetime(opened)
    assert dispute_outcome(told).day == "2026-11-25"
