"""Proto3 JSON as messages, for the few kinds of field that the ledger's inputs have.

`google.protobuf.json_format` does the same in several times the time, and says where something is
wrong in words only. Here a problem has its path, from which its column is found.
Rules: https://protobuf.dev/programming-guides/json/, stricter in that numbers have no fraction and
no exponent, and that no key comes twice.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Path = tuple[str | int, ...]
Convert = Callable[[Any], Any]

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_BOUNDS = {"int32": 2**31, "int64": 2**63}


class FieldError(ValueError):
    """A value that does not fit its field; `path` leads to it from the object's top."""

    def __init__(self, problem: str, path: Path = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path

    def below(self, step: str | int) -> "FieldError":
        """The same, seen from one level up."""
        return FieldError(self.problem, (step, *self.path))


def message_of(kind: type[Message], value: Any) -> Any:
    """The message that a JSON object stands for; raises `FieldError`."""
    return kind(**_converter(kind.DESCRIPTOR)(value))


@cache
def _converter(descriptor: Any) -> Convert:
    """Turns a JSON object into the arguments of a message of this type."""
    known: dict[str, tuple[str, Convert, Any]] = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        choice = oneof.name if oneof is not None and len(oneof.fields) > 1 else None
        known[field.name] = known[field.json_name] = (field.name, _field(field), choice)

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise FieldError("is not an object")
        found: dict[str, Any] = {}
        chosen: set[str] = set()
        for key, given in value.items():
            if key not in known:
                raise FieldError("is no field here", (key,))
            name, read, choice = known[key]
            if given is None:
                continue
            if name in found or choice in chosen:
                raise FieldError("is given twice or beside what it excludes", (key,))
            if choice is not None:
                chosen.add(choice)
            try:
                found[name] = read(given)
            except FieldError as error:
                raise error.below(key) from None
        return found

    return convert


def _field(field: Any) -> Convert:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return _texts
    single = _single(field)
    return _list_of(single) if field.is_repeated else single


def _single(field: Any) -> Convert:
    if field.message_type is not None:
        if field.message_type.full_name == Timestamp.DESCRIPTOR.full_name:
            return _timestamp
        return _converter(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == field.TYPE_STRING:
        return _text
    if field.type == field.TYPE_BOOL:
        return _boolean
    return _integer(_BOUNDS["int32" if field.cpp_type == field.CPPTYPE_INT32 else "int64"])


def _list_of(single: Convert) -> Convert:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise FieldError("is not a list")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(single(item))
            except FieldError as error:
                raise error.below(index) from None
        return items

    return convert


def _integer(bound: int) -> Convert:
    def convert(value: Any) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise FieldError("is not a whole number")
        if not -bound <= value < bound:
            raise FieldError(f"is not between {-bound} and {bound - 1}")
        return value

    return convert


def _enum(kind: Any) -> Convert:
    names: Mapping[str, int] = {value.name: value.number for value in kind.values}
    numbers = frozenset(names.values())

    def convert(value: Any) -> int:
        if isinstance(value, str) and value in names:
            return names[value]
        if isinstance(value, int) and not isinstance(value, bool) and value in numbers:
            return value
        raise FieldError(f"is none of {', '.join(names)}")

    return convert


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError("is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError("has half of a surrogate pair") from None
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise FieldError("is neither true nor false")
    return value


def _timestamp(value: Any) -> Timestamp:
    stamp = Timestamp()
    try:
        stamp.FromJsonString(value)
    except (ValueError, AttributeError):
        raise FieldError("is not an RFC 3339 time") from None
    return stamp


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise FieldError("is not an object")
    for key, text in value.items():
        try:
            _text(key)
            _text(text)
        except FieldError as error:
            raise error.below(key) from None
    return value
