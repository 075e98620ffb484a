"""Has lists read and their indexes built by a process of its own (builder.py), within limits."""

import asyncio
import contextlib
import json
import mmap
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from compliance.checks.canonical import build, plain, time_of
from compliance.screening.builder import Comparison
from compliance.screening.entries import BrokenListError, Entry
from compliance.screening.index import Hit, NameIndex, ScreenedPerson
from compliance.screening.scoring import Explanation
from compliance.screening.sources import Fingerprint, ListSource
from runtime.child_process import (
    MAX_LINE_BYTES,
    ChildProcess,
    nameless_file,
    open_child_process,
)

BUILDER = "compliance.screening.builder"


class ListBuildError(Exception):
    """An index was not built, and not for what its source holds; the message says why."""


@dataclass(frozen=True)
class BuilderLimits:
    """`seconds` from the start of a builder to its index, and of each page it screens; memory is
    address space."""

    seconds: float = 120.0
    memory_bytes: int = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True)
class ScreenedAlready:
    """What the builder found of somebody; `failure` says where it failed, or is empty."""

    hits: tuple[Hit, ...]
    is_comparable: bool
    failure: str


class Builder:
    """A running process that builds one index. Its methods are called in their order."""

    def __init__(self, child: ChildProcess, file_number: int, limits: BuilderLimits) -> None:
        self._child = child
        self._file_number = file_number
        self.limits = limits
        # Until the index is there, then of each page.
        self._due = asyncio.get_running_loop().time() + limits.seconds
        self._size = 0

    @property
    def process_id(self) -> int:
        return self._child.process.pid

    async def start(
        self,
        entries: AsyncIterator[str],
        source: ListSource | None = None,
        quantities: Mapping[str, int] | None = None,
        *,
        accept_losses: bool = False,
    ) -> None:
        """Says what to build; `entries` are pages of what is in use, as JSON."""
        asked = {
            "source": None if source is None else source.to_plain(),
            "quantities": dict(quantities or {}),
            "accept_losses": accept_losses,
        }
        async with self._in_time():
            await self._send(json.dumps(asked))
            async for page in entries:
                await self._send(page)
            await self._send("null")

    async def comparison(self) -> tuple[Comparison, Fingerprint]:
        """What the source holds. Raises `BrokenListError` if it cannot be used."""
        found = build(await self._receive(), Comparison)
        written = found.oldest_microseconds
        oldest = None if written is None else time_of(written)
        return found, Fingerprint(bytes.fromhex(found.checksum), oldest)

    async def new_rows(self) -> AsyncIterator[str]:
        """The rows of `list_entry` that are new, as JSON, a page at a time."""
        while True:  # Bounded by the list, of which each page is another part.
            line = await self._receive_line()
            if line.startswith(b"["):
                yield line.decode()
            else:
                self._size = self._checked(line)["size"]
                return

    async def index(self) -> NameIndex:
        """The index, whose memory is shared with the builder while that runs."""
        if not self._size:
            self._size = (await self._receive())["size"]
        return NameIndex(mmap.mmap(self._file_number, self._size, access=mmap.ACCESS_READ))

    async def screen(
        self, people: Sequence[tuple[ScreenedPerson, bool]], threshold: float
    ) -> list[ScreenedAlready]:
        """What people match: on the whole list, or, where that is said, on what is new in it."""
        asked = [
            {"person": plain(person), "only_changed": only_changed}
            for person, only_changed in people
        ]
        self._due = asyncio.get_running_loop().time() + self.limits.seconds
        async with self._in_time():
            await self._send(json.dumps({"threshold": threshold, "people": asked}))
        return [_screened(found) for found in await self._receive()]

    async def _send(self, line: str) -> None:
        # That it has ended is seen when its answer is read.
        with contextlib.suppress(ConnectionError):
            await self._child.send(line.encode() + b"\n")

    async def _receive(self) -> Any:
        return self._checked(await self._receive_line())

    async def _receive_line(self) -> bytes:
        async with self._in_time():
            try:
                line = await self._child.reader.readline()
            except ConnectionError:
                line = b""
            except ValueError as error:
                raise ListBuildError(f"it said more than {MAX_LINE_BYTES} bytes at once") from error
        if not line.endswith(b"\n"):
            ended = await self._child.ended()
            raise ListBuildError(f"it ended before it was done ({ended})")
        return line

    def _checked(self, line: bytes) -> Any:
        said = json.loads(line)
        if isinstance(said, dict) and "broken" in said:
            raise BrokenListError(said["broken"])
        if isinstance(said, dict) and "failed" in said:
            raise ListBuildError(said["failed"])
        return said

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._due):
                yield
        except TimeoutError as error:
            raise ListBuildError(f"it took longer than {self.limits.seconds:g} s") from error


class Building:
    """Starts builders."""

    def __init__(self, limits: BuilderLimits) -> None:
        self._limits = limits

    @asynccontextmanager
    async def builder(self) -> AsyncIterator[Builder]:
        """A process to build one index with, which is gone afterwards, whatever happens."""
        file_number = nameless_file("list-index")
        # Its memory is limited; the index is handed over in the file.
        arguments = "-m", BUILDER, str(file_number), str(self._limits.memory_bytes)
        try:
            async with AsyncExitStack() as stack:
                try:
                    child = await stack.enter_async_context(
                        open_child_process(*arguments, open_files=[file_number])
                    )
                except OSError as error:
                    raise ListBuildError(f"it could not be started: {error.strerror}") from error
                yield Builder(child, file_number, self._limits)
        finally:
            os.close(file_number)


def _screened(found: Mapping[str, Any]) -> ScreenedAlready:
    if "failed" in found:
        return ScreenedAlready((), is_comparable=False, failure=found["failed"])
    hits = tuple(
        Hit(build(entry, Entry), build(explanation, Explanation))
        for entry, explanation in found["hits"]
    )
    return ScreenedAlready(hits, is_comparable=found["is_comparable"], failure="")
