"""Progress on standard error: one line that redraws on a terminal, else a line now and then."""

from datetime import datetime, timedelta
from typing import TextIO

from runtime.clock import Clock

REDRAW_INTERVAL = timedelta(milliseconds=200)
LINE_INTERVAL = timedelta(seconds=10)
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Says how far a command is and how fast it goes."""

    def __init__(self, stream: TextIO, clock: Clock, done: int = 0, *, quiet: bool = False) -> None:
        """`done` is what earlier runs did, which does not count for the rate."""
        self._stream = stream
        self._clock = clock
        self._redraws = stream.isatty()
        self._quiet = quiet
        self._before = done
        self._started = clock.now()
        self._shown: datetime = self._started
        self._drawn = False

    def show(self, what: str, done: int, total: int | None = None) -> None:
        """Shows `done` of so many, if it is time to."""
        now = self._clock.now()
        if self._quiet or now - self._shown < (REDRAW_INTERVAL if self._redraws else LINE_INTERVAL):
            return
        self._shown = now
        share = f" of {total:,} ({done / total:.0%})" if total else ""
        self._draw(f"{done:,}{share} {what}, {self.rate(done):,.0f} a second")

    def rate(self, done: int) -> float:
        """How many a second since this run began."""
        seconds = (self._clock.now() - self._started).total_seconds()
        return (done - self._before) / seconds if seconds > 0 else 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._clear()
            print(text, file=self._stream, flush=True)

    def fail(self, text: str) -> None:
        """A line that stays and that no quiet leaves out."""
        self._clear()
        print(text, file=self._stream, flush=True)

    def _draw(self, text: str) -> None:
        if self._redraws:
            print(f"{CLEAR_LINE}{text}", end="", file=self._stream, flush=True)
            self._drawn = True
        else:
            print(text, file=self._stream, flush=True)

    def _clear(self) -> None:
        if self._drawn:
            print(CLEAR_LINE, end="", file=self._stream)
            self._drawn = False
