"""No error takes more of the trailers than its limit, whatever it was to say."""

import base64
import string
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import (
    KEPT_MESSAGE_BYTES,
    KEPT_VALUE_BYTES,
    MAX_TRAILER_BYTES,
    MAX_VIOLATIONS,
    REASON_PREFIX,
    ErrorDomain,
    FieldViolation,
    ServiceError,
    from_rpc_error,
    trailer_bytes,
)
from tests.runtime.echo import ERRORS, Echo, pb, running_echo, services

# What a gRPC server sends of a failed call besides its message and details; taken from the wire.
OTHER_FIELDS = {
    ":status": "200",
    "content-type": "application/grpc",
    "grpc-accept-encoding": "identity, deflate, gzip",
    "grpc-status": "16",
}
PRINTABLE = "".join(chr(byte) for byte in range(0x20, 0x7F) if byte != ord("%"))

codes = st.sampled_from([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
names = st.text(string.ascii_uppercase + "_", min_size=1, max_size=63)


def texts(max_size: int) -> st.SearchStrategy[str]:
    """Any text: short, long, and of characters that take twelve bytes on the wire."""
    return st.one_of(
        st.text(max_size=20),
        st.builds(lambda text, times: (text * times)[:max_size], st.text(), st.integers(1, 500)),
        st.builds(lambda times: "😀" * times, st.integers(1, max_size)),
    )


errors = st.builds(
    ServiceError,
    codes,
    names,
    texts(6_000),
    domain=names,
    metadata=st.dictionaries(texts(200), texts(3_000), max_size=12),
    violations=st.lists(st.builds(FieldViolation, texts(500), texts(500)), max_size=30),
    retry_delay=st.none() | st.timedeltas(timedelta(0), timedelta(days=10_000)),
)


def refusal(
    message: str = "no more",
    metadata: Mapping[str, str] | None = None,
    violations: Sequence[FieldViolation] = (),
) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        pb.ERROR_REASON_OVERLOADED,
        message,
        metadata=metadata,
        violations=violations,
    )


def on_the_wire(status: status_pb2.Status) -> int:
    """The size of the trailers as an HTTP/2 client counts them."""
    fields = OTHER_FIELDS | {
        "grpc-message": quote(status.message, safe=PRINTABLE),
        "grpc-status-details-bin": base64.b64encode(status.SerializeToString()).decode(),
    }
    return sum(len(name) + len(value) + 32 for name, value in fields.items())


def details_of(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo, list[str]]:
    """The info in a status and the fields of its violations."""
    info, fields = error_details_pb2.ErrorInfo(), []
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            fields = [violation.field for violation in bad_request.field_violations]
        detail.Unpack(info)
    return info, fields


@given(errors)
def test_an_error_of_whatever_length_is_sent_within_the_limit(error: ServiceError) -> None:
    status = error.to_status()
    assert trailer_bytes(status) == on_the_wire(status) <= MAX_TRAILER_BYTES
    assert status_pb2.Status.FromString(status.SerializeToString()) == status
    info, fields = details_of(status)
    assert (status.code, info.reason, info.domain) == (
        error.code.value[0],
        error.reason,
        error.domain,
    )
    assert fields == [violation.field for violation in error.violations[: len(fields)]]
    assert len(fields) <= MAX_VIOLATIONS
    delays = [
        detail for detail in status.details if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    ]
    assert len(delays) == (error.retry_delay is not None)
    # Whatever is not as it was told says so.
    assert status.message == error.message or status.message in ("", is_cut(status.message))
    for key, value in info.metadata.items():
        if key != "violation_count" or not error.violations:
            assert value == error.metadata[key] or value in ("", is_cut(value))


def is_cut(text: str) -> str:
    return text if text.endswith("...") else "a text that ends in dots"


@given(errors)
def test_an_error_that_fits_is_sent_whole(error: ServiceError) -> None:
    whole = status_pb2.Status(code=error.code.value[0], message=error.message)
    counted = {"violation_count": str(len(error.violations))} if error.violations else {}
    whole.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=error.domain, metadata=error.metadata | counted
        )
    )
    if error.violations:
        whole.details.add().Pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field, description=violation.description
                    )
                    for violation in error.violations[:MAX_VIOLATIONS]
                ]
            )
        )
    if error.retry_delay is not None:
        delay = error_details_pb2.RetryInfo()
        delay.retry_delay.FromTimedelta(error.retry_delay)
        whole.details.add().Pack(delay)
    fits = on_the_wire(whole) <= MAX_TRAILER_BYTES
    assert (on_the_wire(error.to_status()) == on_the_wire(whole)) == fits


def largest_whole() -> ServiceError:
    """An error that fills the trailers to the last byte."""
    for length in range(1_000):
        error = refusal("m" * length, {"value": "v" * 1_900})
        if on_the_wire(error.to_status()) == MAX_TRAILER_BYTES:
            return error
    raise AssertionError("no length fills it")


def test_at_the_limit_nothing_is_cut_and_beyond_it_something_is() -> None:
    largest = largest_whole()
    status = largest.to_status()
    assert status.message == largest.message
    assert details_of(status)[0].metadata == largest.metadata
    longer = refusal(largest.message + "m", largest.metadata).to_status()
    assert longer.message == largest.message + "m"
    assert details_of(longer)[0].metadata["value"] == "v" * (1_900 // 2 - 3) + "..."


@pytest.mark.parametrize("count", [1, MAX_VIOLATIONS, MAX_VIOLATIONS + 1, 1_000])
def test_violations_are_cut_at_their_limit_and_counted(count: int) -> None:
    violations = [FieldViolation(f"items[{index}]", "is wrong") for index in range(count)]
    info, fields = details_of(refusal(violations=violations).to_status())
    assert fields == [violation.field for violation in violations[:MAX_VIOLATIONS]]
    assert info.metadata == {"violation_count": str(count)}


def test_it_is_cut_in_order() -> None:
    violations = [FieldViolation(f"items[{index}]", "x" * 300) for index in range(20)]
    status = refusal("m" * 200, {"value": "v" * 300}, violations).to_status()
    info, fields = details_of(status)
    assert 1 < len(fields) < 20
    assert info.metadata == {"value": "v" * 300, "violation_count": "20"}
    status = refusal("m" * 200, {"value": "v" * 9_000, "id": "i" * 100}, violations).to_status()
    info, fields = details_of(status)
    assert len(fields) == 1
    assert info.metadata["value"].endswith("...")
    assert (info.metadata["id"], status.message) == ("i" * 100, "m" * 200)
    status = refusal("ä" * 9_000, {"value": "v" * 9_000, "id": "i" * 100}, violations).to_status()
    info, fields = details_of(status)
    assert len(fields) == 1
    assert len(info.metadata["value"]) == KEPT_VALUE_BYTES
    assert info.metadata["id"] == "i" * 100
    assert status.message.endswith("...")
    assert len(status.message.encode()) >= KEPT_MESSAGE_BYTES


class Failing(Echo):
    """Answers with the one error."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__()
        self.error = error

    async def Echo(self, request: Any, context: Any) -> Any:
        raise self.error

    async def Count(self, request: Any, context: Any) -> Any:
        yield pb.CountResponse()
        raise self.error


async def failure_at(port: int, method: str, max_metadata_bytes: int) -> grpc.aio.AioRpcError:
    """What a client sees that takes no more metadata than that."""
    options = [
        ("grpc.max_metadata_size", max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", max_metadata_bytes),
    ]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        stub = services.EchoServiceStub(channel)
        if method == "Echo":
            call = stub.Echo(pb.EchoRequest(request_id="a"))
        else:
            stream = stub.Count(pb.CountRequest())
            await stream.read()
            call = stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    return caught.value


@pytest.mark.parametrize("method", ["Echo", "Count"])
@pytest.mark.parametrize("message", ["m" * 100_000, "ä" * 100_000, "😀%\n" * 50_000])
async def test_a_client_that_takes_no_more_reads_the_longest_error(
    method: str, message: str
) -> None:
    error = refusal(message, dict.fromkeys("abcdef", message))
    async with running_echo(servicer=Failing(error)) as server:
        raised = await failure_at(server.port, method, MAX_TRAILER_BYTES)
    received = from_rpc_error(raised)
    assert (received.code, received.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OVERLOADED")
    assert received.domain == "echo"
    assert received.message.endswith("...")
    assert message.startswith(received.message.removesuffix("..."))
    # Google's own reader demands that code and message are the same in both places.
    status = rpc_status.from_call(raised)
    assert status is not None
    assert status.message == received.message


async def test_a_client_that_takes_less_cannot_read_it() -> None:
    async with running_echo(servicer=Failing(largest_whole())) as server:
        whole = await failure_at(server.port, "Echo", MAX_TRAILER_BYTES)
        lost = await failure_at(server.port, "Echo", MAX_TRAILER_BYTES // 2)
    assert whole.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert lost.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_never_cut_is_bounded_at_start() -> None:
    with pytest.raises(ValueError, match="is longer than 63 bytes"):
        ErrorDomain("d" * 64, pb.ErrorReason)

    class Long:
        """An enum with a reason of one byte more than is allowed."""

        Name = pb.ErrorReason.Name
        Value = pb.ErrorReason.Value

        @staticmethod
        def keys() -> list[str]:
            return [*pb.ErrorReason.keys(), f"{REASON_PREFIX}{'R' * 64}"]

    with pytest.raises(ValueError, match="longer than 63 bytes"):
        ErrorDomain("d" * 63, Long())
