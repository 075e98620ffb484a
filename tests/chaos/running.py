"""What healing and gathering need of the engine that runs, whatever else it is made of."""

from collections.abc import Mapping
from typing import Protocol

import grpc

from tests.chaos.service import Service


class RunningEngine(Protocol):
    """Its services as processes; two of them are the gateways of `plan.GATEWAYS`."""

    @property
    def services(self) -> Mapping[str, Service]:
        """By the names of the processes."""

    @property
    def databases(self) -> Mapping[str, str]:
        """The URLs of the services' databases, by the services' names."""

    async def serving(self) -> None:
        """Waits until every service serves."""

    def channel(self, name: str) -> grpc.aio.Channel:
        """An operator's channel to a process, or to a service that has only one."""

    async def command(self, name: str, command: str) -> int:
        """Runs a command of a service with its settings; its exit code."""
