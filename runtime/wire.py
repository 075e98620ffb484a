"""Finds the field that makes a protobuf message undecodable, so that an error can name it.

Protobuf's own parser only says "Error parsing message". The wire format:
https://protobuf.dev/programming-guides/encoding/
"""

from typing import Any

MAX_DEPTH = 64
MAX_VARINT_BYTES = 10
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class _BrokenError(Exception):
    """The bytes end early or are no wire format at all."""


def undecodable_field(data: bytes, descriptor: Any) -> tuple[str, str]:
    """Path and description of the first thing in `data` that is no message of this type."""
    return _scan(data, descriptor, "", 0) or ("", "is not a valid protobuf message")


def _scan(data: bytes, descriptor: Any, prefix: str, depth: int) -> tuple[str, str] | None:
    position = 0
    seen: dict[int, int] = {}
    path = prefix
    try:
        while position < len(data):
            path = prefix.removesuffix(".")
            tag, position = _varint(data, position)
            number, wire_type = tag >> 3, tag & 7
            field = descriptor.fields_by_number.get(number)
            if field is not None:
                index = seen[number] = seen.get(number, -1) + 1
                repeated = field.is_repeated and not _is_map(field)
                path = f"{prefix}{field.name}" + (f"[{index}]" if repeated else "")
            value, position = _value(data, position, wire_type)
            if field is None or value is None:
                continue
            problem = _problem(value, field, path, depth)
            if problem is not None:
                return problem
    except _BrokenError:
        return path, "is cut short or not protobuf"
    return None


def _problem(value: bytes, field: Any, path: str, depth: int) -> tuple[str, str] | None:
    if field.type == field.TYPE_STRING:
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return path, "is not valid UTF-8"
    elif field.message_type is not None and depth < MAX_DEPTH:
        return _scan(value, field.message_type, f"{path}.", depth + 1)
    return None


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _value(data: bytes, position: int, wire_type: int) -> tuple[bytes | None, int]:
    """The value's bytes where it is length-delimited, and where the next tag begins."""
    if wire_type == _VARINT:
        return None, _varint(data, position)[1]
    if wire_type == _LENGTH:
        length, start = _varint(data, position)
    elif wire_type in (_FIXED32, _FIXED64):
        length, start = (4 if wire_type == _FIXED32 else 8), position
    else:
        raise _BrokenError
    if start + length > len(data):
        raise _BrokenError
    end = start + length
    return (data[start:end] if wire_type == _LENGTH else None), end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(MAX_VARINT_BYTES):
        if position + index >= len(data):
            raise _BrokenError
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _BrokenError
