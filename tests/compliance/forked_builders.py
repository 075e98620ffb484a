"""Builders of list indexes for the services of tests: forks of a process that has imported them.

    python -m tests.compliance.forked_builders SOCKET_NUMBER

Every service that opens reads its lists, and what reads them is a process of its own, which takes
ten times as long to import as to read the small list of the tests. Here it is a fork, and a process
of its own all the same: asked, limited and killed like any other. `test_list_builder.py` starts
whole ones.

Each order that comes over the socket is the arguments as JSON, and three open files: the one to
talk over, the one for the index, and one on which the process's number is answered and, when it
has ended, its code.
"""

import asyncio
import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, cast

import compliance.screening.building
from compliance.screening import builder
from compliance.screening.building import BUILDER
from runtime.child_process import MAX_LINE_BYTES, ChildProcess, open_child_process
from runtime.command_line import command_parser
from sandbox.child import child_command, end_with_parent
from sandbox.processes import PROJECT

FILES = 3
MAX_ORDER_BYTES = 4_096
NUMBER = struct.Struct("!q")

_services = 0


@contextmanager
def forked_builders() -> Iterator[None]:
    """Meanwhile what a service asks for a builder is a fork."""
    global _services
    _services += 1
    try:
        yield
    finally:
        _services -= 1


@asynccontextmanager
async def open_builder(
    *arguments: str, open_files: Sequence[int] = ()
) -> AsyncIterator[ChildProcess]:
    """In place of `open_child_process`, which others get."""
    if not _services:
        async with open_child_process(*arguments, open_files=open_files) as child:
            yield child
        return
    _, module, _, memory_bytes = arguments
    assert module == BUILDER
    ours, its = socket.socketpair()
    with its:
        process = _server().start(its.fileno(), open_files[0], memory_bytes)
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
    try:
        yield ChildProcess(cast("subprocess.Popen[bytes]", process), reader, writer)
    finally:
        writer.close()
        process.kill()
        await asyncio.to_thread(process.wait)


compliance.screening.building.open_child_process = open_builder  # type: ignore[attr-defined]


class Fork:
    """A process that is no child of ours, as `subprocess` would give it."""

    def __init__(self, told: socket.socket) -> None:
        """`told` is where its number and its code come from."""
        self._told = told
        self._code: int | None = None
        (self.pid,) = NUMBER.unpack(told.recv(NUMBER.size, socket.MSG_WAITALL))

    def kill(self) -> None:
        # It may have ended, and its code be on its way.
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        if self._code is None:
            with self._told:
                (self._code,) = NUMBER.unpack(self._told.recv(NUMBER.size, socket.MSG_WAITALL))
        assert self._code is not None
        return self._code


class _Server:
    """The process that forks; it ends when its socket does."""

    def __init__(self) -> None:
        self._socket, its = socket.socketpair()
        with its:
            its.set_inheritable(True)
            self._process = subprocess.Popen(
                child_command(__name__, str(its.fileno())),
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )

    def start(self, conversation: int, index: int, memory_bytes: str) -> Fork:
        ours, its = socket.socketpair()
        with its:
            files = [conversation, index, its.fileno()]
            socket.send_fds(self._socket, [json.dumps([memory_bytes]).encode()], files)
        return Fork(ours)

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()


def end_server() -> None:
    """Ends the process that forks, if there is one."""
    if _server.cache_info().currsize:
        _server().end()
        _server.cache_clear()


def main() -> None:
    """Forks until the socket is closed."""
    parser = command_parser("tests.compliance.forked_builders", __doc__ or "")
    parser.add_argument("socket", type=int, metavar="SOCKET_NUMBER", help="an open one, inherited")
    orders = socket.socket(fileno=parser.parse_args().socket)
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    # What is imported stays, and is not copied into the forks because it is looked at.
    gc.freeze()
    telling: dict[int, socket.socket] = {}
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if woken.fileno() in ready:
            woken.recv(MAX_ORDER_BYTES)
            _reap(telling)
        if orders.fileno() in ready:
            order, files, _, _ = socket.recv_fds(orders, MAX_ORDER_BYTES, FILES)
            if not order:
                return
            conversation, index, told = files
            pid = os.fork()
            if not pid:
                _build(conversation, index, *json.loads(order))
            for file in (conversation, index):
                os.close(file)
            telling[pid] = socket.socket(fileno=told)
            telling[pid].sendall(NUMBER.pack(pid))


def _build(conversation: int, index: int, memory_bytes: str) -> Any:
    """The fork: what `python -m` would run."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_with_parent(signal.SIGKILL)
        for number in (0, 1):
            os.dup2(conversation, number)
        kept = os.dup2(index, 3)
        os.closerange(4, 1_024)
        sys.argv = [BUILDER, str(kept), memory_bytes]
        builder.main()
        code = 0
    finally:
        os._exit(code)


def _reap(telling: dict[int, socket.socket]) -> None:
    """Tells of every fork that has ended."""
    while telling:
        pid, state = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with telling.pop(pid) as told:
            told.sendall(NUMBER.pack(os.waitstatus_to_exitcode(state)))


if __name__ == "__main__":
    main()
