"""Times as protobuf and RFC 3339 have them, from microseconds since 1970."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def stamp(micros: int) -> Timestamp:
    return Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)


def micros(moment: Timestamp) -> int:
    return moment.seconds * 10**6 + moment.nanos // 1000


def rfc3339(moment_us: int) -> str:
    whole = datetime.fromtimestamp(moment_us // 10**6, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{moment_us % 10**6:06d}Z"
