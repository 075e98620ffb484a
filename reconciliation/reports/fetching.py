"""What the gateway tells: which reports there are, their rows, and what Stripe's API lists."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_MISSING,
    BalanceTransaction,
)
from gateway.v1.balance_transaction_service_pb2 import ListBalanceTransactionsRequest
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.report_pb2 import REPORT_STATE_READY, Report, ReportKind, ReportRow
from gateway.v1.report_service_pb2 import ListReportsRequest, ReadReportRequest
from gateway.v1.report_service_pb2_grpc import ReportServiceStub
from reconciliation.matching.book_days import IN_UTC, BookDays
from reconciliation.reports.comparing import Kind, Movement, ReportName
from reconciliation.reports.waiting import Wanted

PAGE_SIZE = 1_000
# Of one report, and of one day's list; of more a report is not compared.
MAX_ROWS = 500_000
READ_SECONDS = 600.0
# https://docs.stripe.com/reports/reporting-categories: what a payout is, and one that came back.
CAME_BACK = "payout_reversal"
PAYOUT_CATEGORIES = frozenset({"payout", CAME_BACK})
# The same by Stripe's types, of what an old release of the gateway has read without a category.
PAYOUT_TYPES = frozenset({"payout", "payout_cancel", "payout_failure"})
# A payout takes effect when its money leaves the balance, so long after it was made at most.
PAYOUT_DAYS = timedelta(days=14)


class TooManyRowsError(Exception):
    """A report, or a day, has more than `MAX_ROWS`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the API lists of a day: what payouts are not, those that took effect, and by currency
    the net of those that were made by its end and take effect later."""

    activity: list[Movement]
    payouts: list[Movement]
    under_way: dict[str, int]
    paid_out: list[str]
    """Stripe's ids of the payouts that took effect."""
    paid_later: list[str]
    """Of those that were made by its end and take effect later."""


class GatewayReports:
    """Asks the gateway."""

    def __init__(
        self,
        reports: ReportServiceStub,
        listed: BalanceTransactionServiceStub,
        book_days: BookDays = IN_UTC,
    ) -> None:
        self._reports: Any = reports
        self._listed: Any = listed
        self._book_days = book_days

    async def wanted(self, start_from: datetime) -> list[Wanted]:
        """The reports of days that begin at a time or later."""
        request = ListReportsRequest(page_size=PAGE_SIZE)
        request.start_from.FromDatetime(start_from)
        found: list[Wanted] = []
        while True:
            answer = await self._reports.ListReports(request)
            found += [
                Wanted(_name(report, self._book_days), report.state == REPORT_STATE_READY)
                for report in answer.reports
            ]
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def rows(self, report: ReportName) -> list[Movement]:
        """The rows of a report. Raises TooManyRowsError."""
        request = ReadReportRequest(report_id=report.report_id)
        found: list[Movement] = []
        async for answer in self._reports.ReadReport(request, timeout=READ_SECONDS):
            found += [_row(row) for row in answer.rows]
            if len(found) > MAX_ROWS:
                raise TooManyRowsError
        return found

    async def listed(self, report: ReportName) -> Listed:
        """What the API lists of a report's day. Raises TooManyRowsError."""
        activity: list[Movement] = []
        payouts: list[Movement] = []
        under_way: dict[str, int] = defaultdict(int)
        paid_out: list[str] = []
        paid_later: list[str] = []
        async for moved in self._pages(report.corridor, report.start - PAYOUT_DAYS, report.end):
            if moved.state == BALANCE_TRANSACTION_STATE_MISSING:
                continue
            created, effective = _time(moved.stripe_create_time), _time(moved.available_time)
            if not _is_payout(moved):
                if created >= report.start:
                    activity.append(_movement(moved))
            elif effective >= report.end:
                under_way[moved.net.currency_code] += moved.net.minor_units
                paid_later.append(moved.source_id)
            elif effective >= report.start:
                payouts.append(_movement(moved))
                if moved.reporting_category != CAME_BACK:
                    paid_out.append(moved.source_id)
            if len(activity) > MAX_ROWS:
                raise TooManyRowsError
        return Listed(activity, payouts, dict(under_way), paid_out, paid_later)

    async def contents(self, corridor: str, payout_ids: Iterable[str]) -> list[Movement]:
        """What the API lists as content of some payouts. Raises TooManyRowsError."""
        found: list[Movement] = []
        for payout_id in payout_ids:
            request = ListBalanceTransactionsRequest(
                page_size=PAGE_SIZE, corridor=corridor, stripe_payout_id=payout_id
            )
            async for moved in self._answers(request):
                is_there = moved.state != BALANCE_TRANSACTION_STATE_MISSING
                if is_there and not _is_payout(moved):
                    found.append(replace(_movement(moved), payout=payout_id))
                if len(found) > MAX_ROWS:
                    raise TooManyRowsError
        return found

    async def _pages(
        self, corridor: str, begin: datetime, end: datetime
    ) -> AsyncIterator[BalanceTransaction]:
        request = ListBalanceTransactionsRequest(page_size=PAGE_SIZE, corridor=corridor)
        request.created_from.FromDatetime(begin)
        request.created_until.FromDatetime(end)
        async for moved in self._answers(request):
            yield moved

    async def _answers(
        self, request: ListBalanceTransactionsRequest
    ) -> AsyncIterator[BalanceTransaction]:
        while True:
            answer = await self._listed.ListBalanceTransactions(request)
            for moved in answer.balance_transactions:
                yield moved
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token


def _name(report: Report, book_days: BookDays) -> ReportName:
    kind = ReportKind.Name(report.kind).removeprefix("REPORT_KIND_")
    start = _time(report.start_time)
    return ReportName(
        report.id,
        report.corridor,
        Kind(kind),
        start,
        _time(report.end_time),
        book_days.day_of(report.corridor, start),
    )


def _row(row: ReportRow) -> Movement:
    if not row.balance_transaction_id:
        return Movement(row.category, row.net.currency_code, row.net.minor_units)
    return Movement(
        row.balance_transaction_id,
        row.net.currency_code,
        row.net.minor_units,
        row.gross.minor_units,
        row.fee.minor_units,
        row.category,
        row.stripe_payout_id,
    )


def _movement(moved: BalanceTransaction) -> Movement:
    is_whole = moved.HasField("amount")
    return Movement(
        moved.id,
        moved.net.currency_code,
        moved.net.minor_units,
        moved.amount.minor_units if is_whole else None,
        moved.fee.minor_units if is_whole else None,
        moved.reporting_category,
    )


def _is_payout(moved: BalanceTransaction) -> bool:
    if moved.reporting_category:
        return moved.reporting_category in PAYOUT_CATEGORIES
    return moved.type in PAYOUT_TYPES


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
