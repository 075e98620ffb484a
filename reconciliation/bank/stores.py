"""Where banks' files are put: a folder, or a bucket that speaks S3. Both are listed and read."""

import asyncio
import heapq
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime.object_storage import (
    Location,
    ObjectStorage,
    ObjectTooLargeError,
    read_location,
)
from runtime.rights import parsed

# Of a store those that changed last; older ones are not looked at.
MAX_LISTED = 10_000
MAX_NAME_BYTES = 255
S3 = "s3://"
_FORM = '{"my-account": "/srv/bank/my-account"}'
# Names that whoever writes a file gives it until it is whole.
_UNFINISHED = (".part", ".tmp")


@dataclass(frozen=True)
class Found:
    """A file in a store. `version` is another one once its content may be another."""

    name: str
    size: int
    version: str
    place: str
    """Where the store finds it."""


class FileTooLargeError(Exception):
    """A file has more bytes than are taken."""


class StatementStore(Protocol):
    """Files of one account. Methods raise OSError or `ObjectStorageError` where it is away."""

    async def list(self) -> Sequence[Found]:
        """The files that changed last, at most `MAX_LISTED`, in the order of their names."""
        ...

    async def read(self, found: Found, max_bytes: int) -> bytes | None:
        """A file that was listed; None if it is gone or is another one by now. Raises
        `FileTooLargeError`."""
        ...


class Folder:
    """Files in a folder, and not in folders below it. Links are not followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def list(self) -> Sequence[Found]:
        return await asyncio.to_thread(self._listed)

    async def read(self, found: Found, max_bytes: int) -> bytes | None:
        return await asyncio.to_thread(self._read, found, max_bytes)

    def _listed(self) -> Sequence[Found]:
        with os.scandir(self._path) as entries:
            files = heapq.nlargest(MAX_LISTED, self._files(entries), key=lambda each: each[0])
        return sorted((found for _, found in files), key=lambda each: each.name)

    @staticmethod
    def _files(entries: "Iterator[os.DirEntry[str]]") -> Iterator[tuple[int, Found]]:
        for entry in entries:
            try:
                told = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # It was there a moment ago.
                continue
            if stat.S_ISREG(told.st_mode) and is_finished(entry.name):
                yield told.st_mtime_ns, _found(entry.name, entry.path, told)

    def _read(self, found: Found, max_bytes: int) -> bytes | None:
        try:
            number = os.open(found.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(number, "rb") as file:
            content = file.read(max_bytes + 1)
            now = _found(found.name, found.place, os.fstat(number))
        if now.version != found.version or now.size != found.size:
            return None
        if len(content) > max_bytes:
            raise FileTooLargeError
        return content


class Bucket:
    """Objects of a bucket whose names begin alike, and not those in folders below."""

    def __init__(self, storage: ObjectStorage, beginning: str) -> None:
        self._storage = storage
        self._beginning = beginning

    async def list(self) -> Sequence[Found]:
        files = []
        async for each in self._storage.list(self._beginning):
            name = each.name.removeprefix(self._beginning)
            if name and "/" not in name and is_finished(name):
                found = Found(shown_name(name), each.size, each.version, each.name)
                files.append((each.modify_time, found))
        last = heapq.nlargest(MAX_LISTED, files, key=lambda each: each[0])
        return sorted((found for _, found in last), key=lambda each: each.name)

    async def read(self, found: Found, max_bytes: int) -> bytes | None:
        try:
            return await self._storage.read(found.place, max_bytes, found.version)
        except ObjectTooLargeError as error:
            raise FileTooLargeError from error


def is_finished(name: str) -> bool:
    """Whether a file's name does not say that it is hidden or being written."""
    return not name.startswith(".") and not name.endswith(_UNFINISHED)


def shown_name(name: str) -> str:
    """A name as it is kept: UTF-8 of at most `MAX_NAME_BYTES`, of a longer one the end."""
    told = os.fsencode(name).decode("utf-8", "replace").replace("\0", "")
    return told.encode()[-MAX_NAME_BYTES:].decode("utf-8", "ignore")


def _found(name: str, place: str, told: os.stat_result) -> Found:
    return Found(shown_name(name), told.st_size, f"{told.st_mtime_ns}-{told.st_size}", place)


@dataclass(frozen=True)
class Place:
    """Where an account's files are: a folder, or a beginning of names at a location."""

    folder: Path | None = None
    location: Location | None = None
    beginning: str = ""


def read_places(given: str, accounts: Collection[str]) -> Mapping[str, Place]:
    """The places of accounts, from a setting: one folder or "s3://…" with a sub-folder for each
    account, or JSON with a place for each. Raises ValueError."""
    if not given:
        return {}
    if not given.startswith("{"):
        return {name: _place(given, f"{name}/") for name in accounts}
    told = parsed(given, _FORM)
    if not all(isinstance(value, str) and value for value in told.values()):
        raise ValueError("has a place that is not a text")
    if unknown := sorted(set(told) - set(accounts)):
        raise ValueError(f"no bank account {unknown[0]} is declared")
    return {name: _place(value, "") for name, value in told.items()}


def _place(given: str, below: str) -> Place:
    if given.startswith(S3):
        return Place(location=read_location(given), beginning=below)
    folder = Path(given)
    if not folder.is_absolute():
        raise ValueError("a folder is not an absolute path")
    return Place(folder=folder / below)
