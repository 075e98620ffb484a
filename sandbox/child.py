"""Runs a module as `python -m` does, but ends with the process that started it.

    python -m sandbox.child PARENT_PID MODULE [ARGUMENT ...]

Whoever kills the sandbox with SIGKILL gives it no chance to stop its children; on Linux the kernel
then tells them. Other systems have no such call: there only Ctrl-C and SIGTERM stop the children.
"""

import ctypes
import os
import runpy
import signal
import sys

# From <sys/prctl.h>: the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(f"{module}: the process that started it is gone")
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
