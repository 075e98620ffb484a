"""`python -m sandbox.demo.ahead SECONDS`: reconciliation by a clock before the machine's.

The demo moves the twin's clock through days in a moment, and who compares its payouts with the
bank's statements of those days has to live in them, too.
"""

import sys
from datetime import UTC, datetime, timedelta

from reconciliation.__main__ import open_service
from reconciliation.config import ReconciliationSettings
from runtime.command_line import command_parser
from runtime.process import run_service


class ClockAhead:
    """The machine's clock and so much more."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def main() -> None:
    """Serves until it is told to stop."""
    parser = command_parser("sandbox.demo.ahead", __doc__ or "")
    parser.add_argument("seconds", type=float, help="by how much the clock is ahead")
    clock = ClockAhead(timedelta(seconds=parser.parse_args().seconds))
    # What is left is the service's command line.
    del sys.argv[1:]
    run_service(ReconciliationSettings, lambda settings: open_service(settings, clock))


if __name__ == "__main__":
    main()
