"""Where in a line of JSON a field is: JSON's own parser only says so for what it cannot read."""

import json
import re
from collections.abc import Iterator

from ledger.load.fields import Path

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def column_of(line: str, path: Path) -> int:
    """The column of what the path leads to, from 1; of the nearest object where it ends early."""
    at = _after_space(line, 0)
    for step in path:
        for key, start in _members(line, at):
            if key == step:
                at = start
                break
        else:
            break
    return at + 1


def path_of(field: str) -> Path:
    """A validation rule's path such as `create.entries[1].amount` as steps."""
    steps: list[str | int] = []
    for name, index in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", field):
        steps.append(name or (int(index) if index.isdigit() else index))
    return tuple(steps)


def _members(line: str, at: int) -> Iterator[tuple[str | int, int]]:
    """Keys and where their values begin, of the object or list that begins there."""
    opening = line[at : at + 1]
    if opening not in ("{", "["):
        return
    at = _after_space(line, at + 1)
    index = 0
    while line[at] not in "}]":
        key: str | int = index
        if opening == "{":
            key, at = _DECODER.raw_decode(line, at)
            at = _after_space(line, _after_space(line, at) + 1)
        yield key, at
        _, at = _DECODER.raw_decode(line, at)
        at = _after_space(line, at)
        if line[at] == ",":
            at = _after_space(line, at + 1)
        index += 1


def _after_space(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    assert match is not None, "the pattern matches nothing, too"
    return match.end()
