"""ReportService: check, call, answer."""

import hashlib
import io
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from itertools import islice
from typing import IO, Any, cast

from sqlalchemy import Row

from gateway.errors import ERRORS
from gateway.payments.rendering import money, stamp
from gateway.reports.errors import report_not_found, report_not_ready, report_unreadable
from gateway.reports.report import (
    ReportKind,
    ReportRow,
    ReportState,
    UnreadableReportError,
    read_rows,
)
from gateway.reports.store import ReportStore
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.reports import MAX_FILE_BYTES
from gateway.v1 import report_pb2, report_service_pb2_grpc
from gateway.v1 import report_service_pb2 as pb
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
ROWS_OF_A_MESSAGE = 500
BYTES_OF_A_MESSAGE = 1024 * 1024
# What is smaller stays in memory.
MEMORY_BYTES = 4 * 1024 * 1024


class ReportServicer(report_service_pb2_grpc.ReportServiceServicer):
    """What reports there are, and what is in them."""

    def __init__(
        self, store: ReportStore, stripe_client: StripeClient, max_bytes: int = MAX_FILE_BYTES
    ) -> None:
        self._store = store
        self._stripe = stripe_client.reports
        self._max_bytes = max_bytes
        self._page_tokens = PageTokens(ERRORS)

    async def ListReports(
        self, request: pb.ListReportsRequest, _context: Any
    ) -> pb.ListReportsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        kind = report_pb2.ReportKind.Name(request.kind).removeprefix("REPORT_KIND_")
        found = await self._store.page(
            corridor=request.corridor,
            kind=ReportKind(kind) if request.kind else None,
            only_ready=request.only_ready,
            start_from=(
                request.start_from.ToDatetime(UTC) if request.HasField("start_from") else None
            ),
            after=int(position[0]) if position else 0,
            limit=size + 1,
        )
        page = found[:size]
        response = pb.ListReportsResponse(reports=[_message(row) for row in page])
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [page[-1].report_number])
        return response

    async def ReadReport(
        self, request: pb.ReadReportRequest, _context: Any
    ) -> AsyncIterator[pb.ReadReportResponse]:
        report = await self._ready(request.report_id)
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
            await self._fetch(report, file)
            try:
                rows = _rows(file, report.kind)
                while told := [_row(row) for row in islice(rows, ROWS_OF_A_MESSAGE)]:
                    yield pb.ReadReportResponse(rows=told)
            except UnreadableReportError as error:
                raise report_unreadable(report.report_id, str(error)) from None

    async def ReadReportFile(
        self, request: pb.ReadReportFileRequest, _context: Any
    ) -> AsyncIterator[pb.ReadReportFileResponse]:
        report = await self._ready(request.report_id)
        digest = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
            await self._fetch(report, file)
            while content := file.read(BYTES_OF_A_MESSAGE):
                digest.update(content)
                yield pb.ReadReportFileResponse(content=content)
        yield pb.ReadReportFileResponse(sha256=digest.hexdigest())

    async def _ready(self, report_id: str) -> Row[Any]:
        report = await self._store.find(report_id)
        if report is None:
            raise report_not_found(report_id)
        if report.state != ReportState.READY.value:
            raise report_not_ready(report.report_id, report.state)
        return report

    async def _fetch(self, report: Row[Any], file: Any) -> None:
        """The whole file, before a row of it is told."""
        outcome = await self._stripe.read_file(
            report.corridor, report.stripe_file_id, file, self._max_bytes
        )
        if not outcome.succeeded or outcome.object is None:
            raise call_failed(report.corridor, outcome)
        if outcome.object.get("too_large"):
            raise report_unreadable(report.report_id, f"at most {self._max_bytes} bytes")
        file.seek(0)


def _rows(file: IO[bytes], kind: str) -> Iterator[ReportRow]:
    text = io.TextIOWrapper(cast("io.BufferedReader", file), encoding="utf-8", newline="")
    try:
        yield from read_rows(text, ReportKind(kind))
    except UnicodeDecodeError:
        raise UnreadableReportError("text in UTF-8") from None
    finally:
        # The file is closed by who opened it.
        text.detach()


def _message(row: Row[Any]) -> report_pb2.Report:
    return report_pb2.Report(
        id=row.report_id,
        corridor=row.corridor,
        kind=report_pb2.ReportKind.Value(f"REPORT_KIND_{row.kind}"),
        stripe_type=row.stripe_type,
        start_time=stamp(row.start_time),
        end_time=stamp(row.end_time),
        state=report_pb2.ReportState.Value(f"REPORT_STATE_{row.state}"),
        attempt=row.attempt,
        failure=row.failure,
        stripe_run_id=row.stripe_run_id,
        create_time=stamp(row.create_time),
        ready_time=stamp(row.ready_time),
    )


def _row(row: ReportRow) -> report_pb2.ReportRow:
    message = report_pb2.ReportRow(
        balance_transaction_id=row.balance_transaction_id,
        category=row.category,
        net=money(row.currency, row.net_minor),
        stripe_create_time=stamp(row.create_time),
        source_id=row.source_id,
        stripe_payout_id=row.stripe_payout_id,
    )
    if row.balance_transaction_id:
        message.gross.CopyFrom(money(row.currency, row.gross_minor))
        message.fee.CopyFrom(money(row.currency, row.fee_minor))
    return message
