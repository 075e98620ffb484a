"""Runs of queries and reports, as a fake engine tells of them."""

import hashlib
from typing import Any

from gateway.v1 import report_pb2, sigma_pb2
from tests.warehouse.fake_engine import FakeEngine

ACTIVITY = "balance_change_from_activity.itemized.3"


def query(
    engine: FakeEngine, run_id: str, content: bytes, title: str = "nets", **more: Any
) -> None:
    """A run has completed, and its file is kept."""
    file = sigma_pb2.SigmaFile(
        state=sigma_pb2.SIGMA_FILE_STATE_KEPT,
        stripe_file_id="file_1",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    engine.contents[run_id] = content
    run = {"id": run_id, "corridor": "us", "title": title, "file": file}
    engine.query(sigma_pb2.SigmaRun(**{**run, "state": sigma_pb2.SIGMA_STATE_COMPLETED, **more}))


def report(engine: FakeEngine, report_id: str, content: Any, stripe_type: str = ACTIVITY) -> None:
    """A report can be read."""
    engine.contents[report_id] = content
    told = report_pb2.Report(
        id=report_id,
        corridor="us",
        stripe_type=stripe_type,
        state=report_pb2.REPORT_STATE_READY,
    )
    told.ready_time.FromDatetime(engine.now)
    engine.reports.append(told)
