"""Ends the PostgreSQL servers in a folder and removes it, once nobody uses it any more.

    python -m tests.ha.guardian FOLDER

Patroni lets PostgreSQL live on when it dies itself, as it must: nothing else would end the servers
of a run that was killed.
"""

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.command_line import command_parser
from sandbox.guardian import (
    REMOVE_TIMEOUT_SECONDS,
    open_lock,
    remove,
    start_guardian,
    temporary_path,
)
from tests.ha.programs import signal_all, tree_of

USER_LOCK = ".user.lock"


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """A folder that others may pass through; with the block, or this process, all in it ends."""
    path = temporary_path()
    path.mkdir(mode=0o711)
    lock = open_lock(path / USER_LOCK)
    fcntl.flock(lock, fcntl.LOCK_EX)
    guardian = start_guardian(__name__, str(path))
    try:
        yield path
    finally:
        os.close(lock)
        guardian.wait(REMOVE_TIMEOUT_SECONDS)


def main() -> None:
    """Waits for the end of the folder's user."""
    parser = command_parser("tests.ha.guardian", __doc__ or "")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    lock = os.open(folder / USER_LOCK, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for pid_file in folder.glob("*/data/postmaster.pid"):
        # It may just have ended, or be about to begin.
        with contextlib.suppress(OSError, ValueError):
            signal_all(tree_of(postmaster(pid_file.parent)), signal.SIGKILL)
    remove(folder)


def postmaster(data: Path) -> int:
    """The process of the server with this data. Raises `OSError` or `ValueError` if none runs."""
    found = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    # A server that was killed leaves its file, and its number may be another's by now.
    if Path(f"/proc/{found}/cwd").readlink() != data:
        raise ValueError(f"no server runs on {data}")
    return found


if __name__ == "__main__":
    main()
