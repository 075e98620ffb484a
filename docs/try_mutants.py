"""Tries the changes that mutmut has prepared: `python -m docs.try_mutants [PATTERN]`.

mutmut starts pytest anew for each change, which takes longer than the tests. Here the tests are
collected once, and each change is tried in a fork of that process, the quickest of the tests that
reach it first, up to the first that fails. Results are kept where mutmut keeps its own.
"""

import gc
import json
import os
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from docs.mutants import RESULTS, left_to_try
from runtime.command_line import command_parser

# mutmut's exit codes: a test failed, none did, there is none, they did not come to an end.
NOTICED, SURVIVED, NO_TEST, TIMED_OUT = 1, 0, 33, 36
# What the trampolines of mutmut read: the change that is active, or that calls are to be recorded.
ACTIVE, RECORD = "MUTANT_UNDER_TEST", "stats"
# Of processor time: as long as the tests of a change took without it, so many times, and some more.
TIMES, MORE_SECONDS = 3.0, 4.0
SAVE_EVERY = 200


Tests = list[tuple[float, pytest.Item]]


@dataclass(slots=True)
class Try:
    """One change that is being tried: the end of a pipe tells which test failed."""

    name: str
    tests: Tests
    failed: int
    since: float


class Tries:
    """A plugin of pytest that runs the collected tests for each change instead of once."""

    def __init__(self, names: list[str], processes: int) -> None:
        self._names = names
        self._processes = processes
        self._running: dict[int, Try] = {}
        self.codes: dict[str, int] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Records which tests reach what, then tries each change."""
        reached = _recorded(session.items)
        # What is there already is not copied for each fork by the garbage collector.
        gc.freeze()
        for name in self._names:
            tests = reached.get(name.rpartition("__mutmut_")[0])
            if not tests:
                self.codes[name] = NO_TEST
                continue
            while len(self._running) >= self._processes:
                self._wait()
            child, failed = _forked(name, tests)
            self._running[child] = Try(name, tests, failed, time.monotonic())
        while self._running:
            self._wait()
        return True

    def _wait(self) -> None:
        child, status = os.wait()
        tried = self._running.pop(child)
        with os.fdopen(tried.failed, "rb") as pipe:
            failed = pipe.read()
        ended = os.WIFEXITED(status) and os.WEXITSTATUS(status) in (NOTICED, SURVIVED)
        self.codes[tried.name] = os.WEXITSTATUS(status) if ended else TIMED_OUT
        if failed:
            # What noticed this change often notices the next one of the same function.
            tried.tests.insert(0, tried.tests.pop(int(failed)))
        seconds = time.monotonic() - tried.since
        print(
            f"{len(self.codes)}/{len(self._names)} {self.codes[tried.name]} {seconds:.1f} s",
            *(tried.name, tried.tests[0][1].nodeid if failed else ""),
            file=sys.__stderr__,
            flush=True,
        )
        if len(self.codes) % SAVE_EVERY == 0:
            save(self.codes)


def _recorded(items: list[pytest.Item]) -> dict[str, Tests]:
    """The tests that reach each function, with their seconds, the quickest first."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            json.dump(list(_record(items)), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        rows: list[tuple[int, float, list[str]]] = json.load(pipe)
    os.waitpid(child, 0)
    reached: dict[str, Tests] = {}
    for index, seconds, functions in sorted(rows, key=lambda row: row[1]):
        for function in functions:
            reached.setdefault(function, []).append((seconds, items[index]))
    return reached


def _record(items: list[pytest.Item]) -> Iterable[tuple[int, float, list[str]]]:
    # mutmut is only there in an environment of its own.
    state = import_module("mutmut.state").state
    os.environ[ACTIVE] = RECORD
    for index, item in enumerate(items):
        state()._stats.clear()
        started = time.perf_counter()
        if any(report.failed for report in runtestprotocol(item, log=False)):
            print(f"{item.nodeid} fails without any change", file=sys.__stderr__, flush=True)
            os._exit(1)
        yield index, time.perf_counter() - started, sorted(state()._stats)


def _forked(name: str, tests: Tests) -> tuple[int, int]:
    """The process that tries one change, and where it writes the place of the test that failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.environ[ACTIVE] = name
    seconds = int(TIMES * sum(seconds for seconds, _ in tests) + MORE_SECONDS)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    for place, (_, item) in enumerate(tests):
        if any(report.failed for report in runtestprotocol(item, log=False)):
            os.write(writing, str(place).encode())
            os._exit(NOTICED)
    os._exit(SURVIVED)


def save(codes: dict[str, int], results: Path = Path()) -> None:
    """Keeps the results beside the changes."""
    for path in results.rglob("*.meta"):
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        own = kept["exit_code_by_key"]
        changed = {name: codes[name] for name in own.keys() & codes.keys()}
        if changed:
            own |= changed
            path.write_text(json.dumps(kept, indent=4), encoding="utf-8")


def main() -> None:
    """Tries what is left to try of what the pattern names."""
    parser = command_parser("docs.try_mutants", __doc__ or "")
    parser.add_argument("pattern", nargs="?", default="*", help='"gateway.payouts.*" is one module')
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    names = [mutant.name for mutant in left_to_try(arguments.pattern)]
    os.chdir(RESULTS)
    sys.path.insert(0, str(Path.cwd()))
    os.environ[ACTIVE] = ""
    mutmut = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    options = ["--rootdir=.", "-q", "-s", "--tb=no", "--assert=plain", "-p", "no:cacheprovider"]
    tries = Tries(names, arguments.processes)
    try:
        pytest.main([*options, *mutmut["pytest_add_cli_args_test_selection"]], plugins=[tries])
    finally:
        save(tries.codes)


if __name__ == "__main__":
    main()
