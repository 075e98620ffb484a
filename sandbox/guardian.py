"""Guardians: small processes that outlive the one that started them and clear up behind it.

    python -m sandbox.guardian FOLDER

Whoever uses a folder holds a lock on a file in it for as long as it lives. The guardian waits for
that lock, which the kernel grants when the last user is gone, however it went: at the end of its
work, by Ctrl-C, by SIGTERM or by `kill -9`. Then it removes the folder. `sandbox.embedded_postgres`
has a guardian of the same kind, which also stops a server.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.command_line import command_parser

PREFIX = "payment-engine-"
REMOVE_TIMEOUT_SECONDS = 60
# Of processes that are still on their way out, and may write once more.
MAX_REMOVALS = 100
# Beside what the folder is for; who removes it wants the folder to stay.
_USER_LOCK = ".user.lock"


class TemporaryFolder:
    """A folder that goes with the process that made it, unless it is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = open_lock(path / _USER_LOCK)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._guardian = start_guardian(__name__, str(path))

    def keep(self) -> None:
        """The folder stays."""
        (self.path / _USER_LOCK).unlink(missing_ok=True)

    def close(self) -> None:
        """Waits until the folder is gone."""
        os.close(self._lock)
        self._guardian.wait(REMOVE_TIMEOUT_SECONDS)


@contextmanager
def temporary_folder() -> Iterator[TemporaryFolder]:
    """A folder with a short path, which others may pass through, as root's `nobody` must."""
    path = temporary_path()
    path.mkdir(mode=0o711)
    try:
        folder = TemporaryFolder(path)
    except BaseException:
        remove(path)
        raise
    try:
        yield folder
    finally:
        folder.close()


def temporary_path() -> Path:
    """A path for a folder of one's own, which is not made yet."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{secrets.token_hex(6)}"


def open_lock(path: Path) -> int:
    """A file that `flock` is for, closed in the programs that this process starts."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def start_guardian(
    module: str, *arguments: str, inherits: tuple[int, ...] = (), speaks: bool = False
) -> "subprocess.Popen[bytes]":
    """Runs a module in a session of its own: Ctrl-C in the terminal must not reach it."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if speaks else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=inherits,
    )


def remove(folder: Path) -> None:
    """Removes a folder that processes on their way out may still write to."""
    for _ in range(MAX_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    shutil.rmtree(folder)


def main() -> None:
    """Waits for the end of the folder's user."""
    parser = command_parser("sandbox.guardian", __doc__ or "")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    # Without the file the folder is to stay, or gone already.
    with contextlib.suppress(FileNotFoundError):
        lock = os.open(folder / _USER_LOCK, os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _USER_LOCK).exists():
            remove(folder)


if __name__ == "__main__":
    main()
