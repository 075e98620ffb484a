"""The kinds of validation rule; `runtime.validation` compiles and runs them.

A rule also knows what else means the same as its field unset, so that a request is the same
whichever way it is written: see `Validator.canonicalise`.
"""

import math
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
    Normalise,
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
# Times are kept in microseconds; finer digits are cut off.
NANOS_PER_MICRO = 1_000


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


def octets(field: str, *, max_bytes: int) -> Rule:
    """Bytes, of which there has to be at least one and are at most `max_bytes`."""

    def find(message: Any) -> Found:
        size = len(getattr(message, field))
        if not size:
            return ((field, "is required"),)
        return ((field, f"has {size} bytes, more than {max_bytes}"),) if size > max_bytes else ()

    return Rule(
        field, lambda _: find, lambda _: Quick(f"0 < len(m.{field}) <= {{0}}", (max_bytes,))
    )


def integer(
    field: str, *, minimum: int | None = None, maximum: int | None = None, default: int = 0
) -> Rule:
    """An integer within bounds, both inclusive; an unset optional one passes.

    `default` is the number that 0 stands for, where it stands for one.
    """

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
        if minimum is None and maximum is None and not default:
            return None
        low = -float("inf") if minimum is None else minimum
        high = float("inf") if maximum is None else maximum
        source = f"{{0}} <= m.{field} <= {{1}}"
        if descriptor.fields_by_name[field].has_presence:
            source = f"(not m.HasField('{field}') or {source})"
        return Quick(source, (low, high), _is_not(field, default))

    return Rule(field, bind, quick, _left_out(field, default) if default else None)


def _is_not(field: str, default: int) -> str:
    return f"m.{field} != {default}" if default else "True"


def _left_out(field: str, default: int) -> Normalise:
    def normalise(message: Any) -> None:
        if getattr(message, field) == default:
            message.ClearField(field)

    return normalise


def boolean(field: str) -> Rule:
    """A truth value: nothing can be wrong with it, but the field is accounted for."""
    return Rule(field, lambda _: lambda _message: NOTHING, lambda _: None)


def enum(field: str, *, required: bool = False, default: int = 0) -> Rule:
    """A value that the enum defines; a required one is not its zero, `…_UNSPECIFIED`.

    `default` is the value that the zero stands for, where it stands for one.
    """

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
        values = (frozenset(known - {0} if required else known),)
        return Quick(f"m.{field} in {{0}}", values, _is_not(field, default))

    assert not (required and default), "what has to be said has no default"
    return Rule(field, bind, quick, _left_out(field, default) if default else None)


def message(field: str, *, required: bool = False, empty_is_unset: bool = False) -> Rule:
    """A nested message; what is inside is checked by the rules of its own type.

    `empty_is_unset` where one without any field means the same as none.
    """

    def find(owner: Any) -> Found:
        if required and not owner.HasField(field):
            return ((field, "is required"),)
        return NOTHING

    def normalise(owner: Any) -> None:
        if owner.HasField(field) and not getattr(owner, field).ByteSize():
            owner.ClearField(field)

    assert not (required and empty_is_unset), "what has to be there may not mean nothing"
    if empty_is_unset:
        quick = Quick("True", form=f"not m.HasField('{field}') or m.{field}.ByteSize()")
        return Rule(field, lambda _: find, lambda _: quick, normalise)
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

    max_key, max_value = (
        max_key_bytes // MAX_CHARACTER_BYTES,
        max_value_bytes // MAX_CHARACTER_BYTES,
    )

    def are_right(entries: Any) -> bool:
        """Of entries whose length in bytes need not be asked for."""
        if len(entries) > max_items:
            return False
        for key, value in entries.items():
            if not 0 < len(key) <= max_key or len(value) > max_value:
                return False
            if "\x00" in key or "\x00" in value:
                return False
        return True

    quick = Quick(f"not m.{field} or {{0}}(m.{field})", (are_right,))
    return Rule(field, lambda _: find, lambda _: quick)


def timestamp(field: str, *, required: bool = False) -> Rule:
    """A `google.protobuf.Timestamp` in the range its definition allows, to the microsecond."""

    def find(message: Any) -> Found:
        if not message.HasField(field):
            return ((field, "is required"),) if required else NOTHING
        value = getattr(message, field)
        if not MIN_TIMESTAMP_SECONDS <= value.seconds <= MAX_TIMESTAMP_SECONDS:
            return ((field, "is outside the years 1 to 9999"),)
        if not 0 <= value.nanos < NANOS_PER_SECOND:
            return ((field, "has nanos outside 0 to 999,999,999"),)
        return NOTHING

    # Not left to the finder, for whoever sends a history dates all of it.
    quick = Quick(
        _where_set(
            field,
            f"{{0}} <= (t := m.{field}).seconds <= {{1}} and 0 <= t.nanos < {NANOS_PER_SECOND}",
            required=required,
        ),
        (MIN_TIMESTAMP_SECONDS, MAX_TIMESTAMP_SECONDS),
        f"not m.{field}.nanos % {NANOS_PER_MICRO}",
    )

    def normalise(message: Any) -> None:
        if message.HasField(field):
            value = getattr(message, field)
            value.nanos -= value.nanos % NANOS_PER_MICRO

    return Rule(field, lambda _: find, lambda _: quick, normalise)


def duration(
    field: str,
    *,
    required: bool = False,
    minimum: timedelta = timedelta(0),
    maximum: timedelta,
    default: timedelta | None = None,
) -> Rule:
    """A `google.protobuf.Duration` within bounds, both inclusive, to the microsecond.

    `default` is the length that none stands for, where it stands for one.
    """
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

    usual = None if default is None else _nanoseconds_of(default)

    def normalise(message: Any) -> None:
        if not message.HasField(field):
            return
        value: Duration = getattr(message, field)
        # Towards zero, as everyone does who converts it.
        value.nanos -= int(math.fmod(value.nanos, NANOS_PER_MICRO))
        if value.seconds * NANOS_PER_SECOND + value.nanos == usual:
            message.ClearField(field)

    length = f"m.{field}.seconds * {NANOS_PER_SECOND} + m.{field}.nanos"
    form = f"not m.{field}.nanos % {NANOS_PER_MICRO}"
    if usual is not None:
        form += f" and {length} != {usual}"
    source = _where_set(field, f"{{0}} <= {length} <= {{1}}", required=required)
    return Rule(field, lambda _: find, lambda _: Quick(source, (lowest, highest), form), normalise)


def _where_set(field: str, source: str, *, required: bool) -> str:
    """An expression about a nested message that may be left out unless it is required."""
    is_set = f"m.HasField('{field}')"
    return f"{is_set} and {source}" if required else f"(not {is_set} or {source})"


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
