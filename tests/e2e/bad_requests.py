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
# Of a merchant's document, which has less.
OVERSIZED_DOCUMENT_BYTES = 10_000_000
# Of a piece of a bank's file: too large for one, and not for a request.
OVERSIZED_PIECE_BYTES = 262_100
MARK = "MARK"
CONTROL_CHARACTER = "a\x00b"
MANY_ENTRIES = 2_000
# Beyond the year 9999, and beyond the longest google.protobuf.Duration.
NO_TIME_SECONDS = 10**15
NO_DURATION_SECONDS = 10**12
# More than the gateway takes of any currency.
TOO_MUCH = 10**15
NO_CURRENCIES = ("EURO", "eur", "ZZZ", "E R")
# Amounts of which zero is one: a capture of which the platform keeps nothing.
MAY_BE_ZERO = frozenset({("CapturePaymentRequest", "application_fee.minor_units")})
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
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            yield from _bad_maps(request, place)
        elif kind is not None:
            yield from _bad_times(request, place)
        elif field.type == field.TYPE_STRING:
            yield _with(request, place, "oversized", "x" * OVERSIZED_BYTES)
            yield _with(request, place, "control character", CONTROL_CHARACTER)
            marked = _with(request, place, "not UTF-8", MARK)
            yield BadRequest(marked.what, marked.path, marked.data.replace(b"MARK", NOT_UTF8))
        elif field.type == field.TYPE_BYTES:
            size = OVERSIZED_BYTES
            if field.name == "content":
                is_piece = request.name == "UploadStatementRequest"
                size = OVERSIZED_PIECE_BYTES if is_piece else OVERSIZED_DOCUMENT_BYTES
            yield _with(request, place, "oversized", b"x" * size)
        elif field.type == field.TYPE_ENUM:
            yield _with(request, place, "unknown value", UNKNOWN_ENUM_VALUE)
        elif field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
            yield _with(request, place, "negative", -1)
        if (
            field.containing_type.full_name == "money.v1.Money"
            and request.file.package == "gateway.v1"
        ):
            yield from _bad_money(request, place)


def _bad_maps(request: Any, place: _Place) -> Iterator[BadRequest]:
    if place.field.message_type.fields_by_name["value"].type != place.field.TYPE_STRING:
        return
    for what, entries in (
        ("too many entries", {str(number): "" for number in range(MANY_ENTRIES)}),
        ("long key", {"k" * OVERSIZED_BYTES: "v"}),
        ("empty key", {"": "v"}),
        ("control character in a key", {CONTROL_CHARACTER: "v"}),
    ):
        yield _with(request, place, what, entries)
    for what, value in (("long value", "v" * OVERSIZED_BYTES), ("control character", "a\x00b")):
        case = _with(request, place, what, {"key": value})
        yield BadRequest(case.what, f"{case.path}[key]", case.data)


def _bad_times(request: Any, place: _Place) -> Iterator[BadRequest]:
    kind = place.field.message_type
    if kind.full_name == "google.protobuf.Timestamp":
        yield _with(request, place, "no time", {"seconds": NO_TIME_SECONDS})
        yield _with(request, place, "no nanoseconds", {"nanos": -1})
    elif kind.full_name == "google.protobuf.Duration":
        yield _with(request, place, "too long", {"seconds": NO_DURATION_SECONDS})
        yield _with(request, place, "negative", {"seconds": -1})


def _bad_money(request: Any, place: _Place) -> Iterator[BadRequest]:
    if place.field.name == "currency_code":
        for code in NO_CURRENCIES:
            yield _with(request, place, f"currency {code}", code)
    else:
        if (request.name, place.path) not in MAY_BE_ZERO:
            yield _with(request, place, "zero", 0)
        yield _with(request, place, "huge", TOO_MUCH)


def _places(descriptor: Any, prefix: str, steps: tuple[Any, ...], depth: int) -> Iterator[_Place]:
    for field in descriptor.fields:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            yield _Place(f"{prefix}{field.name}", steps, field)
            continue
        path = f"{prefix}{field.name}" + ("[0]" if field.is_repeated else "")
        if kind is None:
            yield _Place(path, steps, field)
        elif kind.full_name.startswith("google.protobuf."):
            if not field.is_repeated:
                yield _Place(path, steps, field)
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
    field = getattr(owner, place.field.name)
    if isinstance(value, dict) and place.field.message_type.GetOptions().map_entry:
        field.update(value)
    elif isinstance(value, dict):
        for name, part in value.items():
            setattr(field, name, part)
    elif place.field.is_repeated:
        field.append(value)
    else:
        setattr(owner, place.field.name, value)
    return BadRequest(what, place.path, message.SerializeToString())
