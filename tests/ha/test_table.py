"""What the table of `make ha` calls broken: at the limits, and one beyond."""

import pytest

from tests.chaos.verdict import Violation
from tests.ha.events import EVENTS, Event
from tests.ha.judging import Toll
from tests.ha.load import Record
from tests.ha.run import Outcome, Report
from tests.ha.table import broken, rows

NOTHING = Toll(lost=0, doubled=0)


def outcome(
    name: str,
    gap: float = 0.0,
    *,
    promoted: float | None = None,
    webhooks: float = 0.0,
    failed: int = 0,
    refused: int = 0,
    toll: Toll = NOTHING,
) -> Outcome:
    event: Event = EVENTS[name]
    gaps = {"ledger": gap, "gateway": gap, "compliance": gap}
    if event.webhooks:
        gaps["webhooks"] = webhooks
    return Outcome(event, promoted, gaps, failed, refused, toll)


def report(*outcomes: Outcome, violations: tuple[Violation, ...] = ()) -> Report:
    return Report(outcomes, (), violations, payments=1, transactions=1)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (
            outcome("postmaster-killed", 7.0, promoted=4.0),
            outcome("postmaster-killed", 7.1, promoted=4.0),
        ),
        # Ten seconds in all, however long Patroni takes.
        (
            outcome("postmaster-killed", 10.0, promoted=9.0),
            outcome("postmaster-killed", 10.1, promoted=9.0),
        ),
        (outcome("node-lost", 25.0, promoted=20.0), outcome("node-lost", 25.1, promoted=20.0)),
        (outcome("cut-off", 25.0, promoted=20.0), outcome("cut-off", 25.1, promoted=20.0)),
        (outcome("etcd-lost", 1.0), outcome("etcd-lost", 1.1)),
        (outcome("broker-frozen", webhooks=10.0), outcome("broker-frozen", webhooks=10.1)),
        (outcome("broker-killed", webhooks=60.0), outcome("broker-killed", refused=1)),
        (outcome("services-restarted", 60.0), outcome("services-restarted", failed=1)),
        (outcome("etcd-lost"), outcome("etcd-lost", toll=Toll(lost=1, doubled=0))),
        (outcome("etcd-lost"), outcome("etcd-lost", toll=Toll(lost=0, doubled=1))),
        # It is shown what is lost without a standby; nothing may be done twice for it.
        (
            outcome("asynchronous-lost", 60.0, promoted=20.0, toll=Toll(lost=290, doubled=0)),
            outcome("asynchronous-lost", toll=Toll(lost=0, doubled=1)),
        ),
    ],
)
def test_a_limit_is_broken_just_beyond_it(good: Outcome, bad: Outcome) -> None:
    assert not broken([report(good)])
    assert broken([report(bad)])


def test_medians_are_compared_and_losses_are_not_averaged_away() -> None:
    quick, slow = outcome("etcd-lost", 0.2), outcome("etcd-lost", 5.0)
    assert not broken([report(quick), report(slow), report(quick)])
    assert broken([report(quick), report(slow), report(slow)])
    lossy = outcome("etcd-lost", toll=Toll(lost=1, doubled=0))
    assert broken([report(quick), report(lossy), report(quick)])
    assert [row.lost for row in rows([report(quick), report(lossy)])] == [1]


def test_what_the_judge_finds_breaks_a_run() -> None:
    violation = Violation("double charge", "payment-1", "two")
    assert broken([report(outcome("etcd-lost"), violations=(violation,))])


def test_the_longest_gap_counts_from_the_event_to_the_end() -> None:
    record = Record(answered=[1.0, 2.0, 6.0, 7.0, 30.0])
    assert record.longest_gap(1.5, 8.0) == 4.0
    assert record.longest_gap(3.0, 9.0) == 3.0
    assert record.longest_gap(8.0, 20.0) == 12.0
