"""Services that tests start as processes: forks of a process that has imported them all.

To import a service takes two seconds of processor time, and an engine has four of them. That they
can be started from nothing is told by `tests/e2e/test_alone.py` and by those who run the commands.
"""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.processes import PROJECT, RunningProcess, start_interpreter
from tests.chaos.children import Child, Nursery

# What the nursery has imported, or most of it.
FORKED = (
    *("ledger", "gateway", "compliance", "reconciliation"),
    *("sandbox.stripe_twin", "sandbox.timed_gateway"),
)


class ForkedProcess:
    """A child of the nursery as a process of ours."""

    def __init__(self, child: Child) -> None:
        self._child = child

    @property
    def pid(self) -> int:
        """Its id."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The code it ended with; None while it runs."""
        return self._child.code

    def send_signal(self, number: int, /) -> None:
        """Sends a signal, unless it has ended."""
        self._child.signal(number)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._child.signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Waits for its end; the code it ended with."""
        await self._child.ended.wait()
        assert self._child.code is not None
        return self._child.code


class ForkedServices:
    """Starts services as forks, and whatever else with an interpreter of its own."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery

    async def launch(
        self, arguments: Sequence[str], environment: Mapping[str, str], log_file: Path
    ) -> RunningProcess:
        """As `sandbox.processes.launch`."""
        module, *more = arguments
        if module not in FORKED:
            return await start_interpreter(arguments, environment, log_file)
        return ForkedProcess(
            await self._nursery.order(
                {
                    "module": module,
                    "arguments": more,
                    "environment": dict(environment),
                    "directory": str(PROJECT),
                    "output": str(log_file),
                    "errors": str(log_file),
                }
            )
        )
