"""The table of what was measured, beside the limits."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.ha.events import Event
from tests.ha.run import Outcome, Report

SHOWN_VIOLATIONS = 20
WIDTH = 160
WEBHOOKS = "webhooks"
# What the limit is about; compliance is asked for within a payment.
BOUND = ("ledger", "gateway", "compliance")


@dataclass(frozen=True)
class Row:
    """An event over all runs: medians of times in seconds, sums of all else."""

    event: Event
    promoted: float | None
    gaps: dict[str, float]
    limit: float | None
    failed: int
    refused: int
    lost: int
    doubled: int

    @property
    def problems(self) -> list[str]:
        """Each limit that is broken."""
        bound = (WEBHOOKS,) if self.event.webhooks else BOUND
        found = [
            f"{name} {self.gaps[name]:.1f} s, limit {self.limit:.1f} s"
            for name in bound
            if self.limit is not None and self.gaps[name] > self.limit
        ]
        for what, count, most in (
            # It is shown that asynchronous loses: how much is counted.
            ("lost", self.lost, None if self.event.loses else 0),
            ("doubled", self.doubled, 0),
            ("calls failed", self.failed, self.event.failures),
            ("webhooks refused", self.refused, self.event.refusals),
        ):
            if most is not None and count > most:
                found.append(f"{count} {what}, limit {most}")
        return found


def rows(reports: Sequence[Report]) -> list[Row]:
    """In the order of the events' first run."""
    by_event: dict[str, list[Outcome]] = {}
    for report in reports:
        for outcome in report.outcomes:
            by_event.setdefault(outcome.event.name, []).append(outcome)
    return [_row(outcomes) for outcomes in by_event.values()]


def broken(reports: Sequence[Report]) -> bool:
    """Whether a limit was broken, or a promise."""
    return any(row.problems for row in rows(reports)) or any(one.violations for one in reports)


def tell(reports: Sequence[Report]) -> None:
    """Prints all that came of the runs."""
    table = Table(title=f"Longest time without an answer, medians of {len(reports)} runs, seconds")
    for heading in ("Event", "P", "Ledger", "Gateway", "Compliance", "Webhooks", "Limit"):
        table.add_column(heading, justify="left" if heading == "Event" else "right")
    for heading in ("Failed", "Lost", "Doubled", ""):
        table.add_column(heading, justify="right")
    # Wide enough for all of it, wherever it goes.
    console = Console(width=WIDTH)
    for row in rows(reports):
        times = [row.gaps.get(name) for name in (*BOUND, WEBHOOKS)]
        table.add_row(
            row.event.what,
            *(_seconds(value) for value in (row.promoted, *times, row.limit)),
            *(str(count) for count in (row.failed, row.lost, row.doubled)),
            "; ".join(row.problems) or "✓",
        )
    console.print(table)
    for event in reports[0].skipped:
        console.print(
            f"Not run: {event.what}. It needs root and network namespaces (unshare, nsenter, ip)."
        )
    found = [violation for report in reports for violation in report.violations]
    for violation in found[:SHOWN_VIOLATIONS]:
        console.print(str(violation))
    payments = sum(report.payments for report in reports)
    transactions = sum(report.transactions for report in reports)
    console.print(
        f"{payments} payments and {transactions} transactions answered;"
        f" {len(found)} promises broken."
    )


def _row(outcomes: Sequence[Outcome]) -> Row:
    event = outcomes[0].event
    promoted = [one.promoted for one in outcomes if one.promoted is not None]
    p = statistics.median(promoted) if promoted else None
    names = outcomes[0].gaps
    return Row(
        event,
        p,
        {name: statistics.median(one.gaps[name] for one in outcomes) for name in names},
        event.limit(p),
        sum(one.failed for one in outcomes),
        sum(one.refused_webhooks for one in outcomes),
        # What was lost stays lost: each outcome has all of its run so far.
        max(one.toll.lost for one in outcomes),
        max(one.toll.doubled for one in outcomes),
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
