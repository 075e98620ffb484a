"""Frozen dataclasses to canonical JSON and back: equal values, equal bytes.

Keys are sorted, there is no white space, times are microseconds since 1970 in UTC, so that a
stored record can be hashed, compared and replayed bit for bit.
"""

import dataclasses
import json
import types
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


def microseconds(time: datetime) -> int:
    """Microseconds since 1970; floats would lose some."""
    return (time - EPOCH) // MICROSECOND


def time_of(value: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + value * MICROSECOND


def dumps(value: Any) -> str:
    """Canonical JSON of dataclasses, enums, times, durations, tuples, mappings and scalars."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def loads(text: str, kind: type[T]) -> T:
    """The dataclass `kind` from its canonical JSON. Raises `ValueError` if it is something else."""
    return build(json.loads(text), kind)


def build(value: Any, kind: type[T]) -> T:
    """The dataclass `kind` from the parsed JSON of it."""
    try:
        built: T = _typed(value, kind)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored {kind.__name__}: {error}") from error
    return built


def plain(value: Any) -> Any:
    """The value in the types of JSON, before it is written."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, datetime):
        return microseconds(value)
    if isinstance(value, timedelta):
        return value // MICROSECOND
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]


def _typed(value: Any, kind: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in get_args(kind) if argument is not type(None)]
        return None if value is None else _typed(value, inner[0])
    if origin is tuple:
        return tuple(_typed(item, get_args(kind)[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _typed(item, get_args(kind)[1]) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]
        build_it: Any = kind
        return build_it(**{name: _typed(value[name], hint) for name, hint in hints.items()})
    if kind is datetime:
        return time_of(value)
    if kind is timedelta:
        return value * MICROSECOND
    return kind(value) if issubclass(kind, Enum) else value
