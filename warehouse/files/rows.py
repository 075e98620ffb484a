"""Rows about runs and files; those of the files themselves are in tables of their own. Pure."""

from datetime import datetime

from gateway.v1 import report_pb2, sigma_pb2
from gateway.v1.sigma_service_pb2 import WatchSigmaRunsResponse
from warehouse.facts.rows import Row, instant, json_of, version, word
from warehouse.files.stripe_file import StripeFile, Summary


def sigma_run(message: WatchSigmaRunsResponse) -> Row:
    """A change of a run. Why it failed is not loaded: who wrote the query may be quoted."""
    run = message.run
    file = run.file
    return {
        "epoch": message.epoch,
        "sequence": message.sequence,
        "corridor": run.corridor,
        "run_id": run.id,
        "state": word(sigma_pb2.SigmaState, "SIGMA_STATE_", run.state),
        "file_state": word(sigma_pb2.SigmaFileState, "SIGMA_FILE_STATE_", file.state),
        "record_time": instant(message, "record_time"),
        "title": run.title or None,
        "sql_sha256": run.sql_sha256 or None,
        "stripe_file_id": file.stripe_file_id or None,
        "file_sha256": file.sha256 or None,
        "file_size_bytes": file.size_bytes if file.stripe_file_id else None,
        "row_count": file.row_count if file.sha256 else None,
        "file_problem": file.problem or None,
        "stripe_create_time": instant(run, "stripe_create_time"),
        "data_load_time": instant(run, "data_load_time"),
        "available_until_time": instant(run, "result_available_until_time"),
    }


def sigma_file(file: StripeFile, summary: Summary) -> Row:
    """That a result is here."""
    return version(_loaded(file, summary))


def report_file(file: StripeFile, summary: Summary, report: report_pb2.Report) -> Row:
    """That a report is here."""
    return version({**_loaded(file, summary), **_interval(report)})


def missing_report_file(report: report_pb2.Report, problem: str) -> Row:
    """That a report cannot be had."""
    return version(
        {
            "file_id": f"{report.corridor}/{report.id}",
            "corridor": report.corridor,
            "run_id": report.id,
            "title": report.stripe_type,
            "problem": problem,
            **_interval(report),
        }
    )


def _interval(report: report_pb2.Report) -> dict[str, datetime | None]:
    return {
        "start_time": instant(report, "start_time"),
        "end_time": instant(report, "end_time"),
    }


def _loaded(file: StripeFile, summary: Summary) -> dict[str, str | int]:
    return {
        "file_id": file.file_id,
        "corridor": file.corridor,
        "run_id": file.run_id,
        "title": file.title,
        "table_name": file.table_name,
        "file_sha256": file.sha256,
        "size_bytes": len(file.content),
        "row_count": summary.row_count,
        "rows_sha256": summary.rows_sha256,
        "headings": json_of(summary.headings),
    }
