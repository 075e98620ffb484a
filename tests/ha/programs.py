"""The programs of a node: which they are, and how one is started, frozen and killed."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.child import child_command
from sandbox.postgres_wheel import server_account

# What may not be readable for root's `nobody`: the interpreter and the packages of root's own.
CAPABILITY = "dac_override"


class MissingProgramError(RuntimeError):
    """What has to be installed."""


def etcd() -> str:
    """Raises `MissingProgramError`."""
    found = shutil.which("etcd")
    if found is None:
        raise MissingProgramError(
            "etcd is missing: install it (Debian: apt install etcd-server),"
            " or put the program of https://github.com/etcd-io/etcd/releases on PATH"
        )
    return found


def patroni() -> list[str]:
    """The command, without its settings. Raises `MissingProgramError`."""
    if importlib.util.find_spec("patroni") is None:
        raise MissingProgramError(
            "Patroni is missing: `make env` installs what requirements-dev.lock names"
        )
    return [sys.executable, "-m", "patroni"]


def nats_server() -> Path:
    """That of the wheel."""
    return Path(sys.executable).with_name("nats-server")


class Program:
    """One program with its log; it ends with this process, however that ends."""

    def __init__(self, command: Sequence[str | Path], log: Path, enter: Sequence[str] = ()) -> None:
        """`enter` stands before the command: where it runs, and as whom."""
        self._command = [*enter, *map(str, command)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    def start(self) -> None:
        """Starts it, in a session of its own. Only from the main thread: the kernel would end the
        program with the thread that started it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                child_command("--", *self._command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def tree(self) -> list[int]:
        """It and all that it has started, parents first."""
        return tree_of(self.pid) if self._process is not None else []

    async def terminate(self) -> None:
        """SIGTERM; waits for the end, while callers go on."""
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def kill(self) -> None:
        """SIGKILL, of it alone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def as_server_account() -> list[str]:
    """What stands before a command that refuses root: it runs as `nobody` then, who may read what
    root may, and dies with this process."""
    account = server_account()
    if account is None:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise MissingProgramError("setpriv is missing (Debian: apt install util-linux)")
    return [
        setpriv,
        *("--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"),
        *("--inh-caps", f"+{CAPABILITY}", "--ambient-caps", f"+{CAPABILITY}"),
        *("--pdeathsig", "KILL", "--"),
    ]


def tree_of(pid: int) -> list[int]:
    """A process and its descendants, parents first; those of any of its threads."""
    found = [pid]
    for parent in found:  # Grows while it is gone through.
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in listed.read_text().split()]
    return found


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    """Sends a signal to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
