"""What is kept of a run of a scheduled query, and what becomes of the file with its result: pure
rules. https://docs.stripe.com/api/sigma/scheduled_queries/object

The SQL is not kept: who wrote it may have written in it whom it is about. The result is kept as
Stripe made it; what a query selects is the platform's own choice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from gateway.stripe_times import time_of

StripeObject = Mapping[str, Any]
Content = dict[str, Any]
ID_PREFIX, FILE_PREFIX = "sqr_", "file_"
MAX_ID_CHARACTERS = 255
MAX_TITLE_CHARACTERS = 200
MAX_MESSAGE_CHARACTERS = 500
# What is larger is not kept.
MAX_FILE_BYTES = 64 * 1024 * 1024
# Until a file that could not be fetched is asked for again, which doubles.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=5), timedelta(hours=6)
_MAX_DOUBLINGS = 10


class SigmaState(StrEnum):
    """How a run ended; the values are `status` at Stripe, in upper case."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    TIMED_OUT = "TIMED_OUT"


class FileState(StrEnum):
    """What became of the file."""

    NONE = "NONE"
    """The run has none."""
    WANTED = "WANTED"
    """It is to be fetched, again if that failed."""
    KEPT = "KEPT"
    REFUSED = "REFUSED"
    """It is too large, or no table."""
    LOST = "LOST"
    """Stripe has it no longer, and it was never fetched."""
    DISCARDED = "DISCARDED"
    """It was kept for as long as files are."""


class Problem(StrEnum):
    """Why a file is not kept, where no code of Stripe's says it."""

    TOO_LARGE = "TOO_LARGE"
    NOT_A_TABLE = "NOT_A_TABLE"
    SIZE_DIFFERS = "SIZE_DIFFERS"
    EXPIRED = "EXPIRED"


class UnreadableRunError(ValueError):
    """A run that is not as Stripe documents it. The text names the field and quotes nothing."""


@dataclass(frozen=True, slots=True)
class File:
    """The file with a result; `size_bytes` is Stripe's word until the bytes are kept."""

    state: FileState
    stripe_file_id: str = ""
    size_bytes: int = 0
    sha256: str = ""
    row_count: int = 0
    column_count: int = 0
    problem: str = ""
    keep_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as Stripe tells it, which never changes; times are UTC, of whole seconds."""

    id: str
    title: str
    sql_sha256: str
    state: SigmaState
    failure_message: str
    create_time: datetime
    data_load_time: datetime
    available_until: datetime
    stripe_file_id: str
    size_bytes: int

    def file(self, now: datetime) -> File:
        """What there is to do about its file when it becomes known."""
        if not self.stripe_file_id:
            return File(FileState.NONE)
        known = File(FileState.WANTED, self.stripe_file_id, self.size_bytes)
        if now >= self.available_until:
            return replace(known, state=FileState.LOST, problem=Problem.EXPIRED.value)
        if self.size_bytes > MAX_FILE_BYTES:
            return replace(known, state=FileState.REFUSED, problem=Problem.TOO_LARGE.value)
        return known


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes that were fetched, as they were counted."""

    size_bytes: int
    sha256: str
    row_count: int
    column_count: int


def read_run(told: StripeObject) -> Run:
    """A run of Stripe's. Raises UnreadableRunError."""
    run_id, sql, status = told.get("id"), told.get("sql"), told.get("status")
    if not isinstance(run_id, str) or not run_id.startswith(ID_PREFIX):
        raise UnreadableRunError("id")
    if len(run_id) > MAX_ID_CHARACTERS:
        raise UnreadableRunError("id")
    if not isinstance(sql, str):
        raise UnreadableRunError("sql")
    states = {state.value.lower(): state for state in SigmaState}
    if not isinstance(status, str) or status not in states:
        raise UnreadableRunError("status")
    file_id, size = _file(told.get("file"))
    return Run(
        id=run_id,
        title=_text(told, "title", MAX_TITLE_CHARACTERS),
        sql_sha256=hashlib.sha256(sql.encode("utf-8", "surrogatepass")).hexdigest(),
        state=states[status],
        failure_message=_text(told.get("error") or {}, "message", MAX_MESSAGE_CHARACTERS),
        create_time=_time(told, "created"),
        data_load_time=_time(told, "data_load_time"),
        available_until=_time(told, "result_available_until"),
        stripe_file_id=file_id,
        size_bytes=size,
    )


def after_failure(
    file: File, attempt: int, problem: str, now: datetime, available_until: datetime
) -> tuple[File, datetime | None]:
    """What becomes of a file that could not be fetched, and when it is asked for again; not at all
    once Stripe has it no longer. `attempt` counts from 1."""
    if now >= available_until:
        return replace(file, state=FileState.LOST, problem=problem), None
    pause = min(FIRST_PAUSE * 2 ** min(attempt - 1, _MAX_DOUBLINGS), LONGEST_PAUSE)
    return replace(file, problem=problem), min(now + pause, available_until)


def kept(file: File, fetched: Fetched, now: datetime) -> File:
    """The file with its bytes."""
    return File(
        FileState.KEPT,
        file.stripe_file_id,
        fetched.size_bytes,
        fetched.sha256,
        fetched.row_count,
        fetched.column_count,
        keep_time=now,
    )


def content_of_run(run: Run, file: File) -> Content:
    """The message of `gateway.v1`, without the corridor, as JSON."""
    content = {
        "id": run.id,
        "title": run.title,
        "sqlSha256": run.sql_sha256,
        "state": f"SIGMA_STATE_{run.state}",
        "failureMessage": run.failure_message,
        "stripeCreateTime": _told(run.create_time),
        "dataLoadTime": _told(run.data_load_time),
        "resultAvailableUntilTime": _told(run.available_until),
        "file": content_of_file(file),
    }
    return {name: value for name, value in content.items() if value != ""}


def content_of_file(file: File) -> Content:
    """The part of that message which changes."""
    content = {
        "state": f"SIGMA_FILE_STATE_{file.state}",
        "stripeFileId": file.stripe_file_id,
        # Whole numbers of 64 bits are text in Protobuf's JSON.
        "sizeBytes": str(file.size_bytes),
        "sha256": file.sha256,
        "rowCount": str(file.row_count),
        "columnCount": file.column_count,
        "problem": file.problem,
        "keepTime": "" if file.keep_time is None else _told(file.keep_time),
    }
    return {name: value for name, value in content.items() if value not in ("", "0", 0)}


def file_of(content: Content) -> File:
    """The file that a content tells."""
    told = content["file"]
    keep_time = told.get("keepTime")
    return File(
        FileState(told["state"].removeprefix("SIGMA_FILE_STATE_")),
        told.get("stripeFileId", ""),
        int(told.get("sizeBytes", 0)),
        told.get("sha256", ""),
        int(told.get("rowCount", 0)),
        told.get("columnCount", 0),
        told.get("problem", ""),
        None if keep_time is None else datetime.fromisoformat(keep_time),
    )


def digest_of(content: Content) -> str:
    """Differs where the content does."""
    told = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def _file(told: object) -> tuple[str, int]:
    if told is None:
        return "", 0
    if not isinstance(told, Mapping):
        raise UnreadableRunError("file")
    file_id, size = told.get("id"), told.get("size")
    if not isinstance(file_id, str) or not file_id.startswith(FILE_PREFIX):
        raise UnreadableRunError("file.id")
    if type(size) is not int or not 0 <= size < 2**63:
        raise UnreadableRunError("file.size")
    return file_id, size


def _text(told: StripeObject, name: str, most: int) -> str:
    """A text of Stripe's, cut; without NUL, which PostgreSQL has not, and halves of characters."""
    value = told.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "replace").decode()[:most]


def _time(told: StripeObject, name: str) -> datetime:
    time = time_of(told.get(name))
    if time is None:
        raise UnreadableRunError(name)
    return time


def _told(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
