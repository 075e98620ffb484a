"""docs/*-reasons.md are what the comments of the protos say."""

import subprocess
import sys
from pathlib import Path

import pytest

from docs.reasons import SERVICES, failure_of, failures_of, metadata_keys, page_of

PROJECT = Path(__file__).parent.parent


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_is_current(service: str) -> None:
    page = (PROJECT / "docs" / f"{service}-reasons.md").read_text(encoding="utf-8")
    assert page == page_of(service)


def test_check_says_so() -> None:
    command = [sys.executable, "-m", "docs.reasons", "--check"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_comment_is_taken_apart() -> None:
    made = failure_of(
        7,
        "ERROR_REASON_TOO_LATE",
        "UNAVAILABLE or ABORTED with RetryInfo, decided. It came too late. Metadata: time (RFC "
        "3339, in UTC), clock or place. Come again.",
    )
    assert (made.precedence, made.reason, made.codes) == (7, "TOO_LATE", ("UNAVAILABLE", "ABORTED"))
    assert (made.retry, made.kept) == (True, True)
    assert made.meaning == "It came too late. Come again."
    assert made.metadata == "`time` (RFC 3339, in UTC), `clock` or `place`"
    assert metadata_keys(made) == ["time", "clock", "place"]


def test_the_words_of_other_services_mean_the_same() -> None:
    made = failure_of(
        1,
        "ERROR_REASON_X",
        "ABORTED. Why. Sticky. Metadata: `a`, and for b `c`. Carries RetryInfo.",
    )
    assert (made.retry, made.kept, made.meaning) == (True, True, "Why.")
    assert metadata_keys(made) == ["a", "c"]


@pytest.mark.parametrize("comment", ["", "Never sent.", "NOT_A_CODE. It failed."])
def test_a_comment_without_a_code_is_refused(comment: str) -> None:
    with pytest.raises(ValueError, match="does not begin with gRPC codes"):
        failure_of(1, "ERROR_REASON_X", comment)


def test_metadata_that_are_a_sentence_are_refused() -> None:
    with pytest.raises(ValueError, match="no list of keys"):
        failure_of(1, "ERROR_REASON_X", "ABORTED. Why. Metadata: client, and role if it has one.")


@pytest.mark.parametrize("service", SERVICES)
def test_each_reason_stands_once(service: str) -> None:
    _, failures = failures_of(service)
    assert len({failure.reason for failure in failures}) == len(failures)
