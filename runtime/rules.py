"""The kinds of validation rule; `runtime.validation` compiles and runs them."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from runtime.rule import (
    MAX_CHARACTER_BYTES,
    NEVER,
    NOTHING,
    Finder,
    Found,
    Quick,
    Rule,
    text_problem,
)

MAX_REQUEST_ID_BYTES = 128
MAX_PAGE_TOKEN_BYTES = 2048
IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]+")
# The range of google/protobuf/timestamp.proto: years 1 to 9999.
MIN_TIMESTAMP_SECONDS = -62_135_596_800
MAX_TIMESTAMP_SECONDS = 253_402_300_799
NANOS_PER_SECOND = 1_000_000_000


def text(
    field: str,
    *,
    required: bool = False,
    max_bytes: int,
    pattern: re.Pattern[str] | None = None,
) -> Rule:
    """A string of at most `max_bytes` of UTF-8 that `pattern` matches whole, if given."""

    def find(message: Any) -> Found:
        value: str = getattr(message, field)
        if not value:
            return ((field, "is required"),) if required else NOTHING
        problem = text_problem(value, max_bytes, pattern)
        return ((field, problem),) if problem else NOTHING

    is_right = "{1}(v)" if pattern is not None else "'\\x00' not in v"
    source = f"len(v) <= {{0}} and {is_right}"
    source = f"(v := m.{field}) and {source}" if required else f"(not (v := m.{field}) or {source})"
    quick = Quick(
        source, (max_bytes // MAX_CHARACTER_BYTES, pattern.fullmatch if pattern else None)
    )
    return Rule(field, lambda _: find, lambda _: quick)


def integer(field: str, *, minimum: int | None = None, maximum: int | None = None) -> Rule:
    """An integer within bounds, both inclusive; an unset optional one passes."""

    def bind(descriptor: Any) -> Finder:
        optional = descriptor.fields_by_name[field].has_presence

        def find(message: Any) -> Found:
            if optional and not message.HasField(field):
                return NOTHING
            value = getattr(message, field)
            if minimum is not None and value < minimum:
                return ((field, f"is less than {minimum}"),)
            if maximum is not None and value > maximum:
                return ((field, f"is greater than {maximum}"),)
            return NOTHING

        return find

    def quick(descriptor: Any) -> Quick | None:
        if minimum is None and maximum is None:
            return None
        low = -float("inf") if minimum is None else minimum
        high = float("inf") if maximum is None else maximum
        source = f"{{0}} <= m.{field} <= {{1}}"
        if descriptor.fields_by_name[field].has_presence:
            source = f"(not m.HasField('{field}') or {source})"
        return Quick(source, (low, high))

    return Rule(field, bind, quick)


def boolean(field: str) -> Rule:
    """A truth value: nothing can be wrong with it, but the field is accounted for."""
    return Rule(field, lambda _: lambda _message: NOTHING, lambda _: None)


def enum(field: str, *, required: bool = False) -> Rule:
    """A value that the enum defines; a required one is not its zero, `…_UNSPECIFIED`."""

    def bind(descriptor: Any) -> Finder:
        known = frozenset(descriptor.fields_by_name[field].enum_type.values_by_number)

        def find(message: Any) -> Found:
            value = getattr(message, field)
            if value not in known:
                return ((field, f"{value} is not a known value"),)
            if required and value == 0:
                return ((field, "is required"),)
            return NOTHING

        return find

    def quick(descriptor: Any) -> Quick:
        known = set(descriptor.fields_by_name[field].enum_type.values_by_number)
        return Quick(f"m.{field} in {{0}}", (frozenset(known - {0} if required else known),))

    return Rule(field, bind, quick)


def message(field: str, *, required: bool = False) -> Rule:
    """A nested message; what is inside is checked by the rules of its own type."""

    def find(owner: Any) -> Found:
        if required and not owner.HasField(field):
            return ((field, "is required"),)
        return NOTHING

    return Rule(
        field, lambda _: find, lambda _: Quick(f"m.HasField('{field}')") if required else None
    )


def repeated(
    field: str,
    *,
    min_items: int = 0,
    max_items: int,
    each: Callable[[Any], str | None] | None = None,
) -> Rule:
    """A list with a bounded number of items; `each` says what is wrong with a scalar item."""

    def find(message: Any) -> Found:
        items = getattr(message, field)
        if len(items) < min_items:
            return ((field, f"has fewer than {min_items} items"),)
        if len(items) > max_items:
            return ((field, f"has more than {max_items} items"),)
        if each is None:
            return NOTHING
        return [
            (f"{field}[{index}]", problem)
            for index, item in enumerate(items)
            if (problem := each(item)) is not None
        ]

    source = f"{{0}} <= len(m.{field}) <= {{1}}" if each is None else f"not m.{field}"
    quick = Quick(source, (min_items, max_items))
    return Rule(field, lambda _: find, lambda _: quick if each is None or not min_items else NEVER)


def each_text(
    *, max_bytes: int, pattern: re.Pattern[str] | None = None
) -> Callable[[str], str | None]:
    """For `repeated`: every item is a non-empty string within these limits."""

    def problem(value: str) -> str | None:
        return text_problem(value, max_bytes, pattern) if value else "is empty"

    return problem


def each_enum(values: Any) -> Callable[[int], str | None]:
    """For `repeated`: every item is a value the enum wrapper `values` defines, not its zero."""
    known = frozenset(values.values()) - {0}

    def problem(value: int) -> str | None:
        return None if value in known else f"{value} is not a known value"

    return problem


def mapping(field: str, *, max_items: int, max_key_bytes: int, max_value_bytes: int) -> Rule:
    """A map of strings to strings with bounded size; keys are not empty."""

    def find(message: Any) -> Found:
        entries = getattr(message, field)
        if not entries:
            return NOTHING
        if len(entries) > max_items:
            return ((field, f"has more than {max_items} entries"),)
        found: list[tuple[str, str]] = []
        for key, value in entries.items():
            problem = text_problem(key, max_key_bytes, None) if key else "is empty"
            if problem is not None:
                found.append((field, f"has a key that {problem}"))
            elif (problem := text_problem(value, max_value_bytes, None)) is not None:
                found.append((f"{field}[{key}]", problem))
        return found

    return Rule(field, lambda _: find, lambda _: Quick(f"not m.{field}"))


def timestamp(field: str, *, required: bool = False) -> Rule:
    """A `google.protobuf.Timestamp` in the range its definition allows."""

    def find(message: Any) -> Found:
        if not message.HasField(field):
            return ((field, "is required"),) if required else NOTHING
        value = getattr(message, field)
        if not MIN_TIMESTAMP_SECONDS <= value.seconds <= MAX_TIMESTAMP_SECONDS:
            return ((field, "is outside the years 1 to 9999"),)
        if not 0 <= value.nanos < NANOS_PER_SECOND:
            return ((field, "has nanos outside 0 to 999,999,999"),)
        return NOTHING

    return Rule(field, lambda _: find, lambda _: _unset(field, required))


def duration(
    field: str,
    *,
    required: bool = False,
    minimum: timedelta = timedelta(0),
    maximum: timedelta,
) -> Rule:
    """A `google.protobuf.Duration` within bounds, both inclusive."""
    lowest, highest = _nanoseconds_of(minimum), _nanoseconds_of(maximum)

    def find(message: Any) -> Found:
        if not message.HasField(field):
            return ((field, "is required"),) if required else NOTHING
        value: Duration = getattr(message, field)
        nanoseconds = value.seconds * NANOS_PER_SECOND + value.nanos
        if nanoseconds < lowest:
            return ((field, f"is shorter than {minimum}"),)
        if nanoseconds > highest:
            return ((field, f"is longer than {maximum}"),)
        return NOTHING

    return Rule(field, lambda _: find, lambda _: _unset(field, required))


def _unset(field: str, required: bool) -> Quick:
    return NEVER if required else Quick(f"not m.HasField('{field}')")


def _nanoseconds_of(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000


def one_of(oneof: str, *, required: bool = True) -> Rule:
    """A oneof of which one member is set. Its members need rules of their own."""

    def find(message: Any) -> Found:
        if required and message.WhichOneof(oneof) is None:
            return ((oneof, "one of its fields is required"),)
        return NOTHING

    quick = Quick(f"m.WhichOneof('{oneof}') is not None") if required else None
    return Rule(oneof, lambda _: find, lambda _: quick)


def check(field: str, problem: Callable[[Any], str | None]) -> Rule:
    """A rule about a whole message, reported at `field`; `problem` is handed the message."""

    def find(message: Any) -> Found:
        description = problem(message)
        return ((field, description),) if description is not None else NOTHING

    return Rule(field, lambda _: find, lambda _: Quick("{0}(m) is None", (problem,)))


REQUEST_ID = text("request_id", required=True, max_bytes=MAX_REQUEST_ID_BYTES, pattern=IDENTIFIER)
PAGE = [
    integer("page_size", minimum=0),
    text("page_token", max_bytes=MAX_PAGE_TOKEN_BYTES),
]
