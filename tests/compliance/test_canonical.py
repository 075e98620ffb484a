"""Canonical JSON is written as Python's `json` would write it; times on the wire are exact."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.canonical import WrittenOften, dumps, plain
from compliance.checks.decision import DecisionRecord, decide
from compliance.checks.facts import CheckFacts
from compliance.checks.history import Bucket, History
from compliance.checks.policy import BUILT_IN
from compliance.wire_time import to_duration, to_timestamp
from tests.compliance.check_facts import AS_OF, any_facts


class Word(StrEnum):
    ONE = "one \u2603"


class Number(IntEnum):
    TWO = 2


@dataclass(frozen=True)
class Single:
    only: Any


@dataclass(frozen=True)
class Several:
    z: Any
    a: Any
    Z: Any = ()


@dataclass(frozen=True)
class Often(WrittenOften):
    one: Any
    other: Any = 1


@dataclass(frozen=True)
class Nothing:
    pass


LATEST = datetime.max.replace(tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
# Each text is any of Unicode: quotes, control characters, what is beyond the first plane.
TIMES = st.datetimes(timezones=st.just(UTC))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    TIMES,
    st.timedeltas(),
    st.sampled_from([Word.ONE, Number.TWO, Nothing()]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(Single, inner),
        st.builds(Several, inner, inner, inner),
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_leaves=8,
)


def by_json(value: Any) -> str:
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


@given(VALUES)
def test_any_value_is_written_as_json_writes_it(value: Any) -> None:
    assert dumps(value) == by_json(value)


@given(any_facts)
def test_a_decision_is_written_as_json_writes_it(facts: CheckFacts) -> None:
    record: DecisionRecord = decide(
        facts,
        BUILT_IN,
        decision_id='dec_"\u2603"',
        request_id="r",
        reference_id="",
        record_time=AS_OF,
    )
    assert dumps(record) == by_json(record)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_has_no_number_for_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value)


@pytest.mark.parametrize("value", [b"", {1, 2}, object(), Single(b"")])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no canonical form"):
        dumps(value)


@given(
    st.lists(st.builds(Bucket, *[st.integers(0, 2**70)] * 5), max_size=3).map(tuple),
    st.integers(0, 2**60),
    st.integers(0, 2**60),
    st.lists(st.tuples(st.text(), st.integers(0, 2**60)), max_size=3).map(tuple),
)
def test_a_history_is_written_as_json_writes_it(
    buckets: tuple[Bucket, ...], last: int, before: int, customers: tuple[tuple[str, int], ...]
) -> None:
    history = History(buckets, last, before, customers)
    written = history.dumps()
    assert written == json.dumps(vars(history), separators=(",", ":"))
    assert History.loads(written) == history


@given(st.sampled_from([EARLIEST, LATEST, AS_OF]) | TIMES)
def test_a_time_on_the_wire_is_exact(time: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(time)
    assert to_timestamp(time) == expected
    assert expected.ToDatetime(tzinfo=UTC) == time


def test_no_time_is_no_timestamp() -> None:
    assert to_timestamp(None) is None
    assert to_timestamp(AS_OF + timedelta(microseconds=1)) != to_timestamp(AS_OF)


@given(VALUES, VALUES)
def test_what_is_written_often_is_written_as_at_first(one: Any, other: Any) -> None:
    value = Often(one)
    first = dumps(Several(value, [value, value]))
    assert dumps(Several(value, [value, value])) == first
    assert dumps(value) == dumps(Often(one))
    # What is made of it is another value, with a text of its own.
    changed = replace(value, other=other)
    assert dumps(changed) == dumps(Often(one, other))
    # Its text is no part of it.
    assert value == Often(one)
    assert plain(value).keys() == {"one", "other"}


@given(st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000)))
def test_lengths_of_time_are_as_protobuf_has_them(length: timedelta) -> None:
    expected = Duration()
    expected.FromTimedelta(length)
    assert to_duration(length) == expected
