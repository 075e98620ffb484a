"""Where exports go: a folder, or storage that speaks S3. A name is never given twice."""

import asyncio
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runtime.command_failures import CommandError, of_file
from runtime.object_storage import ObjectStorage, ObjectStorageError, ObjectTooLargeError
from warehouse.parquet.manifest import FOLDER

MAX_MANIFEST_BYTES = 64 * 1024 * 1024


class Place(Protocol):
    """Where files are put, whole or not at all. Raises `CommandError`."""

    async def last_manifest(self) -> bytes | None:
        """The newest manifest; None if there is none."""

    async def put(self, name: str, content: bytes) -> bool:
        """Puts a file there. False if there is one of that name, which is left as it is."""


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def last_manifest(self) -> bytes | None:
        """The newest manifest; None if there is none."""
        return await asyncio.to_thread(self._last_manifest)

    def _last_manifest(self) -> bytes | None:
        try:
            found = sorted((self._path / FOLDER).glob("*.json"))
            return found[-1].read_bytes() if found else None
        except OSError as error:
            raise of_file(error) from None

    async def put(self, name: str, content: bytes) -> bool:
        """Puts a file there."""
        return await asyncio.to_thread(self._put, self._path / name, content)

    def _put(self, path: Path, content: bytes) -> bool:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                # Of several at once one gets the name, and nobody sees a part of it.
                with suppress(FileExistsError):
                    os.link(part, path)
                    _sync(path.parent)
                    return True
                return False
            finally:
                Path(part).unlink()
        except OSError as error:
            raise of_file(error) from None


class Objects:
    """Storage that speaks S3."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage

    async def last_manifest(self) -> bytes | None:
        """The newest manifest; None if there is none."""
        try:
            names = [found.name async for found in self._storage.list(f"{FOLDER}/")]
            if not names:
                return None
            return await self._storage.read(max(names), MAX_MANIFEST_BYTES)
        except ObjectStorageError as error:
            raise _of_storage(error) from None
        except ObjectTooLargeError:
            raise CommandError("the last manifest is too large") from None

    async def put(self, name: str, content: bytes) -> bool:
        """Puts a file there."""
        try:
            return await self._storage.write_new(name, content)
        except ObjectStorageError as error:
            raise _of_storage(error) from None


def _of_storage(error: ObjectStorageError) -> CommandError:
    return CommandError(f"the storage answers {error}", passing=True)


def _sync(folder: Path) -> None:
    """Makes a new name outlast the machine's stopping."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
