"""Where nodes are: on addresses of one loopback, or each in a network namespace of its own.

Only with namespaces can a node be cut off from the others while clients still reach it: it has one
link to the clients and one to the other nodes, and the second is taken out of their bridge, so that
nothing arrives and nothing is refused. Everything is inside a namespace that `python -m tests.ha`
has made for itself, so that the kernel removes it with the last process.
"""

import os
import shutil
import subprocess
import sys
from typing import Protocol

from sandbox.addresses import HOST
from sandbox.child import child_command

# Set in the process that runs in the namespace.
INSIDE_VARIABLE = "HA_IN_NAMESPACE"
BRIDGE = "peers"
# Of each node: to the clients, and to the other nodes.
LINKS = ("client", "peer")


class Network(Protocol):
    """What is asked about the places of nodes, which are numbered from 1."""

    can_cut: bool

    def address(self, node: int) -> str:
        """Where clients reach a node."""

    def peer_address(self, node: int) -> str:
        """Where the other nodes reach it."""

    def enter(self, node: int) -> list[str]:
        """What stands before a command that is to run there."""

    def cut_off(self, node: int) -> None:
        """Nothing passes between it and the other nodes any more."""

    def rejoin(self, node: int) -> None:
        """It passes again."""

    def close(self) -> None:
        """Ends it."""


class Loopback:
    """All nodes have the address of this machine, and ports of their own."""

    can_cut = False

    def address(self, node: int) -> str:
        return HOST

    def peer_address(self, node: int) -> str:
        return HOST

    def enter(self, node: int) -> list[str]:
        return []

    def cut_off(self, node: int) -> None:
        raise NotImplementedError("on one loopback nothing can be cut off")

    def rejoin(self, node: int) -> None:
        raise NotImplementedError("on one loopback nothing can be cut off")

    def close(self) -> None:
        pass


class Namespaces:
    """Each node in a namespace of its own, which ends with its holder."""

    can_cut = True

    def __init__(self, nodes: int) -> None:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("link", "set", BRIDGE, "up")
        self._holders = {node: _hold() for node in range(1, nodes + 1)}
        for node in self._holders:
            self._connect(node)

    def address(self, node: int) -> str:
        return f"10.77.{node}.2"

    def peer_address(self, node: int) -> str:
        return f"10.78.0.{node}"

    def enter(self, node: int) -> list[str]:
        return [_program("nsenter"), f"--net=/proc/{self._holders[node].pid}/ns/net", "--"]

    def cut_off(self, node: int) -> None:
        _ip("link", "set", f"peer{node}", "nomaster")

    def rejoin(self, node: int) -> None:
        _ip("link", "set", f"peer{node}", "master", BRIDGE)

    def close(self) -> None:
        # The kernel clears up behind a namespace when it has time; names are to be free at once.
        for name in (*(f"{link}{node}" for node in self._holders for link in LINKS), BRIDGE):
            _ip("link", "delete", name)
        for holder in self._holders.values():
            holder.kill()
            holder.wait()

    def _connect(self, node: int) -> None:
        inside = str(self._holders[node].pid)
        links = (
            (f"client{node}", f"10.77.{node}.1/24", f"{self.address(node)}/24"),
            (f"peer{node}", None, f"{self.peer_address(node)}/24"),
        )
        self._inside(node, "link", "set", "lo", "up")
        for name, ours, theirs in links:
            far = f"{name}n"
            _ip("link", "add", name, "type", "veth", "peer", "name", far, "netns", inside)
            if ours is None:
                _ip("link", "set", name, "master", BRIDGE)
            else:
                _ip("address", "add", ours, "dev", name)
            _ip("link", "set", name, "up")
            self._inside(node, "address", "add", theirs, "dev", far)
            self._inside(node, "link", "set", far, "up")

    def _inside(self, node: int, *arguments: str) -> None:
        _run([*self.enter(node), _program("ip"), *arguments])


def enter_own_namespace() -> None:
    """Goes on as the same command in a new network namespace, where the machine allows one."""
    if os.environ.get(INSIDE_VARIABLE) or not _allowed():
        return
    os.environ[INSIDE_VARIABLE] = "1"
    main = sys.modules["__main__"].__spec__
    assert main is not None
    module = main.name.removesuffix(".__main__")
    os.execv(
        _program("unshare"),
        ["unshare", "--net", "--", sys.executable, "-m", module, *sys.argv[1:]],
    )


def open_network(nodes: int) -> Network:
    """Namespaces if this process is in one of its own, else the loopback."""
    return Namespaces(nodes) if os.environ.get(INSIDE_VARIABLE) else Loopback()


def _allowed() -> bool:
    programs = [shutil.which(name) for name in ("unshare", "nsenter", "ip")]
    if sys.platform != "linux" or os.geteuid() != 0 or not all(programs):
        return False
    tried = subprocess.run(
        [_program("unshare"), "--net", _program("ip"), "link", "add", "tried", "type", "bridge"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def _hold() -> "subprocess.Popen[bytes]":
    holder = subprocess.Popen(
        child_command(
            *("--", _program("unshare"), "--net", "--", "/bin/sh", "-c"),
            "echo ready; exec sleep infinity",
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    with holder.stdout as said:
        assert said.readline() == b"ready\n", "no network namespace was made"
    return holder


def _ip(*arguments: str) -> None:
    _run([_program("ip"), *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is missing")
    return found
