"""`make bench`: runs the benchmarks and prints one JSON line for each.

A benchmark is a module of this package with a `NAME` and an `async def measure()` that answers its
line: at least `name`, `value`, `unit`, `limit` and `ratio`. The limit is measured in the same run,
because the ratio is what counts: seconds differ from machine to machine and from hour to hour.
"""

import argparse
import asyncio
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

import bench

OUTPUT = Path("build/bench.jsonl")
REQUIRED = {"name", "value", "unit", "limit", "ratio"}


class Benchmark(NamedTuple):
    """One benchmark and how to run it."""

    name: str
    measure: Callable[[], Coroutine[Any, Any, dict[str, Any]]]


def benchmarks() -> list[Benchmark]:
    """Every benchmark of the package, in order of their names."""
    found: list[Benchmark] = []
    for module_info in pkgutil.iter_modules(bench.__path__):
        if module_info.name == "__main__":
            continue
        module = importlib.import_module(f"bench.{module_info.name}")
        if hasattr(module, "NAME"):
            found.append(Benchmark(module.NAME, module.measure))
    return sorted(found)


def run(chosen: list[Benchmark]) -> None:
    """Runs one after the other, printing each line as it is measured and keeping it."""
    OUTPUT.parent.mkdir(exist_ok=True)
    for benchmark in chosen:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            line = runner.run(benchmark.measure())
        missing = REQUIRED - line.keys()
        assert not missing, f"{benchmark.name} does not say its {sorted(missing)}"
        text = json.dumps(line)
        print(text, flush=True)
        with OUTPUT.open("a", encoding="utf-8") as output:
            output.write(text + "\n")


def main() -> None:
    """Reads the arguments and runs what they choose."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", default="", metavar="PREFIX", help="only names that begin so")
    prefix = parser.parse_args().only
    chosen = [benchmark for benchmark in benchmarks() if benchmark.name.startswith(prefix)]
    if not chosen:
        names = ", ".join(benchmark.name for benchmark in benchmarks())
        sys.exit(f"bench: nothing begins with {prefix!r}; there are {names}")
    run(chosen)


if __name__ == "__main__":
    main()
