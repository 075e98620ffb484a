"""A PostgreSQL server that stands still: its sockets stay open, and nobody answers."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path


def freeze(postmaster: int) -> tuple[int, ...]:
    """Stops every process of a server where it is; which ones."""
    # The postmaster first, so that none is added.
    os.kill(postmaster, signal.SIGSTOP)
    stopped = [postmaster]
    for child in _children(postmaster):
        # It may just have ended.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)
            stopped.append(child)
    return tuple(stopped)


def thaw(stopped: Iterable[int]) -> None:
    """Lets them go on, as if nothing had been; the postmaster last."""
    for pid in reversed(tuple(stopped)):
        os.kill(pid, signal.SIGCONT)


def _children(postmaster: int) -> list[int]:
    listed = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    return [int(child) for child in listed.split()]
