"""What inputs give: accounts and transactions with their places, and lines that are neither."""

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from ledger.v1.account_pb2 import AccountInput
from ledger.v1.transaction_mutations_pb2 import BatchItem

Message = TypeVar("Message", AccountInput, BatchItem)


class Given(NamedTuple, Generic[Message]):
    """One account or transaction of an input.

    `place` is its line, row or sequence from 1, `size` its bytes in memory, more or less;
    `original` is the line it was made from, if that was JSON.
    """

    place: int
    message: Message
    size: int
    original: bytes = b""


class Bad(NamedTuple):
    """A line that cannot be read; `column` counts characters from 1, 0 where there is none."""

    place: int
    column: int
    problem: str


# What a source gives, one after another.
AnyGiven = Given[AccountInput] | Given[BatchItem]
Line = AnyGiven | Bad


class Source(Protocol):
    """One input, read as a stream."""

    @property
    def total(self) -> int | None:
        """The last place, if it is known before all is read."""

    def given(self, after: int) -> Iterator[Line]:
        """What comes after a place, in order; raises `CommandError` for a file of another form."""

    def locate(self, place: int) -> tuple[str, int]:
        """A place in the input's own terms, such as ("line", 17)."""

    def identity(self) -> str:
        """What tells this input from another one, or from itself before a change."""


def file_identity(path: Path) -> str:
    """What changes when a file does, as make(1) sees it."""
    status = path.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"
