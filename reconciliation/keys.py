"""The key that statements of closed periods are signed with: `python -m reconciliation.keys NAME`
makes a pair, `--show` prints the verifier key of the service as it is set up on this machine."""

import sys
from collections.abc import Sequence

from reconciliation.config import ReconciliationSettings
from runtime.signing_keys import Signing, run_keys

SIGNING = Signing(service="reconciliation", signs="statements of closed periods")


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a pair, or shows the key there is; gives the exit code."""
    return run_keys(SIGNING, ReconciliationSettings, arguments)


if __name__ == "__main__":
    sys.exit(main())
