"""Profiles of the service under a benchmark, by cProfile, as text.

The service runs under the profiler when an environment variable names a folder for its figures.
"""

import io
import os
import pstats
from pathlib import Path

PROFILE_VARIABLE = "BENCH_PROFILE"
LONGEST = 60


def under_profiler(name: str) -> tuple[str, ...]:
    """Arguments of `python -m` that have the module after them profiled, if that is wanted."""
    folder = os.environ.get(PROFILE_VARIABLE)
    return ("cProfile", "-o", f"{folder}/{name}.prof", "-m") if folder else ()


def write_profiles(folder: Path) -> list[Path]:
    """Writes a text beside each profile of a folder: the functions that took longest."""
    written = []
    for profile in sorted(folder.glob("*.prof")):
        text = io.StringIO()
        figures = pstats.Stats(str(profile), stream=text)
        figures.sort_stats("tottime").print_stats(LONGEST)
        figures.sort_stats("cumulative").print_stats(LONGEST)
        written.append(profile.with_suffix(".txt"))
        written[-1].write_text(text.getvalue(), encoding="utf-8")
    return written
