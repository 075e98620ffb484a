"""What runs in a service's process: the service's own main, with a clock and a death under control.

Nothing of it is in the product: the service is given another clock by the parameter that it has,
the event loop another way to make tasks, and a mutation replaces attributes from outside.
"""

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.limits import LIMITS
from gateway.routing_service import chooser
from runtime.clock import SystemClock
from runtime.process import run_service
from runtime.server import RpcServer
from tests.chaos.control import Control, count_steps
from tests.chaos.mutations import MUTATION_VARIABLE, MUTATIONS

TWIN = "stripe_twin"
# How long a gateway waits for what came before a payment, before it decides without routing.
READ_SECONDS = 2.0
# A minute passes within a second here: what looks at minutes looks as often for its kind.
QUICK = replace(
    LIMITS, routing_rest_seconds=1.0, foresight_rest_seconds=0.5, sighting_rest_seconds=0.25
)
CONTROL_VARIABLE = "CHAOS_CONTROL_FILE"
SETTINGS = {
    "ledger": "LedgerSettings",
    "gateway": "GatewaySettings",
    "compliance": "ComplianceSettings",
}


def run(service: str) -> None:
    """Serves until SIGTERM, or runs a command, as `python -m <service>` does."""
    if service == TWIN:
        importlib.import_module("sandbox.stripe_twin.__main__").main()
        return
    module = importlib.import_module(f"{service}.__main__")
    control = Control(Path(os.environ[CONTROL_VARIABLE]))
    if len(sys.argv) > 1:
        # A command of the operators.
        SystemClock.now = lambda _self: control.now()  # type: ignore[method-assign, assignment]
        module.main()
        return
    # A machine that everything runs on is no database that does not answer: else hardly anything
    # would be decided here.
    chooser.READ_SECONDS = READ_SECONDS
    for mutation in filter(None, os.environ.get(MUTATION_VARIABLE, "").split(",")):
        MUTATIONS[mutation].install()

    limits = (QUICK,) if service == "gateway" else ()

    @asynccontextmanager
    async def open_service(settings: Any) -> AsyncIterator[RpcServer]:
        count_steps(asyncio.get_running_loop(), control.step)
        async with module.open_service(settings, control, *limits) as server:
            yield server

    run_service(getattr(module, SETTINGS[service]), open_service)
