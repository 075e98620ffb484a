"""Frozen dataclasses to canonical JSON and back: equal values, equal bytes.

Keys are sorted, there is no white space, times are microseconds since 1970 in UTC, so that a
stored record can be hashed, compared and replayed bit for bit.
"""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_SCALARS = frozenset({str, int, float, bool, type(None)})

T = TypeVar("T")


def microseconds(time: datetime) -> int:
    """Microseconds since 1970; floats would lose some."""
    return (time - EPOCH) // MICROSECOND


def time_of(value: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + value * MICROSECOND


def dumps(value: Any) -> str:
    """Canonical JSON of dataclasses, enums, times, durations, tuples, mappings and scalars."""
    return _WRITERS[type(value)](value)


def loads(text: str, kind: type[T]) -> T:
    """The dataclass `kind` from its canonical JSON. Raises `ValueError` if it is something else."""
    return build(json.loads(text), kind)


def build(value: Any, kind: type[T]) -> T:
    """The dataclass `kind` from the parsed JSON of it."""
    try:
        read: Callable[[Any], T] = _reader(kind)  # type: ignore[arg-type]
        built = read(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored {kind.__name__}: {error}") from error
    return built


def plain(value: Any) -> Any:
    """The value in the types of JSON, before it is written."""
    kind: Any = type(value)
    if kind in _SCALARS:
        return value
    if kind is datetime:
        return microseconds(value)
    if kind is tuple or kind is list:
        return [item if type(item) in _SCALARS else plain(item) for item in value]
    names = _names(kind)
    if names is not None:
        fields = [(name, getattr(value, name)) for name in names]
        return {name: item if type(item) in _SCALARS else plain(item) for name, item in fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return value // MICROSECOND
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    raise TypeError(f"{kind.__name__} has no canonical form")


@cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass; None of anything else."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


class _Writers(dict[Any, Callable[[Any], str]]):
    """What writes values of a type as canonical JSON; made once for each type.

    A record has some two hundred values: turned into lists and mappings first, and those into
    text, it would take twice as long.
    """

    def __missing__(self, kind: Any) -> Callable[[Any], str]:
        names = _names(kind)
        if names:
            self[kind] = self._of_dataclass(sorted(names))
        elif issubclass(kind, Enum):
            self[kind] = lambda value: self[type(value.value)](value.value)
        else:
            self[kind] = _written_by_json
        return self[kind]

    def _of_dataclass(self, names: list[str]) -> Callable[[Any], str]:
        template = "{" + ",".join(f"{encode_basestring(name)}:%s" for name in names) + "}"
        # Of one name it gives the value alone.
        values_of: Callable[[Any], Any] = attrgetter(*names, names[0])
        return lambda value: (
            template % tuple([self[type(item)](item) for item in values_of(value)[:-1]])
        )


def _written_by_json(value: Any) -> str:
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _list_written(items: Any) -> str:
    return "[" + ",".join([_WRITERS[type(item)](item) for item in items]) + "]"


_WRITERS = _Writers(
    {
        str: encode_basestring,
        int: int.__repr__,
        bool: lambda value: "true" if value else "false",
        type(None): lambda _value: "null",
        datetime: lambda value: str(microseconds(value)),
        timedelta: lambda value: str(value // MICROSECOND),
        tuple: _list_written,
        list: _list_written,
    }
)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What turns parsed JSON into a value of this type; made once for each type."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = [argument for argument in get_args(kind) if argument is not type(None)]
        read_inner = _reader(inner)
        return lambda value: None if value is None else read_inner(value)
    if origin is tuple:
        read_item = _reader(get_args(kind)[0])
        return lambda value: tuple([read_item(item) for item in value])
    if dataclasses.is_dataclass(kind):
        build_it: Any = kind
        hints = get_type_hints(kind)
        fields = [(item.name, _reader(hints[item.name])) for item in dataclasses.fields(kind)]
        # What was stored before a field was added has its default.
        optional = {
            item.name
            for item in dataclasses.fields(kind)
            if item.default is not dataclasses.MISSING
        }
        return lambda value: build_it(
            **{
                name: read(value[name])
                for name, read in fields
                if name in value or name not in optional
            }
        )
    if kind is datetime:
        return time_of
    if kind is timedelta:
        return lambda value: value * MICROSECOND
    member: Callable[[Any], Any] = kind
    return member if issubclass(kind, Enum) else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
