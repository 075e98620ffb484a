"""From when on a source has been silent for too long."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciliation.matching.policy import BreakKind
from reconciliation.reports.comparing import Kind, ReportName
from reconciliation.reports.waiting import Wanted, missing
from reconciliation.sources.staleness import stale_feeds, stale_sweeps
from tests.reconciliation.test_balances import balance
from tests.reconciliation.worlds import START, policy

POLICY = policy()
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)

times = st.integers(0, 40).map(lambda minutes: START + timedelta(minutes=minutes))


@given(contacts=st.dictionaries(st.sampled_from("abc"), times), now=times)
def test_feeds_are_stale_from_the_end_of_patience_on(
    contacts: dict[str, datetime], now: datetime
) -> None:
    patience = timedelta(minutes=15)
    found = stale_feeds(contacts, now, patience)
    assert [(c.subject, c.since) for c in found] == [
        (f"feed {name}", contacts[name])
        for name in sorted(contacts)
        if (now - contacts[name]) // timedelta(minutes=1) >= 15
    ]
    swept = [balance(corridor=name, sweep_time=time) for name, time in contacts.items()]
    again = [balance(corridor=name, sweep_time=START, part="pending") for name in contacts]
    assert [
        (c.corridor, c.since, c.overdue) for c in stale_sweeps(swept + again, now, patience)
    ] == [(c.subject.removeprefix("feed "), c.since, c.overdue) for c in found]


def report(day: int, kind: Kind = Kind.ACTIVITY, corridor: str = "main", *, ready: bool) -> Wanted:
    start = START.replace(hour=0) + day * DAY
    return Wanted(ReportName(f"rep_{day}", corridor, kind, start, start + DAY, start.date()), ready)


def test_a_report_that_does_not_become_ready_is_told_of() -> None:
    patience = POLICY.patience.report
    waiting = report(0, ready=False)
    assert missing([waiting], waiting.name.end + patience - MOMENT, patience) == []
    (found,) = missing([waiting], waiting.name.end + patience, patience)
    assert (found.kind, found.corridor) == (BreakKind.FEED_STALE, "main")
    assert (found.subject, found.since) == ("report ACTIVITY 2026-11-30", waiting.name.end)
    assert found.overdue == waiting.name.end + 2 * patience
    assert missing([report(0, ready=True)], waiting.name.end + patience, patience) == []


def test_a_day_that_nobody_has_a_report_of_is_told_of_once() -> None:
    patience = POLICY.patience.report
    reports = [
        *(report(day, ready=True) for day in (1, 0)),
        *(report(day, Kind.PAYOUTS, ready=True) for day in (2, 1)),
        report(2, corridor="us", ready=True),
    ]
    end = report(2, ready=True).name.end
    assert missing(reports, end + patience - MOMENT, patience) == []
    (found,) = missing(reports, end + patience, patience)
    assert (found.corridor, found.subject) == ("main", "report ACTIVITY 2026-12-02")
    assert found.says == "Stripe has no data for its report ACTIVITY and later ones"
    later = missing(reports, end + patience + DAY, patience)
    assert [(c.corridor, c.subject) for c in later] == [
        ("main", "report ACTIVITY 2026-12-02"),
        ("main", "report PAYOUTS 2026-12-03"),
        ("us", "report ACTIVITY 2026-12-03"),
    ]
