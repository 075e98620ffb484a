"""`python -m sandbox.demo.ahead SECONDS`: reconciliation by a clock before the machine's.

The demo moves the twin's clock through days in a moment, and who compares its payouts with the
bank's statements of those days has to live in them, too.
"""

import sys
from datetime import UTC, datetime, timedelta

from reconciliation.__main__ import open_service
from reconciliation.config import ReconciliationSettings
from runtime.process import run_service


class ClockAhead:
    """The machine's clock and so much more."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def main() -> None:
    """Serves until it is told to stop."""
    clock = ClockAhead(timedelta(seconds=float(sys.argv.pop(1))))
    run_service(ReconciliationSettings, lambda settings: open_service(settings, clock))


if __name__ == "__main__":
    main()
