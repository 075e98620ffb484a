"""Times inside the ledger are microseconds since 1970, exactly what PostgreSQL keeps."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MICROS_PER_SECOND = 1_000_000
NANOS_PER_MICRO = 1_000


def micros_of(moment: datetime) -> int:
    """Microseconds of an aware datetime."""
    return (moment - EPOCH) // MICROSECOND


def datetime_of(micros: int) -> datetime:
    """The aware datetime of microseconds."""
    return EPOCH + timedelta(microseconds=micros)


def micros_of_timestamp(stamp: Timestamp) -> int:
    """Microseconds of a protobuf timestamp; what is finer is cut off."""
    return stamp.seconds * MICROS_PER_SECOND + stamp.nanos // NANOS_PER_MICRO


def timestamp_of(micros: int) -> Timestamp:
    """The protobuf timestamp of microseconds."""
    seconds, rest = divmod(micros, MICROS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=rest * NANOS_PER_MICRO)


def text_of(micros: int) -> str:
    """RFC 3339 in UTC, for error metadata."""
    return datetime_of(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")
