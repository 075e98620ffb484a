"""What is kept of a run, and when its file is asked for again: rules without any database."""

import csv
import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from gateway.sigma.fetching import counted
from gateway.sigma.run import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_FILE_BYTES,
    MAX_MESSAGE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    Fetched,
    File,
    FileState,
    SigmaState,
    UnreadableRunError,
    after_failure,
    content_of_run,
    digest_of,
    file_of,
    kept,
    read_run,
)
from gateway.v1 import sigma_pb2
from runtime.csv_tables import NotATableError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SQL = "SELECT 1"


def told(**more: Any) -> dict[str, Any]:
    seconds = int(NOW.timestamp())
    run = {"id": "sqr_1", "title": "nets", "sql": SQL, "status": "completed", "error": None}
    times = {"created": seconds - 60, "data_load_time": seconds - 10_800}
    file = {"id": "file_1", "size": 12}
    return {**run, **times, "result_available_until": seconds + 86_400, "file": file, **more}


def test_a_run_is_told_without_its_sql() -> None:
    run = read_run(
        told(title="n" * 300, error={"message": "m\0" * 600}, status="failed", file=None)
    )
    content = content_of_run(run, run.file(NOW))
    message = ParseDict(content, sigma_pb2.SigmaRun())
    assert SQL not in str(content)
    assert message.sql_sha256 == hashlib.sha256(SQL.encode()).hexdigest()
    assert (message.state, message.file.state) == (
        sigma_pb2.SIGMA_STATE_FAILED,
        sigma_pb2.SIGMA_FILE_STATE_NONE,
    )
    assert message.title == "n" * MAX_TITLE_CHARACTERS
    assert message.failure_message == "m" * MAX_MESSAGE_CHARACTERS
    assert message.stripe_create_time.ToDatetime(UTC) == NOW - timedelta(seconds=60)
    assert message.data_load_time.ToDatetime(UTC) == NOW - timedelta(hours=3)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": "re_1"}, "id"),
        ({"id": None}, "id"),
        ({"id": "sqr_" + "1" * 252}, "id"),
        ({"sql": None}, "sql"),
        ({"status": "running"}, "status"),
        ({"status": None}, "status"),
        ({"created": "today"}, "created"),
        ({"data_load_time": None}, "data_load_time"),
        ({"result_available_until": 0}, "result_available_until"),
        ({"file": "file_1"}, "file"),
        ({"file": {"id": "1", "size": 1}}, "file.id"),
        ({"file": {"id": "file_1", "size": "1"}}, "file.size"),
        ({"file": {"id": "file_1", "size": -1}}, "file.size"),
    ],
)
def test_a_run_that_is_none_says_which_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableRunError) as error:
        read_run(told(**wrong))
    assert str(error.value) == field
    assert read_run(told(id="sqr_" + "1" * 251)).state is SigmaState.COMPLETED


def test_what_is_to_be_done_about_a_file() -> None:
    run = read_run(told())
    assert run.file(NOW) == File(FileState.WANTED, "file_1", 12)
    assert run.file(run.available_until - timedelta(seconds=1)).state is FileState.WANTED
    late = run.file(run.available_until)
    assert (late.state, late.problem) == (FileState.LOST, "EXPIRED")
    assert replace(run, size_bytes=MAX_FILE_BYTES).file(NOW).state is FileState.WANTED
    large = replace(run, size_bytes=MAX_FILE_BYTES + 1).file(NOW)
    assert (large.state, large.problem) == (FileState.REFUSED, "TOO_LARGE")
    assert read_run(told(file=None)).file(NOW) == File(FileState.NONE)


@given(attempt=st.integers(1, 500), left=st.integers(-5, 10**6))
def test_a_file_is_asked_for_until_stripe_has_it_no_longer(attempt: int, left: int) -> None:
    until = NOW + timedelta(seconds=left)
    file, next_look = after_failure(File(FileState.WANTED, "file_1"), attempt, "x", NOW, until)
    assert file.problem == "x"
    if left <= 0:
        assert (file.state, next_look) == (FileState.LOST, None)
        return
    assert file.state is FileState.WANTED
    assert next_look is not None
    pause = FIRST_PAUSE
    for _ in range(attempt - 1):
        pause = min(pause * 2, LONGEST_PAUSE)
    assert next_look == min(NOW + pause, until)


def test_a_file_is_read_back_as_it_was_told() -> None:
    run = read_run(told())
    content = content_of_run(run, run.file(NOW))
    whole = kept(file_of(content), Fetched(12, "ab", 2, 3), NOW + timedelta(microseconds=7))
    again = content_of_run(run, whole)
    assert file_of(again) == whole
    assert digest_of(again) != digest_of(content)
    empty = content_of_run(run, File(FileState.NONE))
    assert file_of(empty) == File(FileState.NONE)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.tuples(CELLS, CELLS)))
def test_a_table_is_counted(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerows([("a", "b"), *rows])
    content = text.getvalue().encode()
    file = io.BytesIO(content)
    assert counted(file) == Fetched(len(content), hashlib.sha256(content).hexdigest(), len(rows), 2)
    assert not file.closed


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "headings"),
        (b"\n", "headings"),
        (b"a,b\n1\n", "line 2: as many cells"),
        (b"a,b\n\n", "line 2: as many cells"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: as many cells"),
        (b'a\n"x" y\n', "line 2: a row of CSV"),
        (b"\xff\n", "UTF-8"),
        (b"a\nx\0y\n", "line 2"),
        (b"a\n" + b"x" * (128 * 1024 + 1) + b"\n", "CSV"),
        (b",".join([b"a"] * 501), "at most 500 headings"),
        (b"a" * 501, "at most 500 characters"),
    ],
)
def test_what_is_no_table_says_where(content: bytes, expected: str) -> None:
    with pytest.raises(NotATableError, match=expected):
        counted(io.BytesIO(content))


@pytest.mark.parametrize(
    ("content", "rows", "columns"),
    [
        (b"a\n\n\n", 2, 1),
        (b"\xef\xbb\xbfa,b", 0, 2),
        (b'a,a\r\n"x\ny",""\r\n', 1, 2),
        (b"a\n" + b"x" * (128 * 1024) + b"\n", 1, 1),
        (b",".join([b"a" * 500] * 500), 0, 500),
    ],
)
def test_what_is_a_table_at_its_bounds(content: bytes, rows: int, columns: int) -> None:
    found = counted(io.BytesIO(content))
    assert (found.row_count, found.column_count) == (rows, columns)
