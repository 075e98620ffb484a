"""Compares each report that is ready, keeps what differs, and tells of it as of any other break; of
those that do not come, too."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import grpc
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.conditions.telling import Conditions
from reconciliation.matching.book_days import IN_UTC, BookDays
from reconciliation.matching.policy import BreakKind
from reconciliation.reports import store
from reconciliation.reports.comparing import (
    DifferenceKind,
    Kind,
    Movement,
    ReportDifference,
    ReportName,
    Sums,
    compare_rows,
    compare_summary,
    condition_of,
    looked_at_again,
)
from reconciliation.reports.fetching import MAX_ROWS, GatewayReports, Listed, TooManyRowsError
from reconciliation.reports.store import Checked
from reconciliation.reports.waiting import SUBJECTS, missing
from runtime.clock import Clock
from runtime.errors import from_rpc_error
from runtime.logs import get_logger
from runtime.loops import Loop

CHECKS = Counter(
    "reconciliation_report_checks_total",
    "Comparisons of Stripe's reports with its API, by whether they differed.",
    ["kind", "result"],
)
POLL_SECONDS = 60.0
# Reports of older days are not looked for.
LOOK_BACK = timedelta(days=40)
MAX_CHECKS = 5
# With these a file cannot be had however often it is asked for: it is gone, or no report.
_UNREADABLE = frozenset({"REPORT_UNREADABLE", "STRIPE_REJECTED"})

log = get_logger(__name__)


class ReportChecks:
    """Looks for reports and compares them."""

    def __init__(
        self,
        engine: AsyncEngine,
        gateway: GatewayReports,
        conditions: Conditions,
        clock: Clock,
        book_days: BookDays = IN_UTC,
    ) -> None:
        self._engine = engine
        self._gateway = gateway
        self._conditions = conditions
        self._clock = clock
        self._book_days = book_days
        for kind in Kind:
            for result in ("same", "differs"):
                CHECKS.labels(kind.value, result)

    def loop(self) -> Loop:
        """Compares what is due."""
        return Loop(
            "reports",
            self.round,
            poll_seconds=POLL_SECONDS,
            expected=(grpc.aio.AioRpcError,),
        )

    async def round(self) -> bool:
        """Compares some of what is due; whether there is more."""
        now = self._clock.now()
        wanted = await self._gateway.wanted(now - LOOK_BACK)
        ready = [each.name for each in wanted if each.is_ready]
        silent = missing(wanted, now, self._conditions.policy.patience.report)
        async with self._engine.begin() as connection:
            await self._conditions.tell_all(
                connection, [BreakKind.FEED_STALE], "", silent, SUBJECTS
            )
        async with self._engine.connect() as connection:
            before = await store.checked(connection, [report.report_id for report in ready])
        due = _due(ready, before, now)
        for report in due[:MAX_CHECKS]:
            await self._check(report)
        return len(due) > MAX_CHECKS

    async def _check(self, report: ReportName) -> None:
        try:
            differences, counts = await self._compared(report)
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error).reason
            if reason not in _UNREADABLE:
                raise
            differences, counts = [ReportDifference(DifferenceKind.UNREADABLE, reason)], (0, 0)
        except TooManyRowsError:
            key = f"more than {MAX_ROWS} rows"
            differences, counts = [ReportDifference(DifferenceKind.UNREADABLE, key)], (0, 0)
        condition = condition_of(report, differences) if differences else None
        async with self._engine.begin() as connection:
            await store.write(connection, report, counts, differences, condition, self._clock.now())
            holding = await store.standing(connection, report.corridor, self._book_days)
            await self._conditions.tell_all(
                connection, [BreakKind.REPORT_DIFFERS], report.corridor, holding
            )
        result = "differs" if differences else "same"
        CHECKS.labels(report.kind.value, result).inc()
        log.info(
            "report_compared",
            report_id=report.report_id,
            corridor=report.corridor,
            kind=report.kind.value,
            differences=len(differences),
        )

    async def _compared(
        self, report: ReportName
    ) -> tuple[Sequence[ReportDifference], tuple[int, int]]:
        """What differs, and how many rows were reported and listed."""
        rows = await self._gateway.rows(report)
        listed = await self._gateway.listed(report)
        if report.kind is Kind.SUMMARY:
            async with self._engine.connect() as connection:
                fed = await store.balances(connection, report.corridor, report.end)
            # A payout that has not left is still in the balance.
            ending = {
                currency: fed.get(currency, 0) - listed.under_way.get(currency, 0)
                for currency in {*fed, *listed.under_way}
            }
            sums = Sums(_sums(listed.activity), _sums(listed.payouts), ending)
            count = len(listed.activity) + len(listed.payouts)
            return compare_summary(sums, rows), (len(rows), count)
        chosen = await self._chosen(report, listed)
        return compare_rows(chosen, rows), (len(rows), len(chosen))

    async def _chosen(self, report: ReportName, listed: Listed) -> Sequence[Movement]:
        """What a report of movements should have."""
        if report.kind is Kind.PAYOUT_CONTENTS:
            return await self._gateway.contents(report.corridor, listed.paid_out)
        if report.kind is Kind.ENDING_BALANCE:
            async with self._engine.connect() as connection:
                return await store.left_in_balance(
                    connection, report.corridor, report.end, listed.paid_later
                )
        return listed.activity if report.kind is Kind.ACTIVITY else listed.payouts


def _due(
    ready: Iterable[ReportName], before: Mapping[str, Checked], now: datetime
) -> list[ReportName]:
    """Those that were never compared, and those that differed and are to be looked at again."""
    due = []
    for report in ready:
        checked = before.get(report.report_id)
        if checked is None:
            due.append(report)
        elif checked.differences:
            again = looked_at_again(checked.first, checked.last)
            if again is not None and again <= now:
                due.append(report)
    return due


def _sums(movements: Iterable[Movement]) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for movement in movements:
        sums[movement.currency] += movement.net
    return sums
