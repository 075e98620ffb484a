"""A clock that several processes read and one of them moves: of a file that all of them map.

What it shows is the machine's time and so much more. It goes on by itself, and is moved forward in
steps: by whoever plays an hour in a minute, between one minute's payments and the next one's.
"""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

_AHEAD = struct.Struct("<d")


class ClockFileError(ValueError):
    """The file is none of a clock."""


class SharedClock:
    """A `Clock`. Reading it costs as little as reading the machine's."""

    def __init__(self, path: Path) -> None:
        """Opens a clock that `create` has made. Raises OSError, and `ClockFileError`."""
        with path.open("r+b") as file:
            if path.stat().st_size != _AHEAD.size:
                raise ClockFileError(f"{path} is not the file of a clock")
            self._shared = mmap.mmap(file.fileno(), _AHEAD.size)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A clock that shows the machine's time; the file must not be there yet."""
        with path.open("xb") as file:
            file.write(_AHEAD.pack(0.0))
        return cls(path)

    @property
    def ahead(self) -> timedelta:
        """By how much it is before the machine's clock."""
        (seconds,) = _AHEAD.unpack_from(self._shared)
        return timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The time that it shows."""
        return datetime.now(UTC) + self.ahead

    def advance(self, step: timedelta) -> None:
        """Moves it forward for all. Only one process does. Raises ValueError for a step back."""
        if step < timedelta(0):
            raise ValueError("a clock only goes forward")
        # Eight aligned bytes, written at once: nobody reads half of them.
        _AHEAD.pack_into(self._shared, 0, (self.ahead + step).total_seconds())
