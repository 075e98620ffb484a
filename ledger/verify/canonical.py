"""Strict reading of canonical JSON (RFC 8785) that holds nothing but objects, lists and strings."""

import json
import re
from functools import lru_cache
from typing import Any

from ledger.verify.finding import Finding

MAX_INTEGER = 2**63 - 1

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")


def read_line(line: bytes) -> dict[str, Any]:
    """The object of a line that is written as RFC 8785 says, but for the order of its keys.

    Writing it again has to give the same bytes, so no white space, needless escape or repeated
    key gets through; `check_keys` has to be asked about the keys of every object.
    """
    try:
        text = line.decode()
        value = json.loads(text)
        same = _encode(value) == text
    except UnicodeDecodeError as error:
        raise Finding(f"byte {error.start + 1} is not UTF-8") from None
    except (ValueError, RecursionError):
        raise Finding("is not JSON") from None
    if not same:
        raise Finding("is not canonical JSON (RFC 8785)")
    return objects(value, "the line")


def objects(value: Any, name: str) -> dict[str, Any]:
    """The value, if it is an object."""
    if type(value) is not dict:
        raise Finding(f"{name} is not an object")
    return value


def check_keys(
    value: dict[str, Any], required: frozenset[str], allowed: frozenset[str], name: str
) -> None:
    """Finds a key that is missing, unknown or out of order."""
    problem = _key_problem(tuple(value), required, allowed)
    if problem is not None:
        raise Finding(f"{name} {problem}")


@lru_cache(maxsize=4096)
def _key_problem(
    keys: tuple[str, ...], required: frozenset[str], allowed: frozenset[str]
) -> str | None:
    if unknown := sorted(set(keys) - allowed):
        return f"has the unknown key {unknown[0]!r}"
    if missing := sorted(required - set(keys)):
        return f"lacks the key {missing[0]!r}"
    return None if list(keys) == sorted(keys) else "has its keys out of order"


def text(value: Any, name: str, pattern: re.Pattern[str] | None = None) -> str:
    """The value, if it is a string that is not empty and looks as it should."""
    if type(value) is not str or not value:
        raise Finding(f"{name} is not a string, or an empty one")
    if pattern is not None and not pattern.fullmatch(value):
        raise Finding(f"{name} is {value!r}")
    return value


def integer(value: Any, name: str, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
    """The number of a decimal string, within 64 bits and written in the shortest way."""
    try:
        number = int(value) if type(value) is str else None
    except ValueError:
        number = None
    if number is None or str(number) != value or not minimum <= number <= maximum:
        raise Finding(f"{name} is {value!r}, not a decimal from {minimum} to {maximum}")
    return number


def moment(value: Any, name: str) -> str:
    """A time in UTC with six digits; such texts have the order of their times."""
    return text(value, name, _TIME)


def labels(value: Any, name: str) -> None:
    """Finds what is wrong with metadata: texts by name, in order of UTF-16 code units."""
    found = objects(value, name)
    if not found:
        raise Finding(f"{name} is empty")
    keys = list(found)
    if any(type(label) is not str for label in found.values()):
        raise Finding(f"{name} has a value that is not a string")
    if keys != sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass")):
        raise Finding(f"{name} has its keys out of order")
