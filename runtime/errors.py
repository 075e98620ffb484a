"""One typed error that crosses RPC: a gRPC code, a reason of the service's own enum, details.

On the wire it is a `google.rpc.Status` with `ErrorInfo`, and where they apply `BadRequest` and
`RetryInfo` (https://google.aip.dev/193). It goes in the trailers, of which clients take little:
some 8 KiB by default, and some end the connection with all its other calls over more. So what is
sent is at most `MAX_TRAILER_BYTES`, whatever the request was: `ServiceError.to_status` cuts it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, Self

import grpc
from google.rpc import error_details_pb2, status_pb2

REASON_PREFIX = "ERROR_REASON_"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
VIOLATION_COUNT_KEY = "violation_count"

MAX_TRAILER_BYTES = 4096
MAX_VIOLATIONS = 20
# Of an error's domain, and of a reason: the latter is what AIP-193 allows.
MAX_DOMAIN_BYTES = 63
MAX_REASON_BYTES = 63
# What the first round of cutting leaves of each, so that an error stays as useful as it can.
KEPT_VIOLATIONS = 1
KEPT_VALUE_BYTES = 128
KEPT_MESSAGE_BYTES = 256

CODE_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}

# A header field counts as its name, its value and this (RFC 9113, 6.5.2).
FIELD_BYTES = 32
# Our server sends these with a failed call, besides the message and the details. The longest code
# has two digits; grpc-accept-encoding comes where no answer went before.
_PLAIN_FIELDS = {
    ":status": "200",
    "content-type": "application/grpc",
    "grpc-accept-encoding": "identity, deflate, gzip",
    "grpc-status": "16",
    "grpc-message": "",
    STATUS_DETAILS_KEY: "",
}
_PLAIN_BYTES = sum(len(name) + len(value) + FIELD_BYTES for name, value in _PLAIN_FIELDS.items())
# gRPC percent-encodes every other byte of a message.
_UNENCODED = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("%"))
_CUT = "..."

# The runtime itself answers with these, so every service's enum has to have them.
RUNTIME_REASONS = (
    "INVALID_REQUEST",
    "UNAUTHENTICATED",
    "CLIENT_NOT_ALLOWED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "OVERLOADED",
    "DEPENDENCY_UNAVAILABLE",
    "REQUEST_ID_REUSED",
    "INVALID_PAGE_TOKEN",
    "PRIMARY_NOT_SYNCHRONOUS",
)


def trailer_bytes(status: status_pb2.Status) -> int:
    """What a status takes in the trailers of a failed call, as clients count it."""
    message = status.message.encode()
    encoded = len(message.translate(None, _UNENCODED))
    # Base64, with padding, which not every implementation sends.
    details: int = 4 * math.ceil(status.ByteSize() / 3)
    return _PLAIN_BYTES + len(message) + 2 * encoded + details


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that breaks one rule; `field` is a dotted path like `legs[2].name`."""

    field: str
    description: str


class ServiceError(Exception):
    """A failure that a service answers with, complete enough for a program to act on."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        domain: str,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_delay: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.domain = domain
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_delay = retry_delay

    @classmethod
    def from_status(cls, status: status_pb2.Status) -> Self:
        """The error that a status was made of, as far as it was not cut."""
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry_info = error_details_pb2.RetryInfo()
        retry_delay = None
        for detail in status.details:
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
            elif detail.Is(bad_request.DESCRIPTOR):
                detail.Unpack(bad_request)
            elif detail.Unpack(retry_info):
                retry_delay = retry_info.retry_delay.ToTimedelta()
        return cls(
            CODE_BY_NUMBER[status.code],
            info.reason,
            status.message,
            domain=info.domain,
            metadata=info.metadata,
            violations=[
                FieldViolation(violation.field, violation.description)
                for violation in bad_request.field_violations
            ],
            retry_delay=retry_delay,
        )

    def to_status(self) -> status_pb2.Status:
        """The error as it goes over the wire: at most `MAX_TRAILER_BYTES` of trailers.

        At most `MAX_VIOLATIONS` are listed; `violation_count` in the metadata says how many there
        are. If that is too much, the last violations go first, then the longest values of the
        metadata are cut, then the message: down to what `KEPT_VIOLATIONS`, `KEPT_VALUE_BYTES` and
        `KEPT_MESSAGE_BYTES` say, then altogether, and last whole entries of the metadata. What
        was cut ends in "...". Code, reason, domain and retry delay stay as they are.
        """
        draft = _Draft(
            self, self.message, dict(self.metadata), list(self.violations[:MAX_VIOLATIONS])
        )
        if self.violations:
            draft.metadata[VIOLATION_COUNT_KEY] = str(len(self.violations))
        draft.fit(KEPT_VIOLATIONS, KEPT_VALUE_BYTES, KEPT_MESSAGE_BYTES)
        draft.fit(0, 0, 0)
        draft.drop_entries()
        return draft.status()


@dataclass
class _Draft:
    """A status while it is cut."""

    error: ServiceError
    message: str
    metadata: dict[str, str]
    violations: list[FieldViolation]

    def status(self) -> status_pb2.Status:
        status = status_pb2.Status(code=self.error.code.value[0], message=self.message)
        info = error_details_pb2.ErrorInfo(
            reason=self.error.reason, domain=self.error.domain, metadata=self.metadata
        )
        status.details.add().Pack(info)
        if self.violations:
            bad_request = error_details_pb2.BadRequest()
            for violation in self.violations:
                bad_request.field_violations.add(
                    field=violation.field, description=violation.description
                )
            status.details.add().Pack(bad_request)
        if self.error.retry_delay is not None:
            retry_info = error_details_pb2.RetryInfo()
            retry_info.retry_delay.FromTimedelta(self.error.retry_delay)
            status.details.add().Pack(retry_info)
        return status

    @property
    def is_too_large(self) -> bool:
        return trailer_bytes(self.status()) > MAX_TRAILER_BYTES

    def fit(self, kept_violations: int, kept_value_bytes: int, kept_message_bytes: int) -> None:
        """Cuts in order until it fits or no more is left of each than is to be kept."""
        while len(self.violations) > kept_violations and self.is_too_large:
            self.violations.pop()
        while self.is_too_large:
            key = max(self.metadata, key=self._value_bytes, default="")
            size = self._value_bytes(key)
            if size <= kept_value_bytes:
                break
            # In halves, so that of several long values none goes before the others are shorter.
            self.metadata[key] = _cut(self.metadata[key], max(size // 2, kept_value_bytes))
        while self.is_too_large:
            size = len(self.message.encode())
            if size <= kept_message_bytes:
                break
            self.message = _cut(self.message, max(size * 3 // 4, kept_message_bytes))

    def drop_entries(self) -> None:
        """Drops entries of the metadata, those with the longest keys first, until it fits."""
        while self.metadata and self.is_too_large:
            del self.metadata[max(self.metadata, key=lambda key: len(key.encode()))]

    def _value_bytes(self, key: str) -> int:
        return len(self.metadata.get(key, "").encode())


def _cut(text: str, max_bytes: int) -> str:
    """The beginning of a text that is too long, in whole characters."""
    if max_bytes < len(_CUT):
        return ""
    return text.encode()[: max_bytes - len(_CUT)].decode(errors="ignore") + _CUT


class Reasons(Protocol):
    """A generated enum; its stubs give each enum a type of its own."""

    def Name(self, number: Any) -> str: ...
    def Value(self, name: str) -> Any: ...
    def keys(self) -> Iterable[str]: ...


class ErrorDomain:
    """Makes the errors of one service from its `ErrorReason` enum."""

    def __init__(self, name: str, reasons: Reasons) -> None:
        self.name = name
        self._reasons = reasons
        known = {reason.removeprefix(REASON_PREFIX) for reason in reasons.keys()}  # noqa: SIM118
        missing = set(RUNTIME_REASONS) - known
        if missing:
            raise ValueError(f"{name}: ErrorReason lacks {sorted(missing)}")
        # The parts of an error that are never cut.
        if len(name) > MAX_DOMAIN_BYTES:
            raise ValueError(f"{name} is longer than {MAX_DOMAIN_BYTES} bytes")
        if long := sorted(reason for reason in known if len(reason) > MAX_REASON_BYTES):
            raise ValueError(f"{name}: {long} are longer than {MAX_REASON_BYTES} bytes")

    def error(
        self,
        code: grpc.StatusCode,
        reason: int,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_delay: timedelta | None = None,
    ) -> ServiceError:
        """An error of this service; `reason` is a value of its `ErrorReason` enum."""
        return ServiceError(
            code,
            self._reasons.Name(reason).removeprefix(REASON_PREFIX),
            message,
            domain=self.name,
            metadata=metadata,
            violations=violations,
            retry_delay=retry_delay,
        )

    def runtime_error(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_delay: timedelta | None = None,
    ) -> ServiceError:
        """An error that the runtime raises itself, named by one of `RUNTIME_REASONS`."""
        return self.error(
            code,
            self._reasons.Value(REASON_PREFIX + reason),
            message,
            metadata=metadata,
            violations=violations,
            retry_delay=retry_delay,
        )


@dataclass(frozen=True)
class ReceivedError:
    """What a client learns from a failed call; `reason` is empty where the peer sent none."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: Mapping[str, str]
    violations: tuple[FieldViolation, ...]
    retry_delay: timedelta | None


def from_rpc_error(error: grpc.RpcError) -> ReceivedError:
    """Reads the details that a peer attached to a failed call."""
    if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
        raise TypeError(f"not the error of a call: {type(error).__name__}")
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY and isinstance(value, bytes):
            status.ParseFromString(value)
    told = ServiceError.from_status(status)
    return ReceivedError(
        code=error.code(),
        message=error.details() or "",
        reason=told.reason,
        domain=told.domain,
        metadata=told.metadata,
        violations=told.violations,
        retry_delay=told.retry_delay,
    )
