"""Where the parts of the sandbox listen; everything on loopback."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"


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
        """Ports that nobody listened on a moment ago."""
        names = cls.__dataclass_fields__
        with ExitStack() as held:
            chosen = {}
            for name in names:
                # Held until all are chosen, so that none is given twice.
                listener = held.enter_context(socket.create_server((HOST, 0)))
                chosen[name] = int(listener.getsockname()[1])
        return cls(**chosen)

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


def at(port: int) -> str:
    """`host:port` of a local port."""
    return f"{HOST}:{port}"
