"""Times between Python and protobuf."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_SECONDS = 86_400


def to_timestamp(time: datetime | None) -> Timestamp | None:
    """None stays None, which a message's constructor takes as unset."""
    if time is None:
        return None
    # What `FromDatetime` does, in less than half the time: an answer has a dozen of them.
    since = time - EPOCH
    return Timestamp(
        seconds=since.days * DAY_SECONDS + since.seconds, nanos=since.microseconds * 1_000
    )


def to_datetime(stamp: Timestamp) -> datetime:
    """Aware, in UTC, to the microsecond, as PostgreSQL stores it."""
    return stamp.ToDatetime(tzinfo=UTC)


def to_duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration
