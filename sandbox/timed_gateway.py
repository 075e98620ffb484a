"""`python -m sandbox.timed_gateway FILE`: the gateway by a clock that the sandbox moves.

Foresight looks at minutes; who shows it something in seconds has to move time. Loops that look at
the clock rest for as much less, or a minute would be over before they have looked. Everything else
is as `python -m gateway` has it.
"""

import sys
from pathlib import Path

from gateway.__main__ import open_service
from gateway.config import GatewaySettings
from gateway.limits import Limits
from runtime.command_line import command_parser
from runtime.process import run_service
from sandbox.shared_clock import SharedClock

LIMITS = Limits(routing_rest_seconds=0.2, foresight_rest_seconds=0.2, sighting_rest_seconds=0.1)


def main() -> None:
    """Serves until it is told to stop."""
    parser = command_parser("sandbox.timed_gateway", __doc__ or "")
    parser.add_argument("file", type=Path, help="of the clock, see sandbox.shared_clock")
    clock = SharedClock(parser.parse_args().file)
    # What is left is the service's command line.
    del sys.argv[1:]
    run_service(GatewaySettings, lambda settings: open_service(settings, clock, LIMITS))


if __name__ == "__main__":
    main()
