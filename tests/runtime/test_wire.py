"""The walker that names the field which cannot be decoded."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from runtime.wire import undecodable_field
from tests.runtime.echo import pb

DESCRIPTOR = pb.EchoRequest.DESCRIPTOR


def encoded_with(marker: bytes, **fields: object) -> bytes:
    data: bytes = pb.EchoRequest(**fields).SerializeToString()
    return data.replace(b"MARK", marker)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (encoded_with(b"\xff\xfe\xfd\xfc", text="MARK"), "text"),
        (encoded_with(b"\xff\xfe\xfd\xfc", tags=["fine", "MARK"]), "tags[1]"),
        (encoded_with(b"\xff\xfe\xfd\xfc", metadata={"k": "MARK"}), "metadata.value"),
        (
            encoded_with(b"\xff\xfe\xfd\xfc", part={"name": "x", "inner": {"name": "MARK"}}),
            "part.inner.name",
        ),
    ],
)
def test_the_field_that_is_not_utf8_is_named(data: bytes, path: str) -> None:
    with pytest.raises(DecodeError):
        pb.EchoRequest.FromString(data)
    assert undecodable_field(data, DESCRIPTOR) == (path, "is not valid UTF-8")


def test_a_message_cut_short_is_said_to_be_so() -> None:
    data = pb.EchoRequest(text="hello").SerializeToString()[:-2]
    assert undecodable_field(data, DESCRIPTOR) == ("text", "is cut short or not protobuf")


@given(st.binary(max_size=200))
def test_no_bytes_make_the_walker_fail(data: bytes) -> None:
    path, description = undecodable_field(data, DESCRIPTOR)
    assert isinstance(path, str)
    assert description
