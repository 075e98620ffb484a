"""Requests whose id comes again: a conflict names the fields that differ, so many and no more."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import grpc
import pytest

from runtime.errors import ServiceError
from runtime.idempotency import (
    MAX_DIFFERING_BYTES,
    MAX_DIFFERING_FIELDS,
    OTHER_METHOD,
    Differences,
    RequestIds,
    differences,
    differences_of,
    encoded,
    fingerprint_of,
)
from tests.runtime.echo import ERRORS, VALIDATOR, pb


@pytest.mark.parametrize(
    ("first", "second", "paths"),
    [
        ({}, {}, ()),
        ({"text": "a"}, {"text": "b"}, ("text",)),
        ({"part": {"name": "a"}}, {}, ("part",)),
        ({"part": {"inner": {"name": "a"}}}, {"part": {"inner": {}}}, ("part.inner.name",)),
        ({"parts": [{"name": "a"}]}, {"parts": []}, ("parts",)),
        ({"parts": [{"name": "a"}]}, {"parts": [{"name": "b"}]}, ("parts[0].name",)),
        (
            {"parts": [{"name": "a"}, {"name": "b"}], "amount": 1},
            {"parts": [{"name": "a"}, {"name": "c"}], "amount": 2},
            ("parts[1].name", "amount"),
        ),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"a": "1"}}, ("metadata[b]",)),
        ({"metadata": {"a": "1"}}, {"metadata": {"a": "2"}}, ("metadata[a]",)),
        ({"tags": ["x", "y"]}, {"tags": ["x", "z"]}, ("tags[1]",)),
        ({"left": "x"}, {"right": "x"}, ("left", "right")),
        ({"effective_time": {"seconds": 1}}, {"effective_time": {}}, ("effective_time.seconds",)),
    ],
)
def test_differences_are_named_by_path(
    first: Mapping[str, Any], second: Mapping[str, Any], paths: tuple[str, ...]
) -> None:
    left, right = pb.EchoRequest(**first), pb.EchoRequest(**second)
    expected = Differences(paths, len(paths))
    assert differences(left, right) == differences(right, left) == expected
    assert bool(expected) == (left != right)


def test_fields_that_this_version_does_not_know_are_not_compared() -> None:
    newer = pb.EchoRequest(request_id="a")
    newer.MergeFromString(b"\xa2\x06\x01x")
    assert newer != pb.EchoRequest(request_id="a")
    assert not differences(newer, pb.EchoRequest(request_id="a"))


def test_messages_of_two_types_are_not_compared() -> None:
    with pytest.raises(TypeError, match=r"echo\.v1\.Part against echo\.v1\.EchoRequest"):
        differences(pb.Part(), pb.EchoRequest())


def tags(count: int, length: int = 1) -> tuple[Any, Any]:
    return (
        pb.EchoRequest(metadata={f"{index:0{length}}": "x" for index in range(count)}),
        pb.EchoRequest(),
    )


@pytest.mark.parametrize("count", [MAX_DIFFERING_FIELDS, MAX_DIFFERING_FIELDS + 1, 100_000])
def test_the_first_differences_are_named_and_all_counted(count: int) -> None:
    found = differences(*tags(count, length=6))
    assert found.paths == tuple(f"metadata[{i:06}]" for i in range(MAX_DIFFERING_FIELDS))
    assert found.count == count


def test_the_names_have_a_bound_in_bytes() -> None:
    # Each path with its comma takes an eighth of the bytes, or one more.
    length = MAX_DIFFERING_BYTES // 8 - len("metadata[],")
    assert len(differences(*tags(9, length)).paths) == 8
    longer = differences(*tags(9, length + 1))
    assert (len(longer.paths), longer.count) == (7, 9)
    assert differences(*tags(1, 100_000)) == Differences((), 1)


def parsed(**fields: Any) -> Any:
    return pb.EchoRequest(request_id="a", **fields)


def test_what_an_older_build_kept_is_compared_in_today_s_form() -> None:
    request = parsed(effective_time={"seconds": 1, "nanos": 5_000})
    for kept in (
        request,
        parsed(effective_time={"seconds": 1, "nanos": 5_999}),
    ):
        assert not differences_of(VALIDATOR, request, kept.SerializeToString())
    kept = parsed(effective_time={"seconds": 1, "nanos": 6_000})
    found = differences_of(VALIDATOR, request, kept.SerializeToString())
    assert found == Differences(("effective_time.nanos",), 1)


REQUEST_IDS = RequestIds(ERRORS, VALIDATOR)


class Written(NamedTuple):
    """A request as a table has it."""

    method: str
    body: bytes


@pytest.mark.parametrize(
    ("method", "kept", "personal", "fingerprinted", "paths"),
    [
        ("EchoRequest", {"text": "x"}, [], {}, None),
        ("Echo", {"text": "x"}, [], {}, None),
        ("CountRequest", {"text": "x"}, [], {}, "method"),
        ("EchoRequest", {"text": "y", "amount": 1}, [], {}, "text,amount"),
        ("EchoRequest", {}, ["text"], {"text": "x"}, None),
        ("EchoRequest", {}, ["text"], {"text": "y"}, "text"),
        ("EchoRequest", {"amount": 1}, ["text"], {"text": "y"}, "amount"),
    ],
)
def test_a_request_is_checked_against_what_was_kept(
    method: str,
    kept: Mapping[str, Any],
    personal: list[str],
    fingerprinted: Mapping[str, Any],
    paths: str | None,
) -> None:
    def check() -> None:
        REQUEST_IDS.check(
            parsed(text="x"),
            Written(method, encoded(parsed(**kept))),
            personal=personal,
            fingerprint=fingerprint_of(parsed(**fingerprinted)),
        )

    if paths is None:
        check()
        return
    with pytest.raises(ServiceError) as caught:
        check()
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert (error.metadata["request_id"], error.metadata["differing_fields"]) == ("a", paths)


def test_the_metadata_of_a_conflict() -> None:
    assert Differences(("a", "b[1].c"), 30).metadata("id-1") == {
        "request_id": "id-1",
        "differing_fields": "a,b[1].c",
        "differing_field_count": "30",
    }
    assert OTHER_METHOD.metadata("id-1")["differing_fields"] == "method"


@pytest.mark.parametrize(("text", "is_same"), [("x", True), ("y", False)])
def test_a_request_whose_body_is_lost_is_known_by_its_fingerprint(text: str, is_same: bool) -> None:
    fingerprint = fingerprint_of(parsed(text="x"))
    kept = Written("EchoRequest", b"")
    if is_same:
        REQUEST_IDS.check(parsed(text=text), kept, fingerprint=fingerprint)
        return
    for known in (fingerprint, b""):
        with pytest.raises(ServiceError) as caught:
            REQUEST_IDS.check(parsed(text=text), kept, fingerprint=known)
        assert caught.value.reason == "REQUEST_ID_REUSED"
