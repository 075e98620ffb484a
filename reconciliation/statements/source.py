"""The bytes of a file: counted, hashed, decoded."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from reconciliation.statements.refusal import FieldError, Reason

CHUNK_BYTES = 64 * 2**10
# Spreadsheets and other programs on Windows put it before what they save in UTF-8.
BYTE_ORDER_MARK = "\ufeff"


class Source:
    """Reads a file once, up to a limit, and knows the SHA-256 of what was read."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()

    def chunks(self) -> Iterator[bytes]:
        """All bytes in pieces. Raises FieldError when there are more than the limit."""
        count = 0
        while chunk := self._file.read(CHUNK_BYTES):
            count += len(chunk)
            if count > self._max_bytes:
                raise FieldError(
                    Reason.TOO_LARGE, "", f"a file of at most {self._max_bytes} bytes was expected"
                )
            self._hash.update(chunk)
            yield chunk

    def read(self) -> bytes:
        """All bytes at once."""
        return b"".join(self.chunks())

    def sha256(self) -> bytes:
        """Of what was read."""
        return self._hash.digest()


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of texts by that name."""
    try:
        # Codecs that make no text of bytes, such as "hex", do not decode.
        return bool(bytes(4).decode(name))
    except (LookupError, ValueError):
        return False


def decode(content: bytes, encoding: str) -> str:
    """The text of bytes, without a byte order mark before it. Raises FieldError where they are none
    in that encoding."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FieldError(
            Reason.ENCODING, "", f"bytes in the encoding {encoding} were expected", line
        ) from None
    if "\0" in text:
        raise FieldError(Reason.ENCODING, "", "a text without zero bytes was expected")
    return text.removeprefix(BYTE_ORDER_MARK)
