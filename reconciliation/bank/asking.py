"""Has a file read by a process of its own (reader.py), within limits."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from reconciliation.bank.reader import START
from reconciliation.bank.wire import Asked, Row, first_id_line, past_line
from runtime.child_process import ChildProcess, open_child_process

# From the start of the process to its last answer: a camt.053 of 100,000 entries takes 14 s of a
# core, and others may keep it waiting.
READ_SECONDS = 240.0
# Address space of the process: a file of 200,000 entries takes a tenth of it.
MEMORY_BYTES = 2 * 1024 * 1024 * 1024


class ReaderFailedError(Exception):
    """The process did not do what it should; the message has nothing of the file."""


class UnknownFormatError(Exception):
    """The file does not begin as any format does."""


class TooManyStatementsError(Exception):
    """More statements of the same days are there than are compared."""


class RefusedError(Exception):
    """The file is refused, as the readers say: a name of `Reason`, the place, what was expected."""

    def __init__(self, reason: str, place: str, expected: str) -> None:
        super().__init__(f"{place}: {expected}")
        self.reason = reason
        self.place = place
        self.expected = expected


@dataclass(frozen=True)
class Page:
    """Rows of `kind`, "lines" or "items", written out as JSON."""

    kind: str
    rows: str
    count: int


class Reading:
    """One file that is being read. Its methods are called in their order, each raises
    `ReaderFailedError`."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child

    async def statements(self, asked: Asked) -> list[Row]:
        """The headers of the file's statements, which are proved.

        Raises `RefusedError` and `UnknownFormatError`.
        """
        await self._send(asked.to_line())
        told = await self._receive()
        if "refused" in told:
            raise RefusedError(**told["refused"])
        if "unknown_format" in told:
            raise UnknownFormatError
        headers: list[Row] = told["statements"]
        return headers

    async def verdicts(
        self, earlier: Iterable[tuple[int, Row, list[int]]], first_id: int
    ) -> list[Row]:
        """What each statement is to earlier ones (id, past, ids that it excludes). Raises
        `TooManyStatementsError`, and `RefusedError` for an amount beyond an item's."""
        for statement_id, past, excludes in earlier:
            await self._send(past_line(statement_id, past, excludes))
        await self._send(first_id_line(first_id))
        told = await self._receive()
        if "too_many" in told:
            raise TooManyStatementsError
        if "refused" in told:
            raise RefusedError(**told["refused"])
        verdicts: list[Row] = told["verdicts"]
        return verdicts

    async def pages(self) -> AsyncIterator[Page]:
        """All lines, then the items that are new."""
        while "end" not in (told := await self._receive()):
            (kind,) = set(told) - {"count"}
            yield Page(kind, told[kind], told["count"])

    async def _send(self, line: bytes) -> None:
        try:
            self._child.writer.write(line)
            await self._child.writer.drain()
        except ConnectionError as error:
            raise ReaderFailedError("it does not listen") from error

    async def _receive(self) -> Row:
        try:
            line = await self._child.reader.readline()
        except (ConnectionError, ValueError):
            line = b""
        if not line.endswith(b"\n"):
            raise ReaderFailedError(f"it ended before it was done ({await self._child.ended()})")
        told: dict[str, Any] = json.loads(line)
        if "failed" in told:
            raise ReaderFailedError(told["failed"])
        return told


@asynccontextmanager
async def open_reading(file_number: int) -> AsyncIterator[Reading]:
    """Starts the process, which may read that open file; it is gone afterwards, whatever happens.

    Raises `ReaderFailedError` if it cannot be started or takes too long.
    """
    async with AsyncExitStack() as stack:
        try:
            child = await stack.enter_async_context(
                open_child_process("-c", START, str(MEMORY_BYTES), open_files=[file_number])
            )
        except OSError as error:
            raise ReaderFailedError(f"it could not be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(READ_SECONDS):
                yield Reading(child)
        except TimeoutError as error:
            raise ReaderFailedError(f"it took longer than {READ_SECONDS:g} s") from error
