"""The note that says what an export covers, kept in its folder from the first run on.

While the export is not whole the note has another name, so a folder with a `checkpoint.note` is a
whole export. What is read of it here is how far to go; who signed it is for the verifier.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from runtime.command_failures import CommandError

NOTE_FILE = "checkpoint.note"
UNFINISHED_NOTE_FILE = "checkpoint.note.partial"
ORIGIN_PREFIX = "ledger/"
MIN_LINES = 4


@dataclass(frozen=True)
class Extent:
    """What a note covers: so many transactions, with that root, and so many accounts."""

    ledger: str
    transactions: int
    root_hash: str
    accounts: int


def extent_of(note: str) -> Extent:
    """Reads the first lines of a note; raises `CommandError` if it is none."""
    lines = note.split("\n")
    accounts = lines[3].split(" ") if len(lines) > MIN_LINES else []
    sizes = [lines[1], *accounts[1:2]] if accounts else []
    well_formed = (
        len(accounts) == 3
        and accounts[0] == "accounts"
        and lines[0].startswith(ORIGIN_PREFIX)
        and all(size.isascii() and size.isdigit() for size in sizes)
    )
    if not well_formed:
        raise CommandError("the checkpoint's note is not one of a ledger")
    return Extent(lines[0].removeprefix(ORIGIN_PREFIX), int(sizes[0]), lines[2], int(sizes[1]))


def kept_note(directory: Path) -> str | None:
    """The note of an export that was begun here; None if none was."""
    for name in (NOTE_FILE, UNFINISHED_NOTE_FILE):
        path = directory / name
        if path.exists():
            return path.read_text(encoding="utf-8")
    return None


def is_whole(directory: Path) -> bool:
    """Whether an export was finished here."""
    return (directory / NOTE_FILE).exists()


def keep_note(directory: Path, note: str) -> None:
    """Writes the note of an export that begins, whole or not at all."""
    path = directory / UNFINISHED_NOTE_FILE
    writing = directory / f"{UNFINISHED_NOTE_FILE}.new"
    with writing.open("w", encoding="utf-8") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)


def finish(directory: Path) -> None:
    """Gives the note its name, when everything it covers is on disk."""
    sync_directory(directory)
    (directory / UNFINISHED_NOTE_FILE).rename(directory / NOTE_FILE)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Has the names of the files on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
