"""Stripe's reports: those that can be read and are not here are read, one in a transaction.

A report has no feed: it is wanted once, and once it can be read it never changes. So its list is
walked, and what is here is known by its id.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc

from gateway.v1.report_pb2 import Report
from gateway.v1.report_service_pb2 import ListReportsRequest, ReadReportFileRequest
from runtime.command_failures import CommandError, of_call
from runtime.csv_tables import NotATableError
from runtime.errors import from_rpc_error
from warehouse.facts import tables
from warehouse.facts.rows import Batch, instant
from warehouse.facts.sink import FactSink
from warehouse.files.names import REPORT
from warehouse.files.rows import missing_report_file, report_file
from warehouse.files.stripe_file import MAX_FILE_BYTES, StripeFile, summary_of
from warehouse.sink import LoadRefusedError

if TYPE_CHECKING:
    from gateway.v1.report_service_pb2_grpc import ReportServiceAsyncStub

CALL_SECONDS = 60.0
# The gateway fetches a file at Stripe before it tells the first byte of it.
FILE_SECONDS = 600.0
PAGE_SIZE = 1_000
# Stripe does not give out these: it is told of, and they are asked for again after a while.
MISSING = frozenset({"STRIPE_REJECTED", "REPORT_UNREADABLE", "REPORT_NOT_FOUND"})
ASK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True)
class LoadedReports:
    """What a walk came to."""

    listed: int
    loaded: int
    missing: int
    row_count: int
    # When the first of them could be read.
    news_time: datetime | None


class ReportLoader:
    """The gateway's reports and one warehouse."""

    source = tables.REPORT_FILES

    def __init__(self, stub: "ReportServiceAsyncStub", address: str, sink: FactSink) -> None:
        self._stub: Any = stub
        self.address = address
        self._sink = sink
        self._ask_again: dict[str, datetime] = {}

    async def load(self) -> LoadedReports:
        """Loads what can be read when it begins. Raises `CommandError` when a call fails,
        `LoadRefusedError` and `AnotherLoadError`; what was written before stays."""
        begun = self._sink.clock.now()
        known = {
            file_id
            for file_id, _ in await asyncio.to_thread(self._sink.read, "loaded_report_files", {})
        }
        listed = loaded = missing = row_count = 0
        news_time = None
        async for report in self._reports():
            listed += 1
            file_id = f"{report.corridor}/{report.id}"
            if file_id in known:
                continue
            if self._ask_again.get(file_id, begun) > begun:
                missing += 1
                continue
            batch = await self._batch(report)
            position = await asyncio.to_thread(self._sink.position, self.source)
            _, count = await asyncio.to_thread(self._sink.take, self.source, position, batch)
            if batch.files:
                loaded, row_count = loaded + 1, row_count + count - 1
                news_time = news_time or batch.news_time
            else:
                missing += 1
                self._ask_again[file_id] = begun + ASK_AGAIN
        await asyncio.to_thread(self._sink.complete, self.source, begun)
        return LoadedReports(listed, loaded, missing, row_count, news_time)

    async def _batch(self, report: Report) -> Batch:
        """A report's file, or that it cannot be had."""
        place = (await asyncio.to_thread(self._sink.position, self.source)).place
        content = await self._content(report)
        if isinstance(content, str):
            rows = {tables.REPORT_FILE.name: [missing_report_file(report, content)]}
            return Batch(place, rows=rows)
        file = StripeFile(REPORT, report.stripe_type, report.corridor, report.id, content)
        try:
            summary = summary_of(file)
        except NotATableError as error:
            raise LoadRefusedError(f"{file.file_id} is no table: {error}") from None
        return Batch(
            place,
            rows={tables.REPORT_FILE.name: [report_file(file, summary, report)]},
            files=[(file, summary)],
            news_time=instant(report, "ready_time"),
        )

    async def _content(self, report: Report) -> bytes | str:
        """The bytes of a file, or why Stripe does not give them out."""
        request = ReadReportFileRequest(report_id=report.id)
        content, sha256 = bytearray(), ""
        try:
            async for answer in self._stub.ReadReportFile(request, timeout=FILE_SECONDS):
                content += answer.content
                sha256 = answer.sha256
                if len(content) > MAX_FILE_BYTES:
                    raise LoadRefusedError(f"{report.id} has over {MAX_FILE_BYTES} bytes")
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error).reason
            if reason in MISSING:
                return reason
            raise of_call(error, self.address) from None
        if not sha256:
            text = f"{self.address} has not told all of report {report.id}"
            raise CommandError(text, passing=True)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise LoadRefusedError(f"the bytes of report {report.id} are not those that were told")
        return bytes(content)

    async def _reports(self) -> AsyncIterator[Report]:
        """Those that can be read, in the order in which they were wanted."""
        request = ListReportsRequest(only_ready=True, page_size=PAGE_SIZE)
        while True:
            try:
                page = await self._stub.ListReports(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise of_call(error, self.address) from None
            for report in page.reports:
                yield report
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
