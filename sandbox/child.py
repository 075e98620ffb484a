"""Runs a module as `python -m` does, or any program, that ends with the process that started it.

    python -m sandbox.child PARENT_PID MODULE [ARGUMENT ...]
    python -m sandbox.child PARENT_PID -- PROGRAM [ARGUMENT ...]

Whoever kills the sandbox with SIGKILL gives it no chance to stop its children; on Linux the kernel
then tells them: a module by SIGTERM, so that a service drains, a program by SIGKILL, which it
cannot miss even while it is stopped. Other systems have no such call: there only Ctrl-C and
SIGTERM stop the children.
"""

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

from runtime.command_line import command_parser

# From <sys/prctl.h>: the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1
PROGRAM = "--"


def child_command(*arguments: str | Path) -> list[str]:
    """The command that runs `arguments`, a module or `--` and a program, as a child of ours."""
    return [sys.executable, "-m", "sandbox.child", str(os.getpid()), *map(str, arguments)]


def end_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this process a signal when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def main() -> None:
    parser = command_parser("sandbox.child", __doc__ or "")
    parser.usage = f"{parser.prog} [-h] [--version] PARENT_PID (MODULE | -- PROGRAM) [ARGUMENT ...]"
    parser.add_argument("parent", type=int, metavar="PARENT_PID")
    # What follows is the module's or the program's, options included.
    parent = parser.parse_args(sys.argv[1:2]).parent
    if len(sys.argv) < 3:
        parser.error("a module is missing, or -- and a program")
    name = sys.argv[2]
    end_with_parent(signal.SIGKILL if name == PROGRAM else signal.SIGTERM)
    if sys.platform == "linux" and os.getppid() != parent:
        sys.exit(f"{name}: the process that started it is gone")
    if name == PROGRAM:
        os.execv(sys.argv[3], sys.argv[3:])  # Keeps what the kernel was asked for.
    sys.argv = sys.argv[2:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
