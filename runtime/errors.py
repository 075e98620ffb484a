"""One typed error that crosses RPC: a gRPC code, a reason of the service's own enum, details.

On the wire it is a `google.rpc.Status` with `ErrorInfo`, and where they apply `BadRequest` and
`RetryInfo` (https://google.aip.dev/193).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2

REASON_PREFIX = "ERROR_REASON_"
STATUS_DETAILS_KEY = "grpc-status-details-bin"

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
)


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

    def to_status(self) -> status_pb2.Status:
        """The error as it goes over the wire."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        info = error_details_pb2.ErrorInfo(
            reason=self.reason, domain=self.domain, metadata=self.metadata
        )
        status.details.add().Pack(info)
        if self.violations:
            bad_request = error_details_pb2.BadRequest()
            for violation in self.violations:
                bad_request.field_violations.add(
                    field=violation.field, description=violation.description
                )
            status.details.add().Pack(bad_request)
        if self.retry_delay is not None:
            retry_info = error_details_pb2.RetryInfo()
            retry_info.retry_delay.FromTimedelta(self.retry_delay)
            status.details.add().Pack(retry_info)
        return status


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
    return ReceivedError(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        violations=tuple(
            FieldViolation(violation.field, violation.description)
            for violation in bad_request.field_violations
        ),
        retry_delay=retry_delay,
    )
