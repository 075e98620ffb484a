"""Where the parts of the sandbox listen; everything on loopback."""

import atexit
import socket
import sys
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
# Those of `free_port`, which nobody else may be given while this process lives.
_reservations = ExitStack()
atexit.register(_reservations.close)


@dataclass(frozen=True)
class Ports:
    """One TCP port for each listener."""

    ledger: int = 50051
    ledger_http: int = 8081
    gateway: int = 50052
    gateway_http: int = 8080
    compliance: int = 50053
    compliance_http: int = 8083
    reconciliation: int = 50054
    reconciliation_http: int = 8084
    stripe_twin: int = 12111

    @classmethod
    def free(cls) -> Self:
        """Ports that nobody listens on, and that are given to nobody else while this is kept."""
        with ExitStack() as reserving:
            ports = cls(**{name: _reserve(reserving) for name in cls.__dataclass_fields__})
            weakref.finalize(ports, reserving.pop_all().close)
        return ports

    def taken(self) -> list[str]:
        """The listeners whose port somebody else has, as `name (port)`."""
        busy = []
        for name in self.__dataclass_fields__:
            port: int = getattr(self, name)
            try:
                socket.create_server((HOST, port)).close()
            except OSError:
                busy.append(f"{name} ({port})")
        return busy


def free_port() -> int:
    """A port that nobody listens on, and that is given to nobody else while this process lives."""
    return _reserve(_reservations)


def _reserve(reservations: ExitStack) -> int:
    """A port of a socket that never listens. Linux gives such a port to no connection and to no
    listener that asks for any port, and yet lets a server with SO_REUSEADDR listen on it, which all
    of ours set. Elsewhere a server could not: there the port is only likely to stay free."""
    reservation = socket.socket()
    with ExitStack() as until_bound:
        until_bound.enter_context(reservation)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((HOST, 0))
        if sys.platform == "linux":
            reservations.push(until_bound.pop_all())
        return int(reservation.getsockname()[1])


def at(port: int) -> str:
    """`host:port` of a local port."""
    return f"{HOST}:{port}"
