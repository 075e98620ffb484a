"""Arrays in PostgreSQL's binary format, encoded a column at a time.

psycopg encodes arrays element by element in Python, after looking at each for what it is; a commit
of a thousand ledger transactions has some thirty thousand elements, and one of six decisions three
hundred, for which packing whole columns is several times as fast.
The format is that of `array_recv`: https://www.postgresql.org/docs/current/protocol-overview.html
and src/backend/utils/adt/arrayfuncs.c.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_OIDS = {"int8": 20, "int4": 23, "int2": 21, "text": 25, "bytea": 17, "timestamptz": 1184}
_ARRAY_OIDS = {
    "int8": 1016,
    "int4": 1007,
    "int2": 1005,
    "text": 1009,
    "bytea": 1001,
    "timestamptz": 1185,
}
_length = struct.Struct("!i").pack
_NULL = _length(-1)
# PostgreSQL counts time from 2000-01-01, we from 1970-01-01.
_POSTGRES_EPOCH_US = 946_684_800_000_000


class Column:
    """One encoded array; its subclasses carry its type for psycopg."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Int8Array(Column):
    """bigint[]"""


class Int4Array(Column):
    """integer[]"""


class Int2Array(Column):
    """smallint[]"""


class TextArray(Column):
    """text[]"""


class ByteaArray(Column):
    """bytea[]"""


class TimestampArray(Column):
    """timestamptz[]"""


def int8s(values: Sequence[int]) -> Int8Array:
    """A column of bigint."""
    return Int8Array(_packed("int8", "q", values))


def int4s(values: Sequence[int]) -> Int4Array:
    """A column of integer."""
    return Int4Array(_packed("int4", "i", values))


def int2s(values: Sequence[int]) -> Int2Array:
    """A column of smallint."""
    return Int2Array(_packed("int2", "h", values))


def nullable_int8s(values: Sequence[int | None]) -> Int8Array:
    """A column of bigint or NULL."""
    return Int8Array(_nullable("int8", (None if v is None else _int8(v) for v in values), values))


def nullable_int2s(values: Sequence[int | None]) -> Int2Array:
    """A column of smallint or NULL."""
    encoded = (None if v is None else struct.pack("!h", v) for v in values)
    return Int2Array(_nullable("int2", encoded, values))


def timestamps(values: Sequence[int | None]) -> TimestampArray:
    """A column of timestamptz or NULL, from microseconds since 1970."""
    encoded = (None if v is None else _int8(v - _POSTGRES_EPOCH_US) for v in values)
    return TimestampArray(_nullable("timestamptz", encoded, values))


def texts(values: Sequence[str | None]) -> TextArray:
    """A column of text or NULL."""
    return TextArray(_nullable("text", (None if v is None else v.encode() for v in values), values))


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    """A column of bytea or NULL."""
    return ByteaArray(_nullable("bytea", values, values))


def hashes(values: Sequence[bytes]) -> ByteaArray:
    """A column of bytea without NULL, all of one length."""
    header = _header("bytea", len(values), has_null=False)
    if not values:
        return ByteaArray(header)
    length = _length(len(values[0]))
    return ByteaArray(header + length + length.join(values))


def _int8(value: int) -> bytes:
    return struct.pack("!q", value)


def _header(kind: str, count: int, has_null: bool) -> bytes:
    if count == 0:
        return struct.pack("!iii", 0, 0, _OIDS[kind])
    return struct.pack("!iiiii", 1, int(has_null), _OIDS[kind], count, 1)


def _packed(kind: str, code: str, values: Sequence[int]) -> bytes:
    """Numbers without NULL: each behind its length, all of them laid out by slices."""
    numbers = array(code, values)
    if sys.byteorder == "little":
        numbers.byteswap()
    size = numbers.itemsize
    raw = numbers.tobytes()
    elements = bytearray(_length(size) + bytes(size)) * len(values)
    stride = 4 + size
    for offset in range(size):
        elements[4 + offset :: stride] = raw[offset::size]
    return _header(kind, len(values), has_null=False) + elements


def _nullable(kind: str, encoded: Iterable[bytes | None], values: Sequence[object]) -> bytes:
    nulls = values.count(None)
    header = _header(kind, len(values), nulls > 0)
    if nulls == len(values):
        return header + _NULL * nulls
    parts = [_NULL if value is None else _length(len(value)) + value for value in encoded]
    return header + b"".join(parts)


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer | None:
        return obj.data


def register(connection: psycopg.AsyncConnection[object]) -> None:
    """Lets a connection take encoded columns as parameters."""
    for kind, name in (
        (Int8Array, "int8"),
        (Int4Array, "int4"),
        (Int2Array, "int2"),
        (TextArray, "text"),
        (ByteaArray, "bytea"),
        (TimestampArray, "timestamptz"),
    ):
        dumper = type(f"{name}ArrayDumper", (_ColumnDumper,), {"oid": _ARRAY_OIDS[name]})
        connection.adapters.register_dumper(kind, dumper)
