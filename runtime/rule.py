"""What a validation rule is; `runtime.rules` has the kinds of them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

# Of UTF-8.
MAX_CHARACTER_BYTES = 4

# Brings a field of a message into its canonical form.
Normalise = Callable[[Any], None]
# A violation is a path from the message's own fields and a description.
Found = Iterable[tuple[str, str]]
Finder = Callable[[Any], Found]
NOTHING: Found = ()


@dataclass(frozen=True)
class Quick:
    """An expression that is true only of a message `m` in which nothing is wrong.

    Python source, because one compiled expression per message type costs a third of calling a
    function per field. It may be false where nothing is wrong: then the finder decides.
    `{0}`, `{1}` … stand for `values`, which are not written out. `form` is true only if what is
    right is also in its canonical form.
    """

    source: str
    values: tuple[Any, ...] = ()
    form: str = "True"


# For what only a finder can tell.
NEVER = Quick("False")


@dataclass(frozen=True)
class Rule:
    """A rule about one field (or oneof); `bind` makes its finder for a message type.

    `quick` makes the expression for the same type; None when nothing can be wrong. `normalise` is
    there where a right field has several forms that mean the same, such as its default and unset.
    """

    field: str
    bind: Callable[[Any], Finder]
    quick: Callable[[Any], Quick | None]
    normalise: Normalise | None = None


def text_problem(value: str, max_bytes: int, pattern: re.Pattern[str] | None) -> str | None:
    """What is wrong with one string; None when nothing is."""
    # A character is at most four bytes, so most values need no encoding to be measured.
    if len(value) * MAX_CHARACTER_BYTES > max_bytes and len(value.encode()) > max_bytes:
        return f"is longer than {max_bytes} bytes"
    if pattern is not None:
        if not pattern.fullmatch(value):
            return f"does not match {pattern.pattern}"
    elif "\x00" in value:
        return "contains a NUL character"
    return None
