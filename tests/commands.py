"""Commands of the project, run to their end as processes."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sandbox.child import child_command

PROJECT = Path(__file__).resolve().parent.parent
END_SECONDS = 60
READ_BYTES = 65_536


def run(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    directory: Path = PROJECT,
) -> subprocess.CompletedProcess[str]:
    """`python -m module` with this environment and nothing else of ours.

    It is a fork of a process that has imported the services, which saves most of the time. That
    they can be imported from nothing is told by the tests that start them whole (`tests/e2e`).
    """
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        code = _nursery().run(
            {
                "module": module,
                "arguments": arguments,
                "environment": {"PATH": "/nowhere", **environment},
                "directory": str(directory),
                "output": str(output),
                "errors": str(errors),
            }
        )
        return subprocess.CompletedProcess(
            (module, *arguments), code, output.read_text("utf-8"), errors.read_text("utf-8")
        )


def run_release(
    directory: Path, module: str, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """The same where some of the code is another release's, which lies in that directory: with an
    interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=directory,
        # What is in the directory comes first.
        env={"PATH": "/nowhere", "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


class _Nursery:
    """One command after the other; the nursery ends at the latest with this process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            child_command("tests.nursery"),
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._rest = b""

    def end(self) -> None:
        """Ends the nursery."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(END_SECONDS)
        self._process.stdout.close()

    def run(self, order: Mapping[str, Any]) -> int:
        """The code that the command ends with. Raises `TimeoutExpired` if it does not."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        pid = int(self._read()["pid"])
        try:
            ended = self._read()
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            self._read()
            raise
        assert ended["pid"] == pid
        return int(ended["code"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            if not select.select([self._process.stdout], [], [], END_SECONDS)[0]:
                raise subprocess.TimeoutExpired("a command", END_SECONDS)
            read = self._process.stdout.read(READ_BYTES)
            assert read, "the nursery has ended"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def end_nursery() -> None:
    """Ends the process that forks commands, if any was run."""
    if _nursery.cache_info().currsize:
        _nursery().end()
        _nursery.cache_clear()


def entries(*packages: str) -> Iterator[str]:
    """The modules that end in `if __name__ == "__main__"`, by the name that `python -m` takes."""
    for package in packages:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8"):
                parts = path.relative_to(PROJECT).with_suffix("").parts
                yield ".".join(parts).removesuffix(".__main__")


def plain_lines(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """What standard error has besides the log."""
    return [line for line in ran.stderr.splitlines() if not line.startswith('{"')]
