"""Comparing messages: conflicts name the fields that differ."""

from typing import Any

import pytest

from runtime.messages import differing_fields, fingerprint
from tests.runtime.echo import pb


@pytest.mark.parametrize(
    ("first", "second", "paths"),
    [
        ({}, {}, []),
        ({"text": "a"}, {"text": "b"}, ["text"]),
        ({"part": {"name": "a"}}, {}, ["part"]),
        ({"part": {"inner": {"name": "a"}}}, {"part": {"inner": {}}}, ["part.inner.name"]),
        ({"parts": [{"name": "a"}]}, {"parts": []}, ["parts"]),
        ({"parts": [{"name": "a"}]}, {"parts": [{"name": "b"}]}, ["parts[0].name"]),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"a": "1"}}, ["metadata[b]"]),
        ({"metadata": {"a": "1"}}, {"metadata": {"a": "2"}}, ["metadata[a]"]),
        ({"tags": ["x", "y"]}, {"tags": ["x", "z"]}, ["tags[1]"]),
        ({"left": "x"}, {"right": "x"}, ["left", "right"]),
        ({"effective_time": {"seconds": 1}}, {"effective_time": {}}, ["effective_time.seconds"]),
    ],
)
def test_differing_fields(first: dict[str, Any], second: dict[str, Any], paths: list[str]) -> None:
    left, right = pb.EchoRequest(**first), pb.EchoRequest(**second)
    assert differing_fields(left, right) == paths
    assert differing_fields(right, left) == paths
    assert (fingerprint(left) == fingerprint(right)) == (paths == [])


def test_messages_of_two_types_are_not_compared() -> None:
    with pytest.raises(TypeError, match=r"echo\.v1\.Part against echo\.v1\.EchoRequest"):
        differing_fields(pb.Part(), pb.EchoRequest())
