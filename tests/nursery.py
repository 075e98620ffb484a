"""Starts services in no time: a process that has imported everything and forks on demand.

    python -m tests.nursery

Importing a service takes a second of processor time or two, a run of chaos kills a thousand of
them, and tests run hundreds of commands. This process imports them once, before any of them has
made a thread or a connection, and each service is a fork of it: a process of its own, killed and
reaped like any other.

It reads one JSON object a line from standard input, answers each with `{"pid"}`, and writes
`{"pid", "code"}` when a child has ended. There are two kinds of them:

- `{"service", "arguments", "environment", "log"}` runs a service as chaos needs it, with the
  variables of this process and these,
- `{"module", "arguments", "environment", "directory", "output", "errors"}` runs what `python -m`
  would, in that directory and with these variables alone, and writes to the two files.
"""

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

import compliance.__main__
import gateway.__main__
import ledger.__main__
import sandbox.stripe_twin.__main__
from runtime.command_line import command_parser
from sandbox.child import end_with_parent
from tests.chaos.child import run

IMPORTED = (
    *(ledger.__main__, gateway.__main__, compliance.__main__),
    sandbox.stripe_twin.__main__,
)
READ_BYTES = 65_536


def main() -> None:
    """Serves until standard input is closed."""
    command_parser("tests.nursery", __doc__ or "").parse_args()
    # What is imported stays: a service collects garbage when it is open, and would look through all
    # of it, and have a copy of it made.
    gc.collect()
    gc.freeze()
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    rest = b""
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if woken.fileno() in ready:
            woken.recv(READ_BYTES)
            reap()
        if 0 in ready:
            read = os.read(0, READ_BYTES)
            if not read:
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                say({"pid": start(json.loads(line))})


def start(order: dict[str, Any]) -> int:
    """Forks a service or a command; the process's id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        end_with_parent(signal.SIGKILL)
        if "module" in order:
            run_module(order)
        else:
            redirect(order["log"], order["log"])
            os.environ.update(order["environment"])
            sys.argv = [order["service"], *order["arguments"]]
            run(order["service"])
        code = 0
    except SystemExit as ending:
        code = exit_code(ending)
    except BaseException:  # noqa: BLE001 (a fork must end here, whatever happened)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run_module(order: dict[str, Any]) -> None:
    """Runs a command as `python -m` does."""
    redirect(order["output"], order["errors"])
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = [order["module"], *order["arguments"]]
    # It is run once more, under the name that its last lines ask for.
    for name in (order["module"], f"{order['module']}.__main__"):
        if not hasattr(sys.modules.get(name), "__path__"):
            sys.modules.pop(name, None)
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def redirect(output: str, errors: str) -> None:
    """Nothing is read any more, and all that is written goes to these files."""
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    out, err = (os.open(path, appending, 0o644) for path in (output, errors))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.closerange(3, 64)


def exit_code(ending: SystemExit) -> int:
    """As the interpreter ends: a text is told, and is a failure."""
    if ending.code is None or isinstance(ending.code, int):
        return ending.code or 0
    print(ending.code, file=sys.stderr)
    return 1


def reap() -> None:
    """Tells of every child that has ended."""
    while True:
        try:
            pid, state = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say({"pid": pid, "code": os.waitstatus_to_exitcode(state)})


def say(message: dict[str, Any]) -> None:
    """One line to whoever started us."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
