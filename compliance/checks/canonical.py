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
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY_SECONDS = 86_400
SECOND_MICROSECONDS = 1_000_000
_SCALARS = frozenset({str, int, float, bool, type(None)})

# Where a value of `WrittenOften` keeps its text; no field has such a name.
_TEXT = "canonical text"

T = TypeVar("T")


class WrittenOften:
    """A frozen dataclass whose values are in many records: each is written once, for all of them.

    Whatever it holds is frozen, too.
    """


def microseconds(time: datetime) -> int:
    """Microseconds since 1970; floats would lose some."""
    return _in_microseconds(time - EPOCH)


def time_of(value: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + value * MICROSECOND


def _in_microseconds(length: timedelta) -> int:
    # Of whole numbers: by division it takes twice as long, and a record has a dozen of them.
    return (length.days * DAY_SECONDS + length.seconds) * SECOND_MICROSECONDS + length.microseconds


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
        return _in_microseconds(value)
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
    text, it would take three times as long.
    """

    def __missing__(self, kind: Any) -> Callable[[Any], str]:
        names = _names(kind)
        if names:
            write = _dataclass_writer(kind, sorted(names))
            self[kind] = _kept(write) if issubclass(kind, WrittenOften) else write
        elif issubclass(kind, Enum):
            self[kind] = lambda value: self[type(value.value)](value.value)
        else:
            self[kind] = _written_by_json
        return self[kind]


def _dataclass_writer(kind: Any, names: list[str]) -> Callable[[Any], str]:
    """A function with a line for each field: the commonest types are written without a call.

    Types are those that values have, whatever a field says: a flag is no number.
    """
    lines = ["def write(value):"]
    for place, name in enumerate(names):
        lines += [
            f"    item = value.{name}",
            "    kind = type(item)",
            f"    text_{place} = (",
            "        quote(item) if kind is str else repr(item) if kind is int else",
            "        'null' if item is None else writers[kind](item)",
            "    )",
        ]
    pieces = [f'"{name}":{{text_{place}}}' for place, name in enumerate(names)]
    lines.append("    return f'{{" + ",".join(pieces) + "}}'")
    scope: dict[str, Any] = {"quote": encode_basestring, "writers": _WRITERS}
    # Names of fields are identifiers, and nothing else of a type gets into the source.
    exec(compile("\n".join(lines), f"<canonical JSON of {kind.__name__}>", "exec"), scope)  # noqa: S102
    write: Callable[[Any], str] = scope["write"]
    return write


def _kept(write: Callable[[Any], str]) -> Callable[[Any], str]:
    def write_once(value: Any) -> str:
        # Beside the fields, which is where a frozen value has room: it goes when the value goes.
        known: dict[str, Any] = value.__dict__
        text: str | None = known.get(_TEXT)
        if text is None:
            text = known[_TEXT] = write(value)
        return text

    return write_once


def _written_by_json(value: Any) -> str:
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _list_written(items: Any) -> str:
    if not items:
        return "[]"
    return "[" + ",".join([_WRITERS[type(item)](item) for item in items]) + "]"


_WRITERS = _Writers(
    {
        str: encode_basestring,
        int: int.__repr__,
        bool: lambda value: "true" if value else "false",
        type(None): lambda _value: "null",
        datetime: lambda value: repr(_in_microseconds(value - EPOCH)),
        timedelta: lambda value: repr(_in_microseconds(value)),
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
