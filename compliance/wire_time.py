"""Times between Python and protobuf."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def to_timestamp(time: datetime | None) -> Timestamp | None:
    """None stays None, which a message's constructor takes as unset."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def to_datetime(stamp: Timestamp) -> datetime:
    """Aware, in UTC, to the microsecond, as PostgreSQL stores it."""
    return stamp.ToDatetime(tzinfo=UTC)


def to_duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration
