"""Asks ClamAV's daemon whether a content is harmful, by its INSTREAM command.

The protocol is of one page (clamd(8)): the command, pieces that begin with their length in four
bytes, a length of zero, and one line as the answer. docs/adr/0042 says why no client library.
"""

import asyncio
import re
import struct
from contextlib import suppress

# One piece; clamd takes any size up to its StreamMaxLength.
PIECE_BYTES = 64 * 1024
# The longest answer that is read: one line.
MAX_ANSWER_BYTES = 4 * 1024
# Of a whole scan: connecting, sending and the answer. clamd's own MaxScanTime is two minutes.
SCAN_SECONDS = 130.0
_COMMAND = b"zINSTREAM\0"
_FOUND = re.compile(r"stream: (.{1,500}) FOUND")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9._-]")
MAX_NAME_CHARACTERS = 100


class ScannerAwayError(Exception):
    """The scanner could not be reached, or did not answer in time."""


class ScannerError(Exception):
    """The scanner answered that it could not scan it."""


class Scanner:
    """A clamd at an address."""

    def __init__(self, host: str, port: int, seconds: float = SCAN_SECONDS) -> None:
        self._host = host
        self._port = port
        self._seconds = seconds

    async def scan(self, content: bytes) -> str:
        """The name of what was found, in letters, digits, dots and dashes; empty if nothing was.

        Raises `ScannerAwayError` and `ScannerError`.
        """
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._ask(content)
        except (OSError, TimeoutError) as error:
            raise ScannerAwayError(type(error).__name__) from error
        if answer == "stream: OK":
            return ""
        found = _FOUND.fullmatch(answer)
        if found is None:
            raise ScannerError
        return _NOT_A_NAME.sub("-", found.group(1))[:MAX_NAME_CHARACTERS]

    async def _ask(self, content: bytes) -> str:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(_COMMAND)
            # A scanner that has seen enough answers and reads no more.
            with suppress(ConnectionError):
                for start in range(0, len(content), PIECE_BYTES):
                    piece = content[start : start + PIECE_BYTES]
                    writer.write(struct.pack("!L", len(piece)))
                    writer.write(piece)
                    await writer.drain()
                writer.write(struct.pack("!L", 0))
                await writer.drain()
            answer = await reader.read(MAX_ANSWER_BYTES)
            while b"\0" not in answer and len(answer) < MAX_ANSWER_BYTES:
                more = await reader.read(MAX_ANSWER_BYTES)
                if not more:
                    break
                answer += more
        finally:
            # Not `close`, which would first send the rest to a scanner that reads no more.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        line, end, _ = answer.partition(b"\0")
        if not end:
            raise ConnectionResetError
        return line.decode(errors="replace").strip()
