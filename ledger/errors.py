"""Each failure of the ledger with its gRPC code; the reasons are documented in ErrorReason."""

from datetime import timedelta

import grpc

from ledger.refusal import Reason, Refusal
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.v1.transaction_mutations_pb2 import ItemFailure
from runtime.errors import CODE_BY_NUMBER, REASON_PREFIX, ErrorDomain, ServiceError
from runtime.idempotency import Differences

ERRORS = ErrorDomain("ledger", ErrorReason)

# How long a client should wait before it repeats what was not accepted.
OVERLOAD_RETRY_DELAY = timedelta(milliseconds=100)
OUTAGE_RETRY_DELAY = timedelta(seconds=1)

_FAILED = grpc.StatusCode.FAILED_PRECONDITION
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_MISSING = grpc.StatusCode.NOT_FOUND
_EXISTS = grpc.StatusCode.ALREADY_EXISTS

CODES = {
    Reason.REQUEST_ID_REUSED: _EXISTS,
    Reason.ACCOUNT_ALREADY_EXISTS: _EXISTS,
    Reason.TRANSACTION_NOT_FOUND: _MISSING,
    Reason.TRANSACTION_NOT_PENDING: _FAILED,
    Reason.HOLD_ALREADY_POSTED: _FAILED,
    Reason.HOLD_ALREADY_VOIDED: _FAILED,
    Reason.HOLD_EXPIRED: _FAILED,
    Reason.TRANSACTION_NOT_REVERSIBLE: _FAILED,
    Reason.ENTRY_NOT_FOUND: _INVALID,
    Reason.AMOUNT_EXCEEDS_HOLD: _FAILED,
    Reason.AMOUNT_EXCEEDS_ORIGINAL: _FAILED,
    Reason.ACCOUNT_NOT_FOUND: _MISSING,
    Reason.ACCOUNT_CLOSED: _FAILED,
    Reason.CURRENCY_MISMATCH: _INVALID,
    Reason.UNBALANCED: _INVALID,
    Reason.EXCHANGE_MISMATCH: _INVALID,
    Reason.EXPIRE_TIME_PASSED: _INVALID,
    Reason.VERSION_MISMATCH: _FAILED,
    Reason.BALANCE_OUT_OF_BOUNDS: _FAILED,
    Reason.FLOOR_BREACHED: _FAILED,
    Reason.CEILING_BREACHED: _FAILED,
    Reason.BALANCE_OVERFLOW: grpc.StatusCode.OUT_OF_RANGE,
    Reason.ACCOUNT_NOT_EMPTY: _FAILED,
}


def reused(request_id: str, differing: Differences) -> Refusal:
    """A request_id that stood for something else before."""
    return Refusal(
        Reason.REQUEST_ID_REUSED,
        f"request_id {request_id} was used for another request",
        differing.metadata(request_id),
    )


def failure_of(refusal: Refusal) -> ItemFailure:
    """A refusal as the message that is stored, and answered for an item of a batch."""
    return ItemFailure(
        reason=ErrorReason.Value(REASON_PREFIX + refusal.reason),
        code=CODES[refusal.reason].value[0],
        message=refusal.message,
        metadata=refusal.metadata,
    )


def error_of_failure(failure: ItemFailure) -> ServiceError:
    """A stored failure as the error of a call."""
    return ERRORS.error(
        CODE_BY_NUMBER[failure.code],
        failure.reason,
        failure.message,
        metadata=failure.metadata,
    )


def error_of(refusal: Refusal) -> ServiceError:
    """A refusal as the error of a call."""
    return error_of_failure(failure_of(refusal))


def ledger_not_found(name: str) -> ServiceError:
    """There is no ledger of that name."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_LEDGER_NOT_FOUND,
        f"there is no ledger {name}",
        metadata={"ledger": name},
    )


def ledger_moving(name: str) -> ServiceError:
    """The ledger is being moved to another shard; nothing was done."""
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_LEDGER_MOVING,
        f"ledger {name} is being moved to another shard; repeat the request with the same"
        " request_id",
        metadata={"ledger": name},
        retry_delay=OUTAGE_RETRY_DELAY,
    )


def ledger_already_exists(name: str) -> ServiceError:
    """Another request_id has made a ledger of that name."""
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_LEDGER_ALREADY_EXISTS,
        f"there is a ledger {name} already",
        metadata={"ledger": name},
    )


def shard_not_found(shard: str) -> ServiceError:
    """The settings of this process do not name a shard."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_SHARD_NOT_FOUND,
        f"there is no shard {shard}",
        metadata={"shard": shard},
    )


def shard_unavailable(shard: str) -> ServiceError:
    """The database of a shard could not be reached yet since this process was started."""
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        f"the database of shard {shard} cannot be reached",
        metadata={"dependency": f"shard {shard}"},
        retry_delay=OUTAGE_RETRY_DELAY,
    )


def account_not_found(name: str) -> ServiceError:
    """A read names an account that does not exist."""
    return error_of(
        Refusal(Reason.ACCOUNT_NOT_FOUND, f"there is no account {name}", {"account": name})
    )


def transaction_not_found(key: int | str) -> ServiceError:
    """A read names a transaction that does not exist."""
    return error_of(
        Refusal(
            Reason.TRANSACTION_NOT_FOUND, f"there is no transaction {key}", {"transaction": key}
        )
    )


def total_overflow(path: str) -> ServiceError:
    """The total over a path, or an account's past as it is asked for, does not fit 64 bits."""
    refusal = Refusal(
        Reason.BALANCE_OVERFLOW,
        f"a total of {path or 'the ledger'} leaves 64 bits",
        {"account": path},
    )
    return error_of(refusal)


def overloaded(ledger: str) -> ServiceError:
    """The ledger's queue is full; nothing was done."""
    return ERRORS.error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_OVERLOADED,
        f"the queue of ledger {ledger} is full",
        metadata={"ledger": ledger},
        retry_delay=OVERLOAD_RETRY_DELAY,
    )


def batch_too_large(entries: int) -> ServiceError:
    """What a batch settles or reverses is more than one commit takes."""
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_BATCH_TOO_LARGE,
        f"the batch settles or reverses transactions of {entries} entries together",
        metadata={"entries": str(entries)},
    )


def database_unavailable() -> ServiceError:
    """The database did not answer; whether the request was committed may be unknown."""
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        "the database did not answer; repeat the request with the same request_id",
        metadata={"dependency": "database"},
        retry_delay=OUTAGE_RETRY_DELAY,
    )


def not_sealed(what: str, size: int, sealed_size: int) -> ServiceError:
    """No checkpoint covers, or is at, the size or sequence that is asked for."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_NOT_SEALED,
        f"there is no checkpoint for {what} {size}; the newest covers {sealed_size} transactions",
        metadata={what: str(size), "sealed_size": str(sealed_size)},
    )


def cursor_outdated(sequence: int) -> ServiceError:
    """A watcher has seen another transaction at a sequence than the one that is there."""
    return ERRORS.error(
        grpc.StatusCode.OUT_OF_RANGE,
        ErrorReason.ERROR_REASON_CURSOR_OUTDATED,
        f"the ledger has another transaction at sequence {sequence} than it had",
        metadata={"sequence": str(sequence), "after_sequence": "0"},
    )


def sequence_not_reached(sequence: int, last_sequence: int) -> ServiceError:
    """A read names a point of the log that does not exist yet."""
    return ERRORS.error(
        grpc.StatusCode.OUT_OF_RANGE,
        ErrorReason.ERROR_REASON_SEQUENCE_NOT_REACHED,
        f"the ledger ends at sequence {last_sequence}",
        metadata={"sequence": str(sequence), "last_sequence": str(last_sequence)},
    )
