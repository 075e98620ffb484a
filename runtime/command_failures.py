"""Expected failures of the commands, as one line for people instead of a traceback."""

import errno

import grpc

from runtime.errors import ReceivedError, from_rpc_error

# After these the same command may well succeed.
PASSING_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)
PASSING_REASONS = frozenset({"NOT_SEALED"})
PASSING_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class CommandError(Exception):
    """Why a command stopped. `passing` says that the same command may succeed later."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.passing = passing


def of_call(error: grpc.RpcError, address: str) -> CommandError:
    """What a failed call means for who runs the command."""
    received = from_rpc_error(error)
    passing = received.code in PASSING_CODES or received.reason in PASSING_REASONS
    return CommandError(_words(received, address), passing=passing)


def of_file(error: OSError) -> CommandError:
    """What a failed read or write means."""
    name = f"{error.filename}: " if error.filename else ""
    return CommandError(f"{name}{error.strerror or error}", passing=error.errno in PASSING_ERRNOS)


def _words(received: ReceivedError, address: str) -> str:
    if received.reason:
        return f"{address} answers {received.reason}: {received.message}"
    if received.code is grpc.StatusCode.UNAVAILABLE:
        return f"nobody answers at {address}: {received.message}"
    return f"{address} answers {received.code.name}: {received.message}"
