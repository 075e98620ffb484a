"""The process that reads a list and builds its index, so that no check waits for that.

    python -m compliance.screening.builder FILE_NUMBER MEMORY_BYTES

One for each load, started by building.py and ended with it. It talks in lines of JSON: what it is
asked for comes on standard input, what it found goes to standard output, and the index to an open
file that it is handed. In this order:

    in:  {"source": ListSource or null, "quantities": {...}, "accept_losses": bool}
    in:  [[entry id, content hash, entry], ...] of the version in use, many times; then null
    out: what changed (`Comparison`), or {"broken": why}; then [row of `list_entry`, ...] many times
    out: {"size": bytes of the index}; from here on both may be searched
    in:  {"threshold": 0.85, "people": [...]}; out: what was found of each; again and again

Without a source the entries are those to build the index of. Whatever fails is told as
{"failed": where}. It ends when its input does: with the process that started it, however that went.
"""

import gc
import json
import os
import queue
import resource
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from compliance.checks.canonical import build, plain
from compliance.screening.entries import BrokenListError, Entry, ParsedList
from compliance.screening.index import NameIndex, ScreenedPerson, pack_index
from compliance.screening.plausibility import check_presence, check_shrinking, quantities_of
from compliance.screening.sources import ListSource
from runtime.command_line import command_parser

# Behind whatever serves calls on the same machine.
NICENESS = 10
ROWS_PER_LINE = 100

Stored = Mapping[str, tuple[str, Entry]]


@dataclass(frozen=True)
class Comparison:
    """How what a source holds differs from the version in use; the checksum is in hex.

    `oldest_microseconds` is when the oldest file was written; None if there is no file.
    """

    checksum: str
    oldest_microseconds: int | None
    entry_count: int
    added_count: int
    changed_ids: tuple[str, ...]
    removed_ids: tuple[str, ...]
    new_ids: tuple[str, ...]
    quantities: Mapping[str, int]


def compare(before: Stored, parsed: ParsedList) -> tuple[list[Entry], list[Entry], list[str]]:
    """The entries that were added, those that changed, and the ids of those that are gone."""
    now = {entry.entry_id: entry for entry in parsed.entries}
    added = [entry for key, entry in now.items() if key not in before]
    changed = [
        entry
        for key, entry in now.items()
        if key in before and before[key][0] != entry.content_hash
    ]
    return added, changed, [key for key in before if key not in now]


class _Conversation:
    """Lines of JSON on standard input and output. A thread reads, to see the end of the input."""

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> NoReturn:
        for line in sys.stdin.buffer:
            self._lines.put(line)
        # Whatever is being built, nobody waits for it any more.
        os._exit(0)

    def wait_for_its_end(self) -> None:
        """Ends the process when its input ends, so that all it said can be read before."""
        while True:
            self._lines.get()

    def receive(self) -> Any:
        return json.loads(self._lines.get())

    def send(self, value: Any) -> None:
        sys.stdout.buffer.write(json.dumps(value).encode() + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Builds one list's index and searches it."""
    parser = command_parser("compliance.screening.builder", __doc__ or "")
    parser.add_argument("file", type=int, metavar="FILE_NUMBER", help="an open file, inherited")
    parser.add_argument("memory_bytes", type=int, metavar="MEMORY_BYTES", help="address space")
    arguments = parser.parse_args()
    file_number, memory_bytes = arguments.file, arguments.memory_bytes
    os.nice(NICENESS)
    # Millions of objects are made and none of them in cycles: looking for those took a fifth of it.
    gc.disable()
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    conversation = _Conversation()
    try:
        whole, changed = _build(conversation, file_number)
        while True:
            asked = conversation.receive()
            conversation.send([_screened(whole, changed, asked, one) for one in asked["people"]])
    except BrokenListError as error:
        conversation.send({"broken": str(error)})
    except MemoryError:
        conversation.send({"failed": f"it needs more than {memory_bytes} bytes of memory"})
    except Exception as error:  # noqa: BLE001 (told to who asked, without what the list says)
        conversation.send({"failed": _place(error)})
    conversation.wait_for_its_end()


def _build(conversation: _Conversation, file_number: int) -> tuple[NameIndex, NameIndex]:
    asked = conversation.receive()
    before = dict(_stored(conversation))
    if asked["source"] is None:
        entries: Sequence[Entry] = [entry for _, entry in before.values()]
        new: list[Entry] = []
    else:
        parsed, fingerprint = ListSource.from_plain(asked["source"]).read()
        if not asked["accept_losses"]:
            check_presence(parsed.quantities, parsed.may_lack)
            # What is stored was counted by today's rules; rows of files only its load knows.
            counted = quantities_of(entry for _, entry in before.values())
            check_shrinking({**asked["quantities"], **counted}, parsed.quantities)
        added, changed, removed_ids = compare(before, parsed)
        entries, new = parsed.entries, [*added, *changed]
        conversation.send(
            plain(
                Comparison(
                    checksum=fingerprint.checksum.hex(),
                    oldest_microseconds=plain(fingerprint.oldest),
                    entry_count=len(entries),
                    added_count=len(added),
                    changed_ids=tuple(entry.entry_id for entry in changed),
                    removed_ids=tuple(removed_ids),
                    new_ids=tuple(entry.entry_id for entry in new),
                    quantities=parsed.quantities,
                )
            )
        )
        for start in range(0, len(new), ROWS_PER_LINE):
            conversation.send([_row(entry) for entry in new[start : start + ROWS_PER_LINE]])
    before.clear()
    packed = pack_index(entries)
    with open(file_number, "wb") as file:
        file.write(packed)
    whole = NameIndex(packed)
    new_ids = {entry.entry_id for entry in new}
    changed_index = NameIndex.of(new, [one for one in entries if one.entry_id not in new_ids])
    conversation.send({"size": len(packed)})
    return whole, changed_index


def _stored(conversation: _Conversation) -> Iterator[tuple[str, tuple[str, Entry]]]:
    while (page := conversation.receive()) is not None:
        for entry_id, content_hash, content in page:
            yield entry_id, (content_hash, build(content, Entry))


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "entry_id": entry.entry_id,
        "content_hash": entry.content_hash,
        "content": plain(entry),
    }


def _screened(
    whole: NameIndex, changed: NameIndex, asked: Mapping[str, Any], one: Mapping[str, Any]
) -> dict[str, Any]:
    """What somebody matches, or where it failed: the others are to be screened all the same."""
    try:
        person = build(one["person"], ScreenedPerson)
        hits = (changed if one["only_changed"] else whole).search(person, asked["threshold"])
        return {
            "hits": [[plain(hit.entry), plain(hit.explanation)] for hit in hits],
            "is_comparable": person.is_comparable,
        }
    except Exception as error:  # noqa: BLE001 (told to who asked)
        return {"failed": _place(error)}


def _place(error: Exception) -> str:
    """The error's type and place, without its message, which may quote a name."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


if __name__ == "__main__":
    main()
