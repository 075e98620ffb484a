"""One of three nodes: Patroni with its PostgreSQL, a member of etcd, and a NATS server."""

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.addresses import free_port
from sandbox.credentials import POSTGRES, SUPERUSER
from sandbox.postgres_wheel import binaries, server_account
from sandbox.processes import PROJECT
from tests.ha.guardian import postmaster
from tests.ha.network import Network
from tests.ha.programs import (
    Program,
    as_server_account,
    etcd,
    nats_server,
    patroni,
    signal_all,
    tree_of,
)

PATH = f"{binaries()}:{os.environ['PATH']}"
SETTINGS = PROJECT / "deploy" / "patroni" / "patroni.yml"
# A machine that everything runs on is no quorum over a network: elections are not to come of load.
ETCD_HEARTBEAT_MS, ETCD_ELECTION_MS = 200, 2_000
JETSTREAM_CLUSTER = "payments"


@dataclass(frozen=True)
class Ports:
    """Where the parts of a node listen."""

    postgres: int = field(default_factory=free_port)
    patroni: int = field(default_factory=free_port)
    etcd: int = field(default_factory=free_port)
    etcd_peer: int = field(default_factory=free_port)
    nats: int = field(default_factory=free_port)
    nats_peer: int = field(default_factory=free_port)


@dataclass(frozen=True)
class Plan:
    """Where each node is, by its number from 1, and which of them have etcd and NATS."""

    network: Network
    ports: Mapping[int, Ports]
    etcd: Sequence[int]
    nats: Sequence[int]
    # A folder of `sandbox.credentials`.
    credentials: Path
    # Patroni's, if it is not as deployed.
    loop_wait_seconds: int | None = None

    def password(self, login: str) -> str:
        """That of one of the servers' logins."""
        return (self.credentials / POSTGRES / login).read_text().strip()

    def peers(self, port: str, nodes: Sequence[int]) -> list[str]:
        """`host:port` of a part at some nodes, as nodes reach each other."""
        return [
            f"{self.network.peer_address(node)}:{getattr(self.ports[node], port)}" for node in nodes
        ]


class Node:
    """Everything of a node dies, stands still and goes on together, or PostgreSQL alone."""

    def __init__(self, number: int, plan: Plan, folder: Path, logs: Path) -> None:
        """`folder` is of this node alone, and is made."""
        self.number = number
        self.name = f"node{number}"
        self.address = plan.network.address(number)
        self.ports = plan.ports[number]
        self._password = plan.password(SUPERUSER)
        self.data = folder / "data"
        self._frozen: list[int] = []
        folder.mkdir(mode=0o711)
        settings = folder / "patroni.yml"
        settings.write_text(yaml.safe_dump(_settings(number, plan, folder)))
        for path in (folder, settings):
            _give(path)
        enter = plan.network.enter(number)

        def program(name: str, command: Sequence[str | Path], *account: str) -> Program:
            return Program(command, logs / f"{self.name}-{name}.log", [*enter, *account])

        self.patroni = program("patroni", [*patroni(), settings], *as_server_account())
        self._parts = [self.patroni]
        if number in plan.nats:
            self.nats = program("nats", _nats_command(number, plan, folder))
            self._parts.append(self.nats)
        if number in plan.etcd:
            self.etcd = program("etcd", _etcd_command(number, plan, folder))
            self._parts.append(self.etcd)

    @property
    def conninfo(self) -> str:
        """Of the maintenance database, as the superuser."""
        return (
            f"host={self.address} port={self.ports.postgres} dbname=postgres connect_timeout=2"
            f" user={SUPERUSER} password={self._password}"
        )

    @property
    def patroni_url(self) -> str:
        """Patroni's REST API."""
        return f"http://{self.address}:{self.ports.patroni}"

    def start(self) -> None:
        """Starts all of it; etcd first."""
        for part in reversed(self._parts):
            part.start()

    async def stop(self) -> None:
        """Patroni stops PostgreSQL; then the others."""
        for part in self._parts:
            await part.terminate()

    def kill(self) -> None:
        """All of it is gone at once, as when the power is."""
        processes = self._processes()
        signal_all(processes, signal.SIGSTOP)
        signal_all(processes, signal.SIGKILL)
        for part in self._parts:
            part.kill()

    def kill_postmaster(self) -> None:
        """`kill -9` of the server's first process; the others end by themselves."""
        os.kill(postmaster(self.data), signal.SIGKILL)

    def freeze(self) -> None:
        """All of it stands still; its sockets stay open."""
        self._stop(self._processes())

    def freeze_postgres(self, *, backends: bool = True) -> None:
        """PostgreSQL alone stands still: all of it, or the postmaster, so that nobody gets in."""
        first = postmaster(self.data)
        self._stop(tree_of(first) if backends else [first])

    def freeze_senders(self) -> None:
        """What sends the log to standbys stands still: they fall behind."""
        self._stop([pid for pid in tree_of(postmaster(self.data)) if b"walsender" in _title(pid)])

    def freeze_nats(self) -> None:
        """Its NATS server alone stands still."""
        self._stop(self.nats.tree())

    def thaw(self) -> None:
        """What stands still goes on as if nothing had been."""
        signal_all(self._frozen[::-1], signal.SIGCONT)
        self._frozen = []

    def _stop(self, processes: list[int]) -> None:
        signal_all(processes, signal.SIGSTOP)
        self._frozen = processes

    def _processes(self) -> list[int]:
        """PostgreSQL first: it is no child of Patroni."""
        found: list[int] = []
        with contextlib.suppress(OSError, ValueError):
            found += tree_of(postmaster(self.data))
        for part in self._parts:
            found += part.tree()
        return found


def _settings(number: int, plan: Plan, folder: Path) -> dict[str, Any]:
    """Those that are recommended, and where everything is on this machine."""
    settings: dict[str, Any] = yaml.safe_load(SETTINGS.read_text())
    ports, peer = plan.ports[number], plan.network.peer_address(number)
    postgres = settings["postgresql"]
    for login in postgres["authentication"].values():
        login["password"] = plan.password(login["username"])
    if plan.loop_wait_seconds is not None:
        settings["bootstrap"]["dcs"]["loop_wait"] = plan.loop_wait_seconds
    # With the programs of the wheel, and the passwords of this run.
    making = f"env CREDENTIALS_DIRECTORY={plan.credentials / POSTGRES} PATH={PATH} bash"
    settings["bootstrap"]["post_bootstrap"] = f"{making} {SETTINGS.parent / 'post_bootstrap.sh'}"
    everywhere = "0.0.0.0" if plan.network.can_cut else peer
    return settings | {
        "name": f"node{number}",
        "restapi": {
            "listen": f"{everywhere}:{ports.patroni}",
            "connect_address": f"{peer}:{ports.patroni}",
        },
        "etcd3": {"hosts": plan.peers("etcd", plan.etcd)},
        "postgresql": postgres
        | {
            "listen": f"{everywhere}:{ports.postgres}",
            "connect_address": f"{peer}:{ports.postgres}",
            "data_dir": str(folder / "data"),
            "bin_dir": str(binaries()),
            "pgpass": str(folder / "pgpass"),
            "parameters": {"unix_socket_directories": str(folder)},
        },
        # The machine's own, if it has one, is not to restart it.
        "watchdog": {"mode": "off"},
    }


def _etcd_command(number: int, plan: Plan, folder: Path) -> list[str | Path]:
    ports, peer = plan.ports[number], plan.network.peer_address(number)
    members = [
        f"node{node}=http://{address}"
        for node, address in zip(plan.etcd, plan.peers("etcd_peer", plan.etcd), strict=True)
    ]
    return [
        *(etcd(), "--name", f"node{number}", "--data-dir", folder / "etcd"),
        *("--listen-client-urls", f"http://{peer}:{ports.etcd}"),
        *("--advertise-client-urls", f"http://{peer}:{ports.etcd}"),
        *("--listen-peer-urls", f"http://{peer}:{ports.etcd_peer}"),
        *("--initial-advertise-peer-urls", f"http://{peer}:{ports.etcd_peer}"),
        *("--initial-cluster", ",".join(members)),
        *("--heartbeat-interval", str(ETCD_HEARTBEAT_MS)),
        *("--election-timeout", str(ETCD_ELECTION_MS)),
    ]


def _nats_command(number: int, plan: Plan, folder: Path) -> list[str | Path]:
    ports, network = plan.ports[number], plan.network
    peer = network.peer_address(number)
    routes = ",".join(f"nats://{address}" for address in plan.peers("nats_peer", plan.nats))
    return [
        *(nats_server(), "--name", f"node{number}"),
        *("--addr", network.address(number), "--port", str(ports.nats)),
        *("--jetstream", "--store_dir", folder / "nats"),
        *("--cluster_name", JETSTREAM_CLUSTER, "--cluster", f"nats://{peer}:{ports.nats_peer}"),
        *("--routes", routes),
    ]


def _give(path: Path) -> None:
    account = server_account()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
