"""Health that follows real dependencies: SERVING only while each of them answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer
from prometheus_client import Gauge

from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.notifier import Notifier

CHECK_INTERVAL_SECONDS = 2.0
CHECK_TIMEOUT_SECONDS = 2.0
DEPENDENCY_UP = Gauge(
    "dependency_up", "Whether a dependency answered its last check.", ["service", "dependency"]
)

Check = Callable[[], Awaitable[None]]
# What is said of something, whether it is well or not.
Detail = Callable[[], str]
log = get_logger(__name__)


class NotWellError(Exception):
    """Raised by a check that knows why, in words that may be shown: its message."""


class HealthMonitor:
    """Checks the dependencies in a loop and publishes the result per gRPC service."""

    def __init__(
        self,
        name: str,
        services: Sequence[str],
        dependencies: Mapping[str, Check],
        changed: Notifier | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        """`changed` is notified when a dependency knows by itself that it got well or unwell;
        `details` are told besides."""
        self._name = name
        self._services = services
        self._dependencies = dependencies
        self._changed = changed
        self._details = dict(details or {})
        self._down: dict[str, str] | None = None
        self._broken: dict[str, str] = {}
        self.servicer = HealthServicer()

    @property
    def down(self) -> Mapping[str, str]:
        """What is not well: the dependencies that did not answer last time, with the kind of
        error, and what is broken for good."""
        return self._down if self._down is not None else {"startup": "not checked yet"}

    @property
    def details(self) -> Mapping[str, str]:
        """What is told besides, as it is now."""
        return {name: detail() for name, detail in self._details.items()}

    def loop(self) -> Loop:
        """Checks again and again."""
        return Loop(
            "health",
            self._round,
            poll_seconds=CHECK_INTERVAL_SECONDS,
            notifier=self._changed,
            rests_first=True,
        )

    async def break_down(self, part: str, reason: str) -> None:
        """Something in the process itself is broken: it serves no more, whatever else is well."""
        self._broken[part] = reason
        await self._publish(dict(self._down or {}))

    async def stop(self) -> None:
        """The process is stopping: it says so from now on, whatever is well."""
        await self.break_down("server", "stopping")
        await self.servicer.enter_graceful_shutdown()

    async def _round(self) -> bool:
        await self.check_once()
        return False

    async def check_once(self) -> None:
        """Checks every dependency at once and publishes what was found."""
        names = list(self._dependencies)
        results = await asyncio.gather(*(self._check(self._dependencies[n]) for n in names))
        down = {name: result for name, result in zip(names, results, strict=True) if result}
        for name in names:
            DEPENDENCY_UP.labels(self._name, name).set(0 if name in down else 1)
        await self._publish(down)

    async def _publish(self, down: dict[str, str]) -> None:
        down |= self._broken
        if down != self._down:
            log.info("health_changed", serving=not down, down=sorted(down))
        self._down = down
        state = health_pb2.HealthCheckResponse.ServingStatus.Value(
            "NOT_SERVING" if down else "SERVING"
        )
        for service in ("", *self._services):
            await self.servicer.set(service, state)

    @staticmethod
    async def _check(check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await check()
        except NotWellError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the dependency is not well)
            return type(error).__name__
        return None
