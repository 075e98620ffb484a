"""One process moves the clock, and all that read it follow."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.shared_clock import ClockFileError, SharedClock


def test_who_reads_it_follows_who_moves_it(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    moved = SharedClock.create(path)
    read = SharedClock(path)
    before = datetime.now(UTC)
    assert before <= read.now() <= datetime.now(UTC)
    moved.advance(timedelta(minutes=3))
    moved.advance(timedelta(seconds=5))
    assert read.ahead == moved.ahead == timedelta(minutes=3, seconds=5)
    now = datetime.now(UTC)
    assert read.now() >= now + read.ahead
    with pytest.raises(ValueError, match="only goes forward"):
        moved.advance(timedelta(seconds=-1))
    assert read.ahead == timedelta(minutes=3, seconds=5)


def test_what_is_no_clock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_bytes(b"seven..")
    with pytest.raises(ClockFileError, match="is not the file of a clock"):
        SharedClock(path)
    with pytest.raises(FileExistsError):
        SharedClock.create(path)
    with pytest.raises(FileNotFoundError):
        SharedClock(tmp_path / "none")
