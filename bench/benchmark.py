"""What a benchmark is, and where they all are.

A module of this package has one benchmark, as a `NAME` and an `async def measure()`, or several, as
a list `BENCHMARKS`.
"""

import importlib
import operator
import pkgutil
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import bench

REQUIRED = frozenset({"name", "value", "unit", "limit", "limit_name", "ratio"})


class Benchmark(NamedTuple):
    """One benchmark and how to run it."""

    name: str
    measure: Callable[[], Coroutine[Any, Any, dict[str, Any]]]


class Target(NamedTuple):
    """What a key of a benchmark's line has to reach, such as `ratio` at least 0.6."""

    key: str
    compared: str
    bound: float

    def __str__(self) -> str:
        return f"{self.key} {self.compared} {self.bound:g}"

    def is_met(self, line: dict[str, Any]) -> bool:
        """Whether the line reaches it."""
        compare = {">=": operator.ge, "<=": operator.le}[self.compared]
        return bool(compare(line[self.key], self.bound))


def benchmarks() -> list[Benchmark]:
    """Every benchmark of the package, in order of their names."""
    found: list[Benchmark] = []
    for module_info in pkgutil.iter_modules(bench.__path__):
        if module_info.name == "__main__":
            continue
        module = importlib.import_module(f"bench.{module_info.name}")
        if hasattr(module, "BENCHMARKS"):
            found.extend(Benchmark(*benchmark) for benchmark in module.BENCHMARKS)
        elif hasattr(module, "NAME"):
            found.append(Benchmark(module.NAME, module.measure))
    return sorted(found, key=lambda benchmark: benchmark.name)


def with_target(line: dict[str, Any], target: Target | None) -> dict[str, Any]:
    """The line with what it has to reach, if anything, and whether it does."""
    if target is None:
        return line
    return {**line, "target": str(target), "met": target.is_met(line)}
