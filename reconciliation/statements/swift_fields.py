"""The fields of SWIFT messages in a file: `:61:` and what follows it, message by message."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reconciliation.statements.model import Limits
from reconciliation.statements.refusal import FieldError, Reason

_FIELD = re.compile(r":([0-9]{2}[A-Z]?):(.*)")
# What a message is wrapped in when it comes as it was on the network: blocks 1 to 3 before it.
_HEADER = re.compile(
    r"\{1:[^{}]*\}(?:\{2:[IO](?P<type>[0-9]{3})[^{}]*\})?(?:\{3:(?:\{[^{}]*\})*\})?\{4:"
)
_END = re.compile(r"-(?:\}(?:\{5:(?:\{[^{}]*\})*\})?)?")
# The field that begins a message.
FIRST = "20"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its tag (61), its lines, and where it begins in the file, from 1."""

    tag: str
    lines: tuple[str, ...]
    line: int

    @property
    def name(self) -> str:
        """As the formats' descriptions write it."""
        return f":{self.tag}:"

    def single_line(self) -> str:
        """Its text. Raises FieldError if there are more lines."""
        if len(self.lines) != 1:
            raise FieldError(
                Reason.INVALID, self.name, "a field of one line was expected", self.line
            )
        return self.lines[0]


def messages(text: str, message_type: str, limits: Limits) -> Iterator[list[Field]]:
    """The fields of each message. Raises FieldError for lines that belong to none."""
    fields: list[Field] = []
    begun: tuple[str, list[str], int] | None = None

    def finished() -> list[Field]:
        if begun is None:
            return fields
        return [*fields, Field(begun[0], tuple(begun[1]), begun[2])]

    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > limits.max_line_chars:
            raise FieldError(
                Reason.TOO_LARGE,
                "",
                f"lines of at most {limits.max_line_chars} characters were expected",
                number,
            )
        if header := _HEADER.match(line):
            if finished():
                raise FieldError(
                    Reason.UNREADABLE, "{1:", "the end of a message was expected", number
                )
            _check_type(header["type"], message_type, number)
            line = line[header.end() :]
        if not line.strip():
            continue
        if _END.fullmatch(line.rstrip()):
            if fields := finished():
                yield fields
            fields, begun = [], None
        elif found := _FIELD.fullmatch(line):
            fields = finished()
            if found[1] == FIRST and fields:
                yield fields
                fields = []
            begun = (found[1], [found[2]], number)
        elif begun is None or line.startswith(":"):
            raise FieldError(Reason.UNREADABLE, "", "a field as :20: was expected", number)
        else:
            begun[1].append(line)
    if fields := finished():
        yield fields


def _check_type(found: str | None, message_type: str, number: int) -> None:
    if found is not None and found != message_type:
        raise FieldError(
            Reason.UNSUPPORTED, "{2:", f"a message of type {message_type} was expected", number
        )


class FieldQueue:
    """The fields of a message, taken in the order that its type lays down."""

    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields
        self._next = 0

    def optional(self, *tags: str) -> Field | None:
        """The next field if it is one of these."""
        if self._next < len(self._fields) and self._fields[self._next].tag in tags:
            self._next += 1
            return self._fields[self._next - 1]
        return None

    def required(self, *tags: str) -> Field:
        """The next field, which has to be one of these."""
        found = self.optional(*tags)
        if found is None:
            names = " or ".join(f":{tag}:" for tag in tags)
            at_end = self._next == len(self._fields)
            line = 0 if at_end else self._fields[self._next].line
            raise FieldError(Reason.MISSING, names, "the field was expected here", line)
        return found

    def check_end(self) -> None:
        """Raises FieldError if there is a field that the message has no place for."""
        if self._next < len(self._fields):
            left = self._fields[self._next]
            raise FieldError(
                Reason.UNSUPPORTED, left.name, "the end of the message was expected", left.line
            )
