"""Rules at their edges."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from runtime.rules import duration, message, text
from runtime.validation import MAX_FOUND_VIOLATIONS, Validator
from tests.runtime.echo import VALIDATOR, pb


def problems(**fields: Any) -> list[tuple[str, str]]:
    request = pb.EchoRequest(request_id="a", **fields)
    return [(v.field, v.description) for v in VALIDATOR.violations(request)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "x" * 16}, []),
        ({"text": "x" * 17}, [("text", "is longer than 16 bytes")]),
        ({"text": "é" * 8}, []),
        ({"text": "é" * 9}, [("text", "is longer than 16 bytes")]),
        ({"text": "a\x00b"}, [("text", "contains a NUL character")]),
        ({"text": "LOUD"}, [("text", "may not shout")]),
        ({"amount": 0}, []),
        ({"amount": 1000}, []),
        ({"amount": 1001}, [("amount", "is greater than 1000")]),
        ({"amount": -1}, [("amount", "is less than 0")]),
        ({"color": 1}, []),
        ({"color": 7}, [("color", "7 is not a known value")]),
        ({"metadata": {"abcd": "12345678"}}, []),
        ({"metadata": {"abcde": ""}}, [("metadata", "has a key that is longer than 4 bytes")]),
        ({"metadata": {"": "x"}}, [("metadata", "has a key that is empty")]),
        ({"metadata": {"a": "123456789"}}, [("metadata[a]", "is longer than 8 bytes")]),
        ({"metadata": {"a": "", "b": "", "c": ""}}, [("metadata", "has more than 2 entries")]),
        ({"parts": [pb.Part(name="a")] * 4}, [("parts", "has more than 3 items")]),
        ({"parts": [pb.Part()]}, [("parts[0].name", "is required")]),
        ({"tags": ["ok", ""]}, [("tags[1]", "is empty")]),
        ({"tags": ["ok", "a b"]}, [("tags[1]", "does not match [A-Za-z0-9_.:-]+")]),
        ({"left": "12345"}, [("left", "is longer than 4 bytes")]),
        (
            {"effective_time": {"seconds": 253_402_300_800}},
            [("effective_time", "is outside the years 1 to 9999")],
        ),
        (
            {"effective_time": {"nanos": 1_000_000_000}},
            [("effective_time", "has nanos outside 0 to 999,999,999")],
        ),
    ],
)
def test_each_rule_at_its_edge(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert problems(**fields) == expected


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "ä"])
def test_request_ids_that_are_refused(request_id: str) -> None:
    found = VALIDATOR.violations(pb.EchoRequest(request_id=request_id))
    assert [violation.field for violation in found] == ["request_id"]


@pytest.mark.parametrize("parts", [MAX_FOUND_VIOLATIONS - 1, MAX_FOUND_VIOLATIONS, 100_000])
def test_the_search_for_violations_ends(parts: int) -> None:
    # One for the list, which is too long, and one for each of its parts.
    request = pb.EchoRequest(request_id="a", parts=[pb.Part()] * parts)
    assert len(VALIDATOR.violations(request)) == min(parts + 1, MAX_FOUND_VIOLATIONS)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (Duration(seconds=1), []),
        (Duration(seconds=60), []),
        (Duration(seconds=60, nanos=1), ["is longer than 0:01:00"]),
        (Duration(nanos=999_999_999), ["is shorter than 0:00:01"]),
        (Duration(seconds=-5), ["is shorter than 0:00:01"]),
    ],
)
def test_durations_at_their_edges(length: Duration, expected: list[str]) -> None:
    class Holder:
        """Stands for a message with a field `ttl`."""

        ttl = length

        @staticmethod
        def HasField(_name: str) -> bool:
            return True

    rule = duration("ttl", minimum=timedelta(seconds=1), maximum=timedelta(minutes=1))
    assert [description for _, description in rule.bind(None)(Holder())] == expected


def test_a_field_without_a_rule_is_an_error_at_start() -> None:
    with pytest.raises(ValueError, match=r"echo\.v1\.Part: no rule for \['inner'\]"):
        Validator({pb.Part: [text("name", max_bytes=1)]})


def test_a_rule_without_a_field_is_an_error_at_start() -> None:
    with pytest.raises(ValueError, match="has no field 'nme'"):
        Validator({pb.Part: [text("nme", max_bytes=1), message("inner")]})


def test_a_nested_type_without_rules_is_an_error_at_start() -> None:
    rules = [text(field.name, max_bytes=1) for field in pb.EchoRequest.DESCRIPTOR.fields]
    with pytest.raises(ValueError, match=r"echo\.v1\.Part has no rules"):
        Validator({pb.EchoRequest: rules})
