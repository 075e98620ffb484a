"""Which reports should have come, and have not: pure rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciliation.conditions.condition import Condition
from reconciliation.matching.policy import BreakKind
from reconciliation.reports.comparing import Kind, ReportName

SUBJECTS = "report "
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report that the gateway wants of Stripe."""

    name: ReportName
    is_ready: bool
    """Whether it can be read."""


def missing(reports: Iterable[Wanted], now: datetime, patience: timedelta) -> list[Condition]:
    """What is told of reports that cannot be read so long after their day: each that is wanted, and
    of the kinds of a corridor the first that is not wanted yet, because Stripe has no data."""
    found = []
    last: dict[tuple[str, Kind], ReportName] = {}
    for wanted in reports:
        name = wanted.name
        known = last.get((name.corridor, name.kind))
        if known is None or known.start < name.start:
            last[name.corridor, name.kind] = name
        if not wanted.is_ready and now - name.end >= patience:
            found.append(_missing(name, f"Stripe's report {name.kind} is not ready", patience))
    for name in last.values():
        # Give or take the hour by which clocks change.
        ends = name.end + DAY
        following = ReportName("", name.corridor, name.kind, name.end, ends, name.day + DAY)
        if now - following.end >= patience:
            says = f"Stripe has no data for its report {name.kind} and later ones"
            found.append(_missing(following, says, patience))
    return sorted(found, key=lambda condition: condition.identity)


def _missing(name: ReportName, says: str, patience: timedelta) -> Condition:
    return Condition(
        BreakKind.FEED_STALE,
        name.corridor,
        name.subject,
        name.end,
        says,
        overdue=name.end + 2 * patience,
    )
