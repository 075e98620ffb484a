"""What anybody can cause as often as they like is logged in one line a second, with a count."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

LINE_SECONDS = 1.0
# Kinds that a line tells apart; what there is more of is counted as "other".
MAX_KINDS = 32


class CountedLog:
    """The first at once, and those of each second after it together at its end."""

    def __init__(
        self,
        write: Callable[[int, Mapping[str, int]], None],
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        """`write` makes a line of a number and of how it is divided by kind; `call_later` is the
        event loop's unless it is given."""
        self._write = write
        self._call_later = call_later
        self._counts: Counter[str] = Counter()
        self._waiting = False

    def add(self, kind: str) -> None:
        """One more; `kind` tells what it was, of a few, and nothing that its sender chose."""
        known = kind in self._counts or len(self._counts) < MAX_KINDS
        self._counts[kind if known else "other"] += 1
        if not self._waiting:
            self._tell()

    def _tell(self) -> None:
        self._waiting = False
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        self._write(counts.total(), dict(counts))
        self._waiting = True
        call_later = self._call_later or asyncio.get_running_loop().call_later
        call_later(LINE_SECONDS, self._tell)
