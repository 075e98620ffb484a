"""Which sources have been silent for too long: pure rules."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from reconciliation.balances.balance import Balance
from reconciliation.conditions.condition import Condition
from reconciliation.matching.policy import BreakKind

# How the subjects begin of what is told here.
FEEDS, SWEEPS = "feed ", "sweep of "


def stale_feeds(
    contacts: Mapping[str, datetime], now: datetime, patience: timedelta
) -> list[Condition]:
    """Feeds by their names that were last open so long ago."""
    return [
        _stale("", f"{FEEDS}{name}", since, f"the feed of the {name} is not open", patience)
        for name, since in sorted(contacts.items())
        if now - since >= patience
    ]


def stale_sweeps(
    balances: Iterable[Balance], now: datetime, patience: timedelta
) -> list[Condition]:
    """Corridors whose balance the gateway swept last so long ago."""
    last: dict[str, datetime] = defaultdict(lambda: datetime.min.replace(tzinfo=now.tzinfo))
    for balance in balances:
        last[balance.corridor] = max(last[balance.corridor], balance.sweep_time)
    says = "the gateway has not swept Stripe's balance"
    return [
        _stale(corridor, f"{SWEEPS}{corridor}", since, says, patience)
        for corridor, since in sorted(last.items())
        if now - since >= patience
    ]


def _stale(
    corridor: str, subject: str, since: datetime, says: str, patience: timedelta
) -> Condition:
    return Condition(
        BreakKind.FEED_STALE, corridor, subject, since, says, overdue=since + 2 * patience
    )
