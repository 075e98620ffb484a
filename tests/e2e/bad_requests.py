"""Bad requests for any RPC, made from its descriptor alone.

Each case breaks one field, wherever it is nested; the other fields stay empty. The answer has to
name the broken field among whatever else is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message_factory import GetMessageClass

MAX_DEPTH = 5
OVERSIZED_BYTES = 70_000
MARK = "MARK"
NOT_UTF8 = b"\xff\xfe\xfd\xfc"
UNKNOWN_ENUM_VALUE = 9_999


@dataclass(frozen=True)
class BadRequest:
    """The encoded request, and the path that its refusal has to name."""

    what: str
    path: str
    data: bytes


@dataclass(frozen=True)
class _Place:
    """A field in a message nested in a request: how to get there, and what it is."""

    path: str
    steps: tuple[Any, ...]
    field: Any


def bad_requests(request: Any) -> Iterator[BadRequest]:
    """Oversized, negative, unknown and undecodable values for each field of the request type."""
    for place in _places(request, "", (), 0):
        field = place.field
        if field.type == field.TYPE_STRING:
            yield _with(request, place, "oversized", "x" * OVERSIZED_BYTES)
            marked = _with(request, place, "not UTF-8", MARK)
            yield BadRequest(marked.what, marked.path, marked.data.replace(b"MARK", NOT_UTF8))
        elif field.type == field.TYPE_BYTES:
            yield _with(request, place, "oversized", b"x" * 40 * OVERSIZED_BYTES)
        elif field.type == field.TYPE_ENUM:
            yield _with(request, place, "unknown value", UNKNOWN_ENUM_VALUE)
        elif field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
            yield _with(request, place, "negative", -1)


def _places(descriptor: Any, prefix: str, steps: tuple[Any, ...], depth: int) -> Iterator[_Place]:
    for field in descriptor.fields:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            continue
        path = f"{prefix}{field.name}" + ("[0]" if field.is_repeated else "")
        if kind is None:
            yield _Place(path, steps, field)
        elif kind.full_name.startswith("google.protobuf."):
            continue
        elif depth < MAX_DEPTH:
            yield from _places(kind, f"{path}.", (*steps, field), depth + 1)


def _with(request: Any, place: _Place, what: str, value: Any) -> BadRequest:
    message = GetMessageClass(request)()
    owner = message
    for step in place.steps:
        if step.is_repeated:
            owner = getattr(owner, step.name).add()
        else:
            owner = getattr(owner, step.name)
            owner.SetInParent()
    if place.field.is_repeated:
        getattr(owner, place.field.name).append(value)
    else:
        setattr(owner, place.field.name, value)
    return BadRequest(what, place.path, message.SerializeToString())
