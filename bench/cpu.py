"""Processor time of the processes of a benchmark, so that one sees which of them is the bound."""

import os
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")
# Where the fields utime, stime, cutime and cstime are, behind the name in parentheses.
UTIME, CSTIME = 11, 14
MICROSECONDS = 1_000_000

# Seconds of processor time by what it was spent in: service, postgres, client.
CpuSeconds = dict[str, float]
Meter = Callable[[], CpuSeconds]


def meter_of(**processes: int) -> Meter:
    """A meter of some processes and all they started, and of this one as the client.

    It answers nothing where there is no /proc, which is everywhere but on Linux.
    """
    if not PROC.exists():
        return dict

    def read() -> CpuSeconds:
        own = os.times()
        spent = {name: _family_seconds(pid) for name, pid in processes.items()}
        return {**spent, "client": own.user + own.system}

    return read


def spent_between(before: CpuSeconds, after: CpuSeconds) -> CpuSeconds:
    """What was spent from one reading to the next."""
    return {name: after[name] - seconds for name, seconds in before.items()}


def _family_seconds(pid: int) -> float:
    """Of a process, of those it started, and of those of them that have ended.

    Raises `FileNotFoundError` if the process itself is gone: a figure without it would be wrong.
    """
    stat = (PROC / str(pid) / "stat").read_text()
    fields = stat.rpartition(")")[2].split()
    seconds = sum(map(int, fields[UTIME : CSTIME + 1])) / os.sysconf("SC_CLK_TCK")
    return seconds + sum(map(_child_seconds, children_of(pid)))


def _child_seconds(pid: int) -> float:
    try:
        return _family_seconds(pid)
    except FileNotFoundError:
        return 0.0  # It has ended since; its parent's own figure has it from now on.


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    threads = (PROC / str(pid) / "task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
